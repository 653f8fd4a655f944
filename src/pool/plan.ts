/**
 * Which waiting items go into the next pass: pure bookkeeping, nothing native.
 *
 * Every call has a line. A pass takes one item of every line in turn and goes round until it is full, so a single
 * query is in the first or second pass after it came, however long the lines before it are. What waits is spread evenly
 * over passes and lanes, so that at the end no lane is idle while another has a full pass before it.
 */

/** What one pass is to hold. The weight of items is their tokens, or the length of their texts. */
export interface Limits {
  /** The sum of weights that is best. A pass ends as near to it as its items allow. */
  readonly best: number;
  /** The least sum of weights for which it pays to give another lane a pass of its own. */
  readonly least: number;
  /** The largest sum of weights. An item above it goes alone. */
  readonly weight: number;
  /** How many items at most. */
  readonly count: number;
}

/** The items of one call that wait. */
export class Line {
  readonly #weights: ArrayLike<number>;
  readonly #order: ArrayLike<number>;
  #next = 0;
  #rest = 0;

  /**
   * @param weights The weight of each item.
   * @param order The items' indices in the order they are to be taken; by default as they come.
   */
  constructor(weights: ArrayLike<number>, order?: ArrayLike<number>) {
    this.#weights = weights;
    this.#order = order ?? { length: weights.length };
    for (let i = 0; i < weights.length; i++) this.#rest += weights[i]!;
  }

  /** How many items wait. */
  get size(): number {
    return this.#order.length - this.#next;
  }

  /** The weight of the item that is next. */
  get weight(): number {
    return this.#weights[this.#index] ?? 0;
  }

  /** The weight of all items that wait. */
  get rest(): number {
    return this.#rest;
  }

  /** Takes the next item and returns its index. */
  take(): number {
    const index = this.#index;
    this.#rest -= this.weight;
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
  #weight = 0;
  #count = 0;
  /** Passes that were planned for what waits; 0 when more has come since. */
  #planned = 0;

  /** How many lines wait. */
  get size(): number {
    return this.#lines.size;
  }

  /** Puts a line at the end; an empty one is left out. */
  add(line: L): void {
    if (line.size === 0 || this.#lines.has(line)) return;
    this.#lines.add(line);
    this.#weight += line.rest;
    this.#count += line.size;
    this.#planned = 0;
  }

  /** Takes a line out, with all that waits in it. */
  remove(line: L): void {
    if (!this.#lines.delete(line)) return;
    this.#weight -= line.rest;
    this.#count -= line.size;
  }

  /**
   * Takes the next pass: never empty while a line waits, never above the limits but for one item alone.
   *
   * @param limits What the pass is to hold.
   * @param lanes How many lanes there are for what waits.
   * @returns The items by line, in the order of the lines' first turn.
   */
  take(limits: Limits, lanes = 1): Share<L>[] {
    const shares = new Map<L, number[]>();
    const target = this.#weight / this.#passes(limits, lanes);
    let sum = 0;
    let count = 0;
    let misses = 0;
    for (const line of this.#lines) {
      if (count === limits.count || misses === LOOKAHEAD || sum > target) break;
      const { weight } = line;
      if (count > 0 && (sum + weight / 2 > target || sum + weight > limits.weight)) {
        misses++;
        continue;
      }
      sum += weight;
      count++;
      const items = shares.get(line);
      if (items) items.push(line.take());
      else shares.set(line, [line.take()]);
      this.#lines.delete(line);
      if (line.size > 0) this.#lines.add(line);
    }
    this.#weight -= sum;
    this.#count -= count;
    return Array.from(shares, ([line, items]) => ({ line, items }));
  }

  /** How many passes of equal weight are to hold all that waits: as many for each lane, if that pays. */
  #passes({ best, least, count }: Limits, lanes: number): number {
    const fewest = Math.max(1, Math.round(this.#weight / best), Math.ceil(this.#count / count));
    const most = Math.max(fewest, Math.min(this.#count, Math.floor(this.#weight / least)));
    // What was planned is kept to, or each pass would be made smaller than the one before. A long item that went alone
    // can leave fewer than were planned.
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
 * How a context computes attention, which decides what packing costs: over the tokens of each sequence (our kernels),
 * over all pairs of tokens of a pass (llama.cpp's flash attention), or so with whole matrices in between (without it).
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
const GPU = { best: 2048, least: 2048, weight: 4096, count: 256 };
const OUTPUT_BYTES = 512 * 1024 * 1024;

/** What decides how large a pass is to be. */
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
 * What one pass should hold.
 *
 * The time of a token, (pass + tokens + mask × tokens²) / tokens, is least in passes of √(pass / mask) tokens. llama.cpp
 * allocates vocabulary × tokens × 4 bytes of logits for every pass of an encoder, used or not, and each lane has such a
 * buffer, so a large vocabulary makes the passes smaller.
 *
 * @returns Tokens and sequences of a pass. A longer sequence still goes, alone.
 */
export function passLimits({ attention, gpu, logits, lanes }: PassSetting): Limits {
  const { pass, mask } = COSTS[attention];
  const { best, least, weight, count } = gpu ? GPU : limitsOf(Math.min(LARGEST, Math.sqrt(pass / mask)), WORTH * pass);
  const most = Math.max(64, Math.floor(OUTPUT_BYTES / (4 * Math.max(1, logits) * lanes)));
  return { best: Math.min(best, most), least: Math.min(least, most), weight: Math.min(weight, most), count };
}

function limitsOf(tokens: number, worth: number): Limits {
  const best = Math.floor(tokens);
  return { best, least: Math.min(best, worth), weight: Math.ceil(best * 1.5), count: SEQUENCES };
}
