// Llama.pieces() gives what the vocabulary has for each id.
import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Llama } from "../../../mod.ts";
import { fixture } from "../../support/checkpoint.ts";
import { readGguf } from "../../support/gguf_reader.ts";
import { cannotLoad, libraryMissing, modelPath } from "../../support/references.ts";

const Q8_0 = "all-minilm-l6-v2-q8_0.gguf";
const FAMILIES = ["bert_mean", "llama_last", "modern_bert", "qwen3_last", "xlm_roberta_mean"];

for (const family of FAMILIES) {
  test(`pieces() gives the texts of ${family}'s file for all ids`, { skip: libraryMissing }, async () => {
    const path = fixture(`families/${family}.gguf`);
    const texts = readGguf(path).metadata.get("tokenizer.ggml.tokens")!.value as string[];
    await using llama = await Llama.load(path);
    const ids = Int32Array.from({ length: llama.info.vocabularySize }, (_, i) => i);
    assertEquals(await llama.pieces(ids), texts);
    const last = texts.length - 1;
    assertEquals(await llama.pieces([last, 0, last]), [texts[last], texts[0], texts[last]]);
    assertEquals(await llama.pieces([]), []);
  });
}

test(
  "pieces() of tokenize() show where words begin and go on, and what is unknown",
  { skip: cannotLoad(Q8_0) },
  async () => {
    await using llama = await Llama.load(modelPath(Q8_0));
    const pieces = await llama.pieces(await llama.tokenize("Embeddings 你"));
    assertEquals(pieces, ["[CLS]", "▁em", "bed", "ding", "s", "[UNK]", "[SEP]"]);
    const many = Array.from({ length: 100_000 }, (_, i) => i % 30_000); // more than one call of the library
    const found = await llama.pieces(many);
    assertEquals(found.length, many.length);
    assertEquals(found.slice(90_000), await llama.pieces(many.slice(90_000)));
  },
);

test("pieces() names the index and the value of a bad id", { skip: libraryMissing }, async () => {
  await using llama = await Llama.load(fixture("families/bert_mean.gguf"));
  const { vocabularySize } = llama.info;
  for (const bad of [-1, vocabularySize, 1.5, NaN, 2 ** 32, -(2 ** 31)]) {
    const error = await assertRejects(() => llama.pieces([1, bad]), RangeError, "Cannot read ids[1]: ");
    assert(error.message.endsWith(`from 0 to ${vocabularySize - 1}, is ${bad}`), error.message);
  }
  for (const bad of ["1", null, undefined, 1n]) {
    await assertRejects(() => llama.pieces([bad as never]), TypeError, "Cannot read ids[0]: ");
  }
  for (const bad of ["12", 1, null, undefined, {}, new DataView(new ArrayBuffer(8))]) {
    await assertRejects(() => llama.pieces(bad as never), TypeError, "Cannot read ids: ");
  }
  await assertRejects(() => llama.pieces(Float64Array.of(1, -0.5)), RangeError, "ids[1]");
});
