/** Jobs that run on native lanes, as promises. Shared by both runtimes; an adapter only says when to look. */
import process from "node:process";
import { LlamaError, STATUS } from "./errors.ts";
import type { Library } from "./runtime/adapter.ts";
import type { Functions, Handle } from "./symbols.ts";

/** Where the number of this run is kept, for every copy of this package that is loaded into it. */
const RUN = Symbol.for("@llamasaur/llamasaur run");

/** The lanes of one JavaScript thread that have a job, and the promises that wait for them. */
export class Jobs {
  readonly #functions: Functions;
  readonly #queue: Handle;
  readonly #pending = new Map<number, () => void>();
  readonly #start: () => void;
  #lanes = 0;

  /** @param listen The adapter's way to be woken. */
  constructor(functions: Functions, listen: Library<Functions>["listen"]) {
    this.#functions = functions;
    const queue = functions.saur_queue_new(runNumber());
    if (queue === null) throw new LlamaError("out-of-memory", "Cannot allocate the completion queue");
    this.#queue = queue;
    this.#start = listen(functions, queue, () => this.#drain());
  }

  /** Makes a lane; its number is what `run` is called with. */
  newLane(logLevel: number): { readonly handle: Handle; readonly number: number } {
    const number = this.#lanes++;
    const handle = this.#functions.saur_lane_new(this.#queue, number, logLevel);
    if (handle === null) {
      throw new LlamaError(
        "out-of-memory",
        "Cannot start a native thread: the system has no more, or no memory for one",
      );
    }
    return { handle, number };
  }

  /**
   * Starts a job and waits for it.
   *
   * @param number The lane's number.
   * @param start Calls the native function that starts the job; a result other than OK is a refusal.
   * @returns OK, or the refusal. The job's own result is `saur_lane_result`.
   */
  run(number: number, start: () => number): Promise<number> {
    const status = start();
    if (status !== STATUS.OK) return Promise.resolve(status);
    return new Promise((resolve) => {
      this.#pending.set(number, () => resolve(STATUS.OK));
      this.#start();
    });
  }

  #drain(): boolean {
    for (
      let n = this.#functions.saur_queue_take(this.#queue);
      n >= 0;
      n = this.#functions.saur_queue_take(this.#queue)
    ) {
      const resolve = this.#pending.get(n);
      this.#pending.delete(n);
      resolve?.();
    }
    return this.#pending.size > 0;
  }
}

/**
 * A number for this run of JavaScript on its thread. `deno run --watch` ends a program without a word to it and runs the
 * next one on the same thread: by another number the library learns that what the last one left is nobody's.
 *
 * @returns 1 or more; 0, which tells nothing, where the process object takes no property.
 */
function runNumber(): number {
  const run = process as unknown as { [RUN]?: number }; // the runtime makes one for each run, and one for each worker
  if (run[RUN] === undefined && Object.isExtensible(process)) {
    Object.defineProperty(process, RUN, { value: 1 + Math.floor(Math.random() * 0x7ffffffe) });
  }
  return run[RUN] ?? 0;
}
