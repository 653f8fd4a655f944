/** Counts the tokens that wait, refuses what is too much, and knows how fast they go. */
import { Problem } from "./problem.ts";

/** A request's place in the queue. */
export interface Ticket {
  /** Tells how many of its tokens and texts are computed. */
  progress(tokens: number, texts: number): void;
  /** Leaves the queue. */
  leave(): void;
}

const REMEMBERED = 0.2; // weight of the newest measurement of the rate
const SPAN = 200; // milliseconds that one measurement lasts at least
const SECONDS = 60; // the longest wait that is told

/** The queue of a model. The texts themselves wait in the library; here they are numbers. */
export class TokenQueue {
  readonly #limit: number;
  readonly #now: () => number;
  #waiting = 0;
  #texts = 0;
  #requests = 0;
  #rate = 0;
  #computed = 0;
  #since: number;

  /** @param limit Tokens that may wait. */
  constructor(limit: number, now: () => number = () => performance.now()) {
    this.#limit = limit;
    this.#now = now;
    this.#since = now();
  }

  /** Tokens that wait or are computed. */
  get tokens(): number {
    return this.#waiting;
  }

  /** Texts that wait or are computed. */
  get texts(): number {
    return this.#texts;
  }

  /** Tokens a second, of the time in which there was work. */
  get rate(): number {
    return this.#rate;
  }

  /**
   * Takes a place. An empty queue takes any request, so that none is too large for ever.
   *
   * @throws {Problem} `overloaded` when the queue is full.
   */
  enter(tokens: number, texts: number): Ticket {
    if (this.#requests > 0 && this.#waiting + tokens > this.#limit) throw this.#full(tokens);
    if (this.#requests === 0) this.#since = this.#now();
    this.#requests++;
    this.#waiting += tokens;
    this.#texts += texts;
    const left = { tokens, texts };
    let told = 0;
    let ended = false;
    const take = (tokens: number, texts: number): void => {
      left.tokens -= tokens;
      this.#waiting -= tokens;
      left.texts -= texts;
      this.#texts -= texts;
    };
    return {
      progress: (computed, done) => {
        if (ended) return;
        this.#measure(computed - told);
        // Tokens were estimated: they may end before the texts do.
        take(Math.min(left.tokens, computed - told), Math.min(left.texts, done - (texts - left.texts)));
        told = computed;
      },
      leave: () => {
        if (ended) return;
        ended = true;
        take(left.tokens, left.texts);
        this.#requests--;
      },
    };
  }

  #measure(tokens: number): void {
    this.#computed += tokens;
    const span = this.#now() - this.#since;
    if (span < SPAN) return;
    const rate = this.#computed / span * 1000;
    this.#rate = this.#rate === 0 ? rate : this.#rate + REMEMBERED * (rate - this.#rate);
    this.#computed = 0;
    this.#since = this.#now();
  }

  #full(tokens: number): Problem {
    const over = this.#waiting + tokens - this.#limit;
    const seconds = this.#rate === 0 ? 1 : Math.ceil(Math.min(over, this.#waiting) / this.#rate);
    return new Problem(
      "overloaded",
      `Cannot take ${tokens} tokens now: ${this.#waiting} wait, and the limit is ${this.#limit} (--max-queue-tokens)`,
      { retryAfter: Math.min(SECONDS, Math.max(1, seconds)) },
    );
  }
}
