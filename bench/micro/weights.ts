// Which type of weights is the fastest at which accuracy on this processor: `deno task bench:weights [options]`
//   --model FILE    a GGUF file with f32 weights (default: models/all-minilm-l6-v2-f32.gguf)
//   --types LIST    (default: f32,bf16,f16,q8_0,q6_k,q4_k_m,q4_0)
//   --rounds N      of all types, in turns (default: 7)
//   --texts N       paragraphs of one call (default: 200)
//   --smoke         few texts and rounds
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
import { machineLine } from "../report.ts";
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

function tell(all: readonly Candidate[], texts: number): void {
  const [first] = all;
  const width = first!.vectors.length / texts;
  console.log("\n| weights | MB | texts a processor second | of f32 | spread | cosine min | mean |");
  console.log("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
  for (const { type, megabytes, seconds, vectors } of all) {
    const ratios = seconds.map((one, round) => first!.seconds[round]! / one);
    const { minCosine, meanCosine } = distance(first!.vectors, vectors, width);
    const cells = [
      type,
      megabytes.toFixed(1),
      (texts / median(seconds)).toFixed(1),
      median(ratios).toFixed(2),
      `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`,
      minCosine.toFixed(5),
      meanCosine.toFixed(5),
    ];
    console.log(`| ${cells.join(" | ")} |`);
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      model: { type: "string", default: join(fileURLToPath(packageRoot()), "models", "all-minilm-l6-v2-f32.gguf") },
      types: { type: "string", default: "f32,bf16,f16,q8_0,q6_k,q4_k_m,q4_0" },
      rounds: { type: "string" },
      texts: { type: "string" },
      smoke: { type: "boolean", default: false },
    },
  });
  const texts = await paragraphs(Number(values.texts ?? (values.smoke ? 20 : 200)));
  const scratch = mkdtempSync(join(tmpdir(), "llamasaur-weights-"));
  const all: Candidate[] = [];
  try {
    console.log(machineLine(describeMachine()));
    const types = new Set(["f32", ...values.types.split(",")]);
    for (const type of types) all.push(await load(type, values.model, scratch));
    await measure(all, texts, Number(values.rounds ?? (values.smoke ? 2 : 7)));
    tell(all, texts.length);
  } finally {
    for (const { llama } of all) await llama.close();
    rmSync(scratch, { recursive: true });
  }
}

if (import.meta.main) await main();
