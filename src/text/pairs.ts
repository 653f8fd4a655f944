/**
 * Joins a query and a document into one sequence, as the model was trained.
 *
 * Sources: transformers `BertTokenizer` ([CLS] q [SEP] d [SEP], token type 1 from d on), `RobertaTokenizer` and
 * `XLMRobertaTokenizer` (<s> q </s></s> d </s>), `ModernBert` (as BERT, without types).
 */
import type { ModelNumbers } from "../../ffi/mod.ts";
import type { PairTruncate, SplitOptions, Splitter, TextTokens } from "./sequences.ts";
import {
  counted,
  joined,
  type Specials,
  type TruncatedTokens,
  truncateTokens,
  windowAt,
  windowCount,
} from "./tokens.ts";

/** The special tokens before, between and after the two texts of a pair. */
export interface PairFormat {
  readonly opening: readonly number[];
  readonly middle: readonly number[];
  readonly closing: readonly number[];
  /** Whether the second text is segment B: its tokens have token type 1. */
  readonly segments: boolean;
}

/** What decides how a model's pairs are joined. */
export interface PairFamily {
  /** llama.cpp's name of the architecture; `bert` is RoBERTa and XLM-R too. */
  readonly architecture: string;
  /** The file's `tokenizer.ggml.model`; `bert` is WordPiece. */
  readonly tokenizer: string;
  /** Token types that the model has. */
  readonly types: number;
}

/** How a family joins pairs; an unknown family does as its vocabulary asks for around texts. */
export function pairFormat({ architecture, tokenizer, types }: PairFamily, vocabulary: ModelNumbers): PairFormat {
  const { bos, eos, sep, addBos, addEos, addSep } = vocabulary;
  const separator = sep >= 0 ? sep : eos;
  if (tokenizer === "bert" || architecture === "modern-bert") {
    return { opening: [bos], middle: [separator], closing: [separator], segments: tokenizer === "bert" && types > 1 };
  }
  if (architecture === "bert") return { opening: [bos], middle: [eos, eos], closing: [eos], segments: false };
  return {
    opening: addBos ? [bos] : [],
    middle: [...(addEos ? [eos] : []), ...(addSep ? [separator] : [])],
    closing: addEos ? [eos] : [],
    segments: false,
  };
}

/** The tokens of a text without BOS (CLS) at its start and EOS (SEP) at its end. */
export function withoutSpecials(ids: Int32Array, { bos, eos, sep }: Specials): Int32Array {
  const from = ids.length > 0 && ids[0] === bos ? 1 : 0;
  const last = ids[ids.length - 1];
  const to = ids.length > from && (last === eos || last === sep) ? ids.length - 1 : ids.length;
  return ids.subarray(from, to);
}

/**
 * The error for a query that is too long: no option helps, since only documents are truncated.
 *
 * @param tokens Its tokens, in words; undefined where they are not counted apart.
 * @param limit What the model takes, the special tokens of a pair included.
 * @param what What its tokens do.
 */
export function longQuery(tokens: string | undefined, limit: number, what: string): RangeError {
  const count = tokens === undefined
    ? "its tokens"
    : /^\d/.test(tokens)
    ? `its ${tokens} tokens`
    : `its tokens, ${tokens},`;
  return new RangeError(
    `Cannot rank with this query: ${count} ${what}, the limit is ${limit}, and a query is never truncated; shorten it`,
  );
}

/**
 * Joins a query with each of many documents. Only documents are truncated, never the query.
 *
 * @param query The query's tokens, without special ones.
 * @param documents The documents' tokens, with the special ones of a text that stands alone.
 * @param options `limit` counts the tokens of the whole pair; `name` is a document's.
 * @param isPart Whether the query's tokens are those of a part of it: then they are too many.
 * @returns One sequence for each document, or with `truncate: "windows"` one for each window of it.
 * @throws {RangeError} when the query alone leaves no room, or with `truncate: "error"` a document does not fit.
 */
export function pairSplitter(
  query: Int32Array,
  documents: TextTokens,
  { opening, middle, closing, segments }: PairFormat,
  specials: Specials,
  { limit, truncate, name }: SplitOptions,
  isPart = false,
): Splitter {
  const room = limit - query.length - opening.length - middle.length - closing.length;
  if (room < 1) {
    throw longQuery(counted(query.length, isPart), limit, "leave no room for a document");
  }
  const before = Int32Array.of(...opening, ...query, ...middle);
  const tokensOf = (i: number): Int32Array => withoutSpecials(documents.at(i)!, specials);
  return {
    length: documents.length,
    count: (i) => documentWindows(tokensOf(i), room, truncate, () => name(i), documents.isPart?.(i)),
    sequence: (i, window) => {
      const { ids: kept, truncated } = documentWindow(tokensOf(i), room, truncate, window);
      const ids = joined(before, kept, closing);
      return { ids, truncated, segmentB: segments ? before.length : ids.length };
    },
  };
}

const NONE: Specials = { bos: -1, eos: -1, sep: -1 };

/**
 * How many windows a document makes, which is 1 unless `truncate` is `"windows"`.
 *
 * @param document Its tokens, without special ones at the ends.
 * @param room Tokens that the rest of the sequence leaves it.
 * @param name Gives its name, for the message.
 * @param isPart Whether the tokens are those of a part of it.
 * @throws {RangeError} with `truncate: "error"`, when it does not fit.
 */
export function documentWindows(
  document: Int32Array,
  room: number,
  truncate: PairTruncate,
  name: () => string,
  isPart = false,
): number {
  if (document.length > room && truncate === "error") {
    throw new RangeError(
      `Cannot rank ${name()}: it has ${
        counted(document.length, isPart)
      } tokens and the query leaves room for ${room}; ` +
        `shorten it, or pass truncate: "end"`,
    );
  }
  return truncate === "windows" ? windowCount(document, room, NONE) : 1;
}

/** The tokens of one of a document's windows, or of the document, truncated to the room. */
export function documentWindow(
  document: Int32Array,
  room: number,
  truncate: PairTruncate,
  window: number,
): TruncatedTokens {
  if (truncate === "windows") return { ids: windowAt(document, room, NONE, window), truncated: false };
  return truncateTokens(document, room, truncate === "start" ? "start" : "end", NONE);
}
