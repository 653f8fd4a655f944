// Texts of odd sizes, wrong arguments, aborted calls and calls around close(): clear errors, and a process that works.
import { after, test } from "node:test";
import { existsSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { assert, assertEquals, assertInstanceOf, assertRejects, assertStringIncludes } from "@std/assert";
import { cosineSimilarity, type EmbedOptions, Llama, LlamaError, type LoadOptions } from "../../../mod.ts";
import { fixture } from "../../support/checkpoint.ts";

const MODEL = fixture("../../models/all-minilm-l6-v2-q8_0.gguf");
const skip = !existsSync(MODEL);
const LIMIT = 256;

let loaded: Promise<Llama> | undefined;
let expected: Float32Array | undefined;

/** The model that the tests share. */
function shared(): Promise<Llama> {
  return loaded ??= Llama.load(MODEL);
}

/** That the shared model still gives the same vector. */
async function assertWorks(): Promise<void> {
  const vector = await (await shared()).embed("the process goes on");
  assertEquals(vector, expected ??= vector);
}

after(async () => await (await loaded)?.close());

/** That each call is refused with its class and words, and that the model goes on. */
async function assertRefused(
  calls: readonly [() => Promise<unknown>, typeof TypeError | typeof RangeError, ...string[]][],
): Promise<void> {
  for (const [call, kind, ...words] of calls) {
    const error = await assertRejects(call, kind);
    for (const word of words) assertStringIncludes(error.message, word);
  }
  await assertWorks();
}

function words(count: number): string {
  const list = ["river", "stone", "window", "quiet", "green", "paper", "seven", "music"];
  return Array.from({ length: count }, (_, i) => list[(i * i + 3 * i) % list.length]).join(" ");
}

test("embed() of 100,000 words and of 1 MB without a space is cut, reported and warned of", { skip }, async () => {
  const warnings: string[] = [];
  await using llama = await Llama.load(MODEL, {
    onLog: ({ level, message }) => level === "warn" && message.includes("truncated") && warnings.push(message),
  });
  assertEquals(llama.info.maxTokens, LIMIT);
  let cut = 0;
  for (const text of [words(100_000), "日".repeat(1 << 18), "x".repeat(1 << 20), "qzx7".repeat(1 << 18)]) {
    const { embedding, tokens, truncated } = await llama.embedDetailed(text);
    assert(embedding.length === 384 && embedding.every(Number.isFinite));
    const all = (await llama.tokenize(text)).length; // a word that is too long may be one unknown token
    assertEquals([tokens, truncated], [Math.min(all, LIMIT), all > LIMIT]);
    if (!truncated) continue;
    cut++;
    const call = () => llama.embed([text], { truncate: "error" });
    const error = await assertRejects(call, RangeError, `tokens, the limit is ${LIMIT}`);
    // A long text is not tokenised to its end to be refused.
    const [, atLeast, told] = /input\[0\]: it has (at least )?(\d+) tokens/.exec(error.message)!;
    assert(atLeast ? Number(told) > LIMIT && Number(told) <= all : Number(told) === all, error.message);
  }
  assert(cut >= 2, `${cut} texts were cut`);
  assertEquals(warnings, Array(cut).fill(`1 text was truncated to ${LIMIT} tokens`));
  await assertWorks();
});

test("embed() of a text at the limit is whole, and a cut one is as its beginning", { skip }, async () => {
  const llama = await shared();
  const [fits, cut] = await llama.embedDetailed([words(LIMIT - 2), words(LIMIT + 50)]);
  assertEquals([fits!.tokens, fits!.truncated, cut!.tokens, cut!.truncated], [LIMIT, false, LIMIT, true]);
  assert(cosineSimilarity(fits!.embedding, cut!.embedding) > 0.9999);
});

test("embed() of an empty list is an empty list, and of an empty string a vector", { skip }, async () => {
  const llama = await shared();
  assertEquals(await llama.embed([]), []);
  assertEquals(await llama.embedDetailed([]), []);
  assertEquals(await llama.rerank("anything", []), []);
  const [empty, blank] = await llama.embed(["", " \n\t"]);
  assert(empty!.length === 384 && empty!.every(Number.isFinite));
  assertEquals(empty, blank);
  assertEquals(await llama.countTokens(""), 2);
  assertEquals((await llama.rerank("", ["", "a"])).length, 2);
  await assertWorks();
});

test("embed() and rerank() name the index of a lone surrogate and of what is no string", { skip }, async () => {
  const llama = await shared();
  const list = (value: unknown) => ["fine", value] as string[];
  await assertRefused([
    [() => llama.embed("a\ud800b"), TypeError, "input", "lone surrogate U+D800 at index 1"],
    [() => llama.embed(["fine", "😀\udc00"]), TypeError, "input[1]", "U+DC00 at index 2", "toWellFormed()"],
    [() => llama.rerank("\udfff", ["a"]), TypeError, "query", "U+DFFF at index 0"],
    [() => llama.rerank("q", ["a", "b", "\ud83d"]), TypeError, "documents[2]"],
    [() => llama.tokenize("\ud800"), TypeError, "text"],
    [() => llama.embed(list(undefined)), TypeError, "input[1]", "must be a string, is undefined"],
    [() => llama.embed(list(7)), TypeError, "input[1]", "is 7"],
    [() => llama.embed(new Array(2) as string[]), TypeError, "input[0]", "is undefined"],
    [() => llama.embed(null as unknown as string), TypeError, "input", "is null"],
    [() => llama.embed({ length: 1 } as unknown as string[]), TypeError, "input", "is an object"],
    [() => llama.rerank("q", "abc" as unknown as string[]), TypeError, "documents: it must be an array", '"abc"'],
    [() => llama.rerank("q", list({})), TypeError, "documents[1]", "is an object; pass text, a function"],
  ]);
});

test("embed(), rerank() and load() name the wrong option, its value and what is allowed", { skip }, async () => {
  const llama = await shared();
  const embed = (options: unknown) => () => llama.embed("a", options as EmbedOptions);
  const load = (options: unknown) => () => Llama.load(MODEL, options as LoadOptions);
  const rerank = (options: object) => () => llama.rerank("a", ["b"], options);
  await assertRefused([
    [embed({ dimensions: 0 }), RangeError, "dimensions", "from 1 to 384", "is 0"],
    [embed({ dimensions: 385 }), RangeError, "dimensions", "is 385"],
    [embed({ dimensions: "64" }), TypeError, "dimensions", 'is "64"'],
    [embed({ normalize: "yes" }), TypeError, "normalize", "true or false", '"yes"'],
    [embed({ truncate: "middle" }), RangeError, "truncate", '"end", "start", "error"', '"middle"'],
    [embed({ signal: {} }), TypeError, "signal", "AbortSignal", "an object"],
    [embed({ onProgress: 1 }), TypeError, "onProgress", "a function", "is 1"],
    [embed({ prompt: "\ud800" }), TypeError, "prompt", "lone surrogate"],
    [embed("fast"), TypeError, "options", "an object", '"fast"'],
    [rerank({ topN: -1 }), RangeError, "topN", "from 0", "is -1"],
    [rerank({ topN: 1.5 }), RangeError, "topN", "is 1.5"],
    [rerank({ text: "title" }), TypeError, "text", "a function"],
    [load({ contextSize: 513 }), RangeError, "contextSize 513", "512 tokens"],
    [load({ contextSize: NaN }), RangeError, "contextSize", "is NaN"],
    [load({ pooling: "max" }), RangeError, "pooling", '"mean"', '"max"'],
    [load({ threads: 0 }), RangeError, "threads", "is 0"],
    [load({ contexts: 2n }), TypeError, "contexts", "is 2n"],
    [load({ library: 5 }), TypeError, "library", "is 5"],
    [load(null), TypeError, "options", "is null"],
    [() => Llama.load(5 as unknown as string), TypeError, "model", "is 5"],
    [() => Llama.load(""), RangeError, "model", '""'],
    [() => Llama.load("a\0b"), RangeError, "model"],
    [() => Llama.load(new URL("https://host/m.gguf")), TypeError, "model", "file: URL", "https:"],
  ]);
});

test("embed() after close() is a closed error, and close() twice is one close()", { skip }, async () => {
  const llama = await Llama.load(MODEL);
  await llama.embed("a");
  const [first, second] = [llama.close(), llama.close()];
  assert(first === second);
  await first;
  await llama.close();
  await llama[Symbol.asyncDispose]();
  const calls = [
    () => llama.embed("a"),
    () => llama.embed([]),
    () => llama.embedDetailed(["a"]),
    () => llama.rerank("a", ["b"]),
    () => llama.tokenize("a"),
    () => llama.countTokens("a"),
  ];
  for (const call of calls) {
    const error = await assertRejects(call, LlamaError, "after close()");
    assertEquals(error.code, "closed");
  }
  assertEquals(llama.info.dimensions, 384);
  await assertWorks();
});

test("close() lets the calls that run end, and refuses those that come later", { skip }, async () => {
  const llama = await Llama.load(MODEL);
  const texts = Array.from({ length: 60 }, (_, i) => `${i} ${words(20)}`);
  const running = [llama.embed(texts), llama.embed("one"), llama.rerank("two", texts.slice(0, 5))];
  const closing = llama.close();
  await assertRejects(() => llama.embed("late"), LlamaError, "after close()");
  const [many, one, ranked] = await Promise.all(running);
  assertEquals([many!.length, one!.length, ranked!.length], [60, 384, 5]);
  await closing;
  await assertWorks();
});

test("embed() with an aborted signal, before and during, rejects with the signal's reason", { skip }, async () => {
  const llama = await shared();
  const reason = new Error("enough");
  for (
    const call of [
      llama.embed("a", { signal: AbortSignal.abort(reason) }),
      llama.rerank("a", ["b"], { signal: AbortSignal.abort(reason) }),
    ]
  ) {
    assertEquals(await call.then(() => undefined, (error) => error), reason);
  }
  const texts = Array.from({ length: 2000 }, (_, i) => `${i} ${words(60)}`);
  const controller = new AbortController();
  const bystander = llama.embed("a bystander");
  const start = performance.now();
  const long = llama.embed(texts, { signal: controller.signal }).then(() => undefined, (error) => error);
  await sleep(100);
  controller.abort(reason);
  assertEquals(await long, reason);
  assert(performance.now() - start < 3000, `it took ${performance.now() - start} ms`);
  assertEquals((await bystander).length, 384);
  const timeout = await llama.embed(texts, { signal: AbortSignal.timeout(50) }).then(() => undefined, (error) => error);
  assertEquals(timeout?.name, "TimeoutError");
  await assertWorks();
});

test("Llama.load() with an aborted signal, before and during, rejects with its reason", { skip }, async () => {
  const reason = new Error("enough");
  const load = (signal: AbortSignal, onProgress?: () => void) => Llama.load(MODEL, { signal, onProgress });
  assertEquals(await load(AbortSignal.abort(reason)).catch((error) => error), reason);
  const controller = new AbortController();
  const loading = load(controller.signal).then((llama) => llama.close(), (error) => error);
  await Promise.resolve();
  controller.abort(reason);
  const result = await loading; // the load may have won
  assert(result === undefined || result === reason, String(result));
  await assertWorks();
});

test("a callback that throws fails its own call alone", { skip }, async () => {
  const llama = await shared();
  const broken = () => {
    throw new Error("my own fault");
  };
  const [mine, other] = await Promise.allSettled([
    llama.embed(["a", "b"], { onProgress: broken }),
    llama.embed(["c", "d"]),
  ]);
  assert(mine.status === "rejected" && other.status === "fulfilled");
  assertInstanceOf(mine.reason, Error);
  assertEquals(mine.reason.message, "my own fault");
  await assertRejects(() => llama.rerank("q", [{ t: 1 }], { text: broken }), Error, "my own fault");
  await assertWorks();
});
