/**
 * The only queue of work: what all calls wait for, and the lanes that take it.
 *
 * A free lane takes the next pass. Passes are shared: texts of a thousand calls made at once go together, and a
 * single query is not behind all of a long list.
 */
import { setImmediate } from "node:timers/promises";
import { LlamaError } from "../../ffi/errors.ts";
import { Lane, type LogLine, type Model, type Native, SPECIAL } from "../../ffi/mod.ts";
import { Call, type CallOptions, type Numbers } from "./call.ts";
import { Contexts, type Holder, type MemorySettings } from "./contexts.ts";
import { type Limits, longestFirst, type Share, Turns } from "./plan.ts";
import type { Pooling } from "../options.ts";
import { type Items, measureInSlices } from "../slices.ts";
import { ownTokens, type Sequence } from "../text/sequences.ts";
import { joined, type Special } from "../text/tokens.ts";

/** How a pool computes. */
export interface PoolSettings {
  /** Lanes at most; each is made when there is work for it. */
  readonly contexts: number;
  /** Threads of one lane's context. */
  readonly threads: number;
  readonly pooling: Pooling;
  /** Whether the contexts compute with our own kernels. */
  readonly kernels: boolean;
  /** Numbers of one row: dimensions, labels of a classification head, or answers. */
  readonly width: number;
  /** Tokens whose logits make a row, in place of an embedding. */
  readonly answers?: readonly number[] | undefined;
  /** What one pass holds. */
  readonly pass: Limits;
  /** What its contexts may take. */
  readonly memory: MemorySettings;
  /** What is done to a text before it is tokenised. */
  readonly prepare: ((text: string) => string | Promise<string>) | undefined;
  readonly onLog: ((line: LogLine) => void) | undefined;
}

// About 4 ms of tokenising, so that a query's pass is not held up by a long list's texts; the weight is UTF-16 units.
const TEXTS: Limits = { best: 32 * 1024, least: 8 * 1024, weight: 48 * 1024, count: 256 };

class TextCall extends Call<string, Int32Array> {
  special: Special = "add";
}
type SequenceCall = Call<Sequence, Float32Array>;

/** A lane, and what is on it. */
interface Slot extends Holder {
  /** Whether the last job was tokenising: then a pass is next, if one waits. */
  tokenised: boolean;
  calls: readonly { readonly settled: boolean }[];
}

/** Lanes that share a model, and the work that waits for them. */
export class Pool {
  readonly #native: Native;
  readonly #model: Model;
  readonly #settings: PoolSettings;
  readonly #texts = new Turns<TextCall>();
  readonly #sequences = new Turns<SequenceCall>();
  readonly #slots: Slot[] = [];
  readonly #idle: Slot[] = [];
  readonly #contexts: Contexts;
  readonly #unsettled = new Set<{ fail(reason: unknown): void }>();
  readonly #serving = new Set<Promise<void>>();
  #closed = false;
  #waking = false;

  /** @param first A lane to begin with, the one that loaded the model, and what its context takes in one pass, if it has one. */
  constructor(native: Native, model: Model, { lane, capacity }: Holder, settings: PoolSettings) {
    this.#native = native;
    this.#model = model;
    this.#settings = settings;
    this.#contexts = new Contexts(model, settings, () => this.#idle.splice(0).forEach((slot) => this.#start(slot)));
    this.#idle.push(this.#addSlot(lane, capacity));
  }

  /**
   * Tokenises texts.
   *
   * @param special What is done about special tokens; by default those go around a text that the model wants.
   */
  async tokenize(
    texts: Items<string>,
    special: Special = "add",
    options: CallOptions<Int32Array> = {},
  ): Promise<Int32Array[]> {
    const weights = await measureInSlices(texts, ({ length }) => length);
    const call = new TextCall(texts, weights, undefined, options);
    call.special = special;
    return await this.#submit<string, Int32Array, TextCall>(this.#texts, call, options.signal);
  }

  /**
   * Computes a row for each sequence: `width` numbers, or tokens × `width` with pooling none.
   *
   * @param sequences An array, or a list that knows its items' weights: how many of their tokens are their own.
   */
  async encode(
    sequences: Items<Sequence> & { readonly weights?: Uint32Array },
    options: CallOptions<Float32Array> = {},
  ): Promise<Float32Array[]> {
    const lengths = sequences.weights ?? await measureInSlices(sequences, ownTokens);
    const call = new Call<Sequence, Float32Array>(sequences, lengths, longestFirst(lengths), options);
    return await this.#submit<Sequence, Float32Array, SequenceCall>(this.#sequences, call, options.signal);
  }

  /**
   * Rejects what still waits, and frees the lanes and the model: each lane when its job, which is asked to stop, has
   * ended, since a call that was aborted or has failed leaves work behind.
   */
  async close(): Promise<void> {
    this.#closed = true;
    for (const call of this.#unsettled) call.fail(new LlamaError("closed", "Cannot go on: the model was closed"));
    for (const { lane } of this.#slots) lane.close();
    this.#contexts.close();
    await Promise.all(this.#serving);
    this.#model.close();
  }

  async #submit<I, R extends Numbers, L extends Call<I, R>>(
    turns: Turns<L>,
    call: L,
    signal?: AbortSignal,
  ): Promise<R[]> {
    signal?.throwIfAborted();
    if (this.#closed) throw new LlamaError("closed", "Cannot call a model after close()");
    if (call.items.length === 0) return [];
    const abort = (): void => {
      turns.remove(call);
      call.fail(signal?.reason);
      // A pass that others have a share in goes on: it is over in milliseconds.
      for (const slot of this.#slots) if (slot.calls.length && slot.calls.every((c) => c.settled)) slot.lane.abort();
    };
    signal?.addEventListener("abort", abort, { once: true });
    this.#unsettled.add(call);
    turns.add(call);
    this.#wakeSoon();
    try {
      return await call.promise;
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#unsettled.delete(call);
      turns.remove(call);
    }
  }

  /** Wakes lanes when all calls that are made at once are there, so that they are planned together. */
  #wakeSoon(): void {
    if (this.#waking) return;
    this.#waking = true;
    queueMicrotask(() => {
      this.#waking = false;
      this.#wake();
    });
  }

  #wake(): void {
    while (!this.#closed && this.#texts.size + this.#sequences.size > 0) {
      const slot = this.#idle.pop() ?? this.#grow();
      if (!slot) return;
      this.#start(slot);
    }
  }

  #start(slot: Slot): void {
    const served = this.#serve(slot).then(() => void this.#serving.delete(served));
    this.#serving.add(served);
  }

  get #allBusy(): boolean {
    return this.#idle.length === 0 && this.#slots.length >= this.#settings.contexts;
  }

  #grow(): Slot | undefined {
    if (this.#slots.length >= this.#settings.contexts) return undefined;
    try {
      return this.#addSlot(new Lane(this.#native, this.#settings.onLog));
    } catch {
      return undefined; // the system has no more threads: those that there are do the work
    }
  }

  #addSlot(lane: Lane, capacity = 0): Slot {
    const slot: Slot = { lane, capacity, tokenised: false, calls: [] };
    this.#slots.push(slot);
    return slot;
  }

  async #serve(slot: Slot): Promise<void> {
    do {
      for (let job = this.#next(slot); job; job = this.#next(slot)) {
        await job;
        // A query whose text has just been tokenised joins the pass that begins now, if it gets the time to ask for it.
        if (slot.tokenised && this.#sequences.size > 0 && this.#allBusy) await setImmediate();
      }
      // No needless await before it is idle: what came meanwhile would wait for nobody.
    } while (this.#contexts.wanted(slot) && await this.#contexts.release(slot));
    this.#idle.push(slot);
    // The last one is the next to work: one with a context, so that little work does not make others.
    this.#idle.sort((a, b) => a.capacity - b.capacity);
  }

  #next(slot: Slot): Promise<void> | undefined {
    if (this.#closed) return undefined;
    const { pass, contexts } = this.#settings;
    const passNext = slot.tokenised || this.#texts.size === 0;
    slot.tokenised = !(passNext && this.#sequences.size > 0);
    if (!slot.tokenised) return this.#pass(slot, this.#sequences.take(pass, contexts));
    return this.#texts.size > 0 ? this.#tokenise(slot, this.#texts.take(TEXTS, contexts)) : undefined;
  }

  async #tokenise(slot: Slot, shares: Share<TextCall>[]): Promise<void> {
    await this.#run<string, Int32Array, TextCall>(slot, shares, async (shares) => {
      const { prepare = (text) => text } = this.#settings;
      const given = shares.flatMap(({ line, items }) => items.map((i) => line.items.at(i)!));
      const texts: string[] = [];
      for (const text of given) texts.push(await prepare(text));
      checkWanted(slot);
      const bytes = new Uint8Array(texts.reduce((sum, text) => sum + text.length * 3, 1));
      const lengths = new Int32Array(texts.length);
      const special = Int32Array.from(
        shares.flatMap(({ line, items }) => Array<number>(items.length).fill(SPECIAL[line.special])),
      );
      let at = 0;
      texts.forEach((text, i) => at += lengths[i] = new TextEncoder().encodeInto(text, bytes.subarray(at)).written);
      const { ids, counts } = await slot.lane.tokenize(this.#model, bytes, lengths, special);
      return split(ids, counts);
    });
  }

  async #pass(slot: Slot, shares: Share<SequenceCall>[]): Promise<void> {
    const { width, pooling, answers } = this.#settings;
    await this.#run<Sequence, Float32Array, SequenceCall>(slot, shares, async (shares) => {
      const sequences = shares.flatMap(({ line, items }) => items.map((i) => line.items.at(i)!));
      const lengths = Int32Array.from(sequences, ({ ids }) => ids.length);
      const segmentB = Int32Array.from(sequences, ({ ids, segmentB }) => segmentB ?? ids.length);
      const prefixLengths = Int32Array.from(sequences, ({ prefixLength }) => prefixLength ?? 0);
      const tokens = joined(...sequences.map(({ ids }) => ids));
      const longest = prefixLengths.reduce((most, length) => Math.max(most, length), 0);
      const wanted = sequences.reduce((sum, sequence) => sum + ownTokens(sequence), longest);
      await this.#contexts.fit(slot, wanted);
      checkWanted(slot);
      const sizes = lengths.map((length) => pooling === "none" && !answers ? length * width : width);
      const rows = new Float32Array(sizes.reduce((sum, size) => sum + size, 0));
      const job = { tokens, lengths, segmentB, prefixLengths };
      await slot.lane.encode(job, rows).catch((e) => this.#contexts.explain(e, slot.capacity));
      return split(rows, sizes);
    });
  }

  /** Runs a job and gives each call its share of the results. */
  async #run<I, R extends Numbers, L extends Call<I, R>>(
    slot: Slot,
    shares: Share<L>[],
    job: (shares: Share<L>[]) => Promise<R[]>,
  ): Promise<void> {
    slot.calls = shares.map(({ line }) => line);
    try {
      const results = await job(shares);
      let start = 0;
      for (const { line, items } of shares) line.succeed(items, results.slice(start, start += items.length));
    } catch (error) {
      const waiting = shares.filter(({ line }) => !line.settled);
      if (slot.lane.failed) slot.capacity = 0;
      // What fails with one call's items must not fail another's: each is tried alone.
      if (shares.length > 1) {
        for (const share of waiting) if (!share.line.settled) await this.#run<I, R, L>(slot, [share], job);
      } else {
        waiting[0]?.line.fail(error);
      }
    } finally {
      slot.calls = [];
    }
  }
}

/** Views of numbers, one after another, of these lengths. */
function split<R extends Numbers>(numbers: R, lengths: Int32Array): R[] {
  let start = 0;
  return Array.from(lengths, (length) => numbers.subarray(start, start += length) as R);
}

/** Between two steps of a job: an abort reaches the lane only while it runs one. */
function checkWanted({ calls }: Slot): void {
  if (calls.every(({ settled }) => settled)) throw new Error("nobody waits for it any more");
}
