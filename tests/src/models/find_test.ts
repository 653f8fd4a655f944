import { test } from "node:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { Llama } from "../../../mod.ts";
import { convert, quantize } from "../../../convert.ts";
import { download, listModels, ModelNotFoundError, readHeader, resolveModel } from "../../../models.ts";
import { parseHubFile, partsOf } from "../../../src/models/reference.ts";
import { inDirectory } from "../../support/checkpoint.ts";
import { COMMIT } from "../../support/hub_server.ts";

const HF = "hf:owner/repo/model.gguf";
const onDeno = "Deno" in globalThis;
/** The variable that names the user's folder. */
const HOME = process.platform === "win32" ? "USERPROFILE" : "HOME";

/** Runs with these environment variables, and with none that name a cache. */
function withEnv(changes: Record<string, string>, run: () => void): void {
  const names = ["HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "LLAMASAUR_MODELS", HOME];
  const before = names.map((name) => [name, process.env[name]] as const);
  for (const name of names) delete process.env[name];
  Object.assign(process.env, changes);
  try {
    run();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

/** Puts a file into a cache, as the hub's clients do. */
function plant(cache: string, repository: string, path: string, revision = "main", commit = COMMIT): string {
  const folder = join(cache, `models--${repository.replace("/", "--")}`);
  const file = join(folder, "snapshots", commit, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, "GGUF");
  mkdirSync(dirname(join(folder, "refs", revision)), { recursive: true });
  writeFileSync(join(folder, "refs", revision), commit);
  return file;
}

test("resolveModel() takes paths and file: URLs as they are, there or not", () => {
  assertEquals(resolveModel("no/such/file"), "no/such/file");
  assertEquals(resolveModel("model.gguf"), "model.gguf");
  assertEquals(resolveModel("MODEL.GGUF"), "MODEL.GGUF");
  assertEquals(resolveModel("..\\model"), "..\\model");
  const path = fileURLToPath(new URL("./a b.gguf", import.meta.url));
  assertEquals(resolveModel(pathToFileURL(path)), path);
  assertEquals(resolveModel(pathToFileURL(path).href), path);
});

test("resolveModel() refuses what is no model", () => {
  for (const bad of [undefined, 1, {}]) assertThrows(() => resolveModel(bad as string), TypeError, "must be a path");
  assertThrows(() => resolveModel("https://example.com/a.gguf"), TypeError, "must be a file: URL");
  for (const bad of ["", "a\0.gguf"]) assertThrows(() => resolveModel(bad), RangeError, "must be a path or a name");
});

test("resolveModel() names the catalogue when it has no such name", () => {
  const error = assertThrows(() => resolveModel("bge-tiny"), ModelNotFoundError, 'Cannot find model "bge-tiny"');
  assertStringIncludes(error.message, "bge-small-en-v1.5");
  assertEquals(error.remedy, undefined);
});

for (
  const bad of [
    "hf:",
    "hf:repo/model.gguf",
    "hf:owner/repo/model.bin",
    "hf:../repo/model.gguf",
    "hf:owner/../model.gguf",
    "hf:owner/repo/../../../model.gguf",
    "hf:owner/repo/a/./model.gguf",
    "hf:owner/repo//model.gguf",
    "hf:owner/repo/..\\model.gguf",
    "hf:owner/repo/C:model.gguf",
    "hf:owner/repo/model.gguf@../../x",
    "hf:owner/repo/model.gguf@",
    "hf:owner/repo/model.gguf@a/../b",
    "hf:owner/repo/model.gguf@\n",
    "hf:ow--ner/repo/model.gguf",
    "hf:owner/re..po/model.gguf",
  ]
) {
  test(`resolveModel() throws RangeError when the name is ${JSON.stringify(bad)}`, () => {
    assertThrows(() => resolveModel(bad), RangeError, "it must be hf:owner/repository/file.gguf");
  });
}

test("parseHubFile() reads folders, branches with slashes and dots", () => {
  assertEquals(parseHubFile("hf:a.b/c_d-1.5/e/f g.gguf@refs/pr/1"), {
    repository: "a.b/c_d-1.5",
    path: "e/f g.gguf",
    revision: "refs/pr/1",
  });
});

test("partsOf() lists all parts of a split model, whichever is named", () => {
  const paths = [...partsOf(parseHubFile("hf:a/b/c/m-00002-of-00003.gguf"))].map(({ path }) => path);
  assertEquals(paths, ["c/m-00001-of-00003.gguf", "c/m-00002-of-00003.gguf", "c/m-00003-of-00003.gguf"]);
});

test("resolveModel() finds hf: names in the cache, in each way that the cache is named", async () => {
  await inDirectory((directory) => {
    const ways: [Record<string, string>, string][] = [
      [{ HF_HUB_CACHE: join(directory, "a"), HF_HOME: "/nowhere" }, "a"],
      [{ HUGGINGFACE_HUB_CACHE: join(directory, "b") }, "b"],
      [{ HF_HOME: join(directory, "c") }, "c/hub"],
      [{ XDG_CACHE_HOME: join(directory, "d"), [HOME]: "/nowhere" }, "d/huggingface/hub"],
      [{ [HOME]: join(directory, "e") }, "e/.cache/huggingface/hub"],
      [{ [HOME]: directory, HF_HOME: "~/f" }, "f/hub"],
    ];
    for (const [variables, cache] of ways) {
      const path = plant(join(directory, cache), "owner/repo", "model.gguf");
      withEnv(variables, () => assertEquals(resolveModel(HF), path));
    }
  });
});

test("resolveModel() finds the revision that is asked for, and no other", async () => {
  await inDirectory((directory) => {
    const other = "f".repeat(40);
    const main = plant(directory, "owner/repo", "model.gguf");
    const branch = plant(directory, "owner/repo", "model.gguf", "refs/pr/1", other);
    withEnv({ HF_HUB_CACHE: directory }, () => {
      assertEquals(resolveModel(HF), main);
      assertEquals(resolveModel(`${HF}@refs/pr/1`), branch);
      assertEquals(resolveModel(`${HF}@${other}`), branch);
      assertThrows(() => resolveModel(`${HF}@v2`), ModelNotFoundError, `has no ${HF}@v2`);
    });
  });
});

test("resolveModel() finds a split model only when all of its parts are there", async () => {
  await inDirectory((directory) => {
    const first = plant(directory, "owner/repo", "m-00001-of-00002.gguf");
    withEnv({ HF_HUB_CACHE: directory }, () => {
      assertThrows(() => resolveModel("hf:owner/repo/m-00001-of-00002.gguf"), ModelNotFoundError);
      plant(directory, "owner/repo", "m-00002-of-00002.gguf");
      assertEquals(resolveModel("hf:owner/repo/m-00002-of-00002.gguf"), first);
    });
  });
});

test("resolveModel() finds names of the catalogue in the folder of models first, then in the cache", async () => {
  await inDirectory((directory) => {
    const folder = join(directory, "models"), cache = join(directory, "cache");
    mkdirSync(folder);
    withEnv({ LLAMASAUR_MODELS: folder, HF_HUB_CACHE: cache }, () => {
      const error = assertThrows(() => resolveModel("All-MiniLM-L6-v2"), ModelNotFoundError);
      assertMatch(
        error.message,
        /^Cannot find model "All-MiniLM-L6-v2": get it with `.*download_models\.sh All-MiniLM-L6-v2`/,
      );
      assertEquals(error.message.split("\n").length, 4);
      assertEquals(error.model, "All-MiniLM-L6-v2");
      assertMatch(error.remedy!, /download_models\.sh All-MiniLM-L6-v2$/);
      assertStringIncludes(error.message, `get it with \`${error.remedy}\`; looked at:`);
      const cached = plant(cache, "leliuga/all-MiniLM-L6-v2-GGUF", "all-MiniLM-L6-v2.Q8_0.gguf");
      assertEquals(resolveModel("all-minilm-l6-v2"), cached);
      writeFileSync(join(folder, "all-minilm-l6-v2-q8_0.gguf"), "GGUF");
      assertEquals(resolveModel("all-minilm-l6-v2"), join(folder, "all-minilm-l6-v2-q8_0.gguf"));
    });
  });
});

test("resolveModel() neither asks nor fails otherwise on Deno with --allow-ffi alone", { skip: !onDeno }, () => {
  const entry = new URL("../../../models.ts", import.meta.url).href;
  const code = `import { resolveModel } from ${JSON.stringify(entry)};
    console.log(resolveModel("a/b.gguf"));
    try { resolveModel("bge-m3"); } catch (error) { console.log(error.name, error.message); }`;
  const run = (...flags: string[]) => {
    const script = `data:text/javascript,${encodeURIComponent(code)}`;
    // Deno's node:child_process adds -A where there is no permission flag at all.
    const command = ["run", "--quiet", "--allow-ffi", ...flags, script];
    const result = spawnSync(process.execPath, command, { encoding: "utf8" });
    assertEquals([result.status, result.stderr], [0, ""]);
    assertMatch(
      result.stdout,
      /^a\/b\.gguf\nModelNotFoundError Cannot find model "bge-m3": (allow to look for it with --allow-read and --allow-env, or )?get it with/,
    );
    return result.stdout;
  };
  const none = run();
  assertMatch(none, /models[\\/]bge-m3-Q8_0\.gguf: no permission \(--allow-read\)/);
  assertStringIncludes(
    none,
    "the hub's cache: HOME, HF_HOME and HF_HUB_CACHE cannot be read: no permission (--allow-env)",
  );
  assertStringIncludes(run("--allow-env"), "hub: no permission (--allow-read)");
  assert(!run("--allow-env", "--allow-read").includes("no permission"));
});

test("resolveModel() advises no permission where HOME is unset and everything may be read", () => {
  const unset = {
    HOME: "",
    USERPROFILE: "",
    XDG_CACHE_HOME: "",
    HF_HOME: "",
    HF_HUB_CACHE: "",
    HUGGINGFACE_HUB_CACHE: "",
  };
  const entry = new URL("../../../models.ts", import.meta.url).href;
  const code = `import { resolveModel } from ${JSON.stringify(entry)};
    try { resolveModel("bge-m3"); } catch (error) { console.log(error.message); }`;
  const command = onDeno ? ["eval", "--quiet", code] : ["-e", code];
  const { stdout } = spawnSync(process.execPath, command, { encoding: "utf8", env: { ...process.env, ...unset } });
  assertStringIncludes(stdout, 'Cannot find model "bge-m3": get it with');
  assertStringIncludes(stdout, "the hub's cache: HOME, HF_HOME and HF_HUB_CACHE are all unset");
});

test("resolveModel() and what takes models tell an address without its password and signature", async () => {
  for (
    const [address, told] of [
      ["https://me:hunter2@host/m.gguf?sig=SIG#SIG", '"https://host/m.gguf"'],
      ["HTTPS:me:hunter2@host/m.gguf?sig=SIG", '"https://host/m.gguf"'],
      ["s3://me:hunter2@bucket/m.gguf?sig=SIG", '"s3://bucket/m.gguf"'],
      ["https://me:hunter2@ho st/m.gguf?sig=SIG", '"https:…"'],
      ["https://huggingface.co/o/n/resolve/main/m.gguf?sig=SIG", 'give "hf:o/n/m.gguf"'],
    ] as const
  ) {
    for (const model of [address, ...(URL.canParse(address) ? [new URL(address)] : [])]) {
      for (
        const call of [
          () => resolveModel(model),
          () => readHeader(model),
          () => Llama.load(model),
          () => download(model as string),
        ]
      ) {
        const error = await assertRejects(async () => void await call(), TypeError, told);
        for (const secret of ["hunter2", "SIG"]) {
          assert(!`${error.message} ${JSON.stringify(error)} ${error.stack}`.includes(secret), error.message);
        }
      }
    }
  }
  assertEquals(resolveModel("c://m.gguf"), "c://m.gguf");
});

test("resolveModel() refuses a Proxy of a URL by name", () => {
  assertThrows(() => resolveModel(new Proxy(new URL("file:///a"), {})), TypeError, "Cannot read model");
});

test("options and arguments that are paths refuse an address, and tell it without its password and signature", async () => {
  for (const address of ["https://me:hunter2@host/m?sig=SIG", "s3://me:hunter2@host/m?sig=SIG"]) {
    for (const path of [address, new URL(address)]) {
      for (
        const call of [
          () => convert(path, "out.gguf"),
          () => convert("tests/fixtures/tiny_bert", path),
          () => quantize(path, "out.gguf", "q8_0"),
          () => listModels({ cache: path as string }),
          () => Llama.load("m.gguf", { library: path }),
        ]
      ) {
        const error = await assertRejects(async () => void await call(), TypeError, "must be a path or a file: URL");
        assert(!/hunter2|SIG/.test(`${error.message} ${error.stack}`), error.message);
        assertStringIncludes(error.message, "//host/m");
      }
    }
  }
});
