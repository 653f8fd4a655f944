// deno task parity: how near every family is to its original, with f32, bf16 and q8_0 weights, and what of llama.cpp's
// families is right, warned of, refused or not verified. Exit code 1 where a limit is passed.
import process from "node:process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { quantize, type WeightType } from "../convert.ts";
import { dot } from "../mod.ts";
import { bertRerankers, minilm } from "../tests/support/bert_families.ts";
import {
  compareScores,
  compareVectors,
  type Embedder,
  familyFile,
  leastCosine,
  loadFamily,
  readFamilies,
  REAL,
  type Reranker,
  scoresOf,
  SMALL,
  spearman,
  toleranceOf,
  vectorsOf,
  wrongPairTokens,
  wrongTokens,
} from "../tests/support/families.ts";
import { STATUSES } from "./parity_statuses.ts";

const TYPES = ["f32", "bf16", "q8_0"] as const satisfies readonly WeightType[];

/** A line of the table. */
interface Row {
  readonly title: string;
  readonly type: string;
  readonly cells: readonly Cell[];
}
interface Cell {
  readonly text: string;
  readonly within: boolean;
}

function cell(text: string, within = true): Cell {
  return { text: within ? text : `**${text}**`, within };
}

async function embedderRow(file: string, type: string, embedder: Embedder): Promise<Row> {
  const { family, texts } = embedder;
  const limits = (family.name === "minilm" ? REAL : SMALL)[type]!;
  await using llama = await loadFamily(embedder, file);
  const wrong = await wrongTokens(llama, embedder);
  const vectors = await vectorsOf(llama, texts);
  const { least, mean, off } = compareVectors(texts, vectors);
  // a query against all other texts
  const query = Math.max(0, texts.findIndex(({ id }) => id === "query-1"));
  const [wanted, found] = [texts.map(({ vector }) => vector), vectors].map((all) =>
    all.filter((_, i) => i !== query).map((vector) => dot(all[query]!, vector))
  );
  const rank = spearman(wanted!, found!);
  return {
    title: family.title,
    type,
    cells: [
      cell(`${texts.length - wrong.length} of ${texts.length}`, wrong.length === 0),
      cell(
        `${least.toFixed(7)} / ${mean.toFixed(7)}`,
        least >= (type === "f32" ? leastCosine(llama.info) : limits.cosine),
      ),
      cell(off.toExponential(1), off <= (type === "f32" ? toleranceOf(embedder, llama.info) : limits.vectors)),
      cell(rank.toFixed(4), rank >= limits.rank),
    ],
  };
}

async function rerankerRow(file: string, type: string, reranker: Reranker): Promise<Row> {
  const { family, pairs } = reranker;
  const limits = (family.name.startsWith("minilm") ? REAL : SMALL)[type]!;
  await using llama = await loadFamily(reranker, file);
  const wrong = await wrongPairTokens(llama, reranker);
  const { off, rank, range } = compareScores(pairs, await scoresOf(llama, pairs));
  const allowed = type === "f32" ? toleranceOf(reranker, llama.info) : limits.logits * Math.max(range, 10);
  return {
    title: family.title,
    type,
    cells: [
      family.template
        ? cell("as the logits show")
        : cell(`${pairs.length - wrong.length} of ${pairs.length}`, wrong.length === 0),
      cell(""),
      cell(`${off.toExponential(1)} of ${range.toFixed(1)}`, off <= allowed),
      cell(rank.toFixed(4), rank >= limits.rank),
    ],
  };
}

async function measured(): Promise<Row[]> {
  const directory = mkdtempSync(join(tmpdir(), "llamasaur-parity-"));
  const made: Row[] = [];
  const each = async (f32: string, name: string, rowOf: (file: string, type: string) => Promise<Row>) => {
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

function line(...cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

const rows = await measured();
const failed = rows.flatMap(({ cells }) => cells).filter(({ within }) => !within).length;
const right = (title: string): boolean =>
  rows.every((row) => row.title !== title || row.type !== "f32" || row.cells.every(({ within }) => within));
console.log([
  line("family", "weights", "tokens equal", "cosine min / mean", "max abs of vectors or logits", "rank agreement"),
  line(..."------".split("").map(() => "---")),
  ...rows.map(({ title, type, cells }) => line(title, type, ...cells.map(({ text }) => text))),
  "",
  line("family", "is", "because"),
  line("---", "---", "---"),
  ...[...new Set(rows.map(({ title }) => title))].map((title) =>
    line(title, right(title) ? "right" : "**wrong**", "measured above")
  ),
  ...STATUSES.map(({ family, status, why }) => line(family, status, why)),
].join("\n"));
if (failed > 0) console.log(`\n${failed} figures are beyond their limits (bold).`);
process.exitCode = failed > 0 ? 1 : 0;
