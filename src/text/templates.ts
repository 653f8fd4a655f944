/**
 * The template that some rerankers' files carry (`tokenizer.chat_template.rerank`), such as Qwen3-Reranker's: text with
 * `{query}` and `{document}` in it, and special tokens.
 *
 * Query, document and instruction are put in in one pass, so that none can hold a placeholder, and only the special
 * tokens that the template itself spells out become tokens: what a user's text spells is plain text. Between special
 * tokens, template and user text are tokenised as one text, as the original tokenizer does: a query's "?" and the line
 * break after it are one token of Qwen's.
 */
import { pieceCount, pieceOf } from "./pairs.ts";
import type { Cutter, PairTruncate } from "./sequences.ts";
import { forEachInSlices, type Items } from "../slices.ts";
import { joined, type Special } from "./tokens.ts";

/** A stretch of a template: a special token, or text with placeholders as its odd parts. */
export type Stretch = { readonly token: number } | { readonly parts: readonly string[] };
/** Tokenises texts. */
export type Tokenize = (texts: readonly string[], special: Special) => Promise<Int32Array[]>;

// How vocabularies spell special tokens. What is none by the vocabulary's word stays text.
const SPELLED_SPECIAL = /(<\|[^|<>]+\|>|<\/?[a-z_]+>|\[[A-Z]+\])/;
const PLACEHOLDER = /\{(query|document|instruction)\}/;
// The line with the task, as Qwen3-Embedding ("Instruct: ") and Qwen3-Reranker ("<Instruct>: ") have it.
const INSTRUCTION = /((?:^|\n)<?Instruct>?: )([^\n]*)/;

/** What Qwen3-Embedding and Qwen3-Reranker take where no instruction is given (their model cards). */
export const DEFAULT_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query";

/** Qwen3-Reranker's prompt (its model card), for causal models whose files carry none. */
export const YES_NO_TEMPLATE: string =
  "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. " +
  'Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n' +
  "<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}<|im_end|>\n" +
  "<|im_start|>assistant\n<think>\n\n</think>\n\n";

/** What is put in a template, by placeholder. */
export interface Values {
  readonly query: string;
  readonly instruction: string;
}

/**
 * A template or prompt with another text in the place of its instruction.
 *
 * @throws {RangeError} when it has no line for one.
 */
export function withInstruction(template: string | undefined, text: string): string {
  if (template?.includes("{instruction}")) return template.replaceAll("{instruction}", () => text);
  if (template && INSTRUCTION.test(template)) return template.replace(INSTRUCTION, (_, before) => before + text);
  throw new RangeError(
    'Cannot rank with an instruction: this model has no line "Instruct: …" for it; leave it out, or pass a template ' +
      "with {instruction} to Llama.load",
  );
}

/**
 * Reads a template.
 *
 * @param tokenize Asked for each thing that is spelled like a special token whether it is one.
 * @throws {RangeError} when it has no `{query}` or no `{document}`, or more than one of either.
 */
export async function parseTemplate(template: string, tokenize: Tokenize): Promise<Stretch[]> {
  const pieces = template.split(SPELLED_SPECIAL).filter((piece) => piece !== "");
  const spelled = pieces.map((piece) => SPELLED_SPECIAL.test(piece));
  const asked = pieces.filter((_, i) => spelled[i]);
  const parsed = await tokenize(asked, "parse");
  const plain = await tokenize(asked, "none");
  const token = new Map(
    asked.map((text, i) => [text, parsed[i]!.length === 1 && plain[i]!.length !== 1 ? parsed[i]![0]! : -1]),
  );
  const stretches: Stretch[] = [];
  let text = "";
  const flush = (): void => {
    if (text) stretches.push({ parts: text.split(PLACEHOLDER) });
    text = "";
  };
  pieces.forEach((piece, i) => {
    const id = spelled[i] ? token.get(piece)! : -1;
    if (id < 0) {
      text += piece;
      return;
    }
    flush();
    stretches.push({ token: id });
  });
  flush();
  const slots = stretches.flatMap((stretch) => "parts" in stretch ? stretch.parts.filter((_, i) => i % 2 === 1) : []);
  for (const slot of ["query", "document"]) {
    if (slots.filter((one) => one === slot).length !== 1) {
      throw new RangeError(`Cannot use the model's rerank template: it must have {${slot}} once`);
    }
  }
  return stretches;
}

/**
 * How documents go into a template with one query: each as one sequence, or with `truncate: "windows"` as one for each
 * window. What does not fit is cut from the document.
 *
 * @param tokenizeList As `tokenize`, of a list that may be long.
 * @throws {RangeError} when the query alone leaves no room, or with `truncate: "error"` a document does not fit.
 */
export async function fillTemplate(
  stretches: readonly Stretch[],
  values: Values,
  documents: readonly string[],
  limit: number,
  truncate: PairTruncate,
  name: (index: number) => string,
  tokenize: Tokenize,
  tokenizeList: (texts: Items<string>, special: Special) => Promise<Items<Int32Array>>,
): Promise<Cutter> {
  const fill = (part: string, i: number): string => i % 2 === 0 ? part : values[part as keyof Values] ?? "";
  const texts = stretches.map((stretch) => "parts" in stretch ? stretch.parts : []);
  const wanted = texts.findIndex((parts) => parts.some((part, i) => i % 2 === 1 && part === "document"));
  const at = texts[wanted]!.findIndex((part, i) => i % 2 === 1 && part === "document");
  const before = texts[wanted]!.slice(0, at).map(fill).join("");
  const after = texts[wanted]!.slice(at + 1).map((part, i) => fill(part, i)).join("");
  const { length } = documents;
  const [fixed, [head, tail], whole] = await Promise.all([
    tokenize(texts.map((parts) => parts.map(fill).join("")), "none"),
    tokenize([before, after], "none") as Promise<[Int32Array, Int32Array]>,
    tokenizeList({ length, at: (i) => before + documents[i]! + after }, "none"),
  ]);
  const around = stretches.map((stretch, i) => "token" in stretch ? [stretch.token] : Array.from(fixed[i]!));
  const [opening, closing] = [around.slice(0, wanted).flat(), around.slice(wanted + 1).flat()];
  const room = limit - opening.length - closing.length - head.length - tail.length;
  if (room < 1) {
    throw new RangeError(`Cannot rank with this query: its tokens leave no room for a document, the limit is ${limit}`);
  }
  const [starts, ends] = [new Uint32Array(length), new Uint32Array(length)];
  // The last token before the document is often another with it: where one document's is not, it is computed for each.
  let least = Math.max(0, head.length - 1);
  await forEachInSlices(length, (i) => {
    [starts[i], ends[i]] = documentIn(whole.at(i)!, head, tail);
    least = Math.min(least, starts[i]!);
  });
  const prefixLength = opening.length + least;
  const spaceOf = (ids: Int32Array, i: number): number =>
    limit - opening.length - closing.length - starts[i]! - (ids.length - ends[i]!);
  return {
    length,
    pieces: (i) => {
      const ids = whole.at(i)!;
      return pieceCount(ids.subarray(starts[i]!, ends[i]!), spaceOf(ids, i), truncate, () => name(i));
    },
    cut: (i, piece) => {
      const ids = whole.at(i)!;
      const [from, to] = [starts[i]!, ends[i]!];
      const { ids: kept, truncated } = pieceOf(ids.subarray(from, to), spaceOf(ids, i), truncate, piece);
      const joint = joined(opening, ids.subarray(0, from), kept, ids.subarray(to), closing);
      return { ids: joint, truncated, prefixLength };
    },
  };
}

/** Where the document's tokens begin and end. A token may be of both the document and what is beside it: it is taken as the document's. */
function documentIn(ids: Int32Array, head: Int32Array, tail: Int32Array): [from: number, to: number] {
  let from = 0;
  while (from < head.length && from < ids.length && ids[from] === head[from]) from++;
  let to = ids.length;
  while (to > from && ids.length - to < tail.length && ids[to - 1] === tail[tail.length - 1 - (ids.length - to)]) to--;
  return [from, to];
}
