// Causal models: vectors that are taken before the language model's head, and what a call's pairs begin with computed once.
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Lane, type Model, open } from "../../ffi/mod.ts";
import { Llama, LlamaError, type Ranked } from "../../mod.ts";
import { loadEngine } from "../../src/engine/load.ts";
import { fixture } from "../support/checkpoint.ts";
import { farthest, libraryMissing as skip } from "../support/references.ts";

const EMBEDDER = fixture("families/qwen3_last.gguf");
const RERANKER = fixture("families/qwen3_reranker_plain.gguf");
const HEAD = fixture("families/qwen3_reranker_head.gguf");
// Of a logit or of a number of a state: other sums than those of a sequence alone, in f32.
const ROUNDING = 1e-4;

type Context = Partial<Parameters<Lane["initContext"]>[1]>;

/** Runs with a lane that has a context of the model. */
async function withLane(
  path: string,
  context: Context,
  run: (lane: Lane, model: Model) => Promise<void>,
): Promise<void> {
  const lane = new Lane(await open());
  try {
    const model = await lane.loadModel(path, { gpuLayers: 0, checkTensors: false, device: -1 }, {});
    try {
      await lane.initContext(model, {
        tokens: 256,
        sequences: 8,
        threads: 1,
        pooling: "last",
        kernels: true,
        ...context,
      });
      await run(lane, model);
    } finally {
      model.close();
    }
  } finally {
    lane.close();
  }
}

/** A sequence: how many of its tokens others have, too, and then the others. */
interface Pair {
  readonly shared: number;
  readonly ids: readonly number[];
}

const ids = (from: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => 20 + (from * 31 + i * 7) % 200);
const BEGINNING = ids(1, 40);
const pair = (beginning: readonly number[], document: readonly number[]): Pair => {
  return { shared: beginning.length, ids: [...beginning, ...document] };
};
const alone = ({ ids }: Pair): Pair => ({ shared: ids.length, ids });

/** A row of each sequence: two answers' logits, a vector, or the labels' probabilities. */
async function encode(lane: Lane, pairs: readonly Pair[], width: number): Promise<Float32Array[]> {
  const rows = new Float32Array(pairs.length * width);
  const lengths = Int32Array.from(pairs, ({ ids }) => ids.length);
  const prefixLengths = Int32Array.from(pairs, ({ shared }) => shared);
  await lane.encode({ tokens: Int32Array.from(pairs.flatMap(({ ids }) => ids)), lengths, prefixLengths }, rows);
  return pairs.map((_, i) => rows.slice(i * width, (i + 1) * width));
}

function off(found: readonly Float32Array[], expected: readonly Float32Array[]): number {
  return Math.max(...found.map((row, i) => farthest(row, expected[i]!)));
}

const ANSWERS = { answers: [30, 40], pooling: "none" } as const;
const DOCUMENTS = [ids(2, 9), ids(3, 1), ids(4, 30), ids(2, 9).reverse()];

const WAYS = [
  ["answers", RERANKER, ANSWERS, () => 2],
  ["vectors", EMBEDDER, {}, ({ numbers }: Model) => numbers.dimensions],
  ["labels", HEAD, { pooling: "rank" }, ({ numbers }: Model) => numbers.classes],
] as const;

for (const [name, path, context, widthOf] of WAYS) {
  test(
    `encode() gives the ${name} of each sequence alone when their beginning is computed once`,
    { skip },
    async () => {
      await withLane(path, context, async (lane, model) => {
        const width = widthOf(model);
        const pairs = DOCUMENTS.map((document) => pair(BEGINNING, document));
        const expected: Float32Array[] = [];
        for (const one of pairs) expected.push(...await encode(lane, [alone(one)], width));
        const range = Math.max(...expected.map((row) => farthest(row, expected[0]!)));
        const found = await encode(lane, pairs, width);
        console.log(`${name}: largest difference ${off(found, expected)} of ${range}`);
        assert(range > 100 * ROUNDING, "the sequences do not differ");
        assert(off(found, expected) <= ROUNDING);
        assertEquals(await encode(lane, pairs, width), found, "kept");
        // Another document order, and a part of the documents: each row is its sequence's.
        assert(off(await encode(lane, pairs.toReversed(), width), expected.toReversed()) <= ROUNDING);
        assert(off(await encode(lane, pairs.slice(1, 2), width), expected.slice(1, 2)) <= ROUNDING);
      });
    },
  );

  test(
    `encode() keeps the beginning for ${name} until another comes, also in one pass with others`,
    { skip },
    async () => {
      await withLane(path, context, async (lane, model) => {
        const width = widthOf(model);
        // One token less, one more, one other, and of the same length: all begin as the first does.
        const beginnings = [
          BEGINNING,
          BEGINNING.slice(0, -1),
          [...BEGINNING, 21],
          [...BEGINNING.slice(0, -1), 21],
          ids(9, 40),
        ];
        const passes = beginnings.map((beginning) => DOCUMENTS.map((document) => pair(beginning, document)));
        const expected: Float32Array[][] = [];
        for (const pass of passes) {
          expected.push([]);
          for (const one of pass) expected.at(-1)!.push(...await encode(lane, [alone(one)], width));
        }
        const first = await encode(lane, passes[0]!, width);
        for (const [i, pass] of passes.entries()) {
          assert(off(await encode(lane, pass, width), expected[i]!) <= ROUNDING, `beginning ${i}`);
        }
        assertEquals(await encode(lane, passes[0]!, width), first, "new again");
        const mixed = [
          passes[0]![0]!,
          passes[4]![1]!,
          alone(passes[0]![2]!),
          passes[1]![3]!,
          passes[0]![3]!,
          passes[4]![0]!,
        ];
        const wanted = [
          expected[0]![0]!,
          expected[4]![1]!,
          expected[0]![2]!,
          expected[1]![3]!,
          expected[0]![3]!,
          expected[4]![0]!,
        ];
        for (let i = 0; i < 2; i++) assert(off(await encode(lane, mixed, width), wanted) <= ROUNDING, `mixed, ${i}`);
        assertEquals(await encode(lane, passes[0]!, width), first, "after a mixed pass");
      });
    },
  );
}

test("encode() goes on right after a pass that was stopped at any moment", { skip }, async () => {
  await withLane(RERANKER, { ...ANSWERS, tokens: 512 }, async (lane) => {
    const [beginning, other] = [ids(5, 90), ids(6, 90)];
    const pairs = DOCUMENTS.map((document) => pair(beginning, document));
    const expected = await encode(lane, pairs, 2);
    let stopped = 0;
    for (let i = 0; i < 12; i++) {
      // the beginning that is kept is another, or the same
      const running = encode(
        lane,
        (i % 2 ? DOCUMENTS : [...DOCUMENTS, ids(7, 30)]).map((d) => pair(i % 3 ? other : beginning, d)),
        2,
      );
      if (i % 4 > 0) await sleep(i % 4);
      lane.abort();
      await running.catch(() => stopped++);
      assertEquals(await encode(lane, pairs, 2), expected, `after stop ${i}`);
    }
    assert(stopped > 0, "nothing was stopped");
  });
});

for (const [name, path, context, widthOf] of WAYS) {
  test(`encode() counts what is computed once for ${name} as one part of the pass`, { skip }, async () => {
    await withLane(path, { ...context, tokens: 64 }, async (lane, model) => {
      const width = widthOf(model);
      const fits = DOCUMENTS.slice(0, 2).map((document) => pair(BEGINNING, document)); // 90 tokens, 50 to compute
      assertEquals((await encode(lane, fits, width)).length, 2);
      await assertRejects(() => encode(lane, fits.map(alone), width), LlamaError);
      await assertRejects(() => encode(lane, [pair(BEGINNING, ids(3, 25))], width), LlamaError);
      assertEquals((await encode(lane, fits, width)).length, 2);
    });
  });
}

test("embed() gives a causal model's mean, rows and last vector from the same states", { skip }, async () => {
  const texts = ["a cat", "the river runs under the old stone bridge at night", "x"];
  const load = (pooling: "mean" | "none" | "last"): Promise<Llama> => Llama.load(EMBEDDER, { pooling, contexts: 1 });
  await using mean = await load("mean");
  await using none = await load("none");
  await using last = await load("last");
  const rows = await none.embed(texts, { normalize: false });
  const width = none.info.dimensions;
  const means = await mean.embed(texts, { normalize: false });
  const lasts = await last.embed(texts, { normalize: false });
  rows.forEach((row, i) => {
    const n = row.length / width;
    const sums = new Float32Array(width).map((_, j) => {
      return Array.from({ length: n }, (_, t) => row[t * width + j]!).reduce((a, b) => a + b) / n;
    });
    assert(n > 1 && farthest(sums, means[i]!) <= ROUNDING, texts[i]);
    assert(farthest(row.subarray(-width), lasts[i]!) <= ROUNDING, texts[i]);
  });
});

for (const [name, path, reranker] of [["answers", RERANKER, "yes-no"], ["a head", HEAD, "cross-encoder"]] as const) {
  test(`rerank() by ${name} gives the same logits with a query kept, new, beside another's, or with one document`, {
    skip,
  }, async () => {
    await using llama = await Llama.load(path, { contexts: 1 });
    assertEquals(llama.info.reranker, reranker);
    const engine = await loadEngine(path, { contexts: 1 });
    await engine.pool.close();
    assert(engine.sharesPrefix, "each pair is computed whole");
    const documents = ["Paris is a city.", "bananas are yellow", "", "1 2 3", " a space first", "long ".repeat(150)];
    const logits = (ranked: Ranked<string>[]): number[] => {
      return ranked.toSorted((a, b) => a.index - b.index).map(({ logit }) => logit);
    };
    const rank = async (query: string): Promise<number[]> => logits(await llama.rerank(query, documents));
    const first = await rank("yellow fruit");
    assertEquals(await rank("yellow fruit"), first, "kept");
    const other = await rank("capital of France");
    assertEquals(await rank("yellow fruit"), first, "new again");
    const [beside, others] = await Promise.all([rank("yellow fruit"), rank("capital of France")]);
    const far = (a: readonly number[], b: readonly number[]): number =>
      Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));
    assert(far(first, other) > 100 * ROUNDING);
    assert(far(beside, first) <= ROUNDING && far(others, other) <= ROUNDING);
    for (const [i, document] of documents.entries()) {
      assert(far(logits(await llama.rerank("yellow fruit", [document])), [first[i]!]) <= ROUNDING, document);
    }
  });
}
