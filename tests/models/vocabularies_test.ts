// Token ids of real vocabularies: those of the pinned llama.cpp, against its own reference ids and Hugging Face's.
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { fixture } from "../support/checkpoint.ts";
import { libraryMissing } from "../support/references.ts";
import { vocabulariesMissing, vocabularyTests, withVocabulary } from "../support/vocabulary.ts";

/** A vocabulary, and the special tokens that go around every text. */
interface Vocabulary {
  readonly name: string;
  readonly opening: readonly number[];
  readonly closing: readonly number[];
}

const VOCABULARIES: readonly Vocabulary[] = [
  { name: "bert-bge", opening: [101], closing: [102] }, // WordPiece
  { name: "nomic-bert-moe", opening: [0], closing: [2] }, // XLM-RoBERTa's SentencePiece, by its charsmap and scores
  { name: "gpt-2", opening: [], closing: [] }, // and RoBERTa
  { name: "qwen2", opening: [], closing: [] }, // and Qwen3
  { name: "qwen35", opening: [], closing: [] },
  { name: "llama-bpe", opening: [128000], closing: [] },
  { name: "llama-spm", opening: [1], closing: [] },
  { name: "gemma-4", opening: [2], closing: [] },
];

const items: { id: string; text: string }[] = JSON.parse(readFileSync(fixture("texts.json"), "utf8"));
const { more, ids } = JSON.parse(readFileSync(fixture("vocabularies.json"), "utf8")) as {
  more: Record<string, string>;
  ids: { name: string; ids: Record<string, number[]> }[];
};
const texts = new Map([...items.map(({ id, text }): [string, string] => [id, text]), ...Object.entries(more)]);

for (const { name, opening, closing } of VOCABULARIES) {
  test(`tokenize() gives the reference ids of ${name}`, {
    skip: libraryMissing ? "the library was not built" : vocabulariesMissing,
    timeout: 300_000,
  }, async () => {
    await withVocabulary(name, async (llama) => {
      const around = (inner: readonly number[]): number[] => [...opening, ...inner, ...closing];
      // llama.cpp's own are made as ours: special-token parsing off (tests/test-tokenizer-0.cpp); we add what goes around.
      const own = name === "nomic-bert-moe" ? [] : vocabularyTests(name); // it has no .inp
      // llama.cpp's for qwen35 are its own: not composed (NFC), as transformers' Qwen3_5Tokenizer composes. Ours are in `ids`.
      const comparable = own.filter(({ text }) => name !== "qwen35" || text === text.normalize("NFC"));
      const wrong: string[] = [];
      for (const { text, ids } of comparable) {
        const found = await llama.tokenize(text);
        if (found.join() !== around(ids).join()) wrong.push(`${JSON.stringify(text)}: ${found}, not ${around(ids)}`);
      }
      const references = Object.entries(ids.find((one) => one.name === name)!.ids);
      for (const [id, ids] of references) {
        const found = await llama.tokenize(texts.get(id)!);
        if (found.join() !== around(ids).join()) {
          wrong.push(`${id} ${JSON.stringify(texts.get(id))}: ${found}, not ${around(ids)}`);
        }
      }
      console.log(`${name}: ${comparable.length} texts of llama.cpp's, ${references.length} of ours`);
      assertEquals(wrong, []);
      assert(references.length > 50, `${references.length} texts`);
    });
  });
}
