// A random life of a pool on a fake native side, and what must be true of every such life; tests/src/pool/scheduler_test.ts runs
// some, tests/torture/scheduler.ts many.
import { LlamaError } from "../../ffi/errors.ts";
import type { Pool } from "../../src/pool/pool.ts";
import { type Draw, FakeNative, later, LIMITS, POISONS, rowOf } from "./fake_native.ts";
import { randomIntegers } from "./random.ts";

/** What became of a call. */
export type Fate = "encoded" | "tokenised" | "aborted" | "failed" | "unlucky";

/** What a life came to: how many calls had which fate, and what was wrong. */
export interface Life {
  readonly fates: Readonly<Record<Fate, number>>;
  readonly wrong: readonly string[];
}

/** Turns of the event loop after which a promise is called pending for ever. */
const PATIENCE = 20_000;
const CODES: ReadonlyMap<number, string> = new Map([[13, "context-lost"], [14, "out-of-memory"], [15, "context-lost"]]);

interface Sequence {
  readonly ids: Int32Array;
  readonly truncated: boolean;
}

/** A pool from its first call to its end. */
export async function live(seed: number): Promise<Life> {
  const draw = randomIntegers(seed);
  const wrong: string[] = [];
  const misfortune = draw(0, 2) === 0 ? { context: 10, tokenize: 10 } : {};
  const contexts = draw(1, 4);
  const fake = new FakeNative(draw, misfortune);
  const pool = fake.pool(contexts);
  const calls: RandomCall[] = [];
  for (let i = draw(5, 40); i > 0; i--) {
    const call = new RandomCall(pool, draw, 1000 * (calls.length + 1), "context" in misfortune);
    calls.push(call);
    await later(draw(0, 3));
  }
  // as Llama.close() does: the moment that no call is waited for, though an aborted one may still be on a lane
  const all = Promise.all(calls.map(({ fate }) => fate));
  const settled = await Promise.race([all, later(PATIENCE).then(() => undefined)]);
  pool.close();
  const fates = { encoded: 0, tokenised: 0, aborted: 0, failed: 0, unlucky: 0 };
  if (!settled) wrong.push("a promise is pending for ever");
  for (const fate of settled ?? []) fates[fate]++;
  await later(30);
  for (const call of calls) wrong.push(...call.wrong, ...call.counted(fake.computed));
  wrong.push(...fake.wrong);
  if (fake.lanes.length > contexts) wrong.push(`${fake.lanes.length} lanes of ${contexts}`);
  if (!fake.lanes.every(({ freed, running }) => freed && !running)) wrong.push("close() left a lane");
  if (fake.modelFreed !== 1) wrong.push(`the model was freed ${fake.modelFreed} times`);
  return { fates, wrong };
}

/** One call at random, and what is wrong with how it ended. */
class RandomCall {
  readonly wrong: string[] = [];
  readonly fate: Promise<Fate>;
  readonly #pool: Pool;
  readonly #draw: Draw;
  readonly #unlucky: boolean;
  /** Their first tokens are the call's own numbers. */
  #sequences: Sequence[] = [];
  #aborts = false;

  constructor(pool: Pool, draw: Draw, firstId: number, unlucky: boolean) {
    this.#pool = pool;
    this.#draw = draw;
    this.#unlucky = unlucky;
    this.fate = this.#run(firstId);
  }

  /** That each item was computed once if the call succeeded, and never twice. */
  counted(computed: ReadonlyMap<number, number>): string[] {
    return this.#sequences.flatMap(({ ids: [id = 0] }) => {
      const times = computed.get(id) ?? 0;
      const right = this.#succeeded ? times === 1 : times <= 1;
      return right ? [] : [`item ${id} was computed ${times} times`];
    });
  }

  #succeeded = false;

  async #run(firstId: number): Promise<Fate> {
    const draw = this.#draw;
    const controller = new AbortController();
    const { signal } = controller;
    this.#aborts = draw(0, 4) === 0;
    if (this.#aborts) void later(draw(0, 15)).then(() => controller.abort(new Error("enough")));
    const poison = draw(0, 9) === 0 ? draw(13, 15) : undefined;
    try {
      if (draw(0, 5) === 0) return await this.#tokenize(signal);
      this.#sequences = Array.from({ length: draw(1, 30) }, (_, i) => this.#sequence(firstId + i));
      const { ids } = this.#sequences[draw(0, this.#sequences.length - 1)]!;
      if (poison !== undefined && ids.length > 1) ids[draw(1, ids.length - 1)] = poison;
      await this.#encode(signal);
      this.#succeeded = true;
      if (this.#poison() !== undefined) this.wrong.push("a call with a poisoned item succeeded");
      return "encoded";
    } catch (error) {
      return this.#fateOf(error as Error);
    }
  }

  #sequence(id: number): Sequence {
    const ids = Int32Array.from({ length: this.#draw(1, this.#draw(0, 3) ? 12 : 90) }, () => this.#draw(20, 200));
    ids[0] = id;
    return { ids, truncated: false };
  }

  #poison(): number | undefined {
    return this.#sequences.flatMap(({ ids }) => [...ids]).find((token) => POISONS.has(token));
  }

  async #tokenize(signal: AbortSignal): Promise<Fate> {
    const texts = Array.from({ length: this.#draw(0, 20) }, () => "abcdefghij".slice(this.#draw(0, 9)));
    const ids = await this.#pool.tokenize(texts, "add", { signal });
    const found = ids.map((one) => String.fromCharCode(...one));
    if (found.join() !== texts.join()) this.wrong.push(`tokens of [${texts}] are those of [${found}]`);
    return "tokenised";
  }

  async #encode(signal: AbortSignal): Promise<void> {
    const done: number[] = [];
    const rows = await this.#pool.encode(this.#sequences, { signal, onDone: (n) => void done.push(n) });
    const found = rows.map((row) => row.join()).join(" ");
    const expected = this.#sequences.map(({ ids }) => rowOf(ids).join()).join(" ");
    if (found !== expected) this.wrong.push(`rows ${found}, expected ${expected}`);
    if (done.at(-1) !== rows.length || done.some((n, i) => n <= (done[i - 1] ?? 0))) this.wrong.push(`done: ${done}`);
  }

  #fateOf(error: Error): Fate {
    if (this.#aborts && error.message === "enough") return "aborted";
    if (error instanceof LlamaError) {
      if (error.code === CODES.get(this.#poison() ?? 0)) return "failed";
      if (this.#unlucky && error.code === "out-of-memory") return "unlucky";
    }
    this.wrong.push(`failed for no reason of its own: ${error.message}`);
    return "failed";
  }
}

/** How many passes were begun before the one that has a query of one item, which came while long lists were at work. */
export async function passesBeforeQuery(seed: number, lists: number): Promise<number> {
  const draw = randomIntegers(seed);
  const fake = new FakeNative(draw);
  const pool = fake.pool(draw(1, 3));
  const long = Array.from({ length: lists }, () => {
    const sequences = Array.from({ length: draw(60, 120) }, () => {
      return { ids: new Int32Array(draw(1, LIMITS.maxCost)).fill(20), truncated: false };
    });
    return pool.encode(sequences);
  });
  // when all lanes have their contexts: a pass that waits for one was taken, and is not begun yet
  const begun = draw(10, 20);
  while (fake.passes.length < begun) await later(1);
  const before = fake.passes.length;
  await pool.encode([{ ids: new Int32Array(draw(1, LIMITS.maxCost)).fill(21), truncated: false }]);
  const found = fake.passes.findIndex((pass) => pass.some(([first]) => first === 21));
  await Promise.all(long);
  pool.close();
  return found - before;
}
