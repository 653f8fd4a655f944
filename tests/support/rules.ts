// What our own arithmetic and text rules make of fixed texts with each family's fixture: the table that RULES stands for.
// `deno run -A tests/support/rules.ts` writes it anew; raise RULES (src/engine/fingerprint.ts) whenever it changes.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Llama } from "../../mod.ts";
import { RULES } from "../../src/engine/fingerprint.ts";
import { fixture } from "./checkpoint.ts";

/** What one model makes of the texts. */
export interface Made {
  /** The token ids of each text. */
  readonly ids: number[][];
  /** The first numbers of each vector, or the logit of each text as a document. */
  readonly numbers: number[][];
}

/** The committed table. */
export interface RulesTable {
  readonly rules: number;
  readonly families: Record<string, Made>;
}

export const TABLE: string = fixture("rules.json");
const SHOWN = 6;
const DIGITS = 1e6;

const TEXTS = [
  "hello world",
  "Die Straße ist naß; l'été, c'est déjà fini.",
  "snake_case, camelCase and 3.14159 in `code`\tand\ttabs",
  "日本語のテキスト と 한국어",
  "x".repeat(120) + " é́ ﬁ",
  // A literal U+2581, private use, punctuation and marks of different versions of Unicode, lower case of two characters.
  "a\u2581b \uf0b7the\ue000y a\u2e43b a\u166db a\u1acfb \u0130\ua7cb a\u{1d165}\u1b44",
  // Marks and parts of letters that came after Unicode 9, and literal U+2581 beside spaces.
  "q\u0307\u1acf\u0323 \u{11935}\u{11930}e\u0301 a  \u2581\u2581 b",
  "a longer text that goes on for a while, so that attention has some tokens to look at, and then ends",
];

/** The families' names. */
export function families(): string[] {
  return readdirSync(fixture("families")).filter((name) => name.endsWith(".gguf")).map((name) => name.slice(0, -5));
}

/** Makes a family's entry. */
export async function make(family: string): Promise<Made> {
  const path = join(fixture("families"), `${family}.gguf`);
  // Qwen3-Reranker's own prompt is longer than the tiny models take.
  const options = /^(qwen|llama|gte|embedding|zerank|mxbai|bge)/.test(family)
    ? { template: "{query}: {document}?" }
    : {};
  await using llama = await Llama.load(path, options);
  const ids: number[][] = [];
  for (const text of TEXTS) ids.push(Array.from(await llama.tokenize(text)));
  const rounded = (x: number): number => Math.round(x * DIGITS) / DIGITS;
  if (llama.info.reranker === "cosine") {
    const vectors = await llama.embed(TEXTS);
    return { ids, numbers: vectors.map((vector) => Array.from(vector.subarray(0, SHOWN), rounded)) };
  }
  const ranked = await llama.rerank("a", TEXTS);
  const logits = ranked.sort((a, b) => a.index - b.index).map(({ logit }) => [rounded(logit)]);
  return { ids, numbers: logits };
}

/** The committed table. */
export function readTable(): RulesTable {
  return JSON.parse(readFileSync(TABLE, "utf8"));
}

if (import.meta.main) {
  const made: Record<string, Made> = {};
  for (const family of families()) made[family] = await make(family);
  const lines = Object.entries(made).map(([family, entry]) =>
    `    ${JSON.stringify(family)}: ${JSON.stringify(entry)}`
  );
  writeFileSync(TABLE, `{\n  "rules": ${RULES},\n  "families": {\n${lines.join(",\n")}\n  }\n}\n`);
}
