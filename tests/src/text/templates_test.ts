import { test } from "node:test";
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { pairFormat } from "../../../src/text/pairs.ts";
import type { Special } from "../../../src/text/tokens.ts";
import type { PairTruncate, Sequence, Splitter } from "../../../src/text/sequences.ts";
import type { Items } from "../../../src/slices.ts";
import { fillTemplate, parseTemplate, withInstruction, YES_NO_TEMPLATE } from "../../../src/text/templates.ts";

// A tokenizer of one token a character, but for two special tokens where they are asked for.
const SPECIALS: Readonly<Record<string, number>> = { "<|im_start|>": 1, "<|im_end|>": 2 };
function tokenize(texts: readonly string[], special: Special): Promise<Int32Array[]> {
  return Promise.resolve(texts.map((text) => {
    const token = special === "parse" ? SPECIALS[text] : undefined;
    return token === undefined ? Int32Array.from(text, (c) => 1000 + c.codePointAt(0)!) : Int32Array.of(token);
  }));
}
const listed = ({ length, at }: Items<string>): string[] => Array.from({ length }, (_, i) => at(i)!);
const tokenizeAll = (texts: Items<string>, special: Special) => tokenize(listed(texts), special);
const spell = (ids: Int32Array): string =>
  Array.from(ids, (id) => id === 1 ? "«" : id === 2 ? "»" : String.fromCodePoint(id - 1000)).join("");
const TEMPLATE = "<|im_start|>Q: {query}\nD: {document}.<|im_end|>\n<think>";
const name = (i: number): string => `documents[${i}]`;

async function fillAll(query: string, documents: string[], limit: number, truncate: PairTruncate, template = TEMPLATE) {
  const parts = await parseTemplate(template, tokenize);
  const values = { query, instruction: "<|im_end|>{query}" };
  const options = { limit, truncate, name };
  const splitter = await fillTemplate(parts, values, documents, options, tokenize, tokenizeAll);
  return groupsOf(splitter).map((group) => group.map(({ ids, truncated }) => [spell(ids), truncated]));
}

/** The sequences of each document. */
function groupsOf({ length, count, sequence }: Splitter): Sequence[][] {
  return Array.from({ length }, (_, i) => Array.from({ length: count(i) }, (_, window) => sequence(i, window)));
}

async function fill(query: string, documents: string[], limit = 1000, truncate: PairTruncate = "end") {
  return (await fillAll(query, documents, limit, truncate)).flat();
}

test("fillTemplate() puts query and document in, and only the template's own special tokens are tokens", async () => {
  assertEquals(await fill("a", ["b", "c"]), [["«Q: a\nD: b.»\n<think>", false], ["«Q: a\nD: c.»\n<think>", false]]);
});

test("parseTemplate() keeps the texts of a list apart, so that each is tokenised alone", async () => {
  const parts = await parseTemplate(["<|im_start|>q: ", "{query}", "\n", "{document}<|im_end|>"], tokenize);
  assertEquals(parts, [
    { token: 1 },
    { pieces: ["q: "] },
    { pieces: ["", "query", ""] },
    { pieces: ["\n"] },
    { pieces: ["", "document", ""] },
    { token: 2 },
  ]);
});

test("withInstruction() replaces the instruction in the text of a list that has one", () => {
  assertEquals(withInstruction(["{query}", "{instruction}: {document}"], "a"), ["{query}", "a: {document}"]);
  assertThrows(() => withInstruction(["{query}", "{document}"], "a"), RangeError, "no line");
});

test("fillTemplate() takes placeholders and special tokens in user text as plain text", async () => {
  const [[text]] = await fill("{document}<|im_end|>", ["{query} $& <|im_start|>"]) as [[string, boolean]];
  assertEquals(text, "«Q: {document}<|im_end|>\nD: {query} $& <|im_start|>.»\n<think>");
});

test("fillTemplate() cuts the document and keeps the query and what closes", async () => {
  const room = "«Q: a\nD: 12345.»\n<think>".length;
  assertEquals(await fill("a", ["123456789"], room), [["«Q: a\nD: 12345.»\n<think>", true]]);
  assertEquals(await fill("a", ["123456789"], room, "start"), [["«Q: a\nD: 56789.»\n<think>", true]]);
  await assertRejects(() => fill("a", ["1", "123456789"], room, "error"), RangeError, "documents[1]");
  await assertRejects(() => fill("a".repeat(50), ["b"], 40), RangeError, "leave no room");
});

test("fillTemplate() makes a sequence of each overlapping window, and its frame is whole in each", async () => {
  const room = "«Q: a\nD: 12345678.»\n<think>".length;
  const framed = (part: string): [string, boolean] => [`«Q: a\nD: ${part}.»\n<think>`, false];
  assertEquals(await fillAll("a", ["12345678", "abcdefghijklmnopqr"], room, "windows"), [
    [framed("12345678")],
    [framed("abcdefgh"), framed("ghijklmn"), framed("klmnopqr")],
  ]);
});

test("fillTemplate() takes what an instruction spells as plain text", async () => {
  const template = "<|im_start|>{instruction}: {document} {query}<|im_end|>";
  assertEquals(await fillAll("q", ["d"], 100, "end", template), [[["«<|im_end|>{query}: d q»", false]]]);
});

test("fillTemplate() tokenises query, document and what is between them as one text", async () => {
  const asked: string[] = [];
  const listen = (texts: readonly string[], special: Special) => {
    asked.push(...texts);
    return tokenize(texts, special);
  };
  const parts = await parseTemplate(TEMPLATE, tokenize);
  const values = { query: "what?", instruction: "" };
  const options = { limit: 100, truncate: "end", name } as const;
  const listenAll = (texts: Items<string>, special: Special) => listen(listed(texts), special);
  await fillTemplate(parts, values, ["that"], options, listen, listenAll);
  assertEquals(asked.filter((text) => text.includes("that")), ["Q: what?\nD: that."]);
});

test("fillTemplate() keeps a token that is of the document and of what is before it", async () => {
  // A tokenizer that merges a space with the letter behind it, as byte-pair encodings do.
  const merging = async (texts: readonly string[], special: Special): Promise<Int32Array[]> =>
    (await tokenize(texts, special)).map((ids) => {
      const merged: number[] = [];
      for (const id of ids) {
        if (merged.at(-1) === 1032 && id !== 1032) merged.pop();
        merged.push(id);
      }
      return Int32Array.from(merged);
    });
  const parts = await parseTemplate("{query}: {document}", merging);
  const values = { query: "q", instruction: "" };
  const mergingAll = (texts: Items<string>, special: Special) => merging(listed(texts), special);
  const options = { limit: 6, truncate: "windows", name } as const;
  const splitter = await fillTemplate(parts, values, ["abcdefghij"], options, merging, mergingAll);
  assertEquals(groupsOf(splitter).flat().map(({ ids }) => spell(ids)), ["q:abcd", "q:defg", "q:ghij"]);
});

test("withInstruction() replaces the line of Qwen's prompts, and says where there is none", () => {
  assertEquals(withInstruction("Instruct: old\nQuery:", "new $&"), "Instruct: new $&\nQuery:");
  assertStringIncludes(withInstruction(YES_NO_TEMPLATE, "find it"), "user\n<Instruct>: find it\n<Query>: {query}");
  assertThrows(() => withInstruction("query: ", "new"), RangeError, "no line");
  assertThrows(() => withInstruction(undefined, "new"), RangeError, "pass a template");
});

test("parseTemplate() refuses a template without one of the two placeholders", async () => {
  await assertRejects(() => parseTemplate("{query} only", tokenize), RangeError, "{document}");
  await assertRejects(() => parseTemplate("{query}{query}{document}", tokenize), RangeError, "{query}");
});

test("pairFormat() joins as each family was trained", () => {
  const vocabulary = { bos: 5, eos: 6, sep: 7, addBos: 1, addEos: 1, addSep: 1 } as Parameters<typeof pairFormat>[1];
  const join = (architecture: string, tokenizer: string, types: number, flags = vocabulary) => {
    const { opening, middle, closing, segments } = pairFormat({ architecture, tokenizer, types }, flags);
    return [...opening, "q", ...middle, "d", ...closing, segments].join(" ");
  };
  assertEquals(join("bert", "bert", 2), "5 q 7 d 7 true"); // BERT: [CLS] q [SEP] d [SEP], segment B
  assertEquals(join("bert", "t5", 1), "5 q 6 6 d 6 false"); // XLM-R: <s> q </s></s> d </s>
  assertEquals(join("bert", "gpt2", 1), "5 q 6 6 d 6 false"); // RoBERTa
  assertEquals(join("modern-bert", "gpt2", 0), "5 q 7 d 7 false");
  assertEquals(join("llama", "llama", 0), "5 q 6 7 d 6 false"); // by what the vocabulary asks for
  assertEquals(join("llama", "llama", 0, { ...vocabulary, addEos: 0, addSep: 0 }), "5 q d false");
});
