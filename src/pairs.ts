/**
 * A query and a document as one sequence, joined as the model was trained.
 *
 * Sources: transformers `BertTokenizer` ([CLS] q [SEP] d [SEP], token type 1 from d on), `RobertaTokenizer` and
 * `XLMRobertaTokenizer` (<s> q </s></s> d </s>), `ModernBert` (as BERT, without types).
 */
import { type Sequence, type Specials, truncateTokens } from "./tokens.ts";
import type { Truncate } from "./options.ts";

/** How a family joins pairs. */
export interface PairFormat {
  /** Whether the separator between the two is doubled. */
  readonly doubled: boolean;
  /** Whether the second text is told apart by its token type. */
  readonly segments: boolean;
}

/** The tokens of a text without BOS (CLS) at its start and EOS (SEP) at its end. */
export function withoutSpecials(ids: Int32Array, { bos, eos, sep }: Specials): Int32Array {
  const from = ids.length > 0 && ids[0] === bos ? 1 : 0;
  const last = ids[ids.length - 1];
  const to = ids.length > from && (last === eos || last === sep) ? ids.length - 1 : ids.length;
  return ids.subarray(from, to);
}

/**
 * Joins a query and a document. What does not fit is cut from the document, never from the query.
 *
 * @param query The query's tokens, without special ones.
 * @param document The document's tokens, without special ones.
 * @param limit Tokens of the whole.
 * @param name The document's name, for messages.
 * @throws {RangeError} when the query alone leaves no room, or with `truncate: "error"` the document does not fit.
 */
export function joinPair(
  query: Int32Array,
  document: Int32Array,
  { doubled, segments }: PairFormat,
  { bos, eos, sep }: Specials,
  limit: number,
  truncate: Truncate,
  name: () => string,
): Sequence {
  const separator = sep >= 0 ? sep : eos;
  const middle = doubled ? [separator, separator] : [separator];
  const room = limit - query.length - middle.length - 2;
  if (room < 1) {
    throw new RangeError(
      `Cannot rank with this query: its ${query.length} tokens leave no room for a document, the limit is ${limit}`,
    );
  }
  if (document.length > room && truncate === "error") {
    throw new RangeError(
      `Cannot rank ${name()}: it has ${document.length} tokens and the query leaves room for ${room}; ` +
        `shorten it, or pass truncate: "end"`,
    );
  }
  const none = { bos: -1, eos: -1, sep: -1 };
  const cut = truncateTokens(document, room, truncate === "start" ? "start" : "end", none);
  const second = 1 + query.length + middle.length;
  const ids = Int32Array.of(bos, ...query, ...middle, ...cut.ids, separator);
  return { ids, truncated: cut.truncated, second: segments ? second : ids.length };
}
