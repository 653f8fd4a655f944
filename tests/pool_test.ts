import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { LlamaError, STATUS } from "../ffi/errors.ts";
import { Lane, type Model, type Native } from "../ffi/mod.ts";
import { Pool } from "../src/pool.ts";
import { randomIntegers } from "./random.ts";

type Draw = ReturnType<typeof randomIntegers>;

const WIDTH = 3;
/** A token that makes the pass it is in fail. */
const POISON = 13;
const LIMITS = { weight: 64, count: 8 };

/** A lane of the fake: what its last job left. */
interface FakeLane {
  status: number;
  ids: number[];
  counts: number[];
  rows: number[];
  running: boolean;
  freed: boolean;
}

/** The native side without a library: a row is [first token, sum, length]; each job ends some turns later. */
class Fake {
  readonly lanes: FakeLane[] = [];
  passes = 0;
  modelFreed = 0;
  readonly wrong: string[] = [];
  readonly #draw: Draw;

  constructor(draw: Draw) {
    this.#draw = draw;
  }

  native(): Native {
    const of = (handle: number): FakeLane => this.lanes[handle]!;
    const functions = {
      saur_lane_result: (lane: number) => of(lane).status,
      saur_lane_abort: (lane: number) => void (of(lane).running && (of(lane).status = STATUS.ABORTED)),
      saur_lane_free: (lane: number) => void (of(lane).freed = true),
      saur_model_free: () => void this.modelFreed++,
      saur_log_drain: () => 0,
      saur_context_init: (lane: number) => this.#start(of(lane), STATUS.OK),
      saur_vocab_tokenize: (lane: number, _model: unknown, utf8: Uint8Array, lengths: Int32Array) =>
        this.#tokenize(of(lane), utf8, lengths),
      saur_vocab_counts: (lane: number, out: Int32Array) => {
        out.set(of(lane).counts);
        return of(lane).ids.length;
      },
      saur_vocab_tokens: (lane: number, out: Int32Array) => out.set(of(lane).ids),
      saur_batch_encode: (lane: number, tokens: Int32Array, _n: number, lengths: Int32Array) =>
        this.#encode(of(lane), tokens, lengths),
      saur_pooling_embeddings: (lane: number, out: Float32Array) => {
        out.set(of(lane).rows);
        return of(lane).rows.length;
      },
    };
    const newLane = (): { handle: number; number: number } => {
      const number = this.lanes.push(
        { status: 0, ids: [], counts: [], rows: [], running: false, freed: false },
      ) - 1;
      return { handle: number, number };
    };
    const run = (number: number, start: () => number): Promise<number> => this.#run(this.lanes[number]!, start);
    return { path: "", functions, jobs: { newLane, run } } as unknown as Native;
  }

  model(): Model {
    return { handle: 1, close: () => void this.modelFreed++ } as unknown as Model;
  }

  async #run(lane: FakeLane, start: () => number): Promise<number> {
    const refusal = start();
    if (refusal !== STATUS.OK) return refusal;
    for (let turns = this.#draw(0, 4); turns > 0; turns--) await setImmediate();
    lane.running = false;
    return STATUS.OK;
  }

  #start(lane: FakeLane, status: number): number {
    if (lane.running) this.wrong.push("two jobs on a lane");
    if (lane.freed) this.wrong.push("a job on a freed lane");
    lane.running = true;
    lane.status = status;
    return STATUS.OK;
  }

  #tokenize(lane: FakeLane, utf8: Uint8Array, lengths: Int32Array): number {
    lane.ids = [];
    lane.counts = [...lengths];
    let at = 0;
    for (const length of lengths) lane.ids.push(...utf8.subarray(at, at += length));
    return this.#start(lane, STATUS.OK);
  }

  #encode(lane: FakeLane, tokens: Int32Array, lengths: Int32Array): number {
    this.passes++;
    if (lengths.length > LIMITS.count) this.wrong.push(`${lengths.length} sequences in a pass`);
    if (tokens.length > LIMITS.weight && lengths.length > 1) this.wrong.push(`${tokens.length} tokens in a pass`);
    lane.rows = [];
    let at = 0;
    for (const length of lengths) lane.rows.push(...rowOf(tokens.subarray(at, at += length)));
    return this.#start(lane, tokens.includes(POISON) ? STATUS.LOST : STATUS.OK);
  }
}

function rowOf(ids: Int32Array): number[] {
  return [ids[0]!, ids.reduce((sum, id) => sum + id, 0), ids.length];
}

function poolOf(fake: Fake, contexts: number): Pool {
  const native = fake.native();
  return new Pool(native, fake.model(), new Lane(native), {
    contexts,
    threads: 1,
    pooling: "mean",
    kernels: true,
    width: WIDTH,
    pass: LIMITS,
    prepare: undefined,
    onLog: undefined,
  });
}

function sequence(draw: Draw, poison = false): { ids: Int32Array; truncated: boolean } {
  const ids = Int32Array.from({ length: draw(1, draw(0, 3) ? 12 : 90) }, () => draw(20, 200));
  if (poison) ids[draw(0, ids.length - 1)] = POISON;
  return { ids, truncated: false };
}

/** One random call: settles as it should, or throws what is wrong with it. */
async function randomCall(pool: Pool, draw: Draw, round: number): Promise<string> {
  const poisoned = draw(0, 9) === 0;
  const controller = new AbortController();
  const aborts = draw(0, 4) === 0;
  const { signal } = controller;
  if (draw(0, 5) === 0) {
    const texts = Array.from({ length: draw(0, 20) }, () => "abcdefghij".slice(draw(0, 9)));
    const ids = await pool.tokenize(texts);
    assertEquals(ids.map((one) => String.fromCharCode(...one)), texts, `round ${round}`);
    return "tokenised";
  }
  const sequences = Array.from({ length: draw(1, 30) }, (_, i) => sequence(draw, poisoned && i === 0));
  const done: number[] = [];
  const rows = pool.encode(sequences, { signal, onDone: (n) => void done.push(n) });
  if (aborts) void later(draw(0, 15)).then(() => controller.abort(new Error("enough")));
  try {
    const found = await rows;
    assert(!poisoned, `round ${round}: a poisoned call succeeded`);
    assertEquals(found.map((row) => [...row]), sequences.map(({ ids }) => rowOf(ids)), `round ${round}`);
    assertEquals([done.at(-1), done], [sequences.length, [...done].sort((a, b) => a - b)], `round ${round}`);
    return "encoded";
  } catch (error) {
    if (aborts && (error as Error).message === "enough") return "aborted";
    if (poisoned && error instanceof LlamaError && error.code === "context-lost") return "failed";
    throw error;
  }
}

async function later(turns: number): Promise<void> {
  for (let i = 0; i < turns; i++) await setImmediate();
}

test("Pool settles every random call rightly, whatever the others do", { timeout: 120_000 }, async () => {
  const outcomes: Record<string, number> = {};
  for (let round = 0; round < 60; round++) {
    const draw = randomIntegers(round);
    const fake = new Fake(draw);
    const pool = poolOf(fake, draw(1, 4));
    const calls: Promise<string>[] = [];
    for (let i = draw(5, 40); i > 0; i--) {
      calls.push(randomCall(pool, draw, round));
      await later(draw(0, 3));
    }
    for (const outcome of await Promise.all(calls)) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    await later(20);
    pool.close();
    assertEquals(fake.wrong, [], `round ${round}`);
    assert(fake.lanes.every(({ freed }) => freed) && fake.modelFreed === 1, `round ${round}: close() left something`);
  }
  console.log(outcomes);
  for (const kind of ["encoded", "tokenised", "aborted", "failed"]) assert(outcomes[kind]! > 10, `few ${kind}`);
});

test("Pool fails only the call whose pass fails, and computes the others' again", async () => {
  const draw = randomIntegers(99);
  const pool = poolOf(new Fake(draw), 1);
  const good = Array.from({ length: 5 }, () => [{ ids: Int32Array.of(50, 51), truncated: false }]);
  const calls = good.map((one) => pool.encode(one));
  await assertRejects(() => pool.encode([{ ids: Int32Array.of(POISON), truncated: false }]), LlamaError, "encode");
  for (const rows of await Promise.all(calls)) assertEquals([...rows[0]!], [50, 101, 2]);
  pool.close();
});

test("Pool puts calls that are made at once into shared passes", async () => {
  const fake = new Fake(randomIntegers(5));
  const pool = poolOf(fake, 1);
  await Promise.all(Array.from({ length: 80 }, () => pool.encode([{ ids: Int32Array.of(40), truncated: false }])));
  console.log(`${fake.passes} passes`);
  assert(fake.passes <= 12, `${fake.passes} passes for 80 texts, ${LIMITS.count} a pass`);
  pool.close();
});

test("Pool makes no more lanes than contexts, and only for work", async () => {
  const fake = new Fake(randomIntegers(6));
  const pool = poolOf(fake, 3);
  await pool.encode([{ ids: Int32Array.of(40), truncated: false }]);
  assertEquals(fake.lanes.length, 1);
  await Promise.all(
    Array.from({ length: 50 }, (_, i) => pool.encode([{ ids: new Int32Array(60).fill(20 + i), truncated: false }])),
  );
  assertEquals(fake.lanes.length, 3);
  pool.close();
});

test("Pool rejects a call with an aborted signal before any work", async () => {
  const fake = new Fake(randomIntegers(7));
  const pool = poolOf(fake, 1);
  const signal = AbortSignal.abort(new Error("before"));
  await assertRejects(() => pool.encode([{ ids: Int32Array.of(40), truncated: false }], { signal }), Error, "before");
  await assertRejects(() => pool.tokenize(["a"], { signal }), Error, "before");
  assertEquals(fake.passes, 0);
  pool.close();
});

test("Pool rejects a call whose onDone throws, and only that", async () => {
  const pool = poolOf(new Fake(randomIntegers(8)), 1);
  const one = [{ ids: Int32Array.of(40), truncated: false }];
  const other = pool.encode(one);
  const onDone = (): void => {
    throw new Error("from the caller");
  };
  await assertRejects(() => pool.encode(one, { onDone }), Error, "from the caller");
  assertEquals([...(await other)[0]!], [40, 40, 1]);
  pool.close();
});
