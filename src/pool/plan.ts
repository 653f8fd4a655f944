/**
 * Packs waiting items into passes. Pure bookkeeping: nothing native, no imports.
 *
 * Every call has a queue. A pass takes one item of every queue in turn and goes round until it is full, so a single query is
 * in the first or second pass after it came, however long the queues before it are. Waiting work is spread evenly over
 * passes and lanes, so that at the end no lane is idle while another has a full pass before it.
 */

/** What one pass holds. The cost of a sequence is its tokens, that of a text its UTF-16 units. */
export interface PassLimits {
  /** The best sum of costs: a pass ends as near to it as its items allow. */
  readonly targetCost: number;
  /** The smallest sum of costs that is worth a pass of its own on another lane. */
  readonly minCost: number;
  /** The largest sum of costs. An item above it goes alone. */
  readonly maxCost: number;
  /** The most items. */
  readonly maxItems: number;
}

/** The waiting items of one call. */
export class Queue {
  readonly #costs: ArrayLike<number>;
  readonly #order: ArrayLike<number>;
  #next = 0;
  #remainingCost = 0;

  /**
   * @param costs The cost of each item.
   * @param order The items' indices in the order in which they are taken; by default as they come.
   */
  constructor(costs: ArrayLike<number>, order?: ArrayLike<number>) {
    this.#costs = costs;
    this.#order = order ?? { length: costs.length };
    for (let i = 0; i < costs.length; i++) this.#remainingCost += costs[i]!;
  }

  /** How many items wait. */
  get size(): number {
    return this.#order.length - this.#next;
  }

  /** The cost of the next item. */
  get nextCost(): number {
    return this.#costs[this.#index] ?? 0;
  }

  /** The cost of all waiting items. */
  get remainingCost(): number {
    return this.#remainingCost;
  }

  /** Takes the next item and returns its index. */
  take(): number {
    const index = this.#index;
    this.#remainingCost -= this.nextCost;
    this.#next++;
    return index;
  }

  get #index(): number {
    return this.#order[this.#next] ?? this.#next;
  }
}

/** The items that a pass takes from one queue. */
export interface Share<Q extends Queue> {
  readonly queue: Q;
  readonly items: number[];
}

// How many queues whose next item does not fit are passed over before a pass is called full.
const LOOKAHEAD = 32;

/** Schedules queues round robin. */
export class Scheduler<Q extends Queue> {
  // A Set keeps its order, and a queue that is deleted and added again goes to the end, also of a running iteration.
  readonly #queues = new Set<Q>();
  #cost = 0;
  #items = 0;
  /** Passes that were planned for the waiting work; 0 when more has come since. */
  #planned = 0;

  /** How many queues wait. */
  get size(): number {
    return this.#queues.size;
  }

  /** Puts a queue at the end; an empty one is left out. */
  add(queue: Q): void {
    if (queue.size === 0 || this.#queues.has(queue)) return;
    this.#queues.add(queue);
    this.#cost += queue.remainingCost;
    this.#items += queue.size;
    this.#planned = 0;
  }

  /** Takes a queue out, with its waiting items. */
  remove(queue: Q): void {
    if (!this.#queues.delete(queue)) return;
    this.#cost -= queue.remainingCost;
    this.#items -= queue.size;
  }

  /**
   * Takes the next pass: never empty while a queue waits, never above the limits but for one item alone.
   *
   * @param limits What the pass holds.
   * @param lanes How many lanes share the waiting work.
   * @returns The items by queue, in the order in which the queues were first asked.
   */
  take(limits: PassLimits, lanes = 1): Share<Q>[] {
    const shares = new Map<Q, number[]>();
    const target = this.#cost / this.#passes(limits, lanes);
    let sum = 0;
    let count = 0;
    let misses = 0;
    for (const queue of this.#queues) {
      if (count === limits.maxItems || misses === LOOKAHEAD || sum > target) break;
      const cost = queue.nextCost;
      if (count > 0 && (sum + cost / 2 > target || sum + cost > limits.maxCost)) {
        misses++;
        continue;
      }
      sum += cost;
      count++;
      const items = shares.get(queue);
      if (items) items.push(queue.take());
      else shares.set(queue, [queue.take()]);
      this.#queues.delete(queue);
      if (queue.size > 0) this.#queues.add(queue);
    }
    this.#cost -= sum;
    this.#items -= count;
    return Array.from(shares, ([queue, items]) => ({ queue, items }));
  }

  /** How many passes of equal cost hold all waiting work: as many for each lane, if that pays. */
  #passes({ targetCost, minCost, maxItems }: PassLimits, lanes: number): number {
    const fewest = Math.max(1, Math.round(this.#cost / targetCost), Math.ceil(this.#items / maxItems));
    const most = Math.max(fewest, Math.min(this.#items, Math.floor(this.#cost / minCost)));
    // A plan is kept to, or each pass would be smaller than the one before. A long item that went alone can leave fewer
    // passes than were planned.
    const wanted = this.#planned > 0
      ? Math.min(Math.max(this.#planned - 1, fewest), fewest + lanes - 1)
      : Math.ceil(fewest / lanes) * lanes;
    return this.#planned = Math.min(wanted, most);
  }
}

/** The indices of lengths from the longest to the shortest; equal ones keep their order. Lengths are whole numbers. */
export function longestFirst(lengths: ArrayLike<number>): Uint32Array {
  let longest = 0;
  for (let i = 0; i < lengths.length; i++) longest = Math.max(longest, lengths[i]!);
  // Sorted by counting: a call of 100,000 texts holds the event loop for as long as this takes.
  const starts = new Uint32Array(longest + 2);
  for (let i = 0; i < lengths.length; i++) starts[longest - lengths[i]! + 1]!++;
  for (let i = 1; i < starts.length; i++) starts[i]! += starts[i - 1]!;
  const order = new Uint32Array(lengths.length);
  for (let i = 0; i < lengths.length; i++) order[starts[longest - lengths[i]!]!++] = i;
  return order;
}

/**
 * How a context computes attention, which decides what packing costs: `sequence` over the tokens of each sequence (our
 * kernels), `flash` over all pairs of tokens of the pass (llama.cpp's flash attention), `matrix` over all pairs, too, with
 * the whole matrix of scores in memory (llama.cpp without flash attention).
 */
export type Attention = "sequence" | "flash" | "matrix";

/**
 * What a pass costs besides its tokens, in the time of one token: `pass` for the pass itself, `mask` for each of its
 * tokens² pairs. Fitted by `deno task bench:passes` to MiniLM on an AMD EPYC with AVX512-BF16; bf16 and q8_0 gave
 * passes of 15 and 6 tokens with our kernels, 17 and 8 without, f32 (which has no flash attention) 13.
 */
const COSTS: Readonly<Record<Attention, { readonly pass: number; readonly mask: number }>> = {
  sequence: { pass: 10, mask: 0 },
  flash: { pass: 12, mask: 3e-4 },
  matrix: { pass: 13, mask: 3.9e-3 },
};

// A token's time is within 3 % of the least from 192 tokens on where the mask costs nothing, and a query that comes
// during a pass waits for its end.
const LARGEST = 256;
// Another lane's pass pays when it is worth five times its own cost.
const WORTH = 5;
const SEQUENCES = 64;
// A GPU wants as much at once as it can get; nobody has run this yet.
const GPU: PassLimits = { targetCost: 2048, minCost: 2048, maxCost: 4096, maxItems: 256 };
const OUTPUT_BYTES = 512 * 1024 * 1024;

/** What decides how large a pass is. */
export interface PassSetting {
  readonly attention: Attention;
  /** Whether a GPU computes. */
  readonly gpu: boolean;
  /** Logits that llama.cpp makes room for with each token: entries of the vocabulary, or 1 if it does so for few. */
  readonly logits: number;
  /** Contexts side by side. */
  readonly lanes: number;
}

/**
 * Decides what one pass holds.
 *
 * The time of a token, (pass + tokens + mask × tokens²) / tokens, is least in passes of √(pass / mask) tokens. llama.cpp
 * allocates vocabulary × tokens × 4 bytes of logits for every pass of an encoder, used or not, and each lane has such a
 * buffer, so a large vocabulary makes the passes smaller.
 *
 * @returns Tokens and sequences of a pass. A longer sequence still goes, alone.
 */
export function passLimits({ attention, gpu, logits, lanes }: PassSetting): PassLimits {
  const { pass, mask } = COSTS[attention];
  const tokens = Math.floor(Math.min(LARGEST, Math.sqrt(pass / mask)));
  const cpu = {
    targetCost: tokens,
    minCost: Math.min(tokens, WORTH * pass),
    maxCost: Math.ceil(tokens * 1.5),
    maxItems: SEQUENCES,
  };
  const { targetCost, minCost, maxCost, maxItems } = gpu ? GPU : cpu;
  const most = Math.max(64, Math.floor(OUTPUT_BYTES / (4 * Math.max(1, logits) * lanes)));
  return {
    targetCost: Math.min(targetCost, most),
    minCost: Math.min(minCost, most),
    maxCost: Math.min(maxCost, most),
    maxItems,
  };
}
