/**
 * Fills the template that some rerankers' files carry (`tokenizer.chat_template.rerank`), such as Qwen3-Reranker's: text
 * with `{query}`, `{document}` and special tokens.
 *
 * Query, document and instruction replace their placeholders at once, so that none can hold a placeholder. Only special
 * tokens that the template itself spells become tokens: those in a user's text are plain text. Between special tokens,
 * template and user text are tokenised as one text, as the original tokenizer does: in Qwen's vocabulary a query's "?" and
 * the line break after it are one token. A template of several texts is tokenised text by text.
 */
import { documentWindow, documentWindows, longQuery } from "./pairs.ts";
import type { SplitOptions, Splitter } from "./sequences.ts";
import { forEachInSlices, type Items } from "../slices.ts";
import { joined, type Special } from "./tokens.ts";

/** A template as it is written: a text, or several that are tokenised apart, as some rerankers' own programs do. */
export type Template = string | readonly string[];

/** A part of a template: a special token, or text, split at its placeholders, which are the pieces of odd index. */
export type TemplatePart = { readonly token: number } | { readonly pieces: readonly string[] };

/** Tokenises texts. */
export type Tokenize = (texts: readonly string[], special: Special) => Promise<Int32Array[]>;

// How vocabularies spell special tokens. A match that the vocabulary does not know as one stays text.
const SPELLED_SPECIAL = /(<\|[^|<>]+\|>|<\/?[a-z_]+>|\[[A-Z]+\])/;
const PLACEHOLDER = /\{(query|document|instruction)\}/;
// The line with the task, as Qwen3-Embedding ("Instruct: ") and Qwen3-Reranker ("<Instruct>: ") write it.
const INSTRUCTION = /((?:^|\n)<?Instruct>?: )([^\n]*)/;

/** The instruction of Qwen3-Embedding and Qwen3-Reranker where none is given (their model cards). */
export const DEFAULT_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query";

/** Qwen3-Reranker's prompt (its model card), for causal models whose files carry none. */
export const YES_NO_TEMPLATE: string =
  "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. " +
  'Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n' +
  "<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}<|im_end|>\n" +
  "<|im_start|>assistant\n<think>\n\n</think>\n\n";

/** The texts that replace placeholders, but for the document. */
export interface Values {
  readonly query: string;
  readonly instruction: string;
}

/**
 * Replaces the instruction of a template or prompt.
 *
 * @throws {RangeError} when it has no line for one.
 */
export function withInstruction(template: string | undefined, text: string): string;
export function withInstruction(template: Template | undefined, text: string): Template;
export function withInstruction(template: Template | undefined, text: string): Template {
  if (typeof template === "object") {
    const at = template.findIndex((one) => one.includes("{instruction}") || INSTRUCTION.test(one));
    const filled = withInstruction(template[at], text);
    return template.map((one, i) => i === at ? filled : one);
  }
  if (template?.includes("{instruction}")) return template.replaceAll("{instruction}", () => text);
  if (template && INSTRUCTION.test(template)) return template.replace(INSTRUCTION, (_, before) => before + text);
  throw new RangeError(
    'Cannot rank with an instruction: this model has no line "Instruct: …" for it; leave it out, or pass a template ' +
      "with {instruction} to Llama.load",
  );
}

/**
 * Splits a template into special tokens and texts.
 *
 * @param tokenize Asked of everything that is spelled like a special token whether it is one.
 * @throws {RangeError} when it has no `{query}` or no `{document}`, or more than one of either.
 */
export async function parseTemplate(template: Template, tokenize: Tokenize): Promise<TemplatePart[]> {
  const apart = (typeof template === "string" ? [template] : template)
    .map((text) => text.split(SPELLED_SPECIAL).filter((piece) => piece !== ""));
  const asked = apart.flat().filter((piece) => SPELLED_SPECIAL.test(piece));
  const parsed = await tokenize(asked, "parse");
  const plain = await tokenize(asked, "none");
  const token = new Map(
    asked.map((text, i) => [text, parsed[i]!.length === 1 && plain[i]!.length !== 1 ? parsed[i]![0]! : -1]),
  );
  const parts: TemplatePart[] = [];
  let text = "";
  const flush = (): void => {
    if (text) parts.push({ pieces: text.split(PLACEHOLDER) });
    text = "";
  };
  for (const pieces of apart) {
    for (const piece of pieces) {
      const id = token.get(piece) ?? -1;
      if (id < 0) {
        text += piece;
        continue;
      }
      flush();
      parts.push({ token: id });
    }
    flush();
  }
  const placeholders = parts.flatMap((part) => "pieces" in part ? part.pieces.filter((_, i) => i % 2 === 1) : []);
  for (const name of ["query", "document"]) {
    if (placeholders.filter((one) => one === name).length !== 1) {
      throw new RangeError(`Cannot use the model's rerank template: it must have {${name}} once`);
    }
  }
  return parts;
}

/**
 * Puts one query and each of many documents into a template. Only documents are truncated, never the query.
 *
 * @param options `limit` counts the tokens of the whole; `name` is a document's.
 * @param tokenizeList As `tokenize`, of a list that may be long.
 * @returns One sequence for each document, or with `truncate: "windows"` one for each window of it.
 * @throws {RangeError} when the query alone leaves no room, or with `truncate: "error"` a document does not fit.
 */
export async function fillTemplate(
  parts: readonly TemplatePart[],
  values: Values,
  documents: readonly string[],
  { limit, truncate, name }: SplitOptions,
  tokenize: Tokenize,
  tokenizeList: (texts: Items<string>, special: Special) => Promise<Items<Int32Array>>,
): Promise<Splitter> {
  const { texts, part, before, after } = fillPieces(parts, values);
  const { length } = documents;
  const [fixed, [head, tail], whole] = await Promise.all([
    tokenize(texts, "none"),
    tokenize([before, after], "none") as Promise<[Int32Array, Int32Array]>,
    tokenizeList({ length, at: (i) => before + documents[i]! + after }, "none"),
  ]);
  const tokens = parts.map((part, i) => "token" in part ? [part.token] : Array.from(fixed[i]!));
  const [opening, closing] = [tokens.slice(0, part).flat(), tokens.slice(part + 1).flat()];
  const room = limit - opening.length - closing.length - head.length - tail.length;
  if (room < 1) {
    throw longQuery(undefined, limit, "leave no room for a document");
  }
  const [starts, ends] = [new Uint32Array(length), new Uint32Array(length)];
  // The last token before the document often depends on the document, so it is computed for each. So is all from the first
  // token on that is another one for any document.
  let least = Math.max(0, head.length - 1);
  await forEachInSlices(length, (i) => {
    [starts[i], ends[i]] = documentIn(whole.at(i)!, head, tail);
    least = Math.min(least, starts[i]!);
  });
  const prefixLength = opening.length + least;
  const roomOf = (ids: Int32Array, i: number): number =>
    limit - opening.length - closing.length - starts[i]! - (ids.length - ends[i]!);
  return {
    length,
    count: (i) => {
      const ids = whole.at(i)!;
      return documentWindows(ids.subarray(starts[i]!, ends[i]!), roomOf(ids, i), truncate, () => name(i));
    },
    sequence: (i, window) => {
      const ids = whole.at(i)!;
      const [from, to] = [starts[i]!, ends[i]!];
      const { ids: kept, truncated } = documentWindow(ids.subarray(from, to), roomOf(ids, i), truncate, window);
      const all = joined(opening, ids.subarray(0, from), kept, ids.subarray(to), closing);
      return { ids: all, truncated, prefixLength };
    },
  };
}

/** A template's texts with all values but the document. */
interface FilledPieces {
  /** The text of each part; empty for a special token. */
  readonly texts: readonly string[];
  /** Index of the part that has the document. */
  readonly part: number;
  /** What goes before the document in its part. */
  readonly before: string;
  /** What goes after it. */
  readonly after: string;
}

function fillPieces(parts: readonly TemplatePart[], values: Values): FilledPieces {
  const fill = (piece: string, i: number): string => i % 2 === 0 ? piece : values[piece as keyof Values] ?? "";
  const isDocument = (piece: string, i: number): boolean => i % 2 === 1 && piece === "document";
  const texts = parts.map((part) => "pieces" in part ? part.pieces : []);
  const part = texts.findIndex((pieces) => pieces.some(isDocument));
  const at = texts[part]!.findIndex(isDocument);
  const filled = texts.map((pieces) => pieces.map(fill));
  return {
    texts: filled.map((pieces) => pieces.join("")),
    part,
    before: filled[part]!.slice(0, at).join(""),
    after: filled[part]!.slice(at + 1).join(""),
  };
}

/** Where the document's tokens begin and end. A token that spans the document and its surroundings counts as the document's. */
function documentIn(ids: Int32Array, head: Int32Array, tail: Int32Array): [from: number, to: number] {
  let from = 0;
  while (from < head.length && from < ids.length && ids[from] === head[from]) from++;
  let to = ids.length;
  while (to > from && ids.length - to < tail.length && ids[to - 1] === tail[tail.length - 1 - (ids.length - to)]) to--;
  return [from, to];
}
