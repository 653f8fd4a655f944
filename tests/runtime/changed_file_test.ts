// A model's file may be truncated, written over or removed while the model is used: weights are read into memory, not
// mapped. Mapped, a truncated file ended the process with SIGBUS, and one written over gave other vectors in silence.
import { test } from "node:test";
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { convert, quantize } from "../../convert.ts";
import { Llama, LlamaError } from "../../mod.ts";
import { fixture, inDirectory } from "../support/checkpoint.ts";

const CHANGES: Readonly<Record<string, (path: string) => void>> = {
  truncated: (path) => truncateSync(path, 4096),
  emptied: (path) => truncateSync(path, 0),
  "written over": (path) => writeFileSync(path, readFileSync(path).fill(7, 10_000)),
  removed: (path) => rmSync(path),
};

for (const [name, change] of Object.entries(CHANGES)) {
  test(`embed() gives the same vectors when the model's file is ${name}`, async () => {
    await inDirectory(async (directory) => {
      const path = join(directory, "model.gguf");
      await convert(fixture("tiny_bert"), path);
      await using llama = await Llama.load(path, { contexts: 1 });
      const before = await llama.embed(["hello", "the cat sat there"]);
      change(path);
      assertEquals(await llama.embed(["hello", "the cat sat there"]), before);
    });
  });

  test(`rerank() gives the same scores when the model's file is ${name} before the first call`, async () => {
    await inDirectory(async (directory) => {
      const path = join(directory, "model.gguf");
      await convert(fixture("tiny_cross_encoder"), path);
      await using first = await Llama.load(path, { contexts: 1 });
      await using second = await Llama.load(path, { contexts: 1 });
      const before = await first.rerank("hello", ["a cat", "hello world"]);
      change(path);
      assertEquals(await first.rerank("hello", ["a cat", "hello world"]), before);
      assertEquals(await second.rerank("hello", ["a cat", "hello world"]), before);
    });
  });
}

/** Why nothing takes the place of an open file, if so. */
const held = process.platform === "win32" && "Windows lets nobody remove or replace an open file";

const MODEL = new URL("../../models/all-minilm-l6-v2-bf16.gguf", import.meta.url);

test("load() gives the one file or the other, or refuses, when one is renamed onto the other's place meanwhile", {
  skip: existsSync(MODEL) ? held : "scripts/download_models.sh minilm gets the model",
}, async () => {
  await inDirectory(async (directory) => {
    const bytes = readFileSync(MODEL);
    for (let i = bytes.length >> 1; i < bytes.length; i += 2) bytes[i + 1]! ^= 0x80; // the signs of half of the weights
    const [path, other, next] = ["model.gguf", "other.gguf", "next.gguf"].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    const embed = async (file: string | URL) => {
      await using llama = await Llama.load(file, { contexts: 1 });
      return `${await llama.fingerprint()} ${await llama.embed("a cat")}`;
    };
    writeFileSync(other, bytes);
    const right = [await embed(MODEL), await embed(other)];
    assert(right[0] !== right[1]);
    for (const ms of [0, 2, 5, 8, 12, 16, 20, 25, 30, 40]) {
      copyFileSync(MODEL, path);
      copyFileSync(other, next);
      for (const file of [path, next]) utimesSync(file, 1000, 1000); // size and time are the same
      const loaded = embed(path).catch((error) => error);
      await sleep(ms);
      renameSync(next, path);
      const outcome = await loaded;
      if (typeof outcome === "string") assert(right.includes(outcome), `a mixture of both after ${ms} ms`);
      else {
        assert(outcome instanceof LlamaError, outcome);
        assertMatch(outcome.message, /changed/);
      }
    }
  });
});

for (const [name, change] of Object.entries(CHANGES)) {
  test(`quantize() says so, and leaves nothing, when its input is ${name} meanwhile`, {
    skip: existsSync(MODEL) ? name === "removed" && held : "scripts/download_models.sh minilm gets the model",
  }, async () => {
    await inDirectory(async (directory) => {
      const [path, out] = [join(directory, "model.gguf"), join(directory, "out.gguf")];
      await quantize(MODEL, out, "q4_0");
      const sound = readFileSync(out);
      rmSync(out);
      for (const when of [0, 0.3, 0.7]) {
        copyFileSync(MODEL, path);
        let changed = false;
        const onProgress = (done: number): void => {
          if (done < when || changed) return;
          changed = true;
          change(path);
        };
        const error = await quantize(path, out, "q4_0", { threads: 1, onProgress }).catch((error) => error);
        const made = readdirSync(directory).filter((name) => name !== "model.gguf");
        if (error !== undefined) {
          assert(error instanceof LlamaError, `${when}: ${error}`);
          assertEquals(made, []);
        } else assertEquals(readFileSync(out), sound); // the change came after the last byte was read
        rmSync(out, { force: true });
      }
    });
  });
}
