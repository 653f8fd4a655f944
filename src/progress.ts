/** Reports what a call has done so far to its `onProgress`. */
import type { Progress } from "./options.ts";

/** Counts texts, tokens and time. */
export class ProgressReporter {
  /** Tokens of the texts that are done. */
  tokens = 0;
  readonly #onProgress: ((progress: Progress) => void) | undefined;
  readonly #start = performance.now();
  #tokenized: number | undefined;
  #begun: number | undefined;

  /** @param onProgress The call's option; without it nothing is reported. */
  constructor(onProgress: ((progress: Progress) => void) | undefined) {
    this.#onProgress = onProgress;
  }

  /** Notes that all texts of the call are tokenised. */
  tokenized(): void {
    this.#tokenized = performance.now();
  }

  /** Notes that a pass with one of the call's texts begins; the first one counts. */
  begun(): void {
    this.#begun ??= performance.now();
  }

  /** Reports how many texts of how many are done. */
  report(done: number, total: number): void {
    const seconds = (performance.now() - this.#start) / 1000;
    this.#onProgress?.({
      done,
      total,
      tokens: this.tokens,
      rate: seconds > 0 ? done / seconds : 0,
      ...(this.#tokenized !== undefined && this.#begun !== undefined && {
        tokenizing: this.#tokenized - this.#start,
        waiting: this.#begun - this.#tokenized,
      }),
    });
  }
}
