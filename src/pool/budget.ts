/** Memory that several share. Who waits for some has given back what it had, so the first in line always gets its turn. */

/** Bytes, and who holds them. */
export class Budget<Holder> {
  readonly #limit: number;
  readonly #held = new Map<Holder, number>();
  readonly #line: { readonly holder: Holder; readonly bytes: number; readonly go: () => void }[] = [];

  /** @param limit Bytes to hold at once. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether somebody waits. */
  get wanted(): boolean {
    return this.#line.length > 0;
  }

  /** Bytes that are held. */
  get used(): number {
    let sum = 0;
    for (const bytes of this.#held.values()) sum += bytes;
    return sum;
  }

  /** Whether a holder has any. */
  has(holder: Holder): boolean {
    return this.#held.has(holder);
  }

  /** Takes bytes, no more than the limit, in place of what the holder has; waits until there are as many. */
  take(holder: Holder, bytes: number): Promise<void> {
    this.#held.delete(holder);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#line.push({ holder, bytes, go: resolve });
    this.#serve();
    return promise;
  }

  /** Gives back what a holder has. */
  give(holder: Holder): void {
    this.#held.delete(holder);
    this.#serve();
  }

  /** Lets all go on that wait, whatever the limit: what they do next fails. */
  close(): void {
    for (const { go } of this.#line.splice(0)) go();
  }

  #serve(): void {
    for (let first = this.#line[0]; first && this.used + first.bytes <= this.#limit; first = this.#line[0]) {
      this.#line.shift();
      this.#held.set(first.holder, first.bytes);
      first.go();
    }
  }
}
