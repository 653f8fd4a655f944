/**
 * The template that some rerankers' files carry (`tokenizer.chat_template.rerank`), such as Qwen3-Reranker's: text with
 * `{query}` and `{document}` in it, and special tokens.
 *
 * The two are put in in one pass, so that neither can hold a placeholder, and only the special tokens that the template
 * itself spells out become tokens: what a query or a document spells is plain text. Between special tokens, template and
 * user text are tokenised as one text, as the original tokenizer does.
 */
import type { Text } from "./pool.ts";
import type { Sequence } from "./tokens.ts";
import type { Truncate } from "./options.ts";

/** A stretch of a template: a special token, or text with placeholders. */
export type Stretch = { readonly token: number } | {
  readonly before: string;
  readonly after: string;
  readonly slot?: Slot;
};
type Slot = "query" | "document";
/** Tokenises texts. */
export type Tokenize = (texts: Text[]) => Promise<Int32Array[]>;

// How vocabularies spell special tokens. What is none by the vocabulary's word stays text.
const SPELLED_SPECIAL = /(<\|[^|<>]+\|>|<\/?[a-z_]+>|\[[A-Z]+\])/;

/**
 * Reads a template.
 *
 * @param tokenize Asked for each thing that is spelled like a special token whether it is one.
 * @throws {RangeError} when it has no `{query}` or no `{document}`, or more than one of either in a stretch of text.
 */
export async function parseTemplate(template: string, tokenize: Tokenize): Promise<Stretch[]> {
  const parts = template.split(SPELLED_SPECIAL).filter((part) => part !== "");
  const spelled = parts.map((part) => SPELLED_SPECIAL.test(part));
  const asked = parts.filter((_, i) => spelled[i]);
  const parsed = await tokenize(asked.map((text) => ({ text, special: "parse" })));
  const plain = await tokenize(asked.map((text) => ({ text, special: "none" })));
  const token = new Map(
    asked.map((text, i) => [text, parsed[i]!.length === 1 && plain[i]!.length !== 1 ? parsed[i]![0]! : -1]),
  );
  const stretches: Stretch[] = [];
  let text = "";
  const flush = (): void => {
    if (text) stretches.push(...slots(text));
    text = "";
  };
  parts.forEach((part, i) => {
    const id = spelled[i] ? token.get(part)! : -1;
    if (id < 0) text += part;
    else {
      flush();
      stretches.push({ token: id });
    }
  });
  flush();
  for (const slot of ["query", "document"] as const) {
    if (stretches.filter((stretch) => "slot" in stretch && stretch.slot === slot).length !== 1) {
      throw new RangeError(`Cannot use the model's rerank template: it must have {${slot}} once`);
    }
  }
  return stretches;
}

function slots(text: string): Stretch[] {
  const [before, slot, after, ...rest] = text.split(/\{(query|document)\}/);
  if (slot === undefined) return [{ before: text, after: "" }];
  if (rest.length > 0) {
    // Both in one stretch: the second begins where the text between them ends.
    return [
      { before: before!, slot: slot as Slot, after: "" },
      ...slots(`${after}{${rest[0]}}${rest.slice(1).join("")}`),
    ];
  }
  return [{ before: before!, slot: slot as Slot, after: after! }];
}

/** The sequences of one query with many documents. What does not fit is cut from the document. */
export async function fillTemplate(
  stretches: readonly Stretch[],
  query: string,
  documents: readonly string[],
  limit: number,
  truncate: Truncate,
  name: (index: number) => string,
  tokenize: Tokenize,
): Promise<Sequence[]> {
  const wanted = stretches.findIndex((stretch) => "slot" in stretch && stretch.slot === "document");
  const place = stretches[wanted] as Extract<Stretch, { before: string }>;
  const fixed = await tokenizeStretches(stretches.filter((_, i) => i !== wanted), query, tokenize);
  const around = [fixed.slice(0, wanted), fixed.slice(wanted)].map((parts) => parts.flatMap((ids) => Array.from(ids)));
  const [opening, closing] = around as [number[], number[]];
  const [whole, head, tail] = await Promise.all([
    tokenize(documents.map((text) => ({ text: place.before + text + place.after, special: "none" }))),
    tokenize([{ text: place.before, special: "none" }]),
    tokenize([{ text: place.after, special: "none" }]),
  ]);
  const room = limit - opening.length - closing.length;
  if (room <= head[0]!.length + tail[0]!.length) {
    throw new RangeError(`Cannot rank with this query: its tokens leave no room for a document, the limit is ${limit}`);
  }
  return whole.map((ids, i): Sequence => {
    const truncated = ids.length > room;
    if (truncated && truncate === "error") {
      throw new RangeError(
        `Cannot rank ${name(i)}: it has ${ids.length} tokens with its frame, there is room for ${room}`,
      );
    }
    const kept = truncated ? cut(ids, room, head[0]!, tail[0]!, truncate === "start") : ids;
    return { ids: Int32Array.of(...opening, ...kept, ...closing), truncated };
  });
}

function cut(ids: Int32Array, room: number, head: Int32Array, tail: Int32Array, start: boolean): number[] {
  const inner = room - tail.length;
  const body = ids.subarray(0, ids.length - tail.length);
  const kept = start
    ? [...body.subarray(0, head.length), ...body.subarray(body.length - (inner - head.length))]
    : [...body.subarray(0, inner)];
  return [...kept, ...tail];
}

async function tokenizeStretches(
  stretches: readonly Stretch[],
  query: string,
  tokenize: Tokenize,
): Promise<ArrayLike<number>[]> {
  const texts = stretches.map((stretch) =>
    "token" in stretch ? "" : stretch.before + (stretch.slot === "query" ? query : "") + stretch.after
  );
  const ids = await tokenize(texts.map((text) => ({ text, special: "none" })));
  return stretches.map((stretch, i) => "token" in stretch ? [stretch.token] : ids[i]!) as ArrayLike<number>[];
}
