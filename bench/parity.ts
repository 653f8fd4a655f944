// How near every family is to its original, with f32, bf16 and q8_0 weights: `deno task parity [--write]` prints a table.
//   --write     keeps the figures in bench/results/parity.json, which `deno task docs` makes docs/accuracy.md's tables of
//   --as-noted  fails also where f32 weights are more than twice as far off as they were in these figures
// Then how near files of each common type come to their own weights in f32, ours and llama.cpp's. The exit code is 1 where a figure is beyond its limit.
import process from "node:process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { quantize, type WeightType } from "../convert.ts";
import { dot } from "../mod.ts";
import { bertRerankers, isReal, realModels } from "../tests/support/bert_families.ts";
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
import { commitOf, describeMachine } from "./machine.ts";
import { keep } from "./noted.ts";
import { fartherThanNoted, type Parity, type ParityRow, parityTable, typeTable } from "./parity_table.ts";
import { typeRows } from "./parity_types.ts";

const TYPES = ["f32", "bf16", "q8_0"] as const satisfies readonly WeightType[];

/** Rounds as the table prints, so that a repeated run changes the file only where a figure changes. */
const decimals = (value: number, digits: number): number => Number(value.toFixed(digits));
const twoDigits = (value: number): number => Number(value.toPrecision(2));

async function embedderRow(file: string, type: string, embedder: Embedder): Promise<ParityRow> {
  const { family, texts } = embedder;
  const limits = (isReal(family.name) ? REAL : SMALL)[type]!;
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
  const beyond: ParityRow["beyond"][number][] = [];
  if (wrong.length > 0) beyond.push("tokens");
  // not within, which NaN is not either
  if (!(least >= (type === "f32" ? leastCosine(llama.info) : limits.cosine))) beyond.push("cosine");
  if (!(off <= (type === "f32" ? toleranceOf(embedder, llama.info) : limits.vectors))) beyond.push("maxAbs");
  if (!(rank >= limits.rank)) beyond.push("rank");
  return {
    family: family.title,
    weights: type,
    tokens: { equal: texts.length - wrong.length, of: texts.length },
    cosine: { min: decimals(least, 7), mean: decimals(mean, 7) },
    maxAbs: twoDigits(off),
    rank: decimals(rank, 4),
    beyond,
  };
}

async function rerankerRow(file: string, type: string, reranker: Reranker): Promise<ParityRow> {
  const { family, pairs } = reranker;
  const limits = (isReal(family.name) ? REAL : SMALL)[type]!;
  await using llama = await loadFamily(reranker, file);
  const wrong = await wrongPairTokens(llama, reranker);
  const { off, rank, range } = compareScores(pairs, await scoresOf(llama, pairs));
  const allowed = type === "f32" ? toleranceOf(reranker, llama.info) : limits.logits * Math.max(range, 10);
  const beyond: ParityRow["beyond"][number][] = [];
  if (!family.template && wrong.length > 0) beyond.push("tokens");
  if (!(off <= allowed)) beyond.push("maxAbs");
  if (!(rank >= limits.rank)) beyond.push("rank");
  return {
    family: family.title,
    weights: type,
    ...(family.template ? {} : { tokens: { equal: pairs.length - wrong.length, of: pairs.length } }),
    maxAbs: twoDigits(off),
    range: decimals(range, 1),
    rank: decimals(rank, 4),
    beyond,
  };
}

async function familyRows(directory: string): Promise<ParityRow[]> {
  const made: ParityRow[] = [];
  const each = async (f32: string, name: string, rowOf: (file: string, type: string) => Promise<ParityRow>) => {
    for (const type of TYPES) {
      const file = type === "f32" ? f32 : join(directory, `${name}-${type}.gguf`);
      if (type !== "f32") await quantize(f32, file, type);
      made.push(await rowOf(file, type));
    }
  };
  const { embedders, rerankers } = readFamilies();
  const all = embedders.map((embedder) => ({ embedder, file: familyFile(embedder.family) }));
  for (const { embedder, file } of [...realModels(), ...all]) {
    await each(file, embedder.family.name, (path, type) => embedderRow(path, type, embedder));
  }
  const others = rerankers.map((reranker) => ({ reranker, file: familyFile(reranker.family) }));
  for (const { reranker, file } of [...await bertRerankers(directory), ...others]) {
    await each(file, reranker.family.name, (path, type) => rerankerRow(path, type, reranker));
  }
  return made;
}

async function measured(directory: string) {
  return { rows: await familyRows(directory), types: await typeRows(directory) };
}

/** The figures of README and docs/accuracy.md. */
function noted(): Parity {
  return JSON.parse(readFileSync(new URL("results/parity.json", import.meta.url), "utf8"));
}

const flag = { type: "boolean", default: false } as const;
const { values } = parseArgs({ options: { write: flag, "as-noted": flag } });
const machine = describeMachine();
const directory = mkdtempSync(join(tmpdir(), "llamasaur-parity-"));
const { rows, types } = await measured(directory).finally(() => rmSync(directory, { recursive: true, force: true }));
console.log(`${parityTable(rows)}\n\n${typeTable(types)}`);
const failed = rows.reduce((sum, { beyond }) => sum + beyond.length, 0) + types.filter(({ beyond }) => beyond).length;
if (failed > 0) console.log(`\n${failed} figures are beyond their limits (bold).`);
const farther = values["as-noted"] ? fartherThanNoted(rows, noted().rows) : [];
for (const line of farther) console.log(line);
if (values.write) {
  const [date, commit] = [
    new Date().toISOString().slice(0, 10),
    commitOf(fileURLToPath(new URL("..", import.meta.url))),
  ];
  keep("parity", { command: "deno task parity --write", date, commit, machine, rows, types });
}
process.exitCode = failed > 0 || farther.length > 0 ? 1 : 0;
