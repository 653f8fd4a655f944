/**
 * Splits the texts of a call into sequences: one for each text, or several windows of a long one.
 *
 * A sequence is made when a pass takes it and is garbage after that. 100,000 that live until the call ends would be moved by
 * every collection of the young generation, which holds the event loop meanwhile.
 */
import type { Truncate } from "../options.ts";
import { forEachInSlices, type Items } from "../slices.ts";
import { fitTokens, type Specials, type TruncatedTokens, windowAt, windowCount } from "./tokens.ts";

/** The tokens of a text as they go into the model. */
export interface Sequence extends TruncatedTokens {
  /** Where segment B begins (token type 1), for models that tell a pair's two texts apart; by default there is none. */
  readonly segmentB?: number;
  /** How many of its first tokens other sequences of its call begin with, too, if those can be computed once for all. */
  readonly prefixLength?: number;
}

/** How many of a sequence's tokens are computed for it alone. */
export function ownTokens({ ids, prefixLength = 0 }: Sequence): number {
  return ids.length - prefixLength;
}

/** What becomes of a text that does not fit: `windows` makes several sequences of it. */
export type PairTruncate = Truncate | "windows";

/** How texts are split. */
export interface SplitOptions {
  /** Tokens of one sequence at most, special ones included. */
  readonly limit: number;
  readonly truncate: PairTruncate;
  /** A text's name, for messages. */
  readonly name: (text: number) => string;
  /** The error for a text of so many tokens, in words, with `truncate: "error"`, where that is not the caller's own choice. */
  readonly tooLong?: ((tokens: string) => RangeError) | undefined;
}

/** Token ids of texts. */
export interface TextTokens extends Items<Int32Array> {
  /** Whether those of a text are a part's; by default they are all. */
  isPart?(text: number): boolean;
}

/** Splits texts into sequences. */
export interface Splitter {
  /** How many texts. */
  readonly length: number;
  /**
   * How many sequences a text makes; asked once for each text, in order.
   *
   * @throws {RangeError} when the text is refused.
   */
  readonly count: (text: number) => number;
  /** One of a text's sequences. */
  readonly sequence: (text: number, index: number) => Sequence;
}

/** The sequences that a splitter makes, and the numbers that are needed of all of them. */
export class Sequences implements Items<Sequence> {
  readonly length: number;
  /** Tokens of each sequence. */
  readonly lengths: Uint32Array;
  /** Tokens that are computed for each sequence alone. */
  readonly costs: Uint32Array;
  /** Index of each sequence's text. */
  readonly textOf: Uint32Array;
  /** 1 for each text that was truncated. */
  readonly truncated: Uint8Array;
  readonly #splitter: Splitter;
  readonly #firsts: Uint32Array;

  private constructor(splitter: Splitter, firsts: Uint32Array, length: number) {
    this.length = length;
    this.lengths = new Uint32Array(length);
    this.costs = new Uint32Array(length);
    this.textOf = new Uint32Array(length);
    this.truncated = new Uint8Array(splitter.length);
    this.#splitter = splitter;
    this.#firsts = firsts;
  }

  /** Looks at all texts once. */
  static async of(splitter: Splitter): Promise<Sequences> {
    const firsts = new Uint32Array(splitter.length);
    let length = 0;
    await forEachInSlices(splitter.length, (i) => {
      firsts[i] = length;
      length += splitter.count(i);
    });
    const sequences = new Sequences(splitter, firsts, length);
    let text = 0;
    await forEachInSlices(length, (i) => {
      while (text + 1 < splitter.length && firsts[text + 1]! <= i) text++;
      sequences.#measure(i, text);
    });
    return sequences;
  }

  /** A sequence, made anew each time. */
  at(index: number): Sequence {
    return this.#splitter.sequence(this.textOf[index]!, this.indexInText(index));
  }

  /** Which of its text's sequences it is. */
  indexInText(index: number): number {
    return index - this.#firsts[this.textOf[index]!]!;
  }

  #measure(index: number, text: number): void {
    this.textOf[index] = text;
    const sequence = this.at(index);
    this.lengths[index] = sequence.ids.length;
    this.costs[index] = ownTokens(sequence);
    if (sequence.truncated) this.truncated[text] = 1;
  }
}

/**
 * Splits texts that stand alone.
 *
 * @param texts Each text's tokens, with the special ones that the model wants around it.
 */
export function textSplitter(
  texts: TextTokens,
  specials: Specials,
  { limit, truncate, name, tooLong }: SplitOptions,
): Splitter {
  if (truncate === "windows") {
    return {
      length: texts.length,
      count: (i) => windowCount(texts.at(i)!, limit, specials),
      sequence: (i, window) => ({ ids: windowAt(texts.at(i)!, limit, specials, window), truncated: false }),
    };
  }
  return {
    length: texts.length,
    count: () => 1,
    sequence: (i) => fitTokens(() => name(i), texts.at(i)!, limit, truncate, specials, tooLong, texts.isPart?.(i)),
  };
}
