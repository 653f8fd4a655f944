/** Tries again what the database was away for, until it is back, or patience is over. */
import { EXIT, Failure } from "../failure.ts";
import { pause } from "../pause.ts";
import { duration } from "../progress.ts";
import { isAway, isPassing, passing, told } from "./database.ts";

const FIRST_PAUSE = 100; // milliseconds
const LONGEST_PAUSE = 5000;

/** Tries again. One for a process: the database is away for all or for none. */
export class Patience {
  readonly #limit: number;
  readonly #signal: AbortSignal;
  readonly #say: (line: string) => void;
  readonly #place: string;
  #since: number | undefined;

  /**
   * @param limit Milliseconds after which it is over.
   * @param signal Ends the waiting with its reason.
   */
  constructor(place: string, limit: number, signal: AbortSignal, say: (line: string) => void) {
    [this.#place, this.#limit, this.#signal, this.#say] = [place, limit, signal, say];
  }

  /** Whether the database is away. */
  get away(): boolean {
    return this.#since !== undefined;
  }

  /**
   * Runs something until the database is there for it.
   *
   * @throws {Failure} when the database was away for too long; the signal's reason; any other error as it comes.
   */
  async until<Result>(run: () => Promise<Result>): Promise<Result> {
    let since: number | undefined; // of this one alone: the others may well go on
    for (let wait = FIRST_PAUSE;; wait = Math.min(LONGEST_PAUSE, 2 * wait)) {
      this.#signal.throwIfAborted();
      try {
        const result = await run();
        this.#back();
        return result;
      } catch (error) {
        if (!isPassing(error)) throw error;
        if (isAway(error)) this.#since = this.#missed(error, this.#since);
        else since = this.#missed(error, since);
      }
      await pause(wait * (0.5 + Math.random()), this.#signal);
    }
  }

  #back(): void {
    if (this.#since === undefined) return;
    this.#say(`the database is back after ${duration((performance.now() - this.#since) / 1000)}`);
    this.#since = undefined;
  }

  /** Hears of one more miss. @returns Since when there are misses. */
  #missed(error: unknown, since: number | undefined): number {
    const now = performance.now();
    if (since === undefined) {
      this.#say(`the database ${this.#place} ${passing(error)}; trying again`);
      return now;
    }
    if (now - since <= this.#limit) return since;
    const was = isAway(error) ? "was away for" : `${passing(error)}, again and again for`;
    throw new Failure(
      `Cannot go on: the database ${this.#place} ${was} ${duration((now - since) / 1000)}${
        isAway(error) ? ` (${told(error)})` : ""
      }; --give-up says how long to wait`,
      EXIT.failed,
      { cause: error },
    );
  }
}
