// What users of other bindings complain of, each with what those do: the naive way must fail the check that ours passes.
// Vectors here; scores are in complaints_rerank_test.ts.
import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { cosineSimilarity, dot, Llama } from "../../mod.ts";
import { embedTexts } from "../../src/embed.ts";
import { loadEngine } from "../../src/engine/load.ts";
import { rawRows } from "../support/raw_pass.ts";
import { cannotLoad, modelPath, readReferences } from "../support/references.ts";

const F32 = "all-minilm-l6-v2-f32.gguf";
const path = modelPath(F32);
const options = { skip: cannotLoad(F32) && `${F32} or the library is not there`, timeout: 120_000 };
const { texts, model } = readReferences("minilm.json");
const LIMIT = model.maxTokens;
const CLS = 101, SEP = 102;

const EXACT = 0.99999; // cosine to sentence-transformers
const cut = texts.filter(({ truncated }) => truncated).slice(0, 6);
const whole = texts.filter(({ truncated, count }) => !truncated && count > 4).slice(0, 12);

/** Our vectors of all these texts, in shared passes; made once. */
let made: Promise<Map<string, Float32Array>> | undefined;
async function ours(references: typeof texts): Promise<Float32Array[]> {
  made ??= (async () => {
    await using llama = await Llama.load(path);
    const list = [...cut, ...whole].map(({ text }) => text);
    return new Map((await llama.embed(list)).map((vector, i) => [list[i]!, vector]));
  })();
  const vectors = await made;
  return references.map(({ text }) => vectors.get(text)!);
}

/** Least cosine to the references. */
function least(vectors: readonly Float32Array[], references: typeof texts): number {
  return Math.min(...references.map(({ vector }, i) => cosineSimilarity(vectors[i]!, vector)));
}

/** Ours are the reference's vectors; the naive ones are all at least 20 times as far from them as ours may be. */
async function check(what: string, naive: readonly Float32Array[], references: typeof texts): Promise<void> {
  const cosine = least(await ours(references), references);
  console.log(`${what}: least cosine ${cosine}, naive ${least(naive, references)}`);
  assert(references.length >= 5, `${references.length} texts`);
  assert(cosine >= EXACT, `ours: ${cosine}`);
  const near = references.filter(({ vector }, i) => 1 - cosineSimilarity(naive[i]!, vector) < 20 * (1 - EXACT));
  assertEquals(near.map(({ id }) => id), [], "the naive way must be wrong for every text");
}

test(
  "embed() takes a long text's beginning; a vector of its last part is another text's (complaint 2)",
  options,
  async () => {
    await using llama = await Llama.load(path);
    const ids = await Promise.all(cut.map(({ text }) => llama.tokenize(text)));
    // Passes of 256 tokens, each over what the last one left; the vector of the last one is kept.
    const parts = ids.map((all) => all.subarray(Math.floor((all.length - 1) / LIMIT) * LIMIT));
    await check("the last part", await rawRows(path, "mean", parts.map((part) => ({ ids: [...part] }))), cut);
  },
);

test("embed() keeps [SEP] of a text that it cuts (complaint 11)", options, async () => {
  await using llama = await Llama.load(path);
  const ids = await Promise.all(cut.map(({ text }) => llama.tokenize(text)));
  assert(ids.every((all) => all.length > LIMIT && all.at(-1) === SEP));
  const naive = await rawRows(path, "mean", ids.map((all) => ({ ids: [...all.subarray(0, LIMIT)] })));
  await check("cut without [SEP]", naive, cut);
});

test("embed() tells what it cut, and refuses to with truncate error (complaint 11)", options, async () => {
  const warnings: string[] = [];
  await using llama = await Llama.load(path, {
    onLog: ({ level, message }) => level === "warn" && warnings.push(message),
  });
  const both = [cut[0]!.text, whole[0]!.text];
  assertEquals((await llama.embedDetailed(both)).map(({ truncated }) => truncated), [true, false]);
  assertEquals(warnings.filter((line) => line.includes("truncated")).length, 1);
  await assertRejects(() => llama.embed(both, { truncate: "error" }), RangeError, "input[0]");
});

test("embed() puts [CLS] and [SEP] around a text (complaint 7)", options, async () => {
  assert(whole.every(({ tokens }) => tokens[0] === CLS && tokens.at(-1) === SEP));
  const bare = await rawRows(path, "mean", whole.map(({ tokens }) => ({ ids: tokens.slice(1, -1) })));
  await check("without special tokens", bare, whole);
  const open = await rawRows(path, "mean", whole.map(({ tokens }) => ({ ids: tokens.slice(0, -1) })));
  await check("without [SEP]", open, whole);
});

test("embed() pools as the model was trained (complaint 7)", options, async () => {
  for (const pooling of ["cls", "last"] as const) {
    await check(
      `pooling ${pooling}`,
      await rawRows(path, pooling, whole.map(({ tokens }) => ({ ids: tokens }))),
      whole,
    );
  }
});

test("embed() scales after it keeps the first dimensions (complaint 12)", options, async () => {
  await using llama = await Llama.load(path);
  const list = whole.map(({ text }) => text);
  const length = (vector: Float32Array): number => Math.sqrt(dot(vector, vector));
  const off = (vectors: readonly Float32Array[]): number =>
    Math.max(...vectors.map((one) => Math.abs(length(one) - 1)));
  const ours = await llama.embed(list, { dimensions: 64 });
  const naive = (await llama.embed(list)).map((vector) => vector.subarray(0, 64));
  console.log(`lengths off by ${off(ours)}, naive ${off(naive)}`);
  assert(off(ours) < 1e-6);
  assert(off(naive) > 0.3);
  // It matters: the dot product, by which vector stores rank, is no cosine any more.
  const error = (vectors: readonly Float32Array[]): number =>
    Math.max(...vectors.map((one) => Math.abs(dot(one, vectors[0]!) - cosineSimilarity(one, vectors[0]!))));
  assert(error(ours) < 1e-6 && error(naive) > 0.1, `${error(ours)}, ${error(naive)}`);
});

test("embed() with inputType puts the model's prompt before a query (complaint 21)", options, async () => {
  const prompts = { query: "Represent this sentence for searching relevant passages: ", document: "" };
  const engine = await loadEngine(path, {}, { maxTokens: LIMIT, prompts });
  try {
    const name = (): string => "input";
    const list = whole.map(({ text }) => text);
    const wanted = (await embedTexts(engine, name, list.map((text) => prompts.query + text), {})).map((e) =>
      e.embedding
    );
    const ours = (await embedTexts(engine, name, list, { inputType: "query" })).map((e) => e.embedding);
    const naive = (await embedTexts(engine, name, list, {})).map((e) => e.embedding);
    const nearest = (vectors: readonly Float32Array[]): number[] =>
      vectors.map((one, i) => cosineSimilarity(one, wanted[i]!));
    console.log(`with the prompt ${Math.min(...nearest(ours))}, without ${Math.max(...nearest(naive))}`);
    assertEquals(ours, wanted);
    assert(nearest(naive).every((cosine) => 1 - cosine > 20 * (1 - EXACT)));
  } finally {
    engine.pool.close();
  }
});

test("embed() of a text is the same whatever shares its pass (complaint 23)", options, async () => {
  // A binding that forgets the mask between sequences: the neighbour's text is seen.
  const joined = whole.map(({ tokens }, i) => ({ ids: [...tokens, ...whole[(i + 1) % whole.length]!.tokens] }));
  await check("the neighbour's text seen", await rawRows(path, "mean", joined), whole);
});
