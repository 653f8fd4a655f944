import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { copyFileSync, existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { listModels, ModelNotFoundError, removeModel, verifyModel } from "../../../models.ts";
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
        const { symlinkSync } = await import("node:fs");
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
