/** Lets jobs go side by side, and a suspect alone: what ends a worker then takes no other job with it. */
import { pause } from "../pause.ts";

/** Gives a turn back. */
export type Release = () => void;

/** Turns that are shared or alone; who waits to be alone goes before those who come later. */
export class Turns {
  #shared = 0;
  #alone = false;
  readonly #waiting: { readonly alone: boolean; readonly begin: () => void }[] = [];

  /** Waits for a turn. */
  async take(alone: boolean): Promise<Release> {
    await new Promise<void>((begin) => {
      this.#waiting.push({ alone, begin });
      this.#next();
    });
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      if (alone) this.#alone = false;
      else this.#shared--;
      this.#next();
    };
  }

  #next(): void {
    for (let first = this.#waiting[0]; first && !this.#alone; first = this.#waiting[0]) {
      if (first.alone && this.#shared > 0) return;
      this.#waiting.shift();
      if (first.alone) this.#alone = true;
      else this.#shared++;
      first.begin();
    }
  }
}

/** So many at once. */
export class Places {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(places: number) {
    this.#free = places;
  }

  /** Waits for a place. */
  async take(): Promise<Release> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((begin) => this.#waiting.push(begin));
    return () => {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    };
  }
}

/** What tells the time, and waits. */
export interface Clock {
  /** Milliseconds. */
  now(): number;
  wait(milliseconds: number, signal: AbortSignal): Promise<void>;
}

const CLOCK: Clock = { now: () => performance.now(), wait: pause };

/** No more than so many texts a second, whoever computes them. */
export class Rate {
  readonly #rate: number;
  readonly #clock: Clock;
  #next = 0;

  /** @param rate Texts a second; undefined for any. */
  constructor(rate: number = Infinity, clock: Clock = CLOCK) {
    [this.#rate, this.#clock] = [rate, clock];
  }

  /** Cuts rows into what a second may have at most, and gives each part when it is its time; ends early with the signal's reason. */
  async *parts<Row>(rows: readonly Row[], signal: AbortSignal): AsyncGenerator<readonly Row[]> {
    const size = Math.min(this.#rate, Math.max(1, rows.length));
    for (let i = 0; i < Math.max(1, rows.length); i += size) {
      const part = rows.slice(i, i + size);
      const now = this.#clock.now();
      const at = Math.max(now, this.#next);
      this.#next = at + 1000 * part.length / this.#rate;
      if (at > now) await this.#clock.wait(at - now, signal);
      signal.throwIfAborted();
      yield part;
    }
  }
}
