// Wrong models and assertions inside llama.cpp: each is an error with words, and the process goes on working.
import { after, test } from "node:test";
import { chmodSync, copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { assert, assertEquals, assertInstanceOf, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { convert } from "../../../convert.ts";
import { Llama, LlamaError, type LoadOptions, ModelNotFoundError } from "../../../mod.ts";
import { fixture, inDirectory } from "../../support/checkpoint.ts";
import { withNumber, withTokenTwice } from "../../support/damaged_gguf.ts";

const MODEL = fixture("../../models/all-minilm-l6-v2-q8_0.gguf");
const skip = !existsSync(MODEL);

let good: Promise<Llama> | undefined;
let expected: Float32Array | undefined;

/** That a model loaded before still gives the same vector. */
async function assertWorks(): Promise<void> {
  const llama = await (good ??= Llama.load(MODEL));
  const vector = await llama.embed("the process goes on");
  assertEquals(vector, expected ??= vector);
  assertEquals(vector.length, 384);
}

after(async () => await (await good)?.close());

/** That a file is refused as a model, with these words and its path, and that the next load works. */
async function assertRefused(path: string, words: RegExp, options?: LoadOptions): Promise<LlamaError> {
  await assertWorks();
  const error = await assertRejects(() => Llama.load(path, options), LlamaError);
  assertEquals(error.code, "model-invalid", error.message);
  assertStringIncludes(error.message, path);
  assertMatch(error.message, words);
  await assertWorks();
  return error;
}

/** Runs with a tiny model in a directory of its own. */
async function withTiny(run: (tiny: string, directory: string) => Promise<void>): Promise<void> {
  await inDirectory(async (directory) => {
    const tiny = join(directory, "tiny.gguf");
    await convert(fixture("tiny_bert"), tiny);
    await run(tiny, directory);
  });
}

async function assertLoads(path: string): Promise<void> {
  await using llama = await Llama.load(path);
  assertEquals((await llama.embed("hello")).length, llama.info.dimensions);
}

test("Llama.load() of a path where nothing is names it and what to give in its place", { skip }, async () => {
  await inDirectory(async (directory) => {
    const missing = join(directory, "missing.gguf");
    for (const model of [missing, pathToFileURL(missing), pathToFileURL(missing).href, join(MODEL, "below")]) {
      const error = await assertRejects(() => Llama.load(model), ModelNotFoundError, "there is no such file");
      assertEquals(error.model, model === join(MODEL, "below") ? model : missing);
      assertStringIncludes(error.message, error.model);
      assertStringIncludes(error.message, "or a name of the catalogue");
    }
    await assertWorks();
  });
});

test("Llama.load() of a directory, an empty file, a text and an HTML page says what each is", { skip }, async () => {
  await inDirectory(async (directory) => {
    await assertRefused(directory, /director/i);
    const path = join(directory, "model.gguf");
    const contents: [string, RegExp][] = [
      ["", /it is no GGUF file: it is empty$/],
      ["GG", /it is no GGUF file: it begins with "GG"/],
      [
        "Dear reader,\nthis is a text.\n",
        /it begins with "Dear reader,\?thi"; give a file that convert\(\) or llama\.cpp's converter made$/,
      ],
      ["<!doctype html><html><title>404</title></html>", /an HTML page: the download was an error or login page/],
      [
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        /it begins with "version https:\/\/", a Git LFS pointer/,
      ],
    ];
    for (const [content, words] of contents) {
      writeFileSync(path, content);
      await assertRefused(path, words);
    }
  });
});

test("Llama.load() of a file that may not be read says so", {
  skip: skip || process.platform === "win32" || process.getuid?.() === 0,
}, async () => {
  await withTiny(async (tiny) => {
    chmodSync(tiny, 0);
    await assertRefused(tiny, /Permission denied/);
  });
});

test("Llama.load() of a truncated GGUF says so at every cut", { skip }, async () => {
  await withTiny(async (tiny, directory) => {
    const whole = readFileSync(tiny);
    const cut = join(directory, "cut.gguf");
    for (const size of [4, 7, 20, 24, 100, 1000, 8000, whole.length >> 1, whole.length - 40]) {
      writeFileSync(cut, whole.subarray(0, size));
      const { message } = await assertRefused(cut, /./);
      assert(message.length > `Cannot load the model ${cut}: llama.cpp refused: `.length, `${size}: ${message}`);
    }
    writeFileSync(cut, whole);
    await assertLoads(cut);
  });
});

test("Llama.load() turns an assertion of llama.cpp into an error, and the next load works", { skip }, async () => {
  await withTiny(async (tiny, directory) => {
    const bad = join(directory, "bad.gguf");
    withTokenTwice(tiny, bad);
    await assertRefused(bad, /GGML_ASSERT\(.*token_to_id.*\) failed/);
    await assertLoads(tiny);
    withNumber(tiny, bad, "bert.block_count", 0);
    await assertRefused(bad, /./);
    await assertLoads(tiny);
    withNumber(tiny, bad, "bert.block_count", 1_000_000);
    await assertRefused(bad, /./);
    await assertLoads(tiny);
  });
});

test("Llama.load() of a GGUF with an impossible pooling type loads or refuses, and never kills", { skip }, async () => {
  await withTiny(async (tiny, directory) => {
    const bad = withNumber(tiny, join(directory, "bad.gguf"), "bert.pooling_type", 77);
    const loading = Llama.load(bad).then(async (llama) => {
      await using _ = llama;
      await llama.embed("hello");
    });
    await loading.catch((error) => assertInstanceOf(error, LlamaError));
    await assertWorks();
    await assertLoads(tiny);
  });
});

test("Llama.load() with checkTensors refuses weights that are not numbers; embed() refuses their vectors", {
  skip,
}, async () => {
  await withTiny(async (tiny, directory) => {
    const bad = join(directory, "nan.gguf");
    const bytes = readFileSync(tiny);
    bytes.fill(0xff, bytes.length - 256); // NaN in f32
    writeFileSync(bad, bytes);
    await assertRefused(bad, /./, { checkTensors: true });
    await using llama = await Llama.load(bad);
    const error = await assertRejects(() => llama.embed(["hello"]), LlamaError, "input[0]");
    assertEquals(error.code, "non-finite");
    await assertWorks();
  });
});

test("Llama.load() may be called again and again with bad and good files at once", { skip }, async () => {
  await withTiny(async (tiny, directory) => {
    const bad = withTokenTwice(tiny, join(directory, "bad.gguf"));
    const gone = join(directory, "gone.gguf");
    copyFileSync(tiny, gone);
    rmSync(gone);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 12 }, (_, i) => i % 3 === 0 ? assertLoads(tiny) : Llama.load(i % 3 === 1 ? bad : gone)),
    );
    const names = outcomes.map((one) => one.status === "rejected" ? one.reason.name : "loaded");
    assertEquals(names, outcomes.map((_, i) => ["loaded", "LlamaError", "ModelNotFoundError"][i % 3]));
    await assertWorks();
  });
});
