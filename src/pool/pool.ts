/**
 * Queues the work of all calls and hands it to lanes. There is no other queue.
 *
 * A free lane takes the next pass. Calls share passes: texts of a thousand calls made at once go together, and a single
 * query does not wait for all of a long list.
 */
import { setImmediate } from "node:timers/promises";
import { LlamaError } from "../../ffi/errors.ts";
import { Lane, type Model, type Native, SPECIAL } from "../../ffi/mod.ts";
import { Call, type CallOptions, type Numbers } from "./call.ts";
import { type ContextHolder, Contexts, type MemorySettings } from "./contexts.ts";
import { longestFirst, type PassLimits, Scheduler, type Share } from "./plan.ts";
import { itemsOf, packSequences, packTexts, resultSizes, type RowShape, split } from "./wire.ts";
import type { LogLine, Pooling } from "../options.ts";
import { type Items, measureInSlices } from "../slices.ts";
import type { Boundary } from "../text/parts.ts";
import { ownTokens, type Sequence } from "../text/sequences.ts";
import type { Special } from "../text/tokens.ts";

/** How a pool computes. */
export interface PoolSettings {
  /** Lanes at most; each is made when there is work for it. */
  readonly contexts: number;
  /** Threads of one lane's context. */
  readonly threads: number;
  readonly pooling: Pooling;
  /** Whether the contexts compute with our own kernels. */
  readonly kernels: boolean;
  readonly row: RowShape;
  /** Tokens whose logits make a row, in place of an embedding. */
  readonly answers?: readonly number[] | undefined;
  /** What one pass holds. */
  readonly pass: PassLimits;
  /** How much memory its contexts may take. */
  readonly memory: MemorySettings;
  /** Normalises a text before it is tokenised. */
  readonly normalize: ((text: string) => string | Promise<string>) | undefined;
  /** Where a long text may be cut. */
  readonly boundary: Boundary | undefined;
  readonly onLog: ((line: LogLine) => void) | undefined;
}

// About 4 ms of tokenising, so that a query's pass does not wait long for the texts of a list; the cost is UTF-16 units.
const TEXTS: PassLimits = { targetCost: 32 * 1024, minCost: 8 * 1024, maxCost: 48 * 1024, maxItems: 256 };

class TextCall extends Call<string, Int32Array> {
  special: Special = "add";
}
type SequenceCall = Call<Sequence, Float32Array>;

/** A lane and its work. */
interface Slot extends ContextHolder {
  /** Whether the last job was tokenising: then a pass is next, if one waits. */
  tokenizedLast: boolean;
  /** The calls whose items the running job holds. */
  calls: readonly { readonly settled: boolean }[];
  /** Receives the rows of each pass, but of the largest. */
  rows: Float32Array;
}

/** What a model has computed since it was loaded, and what waits: `llama.activity`. */
export interface Activity {
  /** Sequences that were computed: one a text, or one a window. Equal texts of a call are one. */
  readonly sequences: number;
  /** Tokens that were computed. */
  readonly tokens: number;
  /** Passes that were computed. */
  readonly passes: number;
  /** What the last pass held. */
  readonly lastPass: { readonly sequences: number; readonly tokens: number };
}

/** Lanes that share a model, and the waiting work. */
export class Pool {
  readonly #native: Native;
  readonly #model: Model;
  readonly #settings: PoolSettings;
  readonly #texts = new Scheduler<TextCall>();
  readonly #sequences = new Scheduler<SequenceCall>();
  readonly #slots: Slot[] = [];
  readonly #idle: Slot[] = [];
  readonly #contexts: Contexts;
  readonly #unsettled = new Set<{ fail(reason: unknown): void }>();
  readonly #working = new Set<Promise<void>>();
  #activity: Activity = { sequences: 0, tokens: 0, passes: 0, lastPass: { sequences: 0, tokens: 0 } };
  #closed = false;
  #assignmentDue = false;

  /** @param first The first lane, which loaded the model, and the size of its context, 0 without one. */
  constructor(native: Native, model: Model, { lane, capacity }: ContextHolder, settings: PoolSettings) {
    this.#native = native;
    this.#model = model;
    this.#settings = settings;
    this.#contexts = new Contexts(
      model,
      settings,
      () => this.#idle.splice(0).forEach((slot) => this.#startWorking(slot)),
    );
    this.#idle.push(this.#addSlot(lane, capacity));
  }

  /** Where a long text may be cut. */
  get boundary(): Boundary | undefined {
    return this.#settings.boundary;
  }

  /** What was computed so far. */
  get activity(): Activity {
    return this.#activity;
  }

  /**
   * Tokenises texts.
   *
   * @param special Which special tokens a text gets; by default those that the model wants around it.
   * @returns The token ids of each text.
   */
  async tokenize(
    texts: Items<string>,
    special: Special = "add",
    options: CallOptions<Int32Array> = {},
  ): Promise<Int32Array[]> {
    const costs = await measureInSlices(texts, ({ length }) => length);
    const call = new TextCall(texts, costs, undefined, options);
    call.special = special;
    return await this.#enqueue<string, Int32Array, TextCall>(this.#texts, call, options.signal);
  }

  /**
   * Computes a row of `row.width` numbers for each sequence, or with `row.perToken` for each of its tokens.
   *
   * @param sequences An array, or a list that knows its items' costs: how many tokens are computed for each alone.
   * @returns The rows of each sequence, one after another.
   */
  async encode(
    sequences: Items<Sequence> & { readonly costs?: Uint32Array },
    options: CallOptions<Float32Array> = {},
  ): Promise<Float32Array[]> {
    const costs = sequences.costs ?? await measureInSlices(sequences, ownTokens);
    const call = new Call<Sequence, Float32Array>(sequences, costs, longestFirst(costs), options);
    return await this.#enqueue<Sequence, Float32Array, SequenceCall>(this.#sequences, call, options.signal);
  }

  /**
   * Rejects all waiting calls and frees the lanes and the model. A running job is asked to stop, and its lane is freed when it
   * has ended: a call that was aborted or has failed leaves work behind.
   */
  async close(): Promise<void> {
    this.#closed = true;
    for (const call of this.#unsettled) call.fail(new LlamaError("closed", "Cannot go on: the model was closed"));
    for (const { lane } of this.#slots) lane.close();
    this.#contexts.close();
    await Promise.all(this.#working);
    this.#model.close();
  }

  /** Queues a call and waits for its results. */
  async #enqueue<I, R extends Numbers, C extends Call<I, R>>(
    scheduler: Scheduler<C>,
    call: C,
    signal?: AbortSignal,
  ): Promise<R[]> {
    signal?.throwIfAborted();
    if (this.#closed) throw new LlamaError("closed", "Cannot call a model after close()");
    if (call.items.length === 0) return [];
    const abort = (): void => {
      scheduler.remove(call);
      call.fail(signal?.reason);
      // A pass that others share goes on: it is over in milliseconds.
      for (const slot of this.#slots) if (slot.calls.length && slot.calls.every((c) => c.settled)) slot.lane.abort();
    };
    signal?.addEventListener("abort", abort, { once: true });
    this.#unsettled.add(call);
    scheduler.add(call);
    this.#assignSoon();
    try {
      return await call.promise;
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#unsettled.delete(call);
      scheduler.remove(call);
    }
  }

  /** Assigns the work when all calls of this moment are queued, so that they are planned together. */
  #assignSoon(): void {
    if (this.#assignmentDue) return;
    this.#assignmentDue = true;
    queueMicrotask(() => {
      this.#assignmentDue = false;
      this.#assignToLanes();
    });
  }

  /** Starts idle lanes, and new ones, while there is work. */
  #assignToLanes(): void {
    while (!this.#closed && this.#texts.size + this.#sequences.size > 0) {
      const slot = this.#idle.pop() ?? this.#openLane();
      if (!slot) return;
      this.#startWorking(slot);
    }
  }

  #startWorking(slot: Slot): void {
    const working = this.#workUntilIdle(slot).then(() => void this.#working.delete(working));
    this.#working.add(working);
  }

  get #allBusy(): boolean {
    return this.#idle.length === 0 && this.#slots.length >= this.#settings.contexts;
  }

  #openLane(): Slot | undefined {
    if (this.#slots.length >= this.#settings.contexts) return undefined;
    try {
      return this.#addSlot(new Lane(this.#native, this.#settings.onLog));
    } catch {
      return undefined; // the system has no more threads: the other lanes do the work
    }
  }

  #addSlot(lane: Lane, capacity = 0): Slot {
    const slot: Slot = { lane, capacity, tokenizedLast: false, calls: [], rows: new Float32Array() };
    this.#slots.push(slot);
    return slot;
  }

  async #workUntilIdle(slot: Slot): Promise<void> {
    do {
      for (let job = this.#startJob(slot); job; job = this.#startJob(slot)) {
        await job;
        // A query whose text has just been tokenised joins the pass that begins now, if it gets the time to ask for it.
        if (slot.tokenizedLast && this.#sequences.size > 0 && this.#allBusy) await setImmediate();
      }
      // No needless await before the lane is idle: work that came meanwhile would wait for no one.
    } while (this.#contexts.isContended(slot) && await this.#contexts.release(slot));
    this.#idle.push(slot);
    // The last one works next: one with a context, so that little work does not make others.
    this.#idle.sort((a, b) => a.capacity - b.capacity);
  }

  /** Starts the lane's next job, tokenising and passes in turn; undefined without work. */
  #startJob(slot: Slot): Promise<void> | undefined {
    if (this.#closed) return undefined;
    const { pass, contexts } = this.#settings;
    const passNext = slot.tokenizedLast || this.#texts.size === 0;
    slot.tokenizedLast = !(passNext && this.#sequences.size > 0);
    if (!slot.tokenizedLast) return this.#encodeSequences(slot, this.#sequences.take(pass, contexts));
    return this.#texts.size > 0 ? this.#tokenizeTexts(slot, this.#texts.take(TEXTS, contexts)) : undefined;
  }

  async #tokenizeTexts(slot: Slot, shares: Share<TextCall>[]): Promise<void> {
    await this.#runJob<string, Int32Array, TextCall>(slot, shares, async (shares) => {
      const { normalize = (text) => text } = this.#settings;
      const texts: string[] = [];
      for (const text of itemsOf(shares)) texts.push(await normalize(text));
      throwIfUnwanted(slot);
      const { utf8, lengths } = packTexts(texts);
      const special = Int32Array.from(
        shares.flatMap(({ queue, items }) => Array<number>(items.length).fill(SPECIAL[queue.special])),
      );
      const { ids, counts } = await slot.lane.tokenize(this.#model, utf8, lengths, special);
      return split(ids, counts);
    });
  }

  async #encodeSequences(slot: Slot, shares: Share<SequenceCall>[]): Promise<void> {
    await this.#runJob<Sequence, Float32Array, SequenceCall>(slot, shares, async (shares) => {
      const pass = packSequences(itemsOf(shares));
      await this.#contexts.ensure(slot, pass.computed);
      throwIfUnwanted(slot);
      for (const { queue } of shares) queue.start();
      const sizes = resultSizes(pass.lengths, this.#settings.row);
      const rows = rowsFor(slot, sizes.reduce((sum, size) => sum + size, 0));
      await slot.lane.encode(pass, rows).catch((e) => this.#contexts.rethrow(e, slot.capacity));
      this.#count(pass.lengths.length, pass.computed);
      return split(rows, sizes);
    });
  }

  #count(sequences: number, tokens: number): void {
    const before = this.#activity;
    this.#activity = {
      sequences: before.sequences + sequences,
      tokens: before.tokens + tokens,
      passes: before.passes + 1,
      lastPass: { sequences, tokens },
    };
  }

  /** Runs a job and gives each call its share of the results. */
  async #runJob<I, R extends Numbers, C extends Call<I, R>>(
    slot: Slot,
    shares: Share<C>[],
    job: (shares: Share<C>[]) => Promise<R[]>,
  ): Promise<void> {
    slot.calls = shares.map(({ queue }) => queue);
    try {
      const results = await job(shares);
      let start = 0;
      for (const { queue, items } of shares) queue.succeed(items, results.slice(start, start += items.length));
    } catch (error) {
      const waiting = shares.filter(({ queue }) => !queue.settled);
      if (slot.lane.failed) slot.capacity = 0;
      // One call's items must not make another call fail: each is tried alone.
      if (shares.length > 1) {
        for (const share of waiting) if (!share.queue.settled) await this.#runJob<I, R, C>(slot, [share], job);
      } else {
        waiting[0]?.queue.failAt(waiting[0].items, error);
      }
    } finally {
      slot.calls = [];
    }
  }
}

/** Numbers that a lane keeps room for: 1 MB, while a row for every token may take 32 times as much. */
const KEPT_ROWS = 1 << 18;

/**
 * Room for the rows of a pass, which hold until the next one begins. As garbage they were 1.5 KB a text, of which V8 collects the
 * first when there are tens of MB.
 */
function rowsFor(slot: Slot, count: number): Float32Array {
  if (count > KEPT_ROWS) return new Float32Array(count);
  if (slot.rows.length < count) slot.rows = new Float32Array(count);
  return slot.rows.subarray(0, count);
}

/** Ends a job between two of its steps, once all its calls are settled: an abort reaches a lane only while it runs. */
function throwIfUnwanted({ calls }: Slot): void {
  if (calls.every(({ settled }) => settled)) throw new Error("no call waits for this job any more");
}
