/** One call's items in the pool, and the promise of their results. */
import { Line } from "./plan.ts";
import type { Items } from "../slices.ts";

/** What an item becomes. */
export type Numbers = Int32Array | Float32Array;

/** What a caller can do to its work while it waits or runs. */
export interface CallOptions<Result = unknown> {
  readonly signal?: AbortSignal | undefined;
  /**
   * Turns each result into what the call gives, as it comes, so that the event loop is not held at the end. What it is
   * given is a view of the results of a whole pass: to be used up or copied, but not to be kept; by default it is copied.
   */
  readonly finish?: ((result: Result, index: number) => Result) | undefined;
  /** Called after each pass with how many of the call's items are done. */
  readonly onDone?: ((done: number) => void) | undefined;
}

/** The line of a call. */
export class Call<Item, Result extends Numbers> extends Line {
  readonly items: Items<Item>;
  readonly promise: Promise<Result[]>;
  settled = false;
  readonly #results: Result[];
  readonly #resolve: (results: Result[]) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #options: CallOptions<Result>;
  #done = 0;

  constructor(
    items: Items<Item>,
    weights: ArrayLike<number>,
    order?: ArrayLike<number>,
    options: CallOptions<Result> = {},
  ) {
    super(weights, order);
    this.items = items;
    this.#results = new Array(items.length);
    this.#options = options;
    const { promise, resolve, reject } = Promise.withResolvers<Result[]>();
    this.promise = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Takes the results of some items; with the last of them the promise is kept. */
  succeed(indices: readonly number[], results: readonly Result[]): void {
    if (this.settled) return;
    const { finish = (result) => result.slice() as Result, onDone } = this.#options;
    this.#done += indices.length;
    try {
      indices.forEach((index, i) => this.#results[index] = finish(results[i]!, index));
      onDone?.(this.#done);
    } catch (error) {
      this.fail(error);
      return;
    }
    if (this.#done < this.items.length) return;
    this.settled = true;
    this.#resolve(this.#results);
  }

  /** Breaks the promise. */
  fail(reason: unknown): void {
    this.settled = true;
    this.#reject(reason);
  }
}
