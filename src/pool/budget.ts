/**
 * Divides a fixed number of bytes among holders, as a counting semaphore does.
 *
 * A holder that waits has released what it held, so the first in the queue always gets its turn.
 */

/** Bytes, and who holds them. */
export class Budget<Holder> {
  readonly #limit: number;
  readonly #held = new Map<Holder, number>();
  readonly #waiting: { readonly holder: Holder; readonly bytes: number; readonly go: () => void }[] = [];

  /** @param limit Bytes that all holders may hold together. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether a holder waits. */
  get contended(): boolean {
    return this.#waiting.length > 0;
  }

  /** Bytes that are held. */
  get held(): number {
    let sum = 0;
    for (const bytes of this.#held.values()) sum += bytes;
    return sum;
  }

  /** Whether a holder holds any. */
  holds(holder: Holder): boolean {
    return this.#held.has(holder);
  }

  /** Acquires bytes, at most the limit, in place of what the holder holds; waits until as many are free. */
  acquire(holder: Holder, bytes: number): Promise<void> {
    this.#held.delete(holder);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ holder, bytes, go: resolve });
    this.#grant();
    return promise;
  }

  /** Releases what a holder holds. */
  release(holder: Holder): void {
    this.#held.delete(holder);
    this.#grant();
  }

  /** Lets all waiting holders go on, whatever the limit: what they do next fails. */
  close(): void {
    for (const { go } of this.#waiting.splice(0)) go();
  }

  #grant(): void {
    for (let first = this.#waiting[0]; first && this.held + first.bytes <= this.#limit; first = this.#waiting[0]) {
      this.#waiting.shift();
      this.#held.set(first.holder, first.bytes);
      first.go();
    }
  }
}
