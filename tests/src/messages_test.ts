// The words for a newcomer's mistakes: each names what was wrong and a remedy that works.
import { test } from "node:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { dot, Llama, LlamaError, type LogLine, ModelNotFoundError, type Progress, topK } from "../../mod.ts";
import { download, HubUnavailableError } from "../../models.ts";
import { convert, quantize, type WeightType } from "../../convert.ts";
import { fixture, inDirectory } from "../support/checkpoint.ts";
import { findProgram, ROOT, runChild } from "../support/child.ts";
import { cannotLoad, libraryMissing, modelPath } from "../support/references.ts";

const skip = libraryMissing;
const MINILM = "all-minilm-l6-v2-q8_0.gguf";

/** The message of what a call throws. */
async function words(call: () => unknown): Promise<string> {
  try {
    await call();
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
  throw new Error("nothing was thrown");
}

const PATHS: [path: string, right: RegExp, wrong?: RegExp][] = [
  ["BAAI/bge-small-en-v1.5", /no such file .*give "bge-small-en-v1.5", its name in the catalogue$/],
  ["sentence-transformers/all-MiniLM-L6-v2", /give "all-minilm-l6-v2", its name in the catalogue$/],
  ["somebody/some-model", /a name of the catalogue, or hf:somebody\/some-model\/FILE\.gguf$/],
  ["~", /no such file; "~" is not expanded here/],
  ["$HOME/x.gguf", /no such file; variables are not expanded here: write the folder out$/],
  ["%APPDATA%\\x.gguf", /no such file; variables are not expanded here/],
  ["/data/~tmp/100%/x.gguf", /no such file; give the path/, /expanded/],
  [
    "all-minilm-l6-v3",
    /no such name, did you mean "all-minilm-l6-v2"\?; a path has a slash or ends in \.gguf; the cat/,
  ],
  ["zzz", /no such name; a path has a slash or ends in \.gguf; the catalogue has bge-small-en-v1.5, /],
  [
    "model.safetensors",
    /it is no GGUF file; convert the checkpoint's folder to make one$/,
  ],
  ["LICENSE", /a path has a slash or ends in \.gguf: for the one that is here give "\.\/LICENSE"$/],
  ["tests", /it is a directory; name a \.gguf file in it, or convert it, if it is a checkpoint$/],
  [
    "https://huggingface.co/o/r/resolve/main/x/y.gguf?download=true",
    /for that file of the hub give "hf:o\/r\/x\/y\.gguf"$/,
  ],
  ["https://hf.co/o/r/blob/v2/y.gguf", /give "hf:o\/r\/y\.gguf@v2"$/],
  ["https://example.com/x.gguf", /it must be a file: URL; models of the hub are hf:owner\/repository\/file.gguf$/],
  [
    process.platform === "win32" ? "a\u009b2J\u202e\u2028.gguf" : "a\u009b2J\u202e\n.gguf",
    /the model a\\u\{9b\}2J\\u\{202e\}\\u\{(a|2028)\}\.gguf: there is no such file/,
  ],
  [`${"x/".repeat(3000)}y.gguf`, /^.{300,1500}$/],
  ["~/models/x.gguf", /"~" is not expanded here: write the home folder out$/],
  ["models/none.gguf", /no such file \(.*[/\\]models[/\\]none\.gguf\); give the path.*$/, /\.\/models does/],
  [
    "/no/such/model.gguf",
    /^ModelNotFoundError: Cannot load the model \/no\/such\/model\.gguf: there is no such file; give/,
  ],
];

for (const [path, right, wrong = /undefined/] of PATHS) {
  test(`Llama.load(${JSON.stringify(path).slice(0, 70)}) says what is meant and how to get it`, { skip }, async () => {
    const message = await words(() => Llama.load(path));
    assertMatch(message, right);
    assert(!wrong.test(message), message);
  });
}

const CONTENTS: [name: string, content: string | Uint8Array, right: RegExp][] = [
  [
    "model.safetensors",
    '\x40\0\0\0\0\0\0\0{"__metadata__":{}}',
    /a safetensors checkpoint: make a GGUF file .* convert\(\)/,
  ],
  ["pointer.gguf", "version https://git-lfs.github.com/spec/v1\noid sha256:0", /a Git LFS pointer and not the file/],
  ["page.gguf", "<!doctype html><title>login</title>", /an HTML page: the download was an error or login page/],
  ["model.pt", new Uint8Array([80, 75, 3, 4, 20, 0, 0, 0]), /a PyTorch checkpoint: convert\(\) takes/],
  ["empty.gguf", "", /it is empty/],
];

test("Llama.load() of what is no GGUF file says what it is, and the remedy", { skip }, async () => {
  await inDirectory(async (directory) => {
    for (const [name, content, right] of CONTENTS) {
      writeFileSync(join(directory, name), content);
      assertMatch(await words(() => Llama.load(join(directory, name))), right);
    }
    const folder = join(directory, "folder.gguf");
    mkdirSync(folder);
    assertMatch(await words(() => Llama.load(folder)), /it is a directory; name a \.gguf file in it, or make one/);
  });
});

test("a catalogue's name without permission to look for it leads with the permissions", {
  skip: skip || !("Deno" in globalThis),
}, async () => {
  const code = 'import { Llama } from "./mod.ts"; await Llama.load("all-minilm-l6-v2");';
  await inDirectory(async (directory) => {
    const script = join(directory, "load.ts");
    writeFileSync(script, code.replace("./mod.ts", pathToFileURL(join(ROOT, "mod.ts")).href));
    const { stderr } = await runChild(findProgram("deno")!, ["run", "--no-prompt", "--allow-ffi", script]);
    assertMatch(
      stderr,
      /Cannot find model "all-minilm-l6-v2": allow to look for it with --allow-read and --allow-env, or/,
    );
  });
});

test("new Llama() says what to call in its place", () => {
  const Constructor = Llama as unknown as new (...args: unknown[]) => unknown;
  for (const args of [[], [undefined], [{}], ["model.gguf"]]) {
    let message = "";
    try {
      new Constructor(...args);
    } catch (error) {
      message = String(error);
    }
    assertEquals(message, "TypeError: Cannot make a Llama with new: use await Llama.load(model)");
  }
});

test("a query that is too long is told to be shortened, by every kind of reranker", { skip }, async () => {
  const query = "many words ".repeat(400);
  for (const family of ["bert_mean", "xlm_roberta_reranker", "modern_bert_reranker", "qwen3_reranker_plain"]) {
    await using llama = await Llama.load(fixture(`families/${family}.gguf`), { contextSize: 128 });
    for (const truncate of ["end", "start", "error", "windows"] as const) {
      const message = await words(() => llama.rerank(query, ["a document"], { truncate }));
      assertMatch(
        message,
        /^RangeError: Cannot rank with this query: its .*limit is \d+, and a query is never truncated; shorten/,
      );
      assert(!message.includes("pass truncate"), message);
    }
  }
});

test("embed() of a model that is no embedder says why, by its kind", { skip }, async () => {
  await using chat = await Llama.load(fixture("families/qwen3_reranker_plain.gguf"));
  assertMatch(
    await words(() => chat.embed("a")),
    /a causal language model that names no pooling.*pass pooling: "last" or "mean" to Llama\.load/,
  );
  await using reranker = await Llama.load(fixture("families/xlm_roberta_reranker.gguf"));
  assertMatch(
    await words(() => reranker.embed("a")),
    /scores pairs of texts and gives no vectors; use rerank, or load/,
  );
});

test("download() without a hub throws a class that is exported", async () => {
  await inDirectory(async (cache) => {
    const options = { endpoint: "http://127.0.0.1:9", cache, fetch: () => Promise.reject(new Error("offline")) };
    const error = await assertRejects(() => download("hf:o/r/x.gguf", options), HubUnavailableError);
    assertMatch(error.message, /Cannot reach http:\/\/127\.0\.0\.1:9: offline/);
  });
});

test("download() of a repository's name says which name to give", async () => {
  for (
    const [model, right] of [
      ["BAAI/bge-small-en-v1.5", /for that model of the hub give "bge-small-en-v1\.5", its name in the catalogue$/],
      ["o/r", /for a model of the hub give a name of the catalogue, or hf:o\/r\/FILE\.gguf$/],
      ["./x.gguf", /it must be a name of the catalogue or hf:owner\/repository\/file\.gguf$/],
    ] as const
  ) assertMatch(await words(() => download(model)), right);
});

test("convert() and quantize() name a place that is not there, or is no place for it, before they work", {
  skip,
}, async () => {
  await inDirectory(async (directory) => {
    const [model, out] = [fixture("families/bert_mean.gguf"), join(directory, "out.gguf")];
    const checkpoint = fixture("tiny_bert");
    const make = (from: string, to: string, type: WeightType = "f32") => words(() => convert(from, to, { type }));
    const cases: [message: Promise<string>, right: RegExp][] = [
      [make(model, out), /^LlamaError: .*it is a GGUF file's name: load that as it is, or .* by quantize\(\)$/],
      [make(join(checkpoint, "model.safetensors"), out), /it is a file's name: give the folder of the checkpoint$/],
      [make(join(directory, "none"), out), /there is no such directory: give the folder of a checkpoint/],
      [make("~/none", out), /~.none: "~" is not expanded here/],
      [
        make(checkpoint, join(directory, "none", "out.gguf")),
        /Cannot write .*none.out\.gguf: there is no such directory/,
      ],
      [make(checkpoint, join(directory, "none", "out.gguf"), "q8_0"), /Cannot write .*: there is no such directory/],
      [make(checkpoint, directory), /Cannot write .*: it is a directory; name the file to make in it$/],
      [words(() => quantize(model, "~/out.gguf", "q8_0")), /Cannot write .*: "~" is not expanded here/],
      [words(() => quantize(model, directory, "q8_0")), /Cannot write .*: it is a directory/],
      [
        words(() => quantize(join(directory, "none.gguf"), out, "q8_0")),
        /^LlamaError: Cannot quantize .*none\.gguf to q8_0: there is no such file$/,
      ],
    ];
    for (const [message, right] of cases) assertMatch(await message, right);
  });
});

test("an option that does not exist is refused with the one that was meant", { skip }, async () => {
  await using llama = await Llama.load(fixture("families/bert_mean.gguf"));
  for (const [option, meant] of [["topK", "topN"], ["top_n", "topN"], ["Truncate", "truncate"]]) {
    const message = await words(() => llama.rerank("q", ["d"], { [option!]: 1 }));
    assertMatch(message, new RegExp(`^TypeError: .*"?${option}"?.*${meant}`, "s"));
  }
});

test("a promise in the place of a vector is told to be awaited", async () => {
  const promise = Promise.resolve(Float32Array.of(1)) as unknown as Float32Array;
  assertMatch(await words(() => dot(promise, promise)), /is a promise: await it$/);
  assertMatch(await words(() => topK(promise, [], 1)), /is a promise: await it$/);
  assertMatch(await words(() => Llama.load(Promise.resolve("x") as unknown as string)), /is a promise: await it$/);
});

test("gpuLayers without a GPU is told", { skip: cannotLoad(MINILM) }, async () => {
  const lines: LogLine[] = [];
  await using _llama = await Llama.load(modelPath(MINILM), {
    device: "CPU",
    gpuLayers: 99,
    onLog: (l) => void lines.push(l),
  });
  assert(lines.some(({ level, message }) => level === "warn" && message.startsWith("gpuLayers has no effect")));
});

test("onProgress counts the caller's texts, equal ones too", { skip }, async () => {
  await using llama = await Llama.load(fixture("families/bert_mean.gguf"));
  const texts = Array.from({ length: 300 }, (_, i) => `text ${i % 70} `.repeat(1 + i % 7));
  const seen: number[] = [];
  await llama.embed(texts, {
    onProgress: ({ done, total }) => {
      assertEquals(total, texts.length);
      seen.push(done);
    },
  });
  assertEquals(seen.at(-1), texts.length);
  assert(seen.every((done, i) => i === 0 || done > seen[i - 1]!), seen.join());
});

test("onProgress tells how long texts were tokenised and waited, of embed() and of rerank()", { skip }, async () => {
  await using llama = await Llama.load(fixture("families/bert_mean.gguf"));
  const seen: Progress[] = [];
  const onProgress = (progress: Progress): void => void seen.push(progress);
  const start = performance.now();
  await llama.embed(["a cat", "a kitten"], { onProgress });
  await llama.rerank("a cat", ["a kitten", "a dog"], { onProgress });
  const spent = performance.now() - start;
  for (const { tokenizing, waiting } of seen) {
    assert(tokenizing! > 0 && waiting! >= 0 && tokenizing! + waiting! < spent, `${tokenizing} ${waiting}`);
  }
  assertEquals(seen.length, 2);
});

test(
  "Llama.load() of a file that is gone is a ModelNotFoundError with the path as it was given",
  { skip },
  async () => {
    const error = await assertRejects(() => Llama.load("./gone.gguf"), ModelNotFoundError);
    assertEquals(error.model, "./gone.gguf");
    assert(error.message.includes(resolve(process.cwd(), "gone.gguf")), error.message);
    assert(!(error instanceof LlamaError));
  },
);
