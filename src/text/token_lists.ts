/**
 * Keeps the tokens of many texts in few buffers: the time of a garbage collection grows with the number of live objects, so
 * there is no object for each text.
 */
import type { Items } from "../slices.ts";
import { type Bound, type Boundary, hasLong, TextParts } from "./parts.ts";
import type { PairTruncate } from "./sequences.ts";
import type { Special } from "./tokens.ts";

const CHUNK = 64 * 1024; // tokens of one buffer at most, unless one list is longer

/** Lists of token ids, copied into few buffers. */
export class TokenLists implements Items<Int32Array> {
  readonly length: number;
  readonly #chunks: Int32Array[] = [];
  readonly #chunk: Uint32Array;
  readonly #start: Uint32Array;
  readonly #count: Uint32Array;
  readonly #parts = new Set<number>();
  #room = 0;
  #used = 0;
  #left: number;

  /** @param length How many lists there are; each is empty until it is set. */
  constructor(length: number) {
    this.length = length;
    this.#left = length;
    this.#chunk = new Uint32Array(length);
    this.#start = new Uint32Array(length);
    this.#count = new Uint32Array(length);
  }

  /** Sets a list: once, in any order. */
  set(index: number, ids: Int32Array): void {
    this.#left--;
    if (ids.length === 0) return; // it takes no room, and there may be no buffer yet
    if (this.#used + ids.length > this.#room) {
      // Enough if the other lists are as long: a call with one text allocates no more than its tokens.
      this.#room = Math.max(ids.length, Math.min(CHUNK, ids.length * (this.#left + 1)));
      this.#chunks.push(new Int32Array(this.#room));
      this.#used = 0;
    }
    const chunk = this.#chunks.length - 1;
    this.#chunks[chunk]!.set(ids, this.#used);
    this.#chunk[index] = chunk;
    this.#start[index] = this.#used;
    this.#count[index] = ids.length;
    this.#used += ids.length;
  }

  /** Notes that a list has the tokens of a part of its text alone. */
  setPart(index: number): void {
    this.#parts.add(index);
  }

  /** Whether a list has the tokens of a part of its text alone: the text has at least as many. */
  isPart(index: number): boolean {
    return this.#parts.has(index);
  }

  /** A view of a list, made anew each time. */
  at(index: number): Int32Array {
    const start = this.#start[index]!;
    return this.#chunks[this.#chunk[index]!]?.subarray(start, start + this.#count[index]!) ?? new Int32Array();
  }
}

/** What tokenises texts: the pool. */
export interface Tokenizer {
  readonly boundary?: Boundary | undefined;
  /** The token ids of each text; `finish` takes each text's as they come and may give less. */
  tokenize(
    texts: Items<string>,
    special: Special,
    options: {
      readonly signal: AbortSignal | undefined;
      readonly finish: (ids: Int32Array, index: number) => Int32Array;
    },
  ): Promise<Int32Array[]>;
}

/**
 * Tokenises a long list into few buffers.
 *
 * @param bound How many tokens of each text are needed; of a long text no more may be given. Default: all.
 */
export async function tokenizeList(
  tokenizer: Tokenizer,
  texts: Items<string>,
  special: Special,
  signal: AbortSignal | undefined,
  bound?: Bound,
): Promise<TokenLists> {
  const lists = new TokenLists(texts.length);
  const none = new Int32Array();
  const boundary = bound && await hasLong(texts, bound) ? await tokenizer.boundary?.(bound.side) : undefined;
  if (bound === undefined || boundary === undefined) {
    await tokenizer.tokenize(texts, special, {
      signal,
      finish: (ids, i) => {
        lists.set(i, ids);
        return none;
      },
    });
    return lists;
  }
  for (let parts: TextParts | undefined = new TextParts(texts, bound, boundary); parts; parts = parts.next) {
    const some: TextParts = parts;
    await tokenizer.tokenize(some, special, {
      signal,
      finish: (ids, i) => {
        if (some.isEnough(i, ids.length)) {
          lists.set(some.indexOf(i), ids);
          if (some.isCut(i)) lists.setPart(some.indexOf(i));
        }
        return none;
      },
    });
  }
  return lists;
}

/** How many tokens of a text are needed by what becomes of it; undefined where all are, for windows. */
export function boundOf(limit: number, truncate: PairTruncate): Bound | undefined {
  return truncate === "windows" ? undefined : { tokens: limit, side: truncate === "start" ? "start" : "end" };
}
