// deno task parity: how near every family is to its original, with f32, bf16 and q8_0 weights, and what of llama.cpp's
// families is right, warned of, refused or not verified. Exit code 1 where a limit is passed.
import process from "node:process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { quantize, type WeightType } from "../convert.ts";
import { dot, Llama } from "../mod.ts";
import { bertRerankers, minilm } from "../tests/bert_families.ts";
import {
  compareScores,
  compareVectors,
  type Embedder,
  familyFile,
  readFamilies,
  type Reranker,
  scoresOf,
  spearman,
  vectorsOf,
  wrongPairTokens,
  wrongTokens,
} from "../tests/families.ts";
import { STATUSES } from "./parity_statuses.ts";

/** What a row may be off by at most. */
interface Limits {
  readonly cosine: number;
  readonly vectors: number;
  /** Of logits, as a part of their range; f32 has the family's own tolerance. */
  readonly logits: number;
  readonly rank: number;
}

const F32: Limits = { cosine: 0.99999, vectors: 1e-3, logits: 0, rank: 0.999 };
// The small models are 32 wide, where a rounding weighs more than in real ones.
const SMALL: Readonly<Record<string, Limits>> = {
  f32: F32,
  bf16: { cosine: 0.998, vectors: 0.04, logits: 0.03, rank: 0.97 },
  q8_0: { cosine: 0.985, vectors: 0.08, logits: 0.06, rank: 0.95 },
};
const REAL: Readonly<Record<string, Limits>> = {
  f32: F32,
  bf16: { cosine: 0.9999, vectors: 4e-3, logits: 0.02, rank: 0.999 },
  q8_0: { cosine: 0.997, vectors: 0.02, logits: 0.04, rank: 0.998 },
};
const TYPES = ["f32", "bf16", "q8_0"] as const satisfies readonly WeightType[];

let failed = 0;

/** Marks a figure that passes its limit. */
function judged(text: string, within: boolean): string {
  if (!within) failed++;
  return within ? text : `**${text}**`;
}

async function embedderRow(file: string, type: string, embedder: Embedder): Promise<string> {
  const { family, texts } = embedder;
  const limits = (family.name === "minilm" ? REAL : SMALL)[type]!;
  await using llama = await Llama.load(file, { contextSize: family.maxTokens });
  const wrong = await wrongTokens(llama, embedder);
  const vectors = await vectorsOf(llama, texts);
  const { least, mean, off } = compareVectors(texts, vectors);
  // a query against all other texts
  const query = Math.max(0, texts.findIndex(({ id }) => id === "query-1"));
  const [wanted, found] = [texts.map(({ vector }) => vector), vectors].map((all) =>
    all.filter((_, i) => i !== query).map((vector) => dot(all[query]!, vector))
  );
  const rank = spearman(wanted!, found!);
  return row(family.title, type, [
    judged(`${texts.length - wrong.length} of ${texts.length}`, wrong.length === 0),
    judged(`${least.toFixed(7)} / ${mean.toFixed(7)}`, least >= limits.cosine),
    judged(off.toExponential(1), off <= (type === "f32" ? family.tolerance : limits.vectors)),
    judged(rank.toFixed(4), rank >= limits.rank),
  ]);
}

async function rerankerRow(file: string, type: string, reranker: Reranker): Promise<string> {
  const { family, pairs } = reranker;
  const limits = (family.name.startsWith("minilm") ? REAL : SMALL)[type]!;
  await using llama = await Llama.load(file, { contextSize: family.maxTokens });
  const wrong = await wrongPairTokens(llama, reranker);
  const { off, rank, range } = compareScores(pairs, await scoresOf(llama, pairs));
  const allowed = type === "f32" ? family.tolerance : limits.logits * Math.max(range, 10);
  return row(family.title, type, [
    family.template
      ? "as the logits show"
      : judged(`${pairs.length - wrong.length} of ${pairs.length}`, wrong.length === 0),
    "",
    judged(`${off.toExponential(1)} of ${range.toFixed(1)}`, off <= allowed),
    judged(rank.toFixed(4), rank >= limits.rank),
  ]);
}

function row(title: string, type: string, cells: readonly string[]): string {
  return `| ${[title, type, ...cells].join(" | ")} |`;
}

async function rows(): Promise<string[]> {
  const directory = mkdtempSync(join(tmpdir(), "llamasaur-parity-"));
  const made: string[] = [];
  const each = async (f32: string, name: string, rowOf: (file: string, type: string) => Promise<string>) => {
    for (const type of TYPES) {
      const file = type === "f32" ? f32 : join(directory, `${name}-${type}.gguf`);
      if (type !== "f32") await quantize(f32, file, type);
      made.push(await rowOf(file, type));
    }
  };
  try {
    const { embedders, rerankers } = readFamilies();
    const small = minilm();
    const all = embedders.map((embedder) => ({ embedder, file: familyFile(embedder.family) }));
    for (const { embedder, file } of small ? [small, ...all] : all) {
      await each(file, embedder.family.name, (path, type) => embedderRow(path, type, embedder));
    }
    const others = rerankers.map((reranker) => ({ reranker, file: familyFile(reranker.family) }));
    for (const { reranker, file } of [...await bertRerankers(directory), ...others]) {
      await each(file, reranker.family.name, (path, type) => rerankerRow(path, type, reranker));
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  return made;
}

console.log(`| family | weights | tokens equal | cosine min / mean | max abs of vectors or logits | rank agreement |
| --- | --- | --- | --- | --- | --- |
${(await rows()).join("\n")}

| family | is | because |
| --- | --- | --- |
${STATUSES.map(({ family, status, why }) => `| ${family} | ${status} | ${why} |`).join("\n")}`);
if (failed > 0) console.log(`\n${failed} figures are beyond their limits (bold).`);
process.exitCode = failed > 0 ? 1 : 0;
