import { test } from "node:test";
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { dot, type Embedding, Llama } from "../../mod.ts";
import { cannotLoad, compare, farthest, modelPath, readReferences, worst } from "../support/references.ts";

const F32 = "all-minilm-l6-v2-f32.gguf";
const Q8_0 = "all-minilm-l6-v2-q8_0.gguf";
const BF16 = "all-minilm-l6-v2-bf16.gguf";

const { texts, example, model } = readReferences("minilm.json");

const reports = new Map<string, Promise<Embedding[]>>();

/** The reports of all texts, made once for a file. */
function embedAll(file: string): Promise<Embedding[]> {
  let made = reports.get(file);
  if (!made) reports.set(file, made = embedAnew(file));
  return made;
}

async function embedAnew(file: string): Promise<Embedding[]> {
  await using llama = await Llama.load(modelPath(file));
  return await llama.embedDetailed(texts.map(({ text }) => text));
}

const kernels = !cannotLoad(Q8_0) && await hasKernels();

async function hasKernels(): Promise<boolean> {
  await using llama = await Llama.load(modelPath(Q8_0));
  return llama.info.kernels.length > 0;
}

test("tokenize() gives the tokens of Hugging Face, MiniLM", { skip: cannotLoad(Q8_0), timeout: 120_000 }, async () => {
  await using llama = await Llama.load(modelPath(Q8_0));
  const wrong: string[] = [];
  for (const { id, text, tokens, count, whole, truncated } of texts) {
    const ids = [...await llama.tokenize(text)];
    const kept = truncated ? [...ids.slice(0, model.maxTokens - 1), ids.at(-1)!] : ids;
    if (ids.length !== (whole ?? count) || kept.join() !== tokens.join()) wrong.push(`${id}: ${kept}, not ${tokens}`);
    assertEquals(await llama.countTokens(text), ids.length, id);
  }
  assertEquals(wrong, []);
  assert(texts.length >= 100, `${texts.length} texts`);
});

test("tokenize() gives the tokens of Hugging Face for what llama.cpp alone has others", {
  skip: cannotLoad(Q8_0),
  timeout: 120_000,
}, async () => {
  await using llama = await Llama.load(modelPath(Q8_0));
  for (const name of ["korean", "hindi", "long-word", "form-feed"]) {
    const { text, tokens, differs } = texts.find(({ id }) => id === name)!;
    assert(differs, `${name} has no note`);
    assertEquals([...await llama.tokenize(text)], tokens, name);
  }
});

test("embedDetailed() reports tokens and truncation as sentence-transformers cuts", {
  skip: cannotLoad(Q8_0),
  timeout: 120_000,
}, async () => {
  const all = await embedAll(Q8_0);
  for (const [i, { id, count, truncated }] of texts.entries()) {
    assertEquals([all[i]!.tokens, all[i]!.truncated], [count, truncated], id);
  }
});

// Least cosine, and largest difference of a number, to sentence-transformers. Processors without our kernels have stock
// ggml's: it rounds activations to 8 bits where weights are q8_0, which does not average out in texts of a few tokens,
// and computes GELU by tanh.
for (
  const [file, ours, stock] of [
    [F32, { cosine: 0.9999999, off: 1e-4 }, { cosine: 0.9999, off: 1e-3 }],
    [BF16, { cosine: 0.9999, off: 3e-3 }, { cosine: 0.9999, off: 3e-3 }],
    [Q8_0, { cosine: 0.999, off: 1e-2 }, { cosine: 0.997, off: 2e-2 }],
  ] as const
) {
  test(`embed() is within cosine ${ours.cosine} of sentence-transformers with ${file}`, {
    skip: cannotLoad(file),
    timeout: 120_000,
  }, async () => {
    const { cosine, off } = kernels ? ours : stock;
    const least = worst(file, compare(texts, await embedAll(file)));
    assert(least.cosine >= cosine, `least cosine ${least.cosine} (${least.id})`);
    assert(least.off <= off, `largest difference ${least.off}`);
  });
}

test("embed() with GELU by tanh, as stock ggml computes it, is outside of what f32 may be off by", {
  skip: cannotLoad(F32) || !kernels,
  timeout: 120_000,
}, async () => {
  await using llama = await Llama.load(modelPath(F32), { kernels: false });
  const some = texts.filter((_, i) => i % 8 === 0);
  const least = worst("kernels: false", compare(some, await llama.embedDetailed(some.map(({ text }) => text))));
  assert(least.off > 2e-4, `largest difference ${least.off}`);
});

for (const file of [F32, BF16, Q8_0]) {
  test(`embed() of a text alone is within 1e-6 of the same in a pack with ${file}`, {
    skip: cannotLoad(file) || !kernels,
    timeout: 120_000,
  }, async () => {
    const packed = await embedAll(file);
    await using llama = await Llama.load(modelPath(file), { contexts: 1 });
    let most = 0;
    for (let i = 0; i < texts.length; i += 4) {
      const off = farthest(await llama.embed(texts[i]!.text), packed[i]!.embedding);
      most = Math.max(most, off);
    }
    console.log(`${file}: largest difference between alone and in a pack ${most}`);
    assert(most <= 1e-6, `largest difference ${most}`);
  });
}

for (const file of [F32, BF16, Q8_0]) {
  test(`embed() gives vectors of length 1 with ${file}`, { skip: cannotLoad(file), timeout: 120_000 }, async () => {
    const all = await embedAll(file);
    const off = Math.max(...all.map(({ embedding }) => Math.abs(Math.sqrt(dot(embedding, embedding)) - 1)));
    console.log(`largest difference of a length from 1: ${off}`);
    assertAlmostEquals(off, 0, 1e-6);
  });
}

for (const [file, tolerance] of [[F32, 1e-3], [Q8_0, 1e-2]] as const) {
  test(`rerank() gives the example's scores of sentence-transformers to ${tolerance} with ${file}`, {
    skip: cannotLoad(file),
    timeout: 120_000,
  }, async () => {
    await using llama = await Llama.load(modelPath(file));
    const ranked = await llama.rerank(example.query, example.documents);
    assertEquals(ranked.map(({ index }) => index), [0, 1, 2]);
    const off = farthest(ranked.map(({ score }) => score), example.scores);
    console.log(`${ranked.map(({ score }) => score.toFixed(4))}, largest difference ${off}`);
    assert(off <= tolerance, `largest difference ${off}`);
  });
}
