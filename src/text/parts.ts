/**
 * Takes of a long text the part whose tokens are kept: one of 60 MB took up to a minute and 4 GB to be truncated.
 *
 * What a cut between two words changes ends within the word before it: WordPiece looks at one word at a time, byte-pair
 * encodings at one stretch of their regular expression, in which no letter is followed by a space, and the pieces of
 * SentencePiece end where a word does, if the vocabulary has none with a space behind a letter. So a part that has some more
 * tokens than are kept has those that the whole text would have.
 */
import type { Model } from "../../ffi/mod.ts";
import { forEachInSlices, type Items, pause, sliceIsOver } from "../slices.ts";
import { WORDS } from "./normalizer.ts";

/** Finds where a text may be cut; undefined where a model's texts may not be, at that side. */
export type Boundary = (side: Bound["side"]) => Promise<RegExp | undefined>;

/** How many tokens of a text are needed. */
export interface Bound {
  /** More than so many tokens are too many: those behind them change nothing. */
  readonly tokens: number;
  /** Which end of the text is not needed. */
  readonly side: "end" | "start";
}

const SHORTEST = 64 * 1024; // characters of a part; 4 ms of tokenising
const PER_TOKEN = 16; // characters, more than words have
const GROWTH = 8;
const WINDOW = 256 * 1024; // characters in which a place to cut is looked for; some milliseconds
const SPARE = 64; // tokens between those that are kept and the cut
const AT_ONCE = 4096; // pieces that are looked at; some milliseconds

const BETWEEN_WORDS = /(?<=\p{L}) (?=\p{L})/u;

/** Where the texts of a model may be cut. Its vocabulary is looked through when the first long text comes. */
export function boundaryOf(model: Pick<Model, "meta" | "numbers" | "pieces">): Boundary {
  const kind = model.meta("tokenizer.ggml.model");
  if (kind === "bert") return () => Promise.resolve(WORDS);
  let endsAtWords: Promise<boolean> | undefined;
  return async (side) => {
    // SentencePiece may put a space before a text, and so before its end, too.
    if (!(kind === "gpt2" || side === "end" && (kind === "llama" || kind === "t5"))) return undefined;
    return await (endsAtWords ??= haveNoSpaceBehind(model)) ? BETWEEN_WORDS : undefined;
  };
}

/** Whether no piece of the vocabulary has a space behind a letter. */
async function haveNoSpaceBehind(model: Pick<Model, "numbers" | "pieces">): Promise<boolean> {
  const { vocabularySize } = model.numbers;
  for (let from = 0; from < vocabularySize; from += AT_ONCE) {
    const ids = Int32Array.from({ length: Math.min(AT_ONCE, vocabularySize - from) }, (_, i) => from + i);
    if (model.pieces(ids).some((piece) => /\p{L}[ \u2581]/u.test(piece))) return false;
    if (sliceIsOver()) await pause();
  }
  return true;
}

/** Whether any text is so long that a part of it may do. */
export async function hasLong(texts: Items<string>, bound: Bound): Promise<boolean> {
  let found = false;
  await forEachInSlices(texts.length, (i) => found ||= texts.at(i)!.length > 2 * mostOf(bound));
  return found;
}

function mostOf({ tokens }: Bound): number {
  return Math.max(SHORTEST, PER_TOKEN * tokens);
}

/** Texts, the long ones as parts. */
export class TextParts implements Items<string> {
  readonly #texts: Items<string>;
  readonly #bound: Bound;
  readonly #boundary: RegExp;
  /** Indices of the texts that are looked at; undefined is all. */
  readonly #of: readonly number[] | undefined;
  readonly #most: number;
  readonly #cut = new Set<number>();
  #again: number[] = [];

  /** @param boundary Where a text may be cut. */
  constructor(
    texts: Items<string>,
    bound: Bound,
    boundary: RegExp,
    of?: readonly number[],
    most: number = mostOf(bound),
  ) {
    this.#texts = texts;
    this.#bound = bound;
    this.#boundary = boundary;
    this.#of = of;
    this.#most = most;
  }

  get length(): number {
    return this.#of?.length ?? this.#texts.length;
  }

  at(position: number): string {
    const text = this.#texts.at(this.indexOf(position))!;
    if (text.length <= 2 * this.#most) return text;
    const part = partOf(text, this.#most, this.#bound.side, this.#boundary);
    if (part.length < text.length) this.#cut.add(position);
    return part;
  }

  /** Which text it is. */
  indexOf(position: number): number {
    return this.#of?.[position] ?? position;
  }

  /** Whether it is a part. */
  isCut(position: number): boolean {
    return this.#cut.has(position);
  }

  /** Whether so many tokens are enough; if they are not, `next` has a larger part of the text. */
  isEnough(position: number, tokens: number): boolean {
    if (!this.isCut(position) || tokens > this.#bound.tokens + SPARE) return true;
    this.#again.push(this.indexOf(position));
    return false;
  }

  /** Larger parts of the texts whose parts had too few tokens; undefined where all were enough. */
  get next(): TextParts | undefined {
    if (this.#again.length === 0) return undefined;
    return new TextParts(this.#texts, this.#bound, this.#boundary, this.#again, this.#most * GROWTH);
  }
}

/** The beginning or the end of a text, up to where it may be cut; the whole text where that is not to be found soon. */
function partOf(text: string, most: number, side: Bound["side"], boundary: RegExp): string {
  const from = side === "end" ? most : text.length - most;
  const found = text.slice(from, from + WINDOW).search(boundary);
  if (found < 0) return text;
  return side === "end" ? text.slice(0, from + found) : text.slice(from + found);
}
