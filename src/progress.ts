/** What a call has done so far, told to its `onProgress`. */
import type { Progress } from "./options.ts";

/** Counts texts, tokens and time. */
export class Meter {
  /** Tokens of what is done. */
  tokens = 0;
  readonly #tell: ((progress: Progress) => void) | undefined;
  readonly #start = performance.now();

  /** @param tell The option; without it nothing happens. */
  constructor(tell: ((progress: Progress) => void) | undefined) {
    this.#tell = tell;
  }

  /** Tells how many of how many are done. */
  tell(done: number, total: number): void {
    const seconds = (performance.now() - this.#start) / 1000;
    this.#tell?.({ done, total, tokens: this.tokens, rate: seconds > 0 ? done / seconds : 0 });
  }
}
