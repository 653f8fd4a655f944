// What a model's weights cost in quality: `deno task quality [--queries 100 --definitions 1000] [--write]` prints a table.
// all-MiniLM-L6-v2 looks for WordNet's definitions by their usage examples; the exit code is 1 if bf16 is off by too much.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { quantize } from "../../convert.ts";
import { Llama } from "../../mod.ts";
import { exists, modelDirectory } from "../../scripts/models/place.ts";
import { describeMachine } from "../machine.ts";
import { keep, noted } from "../noted.ts";
import { table } from "../report.ts";
import { embedTexts, measure, measureBinary, type Quality } from "./measure.ts";
import { type Cut, getWordnet, readCut, textsOf } from "./wordnet.ts";

const TYPES = ["f32", "bf16", "q8_0", "q4_k_m"] as const;
const MOST = 0.002;

/** Prints the table; gives the process's exit code. */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      queries: { type: "string" },
      definitions: { type: "string" },
      write: { type: "boolean", default: false }, // keeps the table in bench/results/quality.json, for `deno task docs`
    },
  });
  const [queries, definitions] = [values.queries, values.definitions].map((size) => size ? Number(size) : undefined);
  const cut = await readCut(queries, definitions);
  const texts = textsOf(await getWordnet(), cut);
  const method = `all-MiniLM-L6-v2, ${cut.queries} usage examples of WordNet against ${cut.definitions} definitions`;
  const columns = ["vectors", "weights", "nDCG@10", "difference", "top-10 overlap", "bytes a vector"];
  const rows = [["sentence-transformers, fp32", "", cut.ndcg.toFixed(4), "", "", ""]];
  let off = NaN;
  await withFiles(async (path) => {
    for (const type of TYPES) {
      await using llama = await Llama.load(await path(type));
      const { size, dimensions } = llama.info;
      const vectors = await embedTexts(llama, texts);
      const quality = measure(vectors, cut);
      rows.push(row(type, size, quality, cut, 4 * dimensions));
      if (type !== "bf16") continue;
      off = Math.abs(quality.ndcg - cut.ndcg);
      rows.push(row("bf16, toBinary()", size, measureBinary(vectors, cut), cut, dimensions / 8));
    }
  });
  console.log(`${method}\n\n${table(columns, rows, 1)}`);
  const figures = { columns, rows, words: 1 };
  if (values.write) keep("quality", noted("deno task quality --write", describeMachine(), method, figures));
  if (off <= MOST) return 0;
  console.log(`\nbf16 is off by ${off.toFixed(4)}, more than ${MOST}`);
  return 1;
}

function row(name: string, size: number, { ndcg, overlap }: Quality, reference: Cut, bytes: number): string[] {
  const difference = (ndcg - reference.ndcg).toFixed(4).replace(/^(?!-)/, "+").replace("-", "−");
  const share = `${(100 * overlap).toFixed(1)} %`;
  return [name, `${(size / 1e6).toFixed(0)} MB`, ndcg.toFixed(4), difference, share, String(bytes)];
}

/** Runs with the path of the model by the type of its weights; what models/ lacks is made for a while. */
async function withFiles(run: (path: (type: typeof TYPES[number]) => Promise<string>) => Promise<void>): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), "llamasaur-quality-"));
  const file = (folder: string, type: string): string => join(folder, `all-minilm-l6-v2-${type}.gguf`);
  try {
    await run(async (type) => {
      const path = file(modelDirectory(), type);
      if (type === "f32" || await exists(path)) return path;
      await quantize(file(modelDirectory(), "f32"), file(scratch, type), type);
      return file(scratch, type);
    });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

process.exitCode = await main();
