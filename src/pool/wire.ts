/** Packs texts and sequences into the arrays that cross to a lane, and takes apart what comes back. */
import type { Pass } from "../../ffi/mod.ts";
import type { Items } from "../slices.ts";
import { ownTokens, type Sequence } from "../text/sequences.ts";
import { joined } from "../text/tokens.ts";
import type { Numbers } from "./call.ts";
import type { Queue, Share } from "./plan.ts";

/** The shape of what a pass returns. */
export interface RowShape {
  /** Numbers of a row: dimensions, labels of a classification head, or answers. */
  readonly width: number;
  /** Whether there is a row for every token; else there is one for every sequence. */
  readonly perToken: boolean;
}

/** Texts as a lane takes them. */
export interface PackedTexts {
  /** The texts as UTF-8, back to back; the array may be longer. */
  readonly utf8: Uint8Array;
  /** Bytes of each text. */
  readonly lengths: Int32Array;
}

/** Sequences as a lane takes them. */
export interface PackedSequences extends Pass {
  /** Tokens that the pass computes: those of each sequence alone, and the longest prefix once. */
  readonly computed: number;
}

/** The items of several queues, in the order of the shares. */
export function itemsOf<Item>(
  shares: readonly Share<Queue & { readonly items: Items<Item> }>[],
): Item[] {
  return shares.flatMap(({ queue, items }) => items.map((i) => queue.items.at(i)!));
}

const encoder = new TextEncoder();

/** Packs texts. */
export function packTexts(texts: readonly string[]): PackedTexts {
  const utf8 = new Uint8Array(texts.reduce((sum, text) => sum + text.length * 3, 1));
  const lengths = new Int32Array(texts.length);
  let at = 0;
  texts.forEach((text, i) => at += lengths[i] = encoder.encodeInto(text, utf8.subarray(at)).written);
  return { utf8, lengths };
}

/** Packs sequences. */
export function packSequences(sequences: readonly Sequence[]): PackedSequences {
  const numbers = (of: (sequence: Sequence) => number) => new Int32Array(sequences.map(of));
  const prefixLengths = numbers(({ prefixLength = 0 }) => prefixLength);
  const longest = prefixLengths.reduce((most, length) => Math.max(most, length), 0);
  return {
    tokens: joined(...sequences.map(({ ids }) => ids)),
    lengths: numbers(({ ids }) => ids.length),
    segmentB: numbers(({ ids, segmentB }) => segmentB ?? ids.length),
    prefixLengths,
    computed: sequences.reduce((sum, sequence) => sum + ownTokens(sequence), longest),
  };
}

/** How many numbers come back for each sequence. */
export function resultSizes(lengths: Int32Array, { width, perToken }: RowShape): Int32Array {
  return lengths.map((length) => perToken ? length * width : width);
}

/** Views of numbers that lie back to back, of these lengths. */
export function split<R extends Numbers>(numbers: R, lengths: Int32Array): R[] {
  let start = 0;
  return Array.from(lengths, (length) => numbers.subarray(start, start += length) as R);
}
