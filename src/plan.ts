/**
 * Which waiting items go into the next pass: pure bookkeeping, nothing native.
 *
 * Every call has a line. A pass takes one item of every line in turn and goes round until it is full, so a single
 * query is in the first or second pass after it came, however long the lines before it are.
 */

/** What one pass can hold. */
export interface Limits {
  /** The sum of weights (tokens, or bytes of text). An item above it goes alone. */
  readonly weight: number;
  /** How many items. */
  readonly count: number;
}

/** The items of one call that wait. */
export class Line {
  readonly #weights: ArrayLike<number>;
  readonly #order: ArrayLike<number>;
  #next = 0;

  /**
   * @param weights The weight of each item.
   * @param order The items' indices in the order they are to be taken; by default as they come.
   */
  constructor(weights: ArrayLike<number>, order?: ArrayLike<number>) {
    this.#weights = weights;
    this.#order = order ?? { length: weights.length };
  }

  /** How many items wait. */
  get size(): number {
    return this.#order.length - this.#next;
  }

  /** The weight of the item that is next. */
  get weight(): number {
    return this.#weights[this.#index] ?? 0;
  }

  /** Takes the next item and returns its index. */
  take(): number {
    const index = this.#index;
    this.#next++;
    return index;
  }

  get #index(): number {
    return this.#order[this.#next] ?? this.#next;
  }
}

/** Items of one line in a pass. */
export interface Share<L extends Line> {
  readonly line: L;
  readonly items: number[];
}

// How many lines whose next item does not fit are passed over before a pass is called full.
const LOOKAHEAD = 32;

/** Lines that take turns. */
export class Turns<L extends Line> {
  // A Set keeps its order, and a line that is deleted and added again goes to the end, also of a running iteration.
  readonly #lines = new Set<L>();

  /** How many lines wait. */
  get size(): number {
    return this.#lines.size;
  }

  /** Puts a line at the end; an empty one is left out. */
  add(line: L): void {
    if (line.size > 0) this.#lines.add(line);
  }

  /** Takes a line out, with all that waits in it. */
  remove(line: L): void {
    this.#lines.delete(line);
  }

  /**
   * Takes the next pass: never empty while a line waits, never above the limits but for one item alone.
   *
   * @param limits What the pass can hold.
   * @returns The items by line, in the order of the lines' first turn.
   */
  take(limits: Limits): Share<L>[] {
    const shares = new Map<L, number[]>();
    let room = limits.weight;
    let count = 0;
    let misses = 0;
    for (const line of this.#lines) {
      if (count === limits.count || misses === LOOKAHEAD) break;
      if (count > 0 && line.weight > room) {
        misses++;
        continue;
      }
      room -= line.weight;
      count++;
      const items = shares.get(line);
      if (items) items.push(line.take());
      else shares.set(line, [line.take()]);
      this.#lines.delete(line);
      if (line.size > 0) this.#lines.add(line);
    }
    return Array.from(shares, ([line, items]) => ({ line, items }));
  }
}

/** The indices of lengths from the longest to the shortest; equal ones keep their order. */
export function longestFirst(lengths: ArrayLike<number>): Uint32Array {
  const order = Uint32Array.from({ length: lengths.length }, (_, i) => i);
  return order.sort((a, b) => lengths[b]! - lengths[a]! || a - b);
}

/**
 * What one encoder pass should hold.
 *
 * The mask grows with the square of a pass's tokens, while a short pass pays the overhead of a graph. On MiniLM packs of
 * 256 tokens were best on a CPU with AVX-512 and within 5 % of packs of 128 on one with AVX2; 512 was worse on both
 * (`deno task bench:paragraphs` prints the grid). llama.cpp also allocates vocabulary × tokens × 4 bytes of logits for
 * every pass, used or not, so a large vocabulary makes the pass smaller.
 *
 * @param vocabularySize Entries of the model's vocabulary.
 * @returns Tokens and sequences of a pass. A longer sequence still goes, alone.
 */
export function passLimits(vocabularySize: number): Limits {
  const byVocabulary = Math.floor(LOGITS_BYTES / (4 * Math.max(1, vocabularySize)));
  return { weight: Math.max(32, Math.min(256, byVocabulary)), count: 64 };
}

const LOGITS_BYTES = 256 * 1024 * 1024;
