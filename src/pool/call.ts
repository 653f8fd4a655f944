/** Holds one call's waiting items and the promise of their results. */
import { LlamaError } from "../../ffi/errors.ts";
import { Queue } from "./plan.ts";
import type { Items } from "../slices.ts";

/** What an item becomes. */
export type Numbers = Int32Array | Float32Array;

/** What a caller does with its work while it waits or runs. */
export interface CallOptions<Result = unknown> {
  readonly signal?: AbortSignal | undefined;
  /**
   * Turns each result into what the call returns, as it comes, so that the event loop is not held at the end. It gets a view
   * of the results of a whole pass, which it must use up or copy, not keep; by default the view is copied.
   */
  readonly finish?: ((result: Result, index: number) => Result) | undefined;
  /** Names the item for which alone there is no memory, for the message. */
  readonly nameOf?: ((index: number) => string) | undefined;
  /** Called when a pass with some of the call's items begins. */
  readonly onStart?: (() => void) | undefined;
  /** Called after each pass with how many of the call's items are done so far. */
  readonly onDone?: ((done: number) => void) | undefined;
}

/** The queue of a call. */
export class Call<Item, Result extends Numbers> extends Queue {
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
    costs: ArrayLike<number>,
    order?: ArrayLike<number>,
    options: CallOptions<Result> = {},
  ) {
    super(costs, order);
    this.items = items;
    this.#results = new Array(items.length);
    this.#options = options;
    const { promise, resolve, reject } = Promise.withResolvers<Result[]>();
    this.promise = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** A pass with some of the items begins. */
  start(): void {
    this.#options.onStart?.();
  }

  /** Takes the results of some items; the last of them resolves the promise. */
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

  /** Rejects the promise with what some items met: a pass of one item that takes too much memory is that item's fault. */
  failAt(items: readonly number[], reason: unknown): void {
    const { nameOf } = this.#options;
    if (nameOf && items.length === 1 && reason instanceof LlamaError && reason.code === "out-of-memory") {
      const message = `${reason.message} (for ${nameOf(items[0]!)})`;
      this.fail(new LlamaError(reason.code, message, { cause: reason, memoryLimit: reason.memoryLimit }));
    } else this.fail(reason);
  }

  /** Rejects the promise. */
  fail(reason: unknown): void {
    this.settled = true;
    this.#reject(reason);
  }
}
