// The native side of a pool without a library: lanes and contexts as a model of their states, which writes down every
// call that the real one could not take.
import { setImmediate } from "node:timers/promises";
import { STATUS } from "../../ffi/errors.ts";
import { Lane, type Model, type Native } from "../../ffi/mod.ts";
import { byName, CONTEXT_OPTIONS } from "../../ffi/symbols.ts";
import { contextBytes } from "../../src/pool/memory.ts";
import { Pool } from "../../src/pool/pool.ts";
import type { randomIntegers } from "./random.ts";

export type Draw = ReturnType<typeof randomIntegers>;

/** Tokens that make the pass they are in fail, and how; ordinary ones are larger. */
export const POISONS: ReadonlyMap<number, number> = new Map([
  [13, STATUS.LOST],
  [14, STATUS.OUT_OF_MEMORY],
  [15, STATUS.ABORTED], // though nobody asked
]);
export const LIMITS = { targetCost: 48, minCost: 16, maxCost: 64, maxItems: 8 };
const WIDTH = 3;
/** What a context of any size takes: 64 rows of outputs. */
const SIZE = { weights: 0, cache: 0, compute: 0, row: 1000, perToken: true, head: 0 };

/** A lane: what its last job left, and its context. */
interface FakeLane {
  status: number;
  ids: number[];
  counts: number[];
  rows: number[];
  running: boolean;
  freed: boolean;
  /** Tokens and sequences of a pass; undefined without a context. */
  context: { readonly tokens: number; readonly sequences: number } | undefined;
  lost: boolean;
  /** Told at the end of a good pass. */
  encoded: Int32Array[];
}

/** What goes wrong that no call is to blame for; how often of a hundred, if nothing else is said. */
export interface Misfortune {
  readonly context?: number;
  readonly tokenize?: number;
  /** How many lanes the system has threads for. */
  readonly lanes?: number;
}

/** A row is [first token, sum, length]; each job ends some turns of the event loop later. */
export class FakeNative {
  readonly lanes: FakeLane[] = [];
  /** The sequences of every pass that was begun. */
  readonly passes: Int32Array[][] = [];
  /** How often each sequence, by its first token, was in a pass that ended well. */
  readonly computed: Map<number, number> = new Map();
  /** Calls that would have crashed, or that llama.cpp asserts on. */
  readonly wrong: string[] = [];
  modelFreed = 0;
  #limit = Infinity;
  readonly #draw: Draw;
  readonly #misfortune: Misfortune;

  constructor(draw: Draw, misfortune: Misfortune = {}) {
    this.#draw = draw;
    this.#misfortune = misfortune;
  }

  /**
   * A pool of at most this many lanes on this fake.
   *
   * @param limit Bytes of all contexts.
   */
  pool(contexts: number, limit?: number): Pool {
    this.#limit = limit ?? Infinity;
    const native = this.#native();
    const model = { handle: 1, close: () => void this.modelFreed++ } as unknown as Model;
    return new Pool(native, model, { lane: new Lane(native), capacity: 0 }, {
      contexts,
      threads: 1,
      pooling: "mean",
      kernels: false,
      row: { width: WIDTH, perToken: false },
      pass: LIMITS,
      memory: { sizes: { of: () => Promise.resolve(SIZE) }, weights: 0, limit },
      normalize: undefined,
      boundary: undefined,
      onLog: undefined,
    });
  }

  #native(): Native {
    const functions = {
      saur_lane_result: (lane: number) => this.#idle(lane).status,
      saur_lane_abort: (lane: number) => {
        const { running, status } = this.#of(lane);
        if (running && status === STATUS.OK) this.#of(lane).status = STATUS.ABORTED;
      },
      saur_lane_free: (lane: number) => void (this.#of(lane).freed = true),
      saur_log_drain: () => 0,
      saur_context_init: (lane: number, _model: unknown, options: Int32Array) => this.#initContext(lane, options),
      saur_context_free: (lane: number) => this.#freeContext(lane),
      saur_vocab_tokenize: (lane: number, _model: unknown, utf8: Uint8Array, lengths: Int32Array) =>
        this.#tokenize(lane, utf8, lengths),
      saur_vocab_counts: (lane: number, out: Int32Array) => {
        out.set(this.#idle(lane).counts);
        return this.#of(lane).ids.length;
      },
      saur_vocab_tokens: (lane: number, out: Int32Array) => out.set(this.#idle(lane).ids),
      saur_batch_encode: (lane: number, tokens: Int32Array, _n: number, lengths: Int32Array) =>
        this.#encode(lane, tokens, lengths),
      saur_pooling_embeddings: (lane: number, out: Float32Array) => {
        out.set(this.#idle(lane).rows);
        return this.#of(lane).rows.length;
      },
    };
    const newLane = (): { handle: number; number: number } => {
      if (this.lanes.length === this.#misfortune.lanes) throw new Error("no more threads");
      const lane = { status: 0, ids: [], counts: [], rows: [], running: false, freed: false, lost: false, encoded: [] };
      const number = this.lanes.push({ ...lane, context: undefined }) - 1;
      return { handle: number, number };
    };
    return { path: "", functions, jobs: { newLane, run: this.#run.bind(this) } } as unknown as Native;
  }

  async #run(number: number, start: () => number): Promise<number> {
    const refusal = start();
    if (refusal !== STATUS.OK) return refusal;
    for (let turns = this.#draw(0, 4); turns > 0; turns--) await setImmediate();
    const lane = this.lanes[number]!;
    lane.running = false;
    if (lane.status === STATUS.OK) {
      for (const [id = 0] of lane.encoded) this.computed.set(id, (this.computed.get(id) ?? 0) + 1);
    }
    lane.encoded = [];
    if (lane.freed) this.wrong.push("a lane freed in its job: its result is read afterwards");
    return STATUS.OK;
  }

  /** A lane that is not freed: the real one's memory would be gone. */
  #of(number: number): FakeLane {
    const lane = this.lanes[number]!;
    if (lane.freed) this.wrong.push("a call with a freed lane");
    return lane;
  }

  #idle(number: number): FakeLane {
    const lane = this.#of(number);
    if (lane.running) this.wrong.push("results read in the middle of a job");
    return lane;
  }

  #start(number: number, status: number): number {
    const lane = this.#of(number);
    if (lane.running) this.wrong.push("two jobs on a lane");
    if (this.modelFreed > 0) this.wrong.push("a job after the model was freed");
    lane.running = true;
    lane.status = status;
    return STATUS.OK;
  }

  #unlucky(percent = 0): boolean {
    return this.#draw(1, 100) <= percent;
  }

  #initContext(number: number, options: Int32Array): number {
    const { tokens, sequences } = byName(CONTEXT_OPTIONS, options);
    const lane = this.#of(number);
    const status = this.#unlucky(this.#misfortune.context) ? STATUS.OUT_OF_MEMORY : STATUS.OK;
    lane.context = status === STATUS.OK ? { tokens, sequences } : undefined;
    lane.lost = false;
    if (this.bytes > this.#limit) this.wrong.push(`${this.bytes} bytes of contexts`);
    return this.#start(number, status);
  }

  #freeContext(number: number): number {
    this.#of(number).context = undefined;
    return this.#start(number, STATUS.OK);
  }

  /** What all contexts take. */
  get bytes(): number {
    return this.lanes.reduce((sum, { context }) => sum + (context ? contextSize(context.tokens) : 0), 0);
  }

  #tokenize(number: number, utf8: Uint8Array, lengths: Int32Array): number {
    if (this.#unlucky(this.#misfortune.tokenize)) return STATUS.OUT_OF_MEMORY; // a refusal: nothing was started
    const lane = this.#of(number);
    lane.ids = [];
    lane.counts = [...lengths];
    let at = 0;
    for (const length of lengths) lane.ids.push(...utf8.subarray(at, at += length));
    return this.#start(number, STATUS.OK);
  }

  #encode(number: number, tokens: Int32Array, lengths: Int32Array): number {
    const lane = this.#of(number);
    if (lane.lost || !lane.context) this.wrong.push("a pass without a context");
    if (lengths.length > (lane.context?.sequences ?? 0)) this.wrong.push(`${lengths.length} sequences in a pass`);
    if (tokens.length > (lane.context?.tokens ?? 0)) this.wrong.push(`${tokens.length} tokens in a pass`);
    if (tokens.length > LIMITS.maxCost && lengths.length > 1) this.wrong.push(`${tokens.length} tokens of several`);
    let at = 0;
    lane.encoded = Array.from(lengths, (length) => tokens.slice(at, at += length));
    this.passes.push(lane.encoded);
    lane.rows = lane.encoded.flatMap(rowOf);
    const poison = [...tokens].find((token) => POISONS.has(token)) ?? 0;
    const status = POISONS.get(poison) ?? STATUS.OK;
    lane.lost = status === STATUS.LOST;
    return this.#start(number, status);
  }
}

/** What a context of the fake takes. */
export function contextSize(tokens: number): number {
  return contextBytes(SIZE, tokens, tokens, LIMITS.maxItems);
}

/** What the fake computes of a sequence. */
export function rowOf(ids: Int32Array): number[] {
  return [ids[0]!, ids.reduce((sum, id) => sum + id, 0), ids.length];
}

/** Some turns of the event loop. */
export async function later(turns: number): Promise<void> {
  for (let i = 0; i < turns; i++) await setImmediate();
}
