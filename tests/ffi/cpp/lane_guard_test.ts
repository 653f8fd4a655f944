// What llama.cpp would assert on, on whatever thread it is on, is refused by code before it gets there. Straight at the
// lane, below everything that src/ checks.
import { after, test } from "node:test";
import { existsSync } from "node:fs";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { Lane, type Model, type Native, open } from "../../../ffi/mod.ts";
import { LlamaError, STATUS, statusError } from "../../../ffi/errors.ts";
import { fixture } from "../../support/checkpoint.ts";

const MODEL = fixture("../../models/all-minilm-l6-v2-q8_0.gguf");
const skip = !existsSync(MODEL);
const [CLS, SEP] = [101, 102];
const POSITIONS = 512;

interface Bench {
  readonly native: Native;
  readonly lane: Lane;
  readonly model: Model;
}
let bench: Promise<Bench> | undefined;

async function load(): Promise<Bench> {
  const native = await open();
  const lane = new Lane(native);
  const model = await lane.loadModel(MODEL, { gpuLayers: 0, checkTensors: false, device: -1 }, {});
  return { native, lane, model };
}

after(async () => {
  const { lane, model } = await (bench ??= load());
  lane.close();
  model.close();
});

/** A sequence of this many tokens: CLS, words, SEP. */
function sequence(length: number): number[] {
  return Array.from({ length }, (_, i) => i === 0 ? CLS : i === length - 1 ? SEP : 2000 + i);
}

function encode(lane: Lane, sequences: readonly number[][], lengths = sequences.map(({ length }) => length)) {
  const out = new Float32Array(384 * Math.max(1, lengths.length));
  const pass = { tokens: Int32Array.from(sequences.flat()), lengths: Int32Array.from(lengths) };
  return lane.encode(pass, out).then(() => out);
}

/** Runs with a lane that has a context of two threads, so that an assertion on a worker would end the process. */
async function withContext(
  tokens: number,
  sequences: number,
  run: (lane: Lane, bench: Bench) => Promise<void>,
): Promise<void> {
  const all = await (bench ??= load());
  await all.lane.initContext(all.model, { tokens, sequences, threads: 2, pooling: "mean", kernels: true });
  await run(all.lane, all);
}

test("initContext() takes any number of tokens and sequences with pooling mean", { skip }, async () => {
  const { lane, model } = await (bench ??= load());
  for (const [tokens, sequences] of [[64, 3], [65, 2], [100, 7], [5, 64]] as const) {
    await lane.initContext(model, { tokens, sequences, threads: 1, pooling: "mean", kernels: true });
    await encode(lane, [sequence(tokens)]);
  }
});

/** That a pass is refused with the words of a status, and that the same lane and context go on. */
async function assertRefused(lane: Lane, status: number, pass: () => Promise<unknown>): Promise<void> {
  const before = await encode(lane, [sequence(5)]);
  const error = await assertRejects(pass, LlamaError, "Cannot encode ");
  assertEquals(error.code, "context-lost");
  const words = statusError(status, "x", "").message.slice("Cannot x: ".length);
  assertStringIncludes(error.message, words);
  assertEquals(await encode(lane, [sequence(5)]), before);
}

test("Lane.encode() refuses 600 tokens on a model of 512 positions, with two threads", { skip }, async () => {
  await withContext(1024, 8, async (lane, { model }) => {
    assertEquals(model.numbers.contextLength, POSITIONS);
    await assertRefused(lane, STATUS.SEQUENCE_TOO_LONG, () => encode(lane, [sequence(600)]));
    await assertRefused(lane, STATUS.SEQUENCE_TOO_LONG, () => encode(lane, [sequence(3), sequence(POSITIONS + 1)]));
    const rows = await encode(lane, [sequence(POSITIONS), sequence(POSITIONS)]);
    assert(rows.every(Number.isFinite));
  });
});

test("Lane.encode() refuses more tokens than one pass takes", { skip }, async () => {
  await withContext(64, 8, async (lane) => {
    await assertRefused(lane, STATUS.BATCH_TOO_LARGE, () => encode(lane, [sequence(65)]));
    await assertRefused(lane, STATUS.BATCH_TOO_LARGE, () => encode(lane, [sequence(40), sequence(40)]));
    await encode(lane, [sequence(64)]);
  });
});

test("Lane.encode() refuses more sequences than the context takes", { skip }, async () => {
  await withContext(256, 4, async (lane) => {
    const five = Array.from({ length: 5 }, () => sequence(4));
    await assertRefused(lane, STATUS.TOO_MANY_SEQUENCES, () => encode(lane, five));
    await encode(lane, five.slice(1));
  });
});

test("Lane.encode() refuses empty passes, empty sequences and lengths that do not add up", { skip }, async () => {
  await withContext(256, 8, async (lane) => {
    await assertRefused(lane, STATUS.EMPTY, () => encode(lane, []));
    await assertRefused(lane, STATUS.EMPTY, () => encode(lane, [sequence(4), []]));
    await assertRefused(lane, STATUS.EMPTY, () => encode(lane, [sequence(4)], [5, -1]));
    await assertRefused(lane, STATUS.EMPTY, () => encode(lane, [sequence(4)], []));
    await assertRefused(lane, STATUS.BAD_ARGUMENT, () => encode(lane, [sequence(4)], [3]));
    await assertRefused(lane, STATUS.BAD_ARGUMENT, () => encode(lane, [sequence(4)], [3, 2]));
  });
});

test("Lane.encode() refuses token ids outside the vocabulary", { skip }, async () => {
  await withContext(256, 8, async (lane, { model }) => {
    const { vocabularySize } = model.numbers;
    for (const id of [vocabularySize, -1, 2 ** 31 - 1, -(2 ** 31)]) {
      await assertRefused(lane, STATUS.BAD_TOKEN, () => encode(lane, [[CLS, id, SEP]]));
    }
    await encode(lane, [[CLS, vocabularySize - 1, SEP]]);
  });
});

test("Lane.initContext() refuses numbers that no context has, and the lane goes on", { skip }, async () => {
  await withContext(64, 4, async (lane, { model }) => {
    const fine = { tokens: 64, sequences: 4, threads: 2, pooling: "mean", kernels: true } as const;
    const wrong = [{ tokens: 0 }, { tokens: -1 }, { sequences: 0 }, { sequences: 1e6 }, { threads: 0 }, {
      threads: 1e6,
    }];
    for (const one of wrong) {
      const error = await assertRejects(() => lane.initContext(model, { ...fine, ...one }), LlamaError);
      assertStringIncludes(error.message, "Cannot make a context of ");
      assertStringIncludes(error.message, "an argument is not valid");
    }
    await lane.initContext(model, fine);
    await encode(lane, [sequence(4)]);
  });
});

test("Lane.encode() without a context, and a second job at a time, are refused", { skip }, async () => {
  const { native, model } = await (bench ??= load());
  const lane = new Lane(native);
  await assertRejects(() => encode(lane, [sequence(4)]), LlamaError, "there is no context");
  await lane.initContext(model, { tokens: 512, sequences: 4, threads: 1, pooling: "mean", kernels: true });
  const running = encode(lane, [sequence(512)]);
  await assertRejects(() => encode(lane, [sequence(4)]), LlamaError, "busy");
  assert((await running).every(Number.isFinite));
  lane.close();
});

test("Lane.abort() ends a running pass, and the context goes on with the same values", { skip }, async () => {
  await withContext(512, 4, async (lane) => {
    const before = await encode(lane, [sequence(9)]);
    const running = encode(lane, [sequence(512)]);
    lane.abort();
    const error = await running.then(() => undefined, (error) => error); // it may have been over already
    if (error) assertStringIncludes(error.message, "it was aborted");
    assertEquals(await encode(lane, [sequence(9)]), before);
  });
});

test("Lane.tokenize() refuses negative lengths", { skip }, async () => {
  const { lane, model } = await (bench ??= load());
  const utf8 = new TextEncoder().encode("hello");
  await assertRejects(() => lane.tokenize(model, utf8, Int32Array.of(-1), Int32Array.of(1)), LlamaError, "not valid");
  const { ids, counts } = await lane.tokenize(model, utf8, Int32Array.of(5), Int32Array.of(1));
  assertEquals([[...ids], [...counts]], [[CLS, 7592, SEP], [3]]);
  assertEquals((await lane.tokenize(model, utf8, new Int32Array(0), new Int32Array(0))).ids.length, 0);
});
