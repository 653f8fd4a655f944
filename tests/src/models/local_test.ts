import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import process from "node:process";
import { listModels, LlamaError, ModelNotFoundError, removeModel, verifyModel } from "../../../models.ts";
import { cachedCommit } from "../../../src/models/cache.ts";
import { inDirectory } from "../../support/checkpoint.ts";
import { COMMIT, filesOf, ggufOf, MODEL, sha256, withHub } from "../../support/hub_server.ts";
import { canLink } from "../../support/lend.ts";

/** Runs with LLAMASAUR_MODELS naming a folder. */
async function withFolder(folder: string, run: () => Promise<void>): Promise<void> {
  const before = process.env["LLAMASAUR_MODELS"];
  process.env["LLAMASAUR_MODELS"] = folder;
  try {
    await run();
  } finally {
    if (before === undefined) delete process.env["LLAMASAUR_MODELS"];
    else process.env["LLAMASAUR_MODELS"] = before;
  }
}

/** The same with one that is empty. */
const inEmptyFolder = (run: () => Promise<void>): Promise<void> => inDirectory((folder) => withFolder(folder, run));

const MINILM = "leliuga/all-MiniLM-L6-v2-GGUF/all-MiniLM-L6-v2.Q8_0.gguf";
const FILES = {
  "owner/repo/model.gguf": MODEL,
  "owner/repo/sub/other.gguf": ggufOf(1000, 2),
  "owner/split/x-00001-of-00002.gguf": ggufOf(2000, 3),
  "owner/split/x-00002-of-00002.gguf": ggufOf(3000, 4),
  [MINILM]: ggufOf(4000, 5),
};

test("listModels() has what download() got by the names that Llama.load takes, and what is in the folder of models", async () => {
  await withHub(async (_, cache, get) => {
    await inDirectory((folder) =>
      withFolder(folder, async () => {
        assertEquals(await listModels({ cache }), []);
        const paths = new Map<string, string>();
        for (
          const name of [
            "hf:owner/repo/model.gguf",
            "hf:owner/repo/sub/other.gguf@v1",
            "hf:owner/split/x-00002-of-00002.gguf",
            "all-minilm-l6-v2",
          ]
        ) paths.set(name, await get(name));
        const mine = join(folder, "mine.gguf");
        const made = join(folder, "all-minilm-l6-v2-q8_0.gguf");
        writeFileSync(mine, MODEL);
        copyFileSync(mine, made);
        writeFileSync(join(folder, "notes.txt"), "no model");
        const listed = (await listModels({ cache })).map(({ model, path, size, place }) => [model, path, size, place]);
        const split = paths.get("hf:owner/split/x-00002-of-00002.gguf")!;
        assertEquals(
          new Set(listed.map((row) => JSON.stringify(row))),
          new Set([
            [mine, mine, MODEL.length, "folder"],
            ["all-minilm-l6-v2", made, MODEL.length, "folder"],
            ["all-minilm-l6-v2", paths.get("all-minilm-l6-v2"), 4000, "cache"],
            ["hf:owner/repo/model.gguf", paths.get("hf:owner/repo/model.gguf"), MODEL.length, "cache"],
            // main and v1 are one commit of the stand-in
            ["hf:owner/repo/sub/other.gguf", paths.get("hf:owner/repo/sub/other.gguf@v1"), 1000, "cache"],
            ["hf:owner/split/x-00001-of-00002.gguf", split, 5000, "cache"],
          ].map((row) => JSON.stringify(row))),
        );
      })
    );
  }, FILES);
});

test("verifyModel() finds bytes that are not the hub's, of each part", { skip: !canLink }, async () => {
  await withHub(async (_, cache, get) => {
    const path = await get("hf:owner/split/x-00001-of-00002.gguf");
    const parts: number[] = [];
    const options = { cache, onProgress: (part: number) => void parts.push(part) };
    const files = await verifyModel("hf:owner/split/x-00001-of-00002.gguf", options);
    assertEquals(
      files.map(({ expected, found }) => [expected, found]),
      [[3, 2000], [4, 3000]].map(([seed, size]) => {
        const digest = sha256(ggufOf(size!, seed!));
        return [digest, digest];
      }),
    );
    assertEquals(parts.at(-1), 1);
    const second = path.replace("00001-of", "00002-of");
    const bytes = readFileSync(second);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(second, bytes);
    const [first, wrong] = await verifyModel(path, { cache });
    assertEquals([first!.found === first!.expected, wrong!.found === wrong!.expected], [true, false]);
    assertEquals(wrong!.found, sha256(bytes));
    const error = await verifyModel(path, { cache, signal: AbortSignal.abort(new Error("enough")) }).catch((e) => e);
    assertEquals(error.message, "enough");
  }, FILES);
});

test("removeModel() removes a model alone, with its bytes, and leaves what another commit or file needs", async () => {
  await withHub((_, cache, get) =>
    inEmptyFolder(async () => {
      const [path, other] = [await get("hf:owner/repo/model.gguf"), await get("hf:owner/repo/sub/other.gguf")];
      const bytes = realpathSync(path);
      assertEquals(await removeModel("hf:owner/repo/none.gguf", { cache }), []);
      assertEquals((await removeModel("hf:owner/repo/model.gguf", { cache })).map(({ path }) => path), [path]);
      assertEquals([existsSync(path), existsSync(bytes), existsSync(other)], [false, false, true]);
      assertEquals((await listModels({ cache })).map(({ model }) => model), ["hf:owner/repo/sub/other.gguf"]);
      assertEquals(await get("hf:owner/repo/model.gguf"), path); // it can be got again
      await removeModel(path, { cache });
      await removeModel("hf:owner/repo/sub/other.gguf", { cache });
      assertEquals(filesOf(cache).filter((file) => !file.startsWith(".locks")), []);
    }), FILES);
});

test(
  "removeModel() keeps bytes that another snapshot has, and a download that broke off",
  { skip: !canLink },
  async () => {
    await withHub((_, cache, get) =>
      inEmptyFolder(async () => {
        const path = await get("hf:owner/repo/model.gguf");
        const bytes = realpathSync(path);
        const older = join(cache, "models--owner--repo", "snapshots", COMMIT.replaceAll("0", "f"));
        mkdirSync(older);
        symlinkSync(bytes, join(older, "model.gguf"));
        writeFileSync(`${bytes}.llamasaur.incomplete`, "GGUF");
        await removeModel("hf:owner/repo/model.gguf", { cache });
        assertEquals([existsSync(path), existsSync(bytes)], [false, true]);
        const [left] = await listModels({ cache });
        assertEquals(left!.model, `hf:owner/repo/model.gguf@${COMMIT.replaceAll("0", "f")}`);
        await removeModel(left!.model, { cache });
        assertEquals([existsSync(bytes), existsSync(`${bytes}.llamasaur.incomplete`)], [false, true]);
      }), FILES);
  },
);

test("listModels() of no cache and of files that are no models is empty", async () => {
  await inDirectory((directory) =>
    withFolder(join(directory, "none"), async () => {
      assertEquals(await listModels({ cache: join(directory, "nowhere") }), []);
      mkdirSync(join(directory, "models--a--b", "snapshots", "c"), { recursive: true });
      writeFileSync(join(directory, "models--a--b", "snapshots", "c", "config.json"), "{}");
      writeFileSync(join(directory, "version.txt"), "1");
      assertEquals(await listModels({ cache: directory }), []);
      assertEquals(await removeModel("bge-m3", { cache: directory }), []);
      await assertRejects(() => verifyModel("bge-m3", { cache: directory }), ModelNotFoundError, "get it with");
      await assertRejects(() => verifyModel("none/none.gguf"), ModelNotFoundError, "there is no such file");
    })
  );
});

/** A cache with one repository: what lies in its commits, by their first letter and the file's name, is a link to this. */
function cacheOf(cache: string, links: Readonly<Record<string, string>>): string {
  const repository = join(cache, "models--o--n");
  for (const folder of ["blobs", "refs"]) mkdirSync(join(repository, folder), { recursive: true });
  writeFileSync(join(repository, "blobs", BLOB), "GGUF");
  writeFileSync(join(repository, "refs", "main"), "a".repeat(40));
  for (const [path, target] of Object.entries(links)) {
    const [commit = "", file = ""] = path.split("/");
    const snapshot = join(repository, "snapshots", commit.repeat(40));
    mkdirSync(snapshot, { recursive: true });
    symlinkSync(target, join(snapshot, file));
  }
  return repository;
}

const BLOB = "d".repeat(64);
const TO_BLOB = `../../blobs/${BLOB}`;

test("removeModel() removes no file that lies outside of the cache, where a link leads to it", {
  skip: !canLink,
}, async () => {
  await inDirectory((directory) =>
    withFolder(join(directory, "none"), async () => {
      const [cache, mine, elsewhere] = ["cache", "mine.gguf", "elsewhere"].map((name) => join(directory, name));
      writeFileSync(mine!, "GGUF");
      mkdirSync(elsewhere!);
      writeFileSync(join(elsewhere!, "m.gguf"), "GGUF");
      const repository = cacheOf(cache!, { "a/m.gguf": mine!, "b/m.gguf": TO_BLOB });
      symlinkSync(elsewhere!, join(repository, "snapshots", "c".repeat(40)));
      assertEquals((await removeModel("hf:o/n/m.gguf", { cache })).length, 1);
      assertEquals((await removeModel(`hf:o/n/m.gguf@${"c".repeat(40)}`, { cache })).length, 0);
      assertEquals([mine!, join(elsewhere!, "m.gguf")].map(existsSync), [true, true]);
      assertEquals(existsSync(join(repository, "snapshots", "a".repeat(40))), false);
    })
  );
});

test("listModels() and removeModel() see past links that lead in a circle, and keep bytes that may be needed", {
  skip: !canLink,
}, async () => {
  for (const [name, target] of [["loop", "loop"], ["above", ".."]]) {
    await inDirectory((directory) =>
      withFolder(join(directory, "none"), async () => {
        const repository = cacheOf(directory, { "a/m.gguf": TO_BLOB, "b/m.gguf": TO_BLOB, [`b/${name}`]: target! });
        assertEquals((await listModels({ cache: directory })).map(({ model }) => model), [
          "hf:o/n/m.gguf",
          `hf:o/n/m.gguf@${"b".repeat(40)}`,
        ]);
        await removeModel("hf:o/n/m.gguf", { cache: directory });
        assertEquals(existsSync(join(repository, "snapshots", "b".repeat(40), "m.gguf")), true);
        await removeModel(`hf:o/n/m.gguf@${"b".repeat(40)}`, { cache: directory });
        assertEquals(existsSync(join(repository, "blobs", BLOB)), false);
      })
    );
  }
});

test("removeModel() keeps bytes where a folder of another commit cannot be read", {
  skip: !canLink || process.getuid?.() === 0 || process.platform === "win32", // root reads everything
}, async () => {
  await inDirectory((directory) =>
    withFolder(join(directory, "none"), async () => {
      const repository = cacheOf(directory, { "a/m.gguf": TO_BLOB, "b/m.gguf": TO_BLOB });
      const closed = join(repository, "snapshots", "b".repeat(40));
      chmodSync(closed, 0);
      await removeModel("hf:o/n/m.gguf", { cache: directory });
      chmodSync(closed, 0o755);
      assertEquals(readFileSync(join(closed, "m.gguf"), "utf8"), "GGUF");
    })
  );
});

test("listModels() looks for the parts that a name claims until the first that is missing; verifyModel() names that", async () => {
  await inDirectory((directory) =>
    withFolder(directory, async () => {
      for (let i = 0; i < 20; i++) writeFileSync(join(directory, `x${i}-00001-of-99999.gguf`), "GGUF");
      mkdirSync(join(directory, "d.gguf")); // a folder is no model
      const cache = join(directory, "none");
      assertEquals(await listModels({ cache }), []);
      const part = join(directory, "x0-00001-of-99999.gguf");
      await assertRejects(() => verifyModel(part, { cache }), ModelNotFoundError, "x0-00002-of-99999.gguf");
      await assertRejects(() => verifyModel(join(directory, "d.gguf"), { cache }), LlamaError, "it is a directory");
    })
  );
});

test("removeModel() takes the paths that listModels() gave, of a cache that was named by a relative path, too", {
  skip: !canLink,
}, async () => {
  await inDirectory((directory) =>
    withFolder(join(directory, "none"), async () => {
      cacheOf(directory, { "a/m.gguf": TO_BLOB });
      const cache = relative(process.cwd(), directory);
      const [model] = await listModels({ cache });
      assertEquals((await removeModel(model!.path, { cache })).length, 1);
      assertEquals(await listModels({ cache }), []);
    })
  );
});

test("verifyModel() refuses a pipe instead of waiting for who writes to it", {
  skip: process.platform === "win32",
}, async () => {
  await inDirectory(async (directory) => {
    const pipe = join(directory, "pipe.gguf");
    execFileSync("mkfifo", [pipe]);
    await assertRejects(() => verifyModel(pipe), LlamaError, "it is a pipe or a device");
    await assertRejects(() => verifyModel("/dev/zero"), LlamaError, "it is a pipe or a device");
    const repository = cacheOf(join(directory, "cache"), {});
    rmSync(join(repository, "refs", "main"));
    execFileSync("mkfifo", [join(repository, "refs", "main")]);
    await withFolder(directory, async () => assertEquals(await listModels({ cache: join(directory, "cache") }), []));
    assertEquals(
      cachedCommit(join(directory, "cache"), { repository: "o/n", path: "m.gguf", revision: "main" }),
      undefined,
    );
  });
});
