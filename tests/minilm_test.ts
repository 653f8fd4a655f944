import { test } from "node:test";
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { dot, type Embedding, Llama } from "../mod.ts";
import { cannotLoad, compare, farthest, modelPath, readReferences, worst } from "./references.ts";

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

for (const [file, least] of [[F32, 0.9999], [BF16, 0.9999]] as const) {
  test(`embed() is within cosine ${least} of sentence-transformers with ${file}`, {
    skip: cannotLoad(file),
    timeout: 120_000,
  }, async () => {
    const { cosine, id } = worst(file, compare(texts, await embedAll(file)));
    assert(cosine >= least, `least cosine ${cosine} (${id})`);
  });
}

test(`embed() is within cosine 0.999 of sentence-transformers with ${Q8_0}`, {
  skip: cannotLoad(Q8_0),
  timeout: 120_000,
}, async () => {
  const all = compare(texts, await embedAll(Q8_0));
  // ggml multiplies q8_0 weights with activations that it rounds to 8 bits, too. In texts of a few tokens that does
  // not average out.
  const long = worst(`${Q8_0}, from 9 tokens`, all.filter(({ tokens }) => tokens >= 9));
  const short = worst(`${Q8_0}, below 9 tokens`, all.filter(({ tokens }) => tokens < 9));
  assert(long.cosine >= 0.999, `least cosine ${long.cosine} (${long.id})`);
  assert(short.cosine >= 0.997, `least cosine ${short.cosine} (${short.id})`);
});

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
