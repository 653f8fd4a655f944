import { test } from "node:test";
import { join } from "node:path";
import { assert, assertEquals } from "@std/assert";
import { convert } from "../../convert.ts";
import { Llama } from "../../mod.ts";
import { fixture, inDirectory } from "../support/checkpoint.ts";
import { compare, farthest, libraryMissing as skip, readReferences, worst } from "../support/references.ts";

const { texts, example, model } = readReferences("tiny_bert.json");

/** Runs with the tiny checkpoint, converted and loaded. */
async function withTiny(run: (llama: Llama) => Promise<void>): Promise<void> {
  await inDirectory(async (directory) => {
    const path = join(directory, "tiny.gguf");
    await convert(fixture("tiny_bert"), path);
    await using llama = await Llama.load(path);
    await run(llama);
  });
}

test("convert() and load() keep what the tiny checkpoint says of itself", { skip }, async () => {
  await withTiny((llama) => {
    const { dimensions, maxTokens, pooling, quantization } = llama.info;
    assertEquals({ dimensions, maxTokens, pooling }, {
      dimensions: model.dimensions,
      maxTokens: model.maxTokens,
      pooling: model.pooling as "mean",
    });
    assertEquals(quantization, "all F32");
    return Promise.resolve();
  });
});

test("tokenize() and embedDetailed() give the tokens of sentence-transformers, tiny checkpoint", { skip }, async () => {
  await withTiny(async (llama) => {
    const reports = await llama.embedDetailed(texts.map(({ text }) => text));
    for (const [i, { id, text, tokens, count, whole, truncated }] of texts.entries()) {
      const ids = [...await llama.tokenize(text)];
      assertEquals(ids.length, whole ?? count, id);
      assertEquals(truncated ? [...ids.slice(0, model.maxTokens - 1), ids.at(-1)] : ids, tokens, id);
      assertEquals([reports[i]!.tokens, reports[i]!.truncated], [count, truncated], id);
    }
  });
});

test("embed() gives the vectors of sentence-transformers, tiny checkpoint", { skip }, async () => {
  await withTiny(async (llama) => {
    const reports = await llama.embedDetailed(texts.map(({ text }) => text));
    const { cosine, off } = worst("tiny f32", compare(texts, reports));
    assert(cosine >= 0.99999, `least cosine ${cosine}`);
    assert(off <= 1e-3, `largest difference ${off}`);
  });
});

test("rerank() gives the scores of sentence-transformers, tiny checkpoint", { skip }, async () => {
  await withTiny(async (llama) => {
    const ranked = await llama.rerank(example.query, example.documents);
    const scores = example.documents.map((_, i) => ranked.find(({ index }) => index === i)!.score);
    const off = farthest(scores, example.scores);
    console.log(`largest difference ${off}`);
    assert(off <= 1e-3, `largest difference ${off}: ${scores}`);
  });
});
