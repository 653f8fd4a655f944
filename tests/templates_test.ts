import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { pairFormat } from "../src/pairs.ts";
import type { Text } from "../src/pool.ts";
import { fillTemplate, parseTemplate } from "../src/templates.ts";

// A tokenizer of one token a character, but for two special tokens where they are asked for.
const SPECIALS: Readonly<Record<string, number>> = { "<|im_start|>": 1, "<|im_end|>": 2 };
function tokenize(texts: Text[]): Promise<Int32Array[]> {
  return Promise.resolve(texts.map(({ text, special }) => {
    const token = special === "parse" ? SPECIALS[text] : undefined;
    return token === undefined ? Int32Array.from(text, (c) => 1000 + c.codePointAt(0)!) : Int32Array.of(token);
  }));
}
const spell = (ids: Int32Array): string =>
  Array.from(ids, (id) => id === 1 ? "«" : id === 2 ? "»" : String.fromCodePoint(id - 1000)).join("");
const TEMPLATE = "<|im_start|>Q: {query}\nD: {document}.<|im_end|>\n<think>";
const name = (i: number): string => `documents[${i}]`;

async function fill(query: string, documents: string[], limit = 1000, truncate: "end" | "start" | "error" = "end") {
  const stretches = await parseTemplate(TEMPLATE, tokenize);
  const sequences = await fillTemplate(stretches, query, documents, limit, truncate, name, tokenize);
  return sequences.map(({ ids, truncated }) => [spell(ids), truncated]);
}

test("fillTemplate() puts query and document in, and only the template's own special tokens are tokens", async () => {
  assertEquals(await fill("a", ["b", "c"]), [["«Q: a\nD: b.»\n<think>", false], ["«Q: a\nD: c.»\n<think>", false]]);
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
