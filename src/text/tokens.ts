/** Truncates token ids, or splits them into windows, and keeps the special tokens at their ends. */
import type { ModelNumbers, SPECIAL } from "../../ffi/mod.ts";
import type { Truncate } from "../options.ts";

/** Which special tokens a text gets or keeps; see `SPECIAL` of ffi/symbols.ts. */
export type Special = keyof typeof SPECIAL;

/** A text's tokens after truncation. */
export interface TruncatedTokens {
  /** Token ids, special ones included. */
  readonly ids: Int32Array;
  /** Whether tokens were cut off. */
  readonly truncated: boolean;
}

/** The special tokens that a model's vocabulary asks for around a text. */
export type Specials = Pick<ModelNumbers, "bos" | "eos" | "sep">;

/**
 * Truncates a sequence to a number of tokens. The first token stays if it is BOS (CLS), the last if it is EOS or SEP: a
 * model that was trained with them gives other vectors without.
 *
 * @param ids Token ids, special ones included.
 * @param limit Tokens to keep at most, special ones included.
 * @param side Which end is cut off.
 * @param specials The model's special tokens.
 */
export function truncateTokens(
  ids: Int32Array,
  limit: number,
  side: "end" | "start",
  specials: Specials,
): TruncatedTokens {
  if (ids.length <= limit) return { ids, truncated: false };
  const { opening, closing } = ends(ids, limit, specials);
  const from = side === "end" ? opening : ids.length - limit + opening;
  return { ids: window(ids, from, limit - opening - closing, opening, closing), truncated: true };
}

/**
 * How many overlapping windows a sequence makes. They overlap by a quarter (Hugging Face's `stride`).
 *
 * @param ids Token ids, special ones included.
 * @param limit Tokens of one window, special ones included.
 * @param specials The model's special tokens.
 */
export function windowCount(ids: Int32Array, limit: number, specials: Specials): number {
  if (ids.length <= limit) return 1;
  const { opening, step, last } = layout(ids, limit, specials);
  return Math.ceil((last - opening) / step) + 1;
}

/**
 * One of the overlapping windows of a long sequence, with the special tokens at its ends. Because they overlap, a short
 * passage is whole in one of them.
 *
 * @param index Which window, below `windowCount`.
 */
export function windowAt(ids: Int32Array, limit: number, specials: Specials, index: number): Int32Array {
  if (ids.length <= limit) return ids;
  const { opening, closing, size, step, last } = layout(ids, limit, specials);
  return window(ids, Math.min(opening + index * step, last), size, opening, closing);
}

/** Where a sequence's windows begin: the first at `opening`, each a step further, and the last at `last`. */
function layout(ids: Int32Array, limit: number, specials: Specials) {
  const { opening, closing } = limit > 2 ? ends(ids, limit, specials) : { opening: 0, closing: 0 };
  const size = limit - opening - closing;
  return { opening, closing, size, step: Math.max(1, size - Math.floor(size / 4)), last: ids.length - closing - size };
}

/** How many special tokens stay at either end within the limit: 0 or 1. */
function ends(ids: Int32Array, limit: number, specials: Specials): { opening: number; closing: number } {
  const opening = ids[0] === specials.bos && limit > 1 ? 1 : 0;
  const last = ids[ids.length - 1]!;
  const closing = last >= 0 && (last === specials.eos || last === specials.sep) && limit > opening ? 1 : 0;
  return { opening, closing };
}

function window(ids: Int32Array, from: number, size: number, opening: number, closing: number): Int32Array {
  if (opening + closing === 0) return ids.subarray(from, from + size);
  return joined(ids.subarray(0, opening), ids.subarray(from, from + size), ids.subarray(ids.length - closing));
}

/** Joins lists of tokens. */
export function joined(...parts: readonly ArrayLike<number>[]): Int32Array {
  const ids = new Int32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    ids.set(part, at);
    at += part.length;
  }
  return ids;
}

/**
 * Applies the `truncate` option to a text's tokens.
 *
 * @param name Gives the argument's name with its index, for the message; it is slow, so it is asked only then.
 * @param tooLong The error for a text of so many tokens, in words.
 * @param isPart Whether the ids are those of a part of the text.
 * @throws {RangeError} when the text is too long and `truncate` is `"error"`, or when it has no tokens at all.
 */
export function fitTokens(
  name: () => string,
  ids: Int32Array,
  limit: number,
  truncate: Truncate,
  specials: Specials,
  tooLong: (tokens: string) => RangeError = (tokens) =>
    new RangeError(
      `Cannot embed ${name()}: it has ${tokens} tokens, the limit is ${limit}; shorten it, or pass truncate: "end"`,
    ),
  isPart = false,
): TruncatedTokens {
  if (ids.length === 0) {
    throw new RangeError(
      `Cannot embed ${name()}: it is empty, and this model has no special token to stand for nothing`,
    );
  }
  if (ids.length > limit && truncate === "error") throw tooLong(counted(ids.length, isPart));
  return truncateTokens(ids, limit, truncate === "start" ? "start" : "end", specials);
}

/** How many tokens a text has, in words; of one that was not tokenised to its end no more is known. */
export function counted(tokens: number, isPart: boolean): string {
  return isPart ? `at least ${tokens}` : String(tokens);
}
