// A model's file may be truncated, written over or removed while the model is used: weights are read into memory, not
// mapped. Mapped, a truncated file ended the process with SIGBUS, and one written over gave other vectors in silence.
import { test } from "node:test";
import { readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assertEquals } from "@std/assert";
import { convert } from "../../convert.ts";
import { Llama } from "../../mod.ts";
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
