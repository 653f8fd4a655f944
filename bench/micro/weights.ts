// Which type of weights is the fastest at which accuracy on this processor: `deno task bench:weights [options]`
//   --model FILE    a GGUF file with f32 weights (default: models/all-minilm-l6-v2-f32.gguf)
//   --types LIST    (default: f32,bf16,f16,q8_0,q6_k,q4_k_m,q4_0)
//   --rounds N      of all types, in turns (default: 7)
//   --texts N       paragraphs of one call (default: 200)
//   --smoke         few texts and rounds
//   --write         keeps the figures in bench/results/weights-CLASS.json, for `deno task docs`
// Makes the types by quantize() in a directory of its own. Speed by processor time, which others disturb least; the
// cosine is that to the vectors of f32. Prints a Markdown table.
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { quantize, type WeightType } from "../../convert.ts";
import { packageRoot } from "../../ffi/host/paths.ts";
import { Llama } from "../../mod.ts";
import { describeMachine } from "../machine.ts";
import { paragraphs } from "../paragraphs.ts";
import { type Figures, keepByClass, noted } from "../noted.ts";
import { machineLine, table } from "../report.ts";
import { distance, median } from "../statistics.ts";

interface Candidate {
  readonly type: string;
  readonly llama: Llama;
  readonly megabytes: number;
  /** Processor seconds of each round's call. */
  readonly seconds: number[];
  vectors: Float32Array;
}

async function load(type: string, f32: string, scratch: string): Promise<Candidate> {
  const path = type === "f32" ? f32 : join(scratch, `${type}.gguf`);
  if (path !== f32) await quantize(f32, path, type as WeightType);
  const llama = await Llama.load(path);
  return { type, llama, megabytes: statSync(path).size / 1e6, seconds: [], vectors: new Float32Array() };
}

async function measure(all: readonly Candidate[], texts: readonly string[], rounds: number): Promise<void> {
  for (let round = 0; round <= rounds; round++) { // the first one warms
    for (let turn = 0; turn < all.length; turn++) {
      const candidate = all[(round + turn) % all.length]!;
      const start = process.cpuUsage();
      const vectors = await candidate.llama.embed(texts);
      const { user, system } = process.cpuUsage(start);
      if (round > 0) candidate.seconds.push((user + system) / 1e6);
      candidate.vectors = new Float32Array(vectors.flatMap((vector) => [...vector]));
    }
    process.stderr.write(`  round ${round} of ${rounds}\n`);
  }
}

function figuresOf(all: readonly Candidate[], texts: number): Figures {
  const [first] = all;
  const width = first!.vectors.length / texts;
  const columns = ["weights", "MB", "texts a processor second", "of f32", "spread", "cosine min", "mean"];
  const rows = all.map(({ type, megabytes, seconds, vectors }) => {
    const ratios = seconds.map((one, round) => first!.seconds[round]! / one);
    const { minCosine, meanCosine } = distance(first!.vectors, vectors, width);
    return [
      type,
      megabytes.toFixed(1),
      (texts / median(seconds)).toFixed(1),
      median(ratios).toFixed(2),
      `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`,
      minCosine.toFixed(5),
      meanCosine.toFixed(5),
    ];
  });
  return { columns, rows, words: 1 };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      model: { type: "string", default: join(fileURLToPath(packageRoot()), "models", "all-minilm-l6-v2-f32.gguf") },
      types: { type: "string", default: "f32,bf16,f16,q8_0,q6_k,q4_k_m,q4_0" },
      rounds: { type: "string" },
      texts: { type: "string" },
      smoke: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
    },
  });
  const texts = await paragraphs(Number(values.texts ?? (values.smoke ? 20 : 200)));
  const scratch = mkdtempSync(join(tmpdir(), "llamasaur-weights-"));
  const all: Candidate[] = [];
  try {
    const machine = describeMachine();
    console.log(machineLine(machine));
    const types = new Set(["f32", ...values.types.split(",")]);
    for (const type of types) all.push(await load(type, values.model, scratch));
    const rounds = Number(values.rounds ?? (values.smoke ? 2 : 7));
    await measure(all, texts, rounds);
    const found = figuresOf(all, texts.length);
    console.log(`\n${table(found.columns, found.rows, found.words)}`);
    const method = `${texts.length} paragraphs, ${rounds} rounds in turns, medians; the cosine is that to f32`;
    if (values.write) keepByClass("weights", machine, noted("deno task bench:weights --write", machine, method, found));
  } finally {
    for (const { llama } of all) await llama.close();
    rmSync(scratch, { recursive: true });
  }
}

if (import.meta.main) await main();
