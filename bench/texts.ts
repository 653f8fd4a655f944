/** The texts of the workloads: always the same ones, of the pinned llama.cpp tree's documentation. */
import { Llama } from "../mod.ts";
import { modelFor } from "./models.ts";
import { allParagraphs, paragraphs } from "./paragraphs.ts";

/** The longest text of every workload, in MiniLM's tokens. */
export const LONGEST = 512;

const TITLE_TOKENS = 16;
const TITLE_WORDS = [3, 4, 5, 6, 7, 8];
const STEP = 7919; // a prime: neighbours in the list come from far apart in the documentation
const COUNTED = 2000; // texts whose tokens are counted at once
const DOCUMENT_WORDS = 24;
const INSTRUCTION_WORDS = 235; // about 300 tokens

/** Counts the tokens of texts. */
export type Count = (texts: readonly string[]) => Promise<number[]>;

/** Different runs of words with at most 16 tokens. */
export async function titles(count: number, tokens: Count): Promise<string[]> {
  const all = spans((await allParagraphs()).join(" ").split(" "), TITLE_WORDS);
  const found: string[] = [];
  for (let from = 0; from < all.length && found.length < count; from += COUNTED) {
    const some = all.slice(from, from + COUNTED);
    const counts = await tokens(some);
    found.push(...some.filter((_, i) => counts[i]! <= TITLE_TOKENS));
  }
  if (found.length < count) throw new Error(`llama.cpp's documentation has ${found.length} titles: ask for fewer`);
  return found.slice(0, count);
}

/** Every run of so many words, each once, in an order that mixes them. */
export function spans(words: readonly string[], lengths: readonly number[]): string[] {
  const all = lengths.flatMap((length) =>
    words.slice(0, words.length - length + 1).map((_, from) => words.slice(from, from + length).join(" "))
  );
  return [...new Set(all.map((_, i) => all[i * STEP % all.length]!))];
}

/** Mixed paragraphs, none longer than the longest. */
export async function mixedParagraphs(count: number, tokens: Count): Promise<string[]> {
  const texts = await paragraphs(count);
  const counts = await tokens(texts);
  return await Promise.all(texts.map((text, i) => counts[i]! <= LONGEST ? text : cut(text, tokens)));
}

/** Paragraphs put together, each text as near to the longest as whole words allow. */
export async function passages(count: number, tokens: Count): Promise<string[]> {
  const words = (await allParagraphs()).join(" ").split(" ");
  const starts = Array.from({ length: count }, (_, i) => Math.floor(i * (words.length - LONGEST) / count));
  return await Promise.all(starts.map((from) => cut(words.slice(from, from + LONGEST).join(" "), tokens)));
}

/** The first words of a text, as many as fit. */
async function cut(text: string, tokens: Count): Promise<string> {
  const words = text.split(" ");
  let [fits, over] = [1, words.length + 1];
  while (over - fits > 1) {
    const middle = (fits + over) >> 1;
    const [count] = await tokens([words.slice(0, middle).join(" ")]);
    if (count! <= LONGEST) fits = middle;
    else over = middle;
  }
  return words.slice(0, fits).join(" ");
}

/** Paragraphs that leave room for a query beside them. */
export async function documents(count: number): Promise<string[]> {
  return (await paragraphs(count)).map((text) => text.split(" ").slice(0, LONGEST / 2).join(" "));
}

/** The beginnings of paragraphs. */
export async function shortDocuments(count: number): Promise<string[]> {
  return (await paragraphs(count)).map((text) => text.split(" ").slice(0, DOCUMENT_WORDS).join(" "));
}

/** What a reranker is told: long, as those are that say what counts. */
export async function longInstruction(): Promise<string> {
  const words = (await allParagraphs()).join(" ").split(" ");
  return `Judge whether the document answers the query for a reader who knows this: ${
    words.slice(0, INSTRUCTION_WORDS).join(" ")
  }`;
}

/** Runs with MiniLM's tokeniser at hand. */
export async function withCount<T>(work: (tokens: Count) => Promise<T>): Promise<T> {
  await using llama = await Llama.load(await modelFor("q8_0", "paragraphs"));
  return await work((texts) => Promise.all(texts.map((text) => llama.countTokens(text))));
}
