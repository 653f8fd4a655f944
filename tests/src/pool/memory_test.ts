import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { LlamaError } from "../../../ffi/errors.ts";
import { extrapolate } from "../../../src/pool/context_sizes.ts";
import {
  capacityFor,
  contextBytes,
  estimateMemory,
  outputsBytes,
  passesOf,
  planMemory,
  smallerPass,
  weightsBytes,
} from "../../../src/pool/memory.ts";
import { passLimits } from "../../../src/pool/plan.ts";

const MB = 1024 * 1024;
const PASS = passLimits({ attention: "sequence", gpu: false, logits: 1, lanes: 2 });

/** A context of a model with a vocabulary of 1000: mask and layers grow as they do. */
function sizeOf(tokens: number): Parameters<typeof contextBytes>[0] {
  return { weights: 50 * MB, cache: 0, compute: 5000 * tokens + 8 * tokens ** 2, row: 4000, perToken: true, head: 0 };
}

const SIZES = { of: (tokens: number) => Promise.resolve(sizeOf(tokens)) };
const MODEL = { unmeasured: sizeOf(1), weightsOf: ({ weights }: { weights: number }) => weights };

function fullContext(weight: number, count: number): number {
  return contextBytes(sizeOf(weight), weight, weight, count);
}

test("contextBytes() counts the touched part of the buffers, and every row of the outputs", () => {
  const [whole, half, none] = [256, 128, 0].map((tokens) => contextBytes(sizeOf(256), 256, tokens, 64));
  assertEquals(whole! - half!, sizeOf(256).compute / 2 + 128 * 4000);
  assertEquals(half! - none!, sizeOf(256).compute / 2 + 64 * 4000); // as many rows as sequences are there at least
  const rows = { ...sizeOf(256), perToken: false, head: 4000 };
  assertEquals(contextBytes(rows, 256, 256, 64) - contextBytes(rows, 256, 256, 1), 63 * 2 * 4000);
});

test("extrapolate() is exact where buffers grow with tokens and tokens²", () => {
  for (const tokens of [2048, 4096, 8192, 100_000]) {
    const found = extrapolate(tokens, [sizeOf(512), sizeOf(1024), sizeOf(2048)], 2048);
    const wanted = sizeOf(tokens);
    assert(Math.abs(found.compute / wanted.compute - 1) < 1e-9, `${tokens}: ${found.compute}, not ${wanted.compute}`);
    assertEquals(found.row, wanted.row);
  }
});

test("passesOf() holds every token once, in passes no larger than the limits but for one text alone", async () => {
  for (const [count, length] of [[0, 1], [1, 5], [64, 4], [10_000, 12], [3, 1000]] as const) {
    const passes = await passesOf(new Uint32Array(count).fill(length), PASS, 1);
    assertEquals(passes.reduce((sum, tokens) => sum + tokens, 0), count * length);
    assert(passes.every((tokens) => tokens <= Math.max(PASS.maxCost, length)));
  }
  assertEquals((await passesOf([500, 2, 2], PASS, 1))[0], 500);
});

test("planMemory() takes all that is wanted without a limit, or below one", async () => {
  for (const limit of [undefined, 100 * MB]) {
    const { contexts, pass, info } = await planMemory({ contexts: 2, pass: PASS, limit }, SIZES, MODEL);
    assertEquals([contexts, pass], [2, PASS]);
    assertEquals(info, { weights: 50 * MB, contexts: 2 * fullContext(capacityFor(0, PASS), PASS.maxItems), limit });
  }
});

test("planMemory() gives up large passes before lanes, and lanes before the load", async () => {
  const smaller = smallerPass(PASS)!;
  let smallest = smaller;
  for (let next = smallerPass(smallest); next; next = smallerPass(next)) smallest = next;
  const bytes = (pass: typeof PASS): number => fullContext(capacityFor(0, pass), pass.maxItems);
  const plan = async (room: number): Promise<[number, number]> => {
    const limit = Math.ceil(50 * MB + room);
    const { contexts, pass, info } = await planMemory({ contexts: 2, pass: PASS, limit }, SIZES, MODEL);
    assert(info.weights + info.contexts <= limit);
    return [contexts, pass.maxCost];
  };
  assertEquals(await plan(2 * bytes(PASS)), [2, PASS.maxCost]);
  assertEquals(await plan(2 * bytes(PASS) - 10), [2, smaller.maxCost]);
  assertEquals((await plan(2 * bytes(smallest) - 10))[0], 1);
  assertEquals(await plan(bytes(smallest)), [1, smallest.maxCost]);
  const error = await assertRejects(() => plan(bytes(smallest) - 10), LlamaError, "memoryLimit");
  assertEquals(error.code, "out-of-memory");
  assert(/weights take 53 MB and the smallest context \d+ MB; raise it to \d+/.test(error.message), error.message);
});

test("planMemory() loads a model whose contexts cannot be had, but not under a limit", async () => {
  const broken = { of: () => Promise.reject(new LlamaError("out-of-memory", "no room")) };
  const { info } = await planMemory({ contexts: 2, pass: PASS, limit: undefined }, broken, MODEL);
  assert(info.contexts > 0);
  await assertRejects(() => planMemory({ contexts: 2, pass: PASS, limit: 1e9 }, broken, MODEL), LlamaError, "no room");
});

test("estimateMemory() counts a context for each lane that has a pass, as large as its passes", async () => {
  const memory = await planMemory({ contexts: 2, pass: PASS, limit: undefined }, SIZES, MODEL);
  const [info, row] = [{ maxTokens: 2048 }, { width: 10, perToken: false }];
  const of = (lengths: number[]): ReturnType<typeof estimateMemory> => estimateMemory({ memory, info, row }, lengths);
  const [one, many, long] = [await of([8]), await of(Array(1000).fill(8)), await of([1000, 8, 8])];
  assert(one.contexts < many.contexts / 2);
  assert(many.contexts <= memory.info.contexts);
  const capacity = capacityFor(1000, PASS);
  assert(long.contexts > contextBytes(sizeOf(capacity), capacity, 1000, PASS.maxItems));
  assert(
    long.contexts < 2 * contextBytes(sizeOf(capacity), capacity, 1000, PASS.maxItems),
    "only one lane has the long text",
  );
  assertEquals(many.outputs, outputsBytes(Array(1000).fill(8), row));
  for (const { weights, contexts, outputs, total } of [one, many, long]) {
    assertEquals(total, weights + contexts + outputs);
  }
  assertEquals((await of([])).contexts, 0);
  const rows = await estimateMemory({ memory, info, row: { ...row, perToken: true } }, [8]);
  assertEquals(rows.outputs - one.outputs, 7 * 10 * 4);
});

test("estimateMemory() counts no contexts side by side that a limit keeps apart", async () => {
  const limit = 50 * MB + 3 * fullContext(capacityFor(1000, PASS), PASS.maxItems) / 2;
  const memory = await planMemory({ contexts: 2, pass: PASS, limit }, SIZES, MODEL);
  const { total } = await estimateMemory(
    { memory, info: { maxTokens: 2048 }, row: { width: 1, perToken: false } },
    [1000, 1000, 1000],
  );
  assert(total <= limit + 10_000, `${total} > ${limit}`);
});

test("weightsBytes() grows with tensors and vocabulary, most where a tokenizer keeps a trie", () => {
  const of = (tokenizer: string, vocabularySize = 1000): number =>
    weightsBytes({ tensors: MB, vocabularySize, tokenizer, segments: 0 });
  assert(of("t5") > of("bert") && of("bert", 2000) > of("bert") && of("never heard of") > MB);
});
