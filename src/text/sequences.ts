/**
 * The sequences of the texts of a call: one of each, or of a long one several windows.
 *
 * Each is made when a pass wants it and is garbage after that. 100,000 that live until the call ends would be moved by every
 * collection of the young, which holds the event loop meanwhile.
 */
import { forEachInSlices, type Items } from "../slices.ts";
import type { Truncate } from "../options.ts";
import { fitTokens, type Specials, type TruncatedTokens, windowAt, windowCount } from "./tokens.ts";

/** The tokens of a text as they go into the model. */
export interface Sequence extends TruncatedTokens {
  /** Where segment B begins, for models that tell a pair's two texts apart; by default there is none. */
  readonly segmentB?: number;
  /** How many of its first tokens other sequences of its call begin with, too, where those can be computed once for all. */
  readonly prefixLength?: number;
}

/** How many of a sequence's tokens are computed for it alone. */
export function ownTokens({ ids, prefixLength = 0 }: Sequence): number {
  return ids.length - prefixLength;
}

/** What becomes of a text that does not fit: `windows` makes several sequences of it. */
export type PairTruncate = Truncate | "windows";

/** How texts become sequences. */
export interface Cutter {
  /** How many texts. */
  readonly length: number;
  /**
   * How many sequences a text makes; asked for each text once, in order.
   *
   * @throws {RangeError} when it is refused.
   */
  readonly pieces: (text: number) => number;
  /** One of them. */
  readonly cut: (text: number, piece: number) => Sequence;
}

/** The sequences that a cutter makes, and what is to be known of all of them. */
export class Sequences implements Items<Sequence> {
  readonly length: number;
  /** Tokens of each sequence. */
  readonly lengths: Uint32Array;
  /** Of those, how many are computed for it alone. */
  readonly weights: Uint32Array;
  /** The text that each is of. */
  readonly owners: Uint32Array;
  /** 1 for each text that was cut off. */
  readonly truncated: Uint8Array;
  readonly #cutter: Cutter;
  readonly #firsts: Uint32Array;

  private constructor(cutter: Cutter, firsts: Uint32Array, length: number) {
    this.length = length;
    this.lengths = new Uint32Array(length);
    this.weights = new Uint32Array(length);
    this.owners = new Uint32Array(length);
    this.truncated = new Uint8Array(cutter.length);
    this.#cutter = cutter;
    this.#firsts = firsts;
  }

  /** Looks at all texts once. */
  static async of(cutter: Cutter): Promise<Sequences> {
    const firsts = new Uint32Array(cutter.length);
    let length = 0;
    await forEachInSlices(cutter.length, (i) => {
      firsts[i] = length;
      length += cutter.pieces(i);
    });
    const sequences = new Sequences(cutter, firsts, length);
    let owner = 0;
    await forEachInSlices(length, (i) => {
      while (owner + 1 < cutter.length && firsts[owner + 1]! <= i) owner++;
      sequences.#look(i, owner);
    });
    return sequences;
  }

  /** A sequence, made anew each time. */
  at(index: number): Sequence {
    return this.#cutter.cut(this.owners[index]!, this.piece(index));
  }

  /** Which piece of its text a sequence is. */
  piece(index: number): number {
    return index - this.#firsts[this.owners[index]!]!;
  }

  #look(index: number, owner: number): void {
    this.owners[index] = owner;
    const sequence = this.at(index);
    this.lengths[index] = sequence.ids.length;
    this.weights[index] = ownTokens(sequence);
    if (sequence.truncated) this.truncated[owner] = 1;
  }
}

/**
 * Texts alone, each with the special tokens that the model wants around it.
 *
 * @param limit Tokens of one sequence.
 * @param name A text's name, for messages.
 */
export function textCutter(
  texts: Items<Int32Array>,
  limit: number,
  truncate: PairTruncate,
  specials: Specials,
  name: (text: number) => string,
): Cutter {
  if (truncate === "windows") {
    return {
      length: texts.length,
      pieces: (i) => windowCount(texts.at(i)!, limit, specials),
      cut: (i, piece) => ({ ids: windowAt(texts.at(i)!, limit, specials, piece), truncated: false }),
    };
  }
  return {
    length: texts.length,
    pieces: () => 1,
    cut: (i) => fitTokens(() => name(i), texts.at(i)!, limit, truncate, specials),
  };
}
