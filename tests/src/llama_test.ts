import { after, before, test } from "node:test";
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { cosineSimilarity, dot, Llama, type LoadOptions, type LogLine, type Progress } from "../../mod.ts";
import { cannotLoad, farthest, modelPath, readReferences } from "../support/references.ts";

const F32 = "all-minilm-l6-v2-f32.gguf";
const Q8_0 = "all-minilm-l6-v2-q8_0.gguf";
const options = { skip: cannotLoad(F32) || cannotLoad(Q8_0), timeout: 120_000 };

const { texts } = readReferences("minilm.json");
const LONG = texts.find(({ id }) => id === "long-1")!.text;
const SHORT = texts.filter(({ count }) => count < 30).slice(0, 40).map(({ text }) => text);
const DOCUMENTS = ["Paris is a city.", "Bananas are yellow.", "A lemon is a sour yellow fruit.", "Paris is a city."];

function load(settings: LoadOptions = {}, file = F32): Promise<Llama> {
  return Llama.load(modelPath(file), settings);
}

// The model with default options, which no test changes.
let llama: Llama;
before(async () => {
  if (!options.skip) llama = await load();
});
after(() => llama?.close());

test("embed() keeps the order of texts of mixed lengths, with duplicates", options, async () => {
  const mixed = [LONG, "a", SHORT[0]!, LONG, "a", SHORT[1]!, "a"];
  const vectors = await llama.embed(mixed);
  assertEquals(vectors.length, mixed.length);
  let off = 0;
  for (const [i, text] of mixed.entries()) off = Math.max(off, farthest(vectors[i]!, await llama.embed(text)));
  console.log(`largest difference ${off}`);
  assert(off < 1e-3, `largest difference ${off}`);
  assertEquals(vectors[0], vectors[3]);
  assert(vectors[1] !== vectors[4] && vectors[1]!.buffer !== vectors[4]!.buffer, "duplicates share memory");
});

test("embed() of one text equals embed() of a list with it", options, async () => {
  for (const file of [F32, Q8_0]) {
    await using llama = await load({}, file);
    let off = 0;
    for (const text of [SHORT[2]!, "", LONG]) {
      off = Math.max(off, farthest(await llama.embed(text), (await llama.embed([text]))[0]!));
    }
    console.log(`${file}: largest difference ${off}`);
    assert(off <= 1e-3, `largest difference ${off}`);
  }
});

test("embed() of 100 texts in as many calls at once equals one call", options, async () => {
  const many = Array.from({ length: 100 }, (_, i) => `${SHORT[i % SHORT.length]} ${i}`);
  const [single, together] = [await Promise.all(many.map((text) => llama.embed(text))), await llama.embed(many)];
  const off = Math.max(...single.map((vector, i) => farthest(vector, together[i]!)));
  console.log(`largest difference ${off}`);
  assert(off <= 1e-3, `largest difference ${off}`);
});

test("embed() with normalize false gives a vector of the same direction, not of length 1", options, async () => {
  const [raw, unit] = [await llama.embed("a cat", { normalize: false }), await llama.embed("a cat")];
  assert(Math.abs(dot(raw, raw) - 1) > 0.01, `its length is ${Math.sqrt(dot(raw, raw))}`);
  assertAlmostEquals(cosineSimilarity(raw, unit), 1, 1e-6);
});

test("embed() with dimensions truncates and then normalises", options, async () => {
  const [whole, raw] = [await llama.embed("a cat"), await llama.embed("a cat", { normalize: false })];
  for (const dimensions of [1, 64, 384]) {
    const short = await llama.embed("a cat", { dimensions });
    assertEquals(short.length, dimensions);
    assertAlmostEquals(dot(short, short), 1, 1e-6);
    assertAlmostEquals(cosineSimilarity(short, whole.subarray(0, dimensions)), 1, 1e-6);
    const off = farthest(
      await llama.embed("a cat", { dimensions, normalize: false }),
      raw.subarray(0, dimensions),
    );
    assert(off < 1e-3, `largest difference ${off}`);
  }
});

test("embed() with a prompt embeds the prompt and the text as one", options, async () => {
  const { embedding, tokens } = await llama.embedDetailed("a cat", { prompt: "query: " });
  const whole = await llama.embedDetailed("query: a cat");
  assertEquals(tokens, whole.tokens);
  const off = farthest(embedding, whole.embedding);
  assert(off < 1e-3, `largest difference ${off}`);
});

test("embed() calls onProgress with rising numbers up to the total", options, async () => {
  const seen: Progress[] = [];
  await llama.embed(SHORT, { onProgress: (progress) => void seen.push(progress) });
  const total = new Set(SHORT).size;
  assert(seen.length > 1, `called ${seen.length} times`);
  for (const [i, { done }] of seen.entries()) assert(done > (seen[i - 1]?.done ?? 0), `${done} after it`);
  const { done, tokens, rate } = seen.at(-1)!;
  const counts = await Promise.all(Array.from(new Set(SHORT), (text) => llama.countTokens(text)));
  assertEquals([done, tokens], [total, counts.reduce((sum, count) => sum + count, 0)]);
  assert(rate > 0);
  assert(seen.every((progress) => progress.total === total));
});

test("embed() gives onLog one warning a call of truncated texts", options, async () => {
  const lines: LogLine[] = [];
  await using llama = await load({ onLog: (line) => void lines.push(line) });
  const warnings = (): string[] => lines.filter(({ message }) => /truncated to/.test(message)).map((l) => l.message);
  await llama.embed([LONG, "short", `${LONG} too`, ...SHORT]);
  assertEquals(warnings(), ["2 texts were truncated to 256 tokens"]);
  await llama.embed(LONG);
  assertEquals(warnings().slice(1), ["1 text was truncated to 256 tokens"]);
  await llama.embed("short");
  assertEquals(warnings().length, 2);
});

test("embedDetailed() with truncate start takes the end of the text, with error throws", options, async () => {
  await using llama = await load({ contextSize: 16 });
  const { embedding, truncated } = await llama.embedDetailed(LONG, { truncate: "start" });
  assert(truncated);
  assert(cosineSimilarity(embedding, await llama.embed(LONG)) < 0.99, "it is that of the start");
  await assertRejects(() => llama.embed(["a", LONG], { truncate: "error" }), RangeError, "input[1]");
});

test(
  "load() with a smaller contextSize cuts there, with a larger one up to the model's positions",
  options,
  async () => {
    for (const contextSize of [8, 512]) {
      await using llama = await load({ contextSize });
      assertEquals(llama.info.maxTokens, contextSize);
      const { tokens, truncated } = await llama.embedDetailed(LONG);
      assertEquals([tokens, truncated], [Math.min(contextSize, await llama.countTokens(LONG)), tokens === contextSize]);
    }
    const { message } = await assertRejects(() => load({ contextSize: 513 }), RangeError, "513");
    assert(message.includes("512"), message);
  },
);

test("load() with another pooling gives other vectors; none gives one a token", options, async () => {
  const mean = await load();
  const expected = await mean.embed("a cat sleeps", { normalize: false });
  await mean.close();
  for (const pooling of ["cls", "last"] as const) {
    await using llama = await load({ pooling });
    assertEquals(llama.info.pooling, pooling);
    const cosine = cosineSimilarity(await llama.embed("a cat sleeps"), expected);
    assert(cosine < 0.99, `pooling ${pooling} has cosine ${cosine} with mean`);
  }
  await using none = await load({ pooling: "none" });
  const { embedding, tokens } = await none.embedDetailed("a cat sleeps", { normalize: false });
  assertEquals([tokens, embedding.length], [5, 5 * 384]);
  const average = new Float32Array(384).map((_, d) => {
    let sum = 0;
    for (let t = 0; t < tokens; t++) sum += embedding[t * 384 + d]!;
    return sum / tokens;
  });
  const off = farthest(average, expected);
  console.log(`the mean of the tokens' vectors is off by ${off}`);
  assert(off < 1e-3, `largest difference ${off}`);
  for (const row of [0, 4]) {
    const unit = (await none.embed("a cat sleeps")).subarray(row * 384, row * 384 + 384);
    assertAlmostEquals(dot(unit, unit), 1, 1e-6);
  }
});

test("rerank() sorts by score, equal ones in the list's order, and cuts at topN", options, async () => {
  const all = await llama.rerank("a sour lemon", DOCUMENTS);
  assertEquals(all.map(({ index }) => index), [2, 1, 0, 3]);
  for (const [i, { score }] of all.entries()) assert(score <= (all[i - 1]?.score ?? 1), `score ${i} is above the last`);
  assertEquals(all[2]!.score, all[3]!.score);
  const tokens = await llama.countTokens(DOCUMENTS); // by cosine a document stands alone
  for (const { index, document, score, logit, truncated, ...rest } of all) {
    assertEquals([document, logit, truncated, rest.tokens], [DOCUMENTS[index]!, score, false, tokens[index]!]);
  }
  for (const topN of [0, 1, 2, 99]) {
    const best = await llama.rerank("a sour lemon", DOCUMENTS, { topN });
    assertEquals(best.map(({ index }) => index), [2, 1, 0, 3].slice(0, topN));
  }
});

test("rerank() reads documents with the text option and gives them back as they are", options, async () => {
  const documents = DOCUMENTS.map((body, id) => ({ id, body }));
  const ranked = await llama.rerank("a sour lemon", documents, { text: ({ body }) => body });
  assertEquals(ranked.map(({ document }) => document.id), [2, 1, 0, 3]);
  assert(ranked[0]!.document === documents[2]);
  // @ts-expect-error objects have no text of their own
  await assertRejects(() => llama.rerank("a sour lemon", documents), TypeError, "documents[0]");
});

test("embed() and rerank() of an empty list give an empty list", options, async () => {
  assertEquals(await llama.embed([]), []);
  assertEquals(await llama.rerank("query", []), []);
});

test("tokenize() and countTokens() include special tokens and do not truncate", options, async () => {
  assertEquals([...await llama.tokenize("hello world")], [101, 7592, 2088, 102]);
  assertEquals([...await llama.tokenize("")], [101, 102]);
  assertEquals(await llama.countTokens("word ".repeat(2000)), 2002);
  assertEquals(await llama.countTokens(["word", "", "word", "word word"]), [3, 2, 3, 4]);
  assertEquals(await llama.countTokens([]), []);
  const either: string | string[] = ["word"];
  assertEquals(await llama.countTokens(either), [3]);
  await assertRejects(
    () => llama.countTokens(["a", 1 as never]),
    TypeError,
    "Cannot read text[1]: it must be a string",
  );
});

test("info tells what the file says, and is frozen", options, async () => {
  await using llama = await load({ threads: 1, contexts: 2 }, Q8_0);
  const { info } = llama;
  assert(Object.isFrozen(info) && Object.isFrozen(info.labels));
  assertEquals([info.architecture, info.dimensions, info.contextLength, info.maxTokens], ["bert", 384, 512, 256]);
  assertEquals([info.pooling, info.reranker, info.vocabularySize], ["mean", "cosine", 30522]);
  assertEquals([info.labels, info.quantization, info.contexts, info.threads], [[], "Q8_0", 2, 1]);
  assert(info.parameters > 22e6 && info.parameters < 23e6, `${info.parameters} parameters`);
  assert(info.size > 23e6 && info.size < 26e6, `${info.size} bytes`);
  assert(/^[0-9a-f]{16}$/.test(info.fingerprint), info.fingerprint);
});

test("info.fingerprint is equal for equal loads, and differs by file, pooling and limit", options, async () => {
  const settings: [LoadOptions, string][] = [[{}, F32], [{}, F32], [{}, Q8_0], [{ pooling: "cls" }, F32]];
  const prints: string[] = [];
  for (const [options, file] of [...settings, [{ contextSize: 64 }, F32] as const]) {
    await using llama = await load(options, file);
    prints.push(llama.info.fingerprint);
  }
  assertEquals(prints[0], prints[1]);
  assertEquals(new Set(prints).size, 4, prints.join());
});

test("two models at once give what each gives alone", options, async () => {
  await using f32 = await load();
  await using q8 = await load({}, Q8_0);
  const [alone, other] = [await f32.embed(SHORT), await q8.embed(SHORT)];
  const [a, b] = await Promise.all([f32.embed(SHORT), q8.embed(SHORT)]);
  const off = Math.max(...SHORT.map((_, i) => Math.max(farthest(a[i]!, alone[i]!), farthest(b[i]!, other[i]!))));
  console.log(`largest difference ${off}`);
  assert(off <= 1e-3, `largest difference ${off}`);
});
