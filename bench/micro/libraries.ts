// How fast libraries that were compiled in different ways embed the same texts: bench/micro/libraries.ts LIBRARY... [options]
//   --types LIST    (default: q8_0,bf16,q4_k_m)
//   --rounds N      of all libraries, in turns (default: 7)
//   --texts N       paragraphs of one call (default: 300)
// Each library against the first one given, by processor time, which others disturb least, and by each one's fastest round: so a
// prebuilt library of dist/ against `build/mod.ts --portable --out DIR` and lib/. Prints a Markdown table.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { quantize, type WeightType } from "../../convert.ts";
import { packageRoot } from "../../ffi/host/paths.ts";
import { Llama } from "../../mod.ts";
import { describeMachine } from "../machine.ts";
import { paragraphs } from "../paragraphs.ts";
import { machineLine, table } from "../report.ts";
import { distance, median } from "../statistics.ts";

const F32 = join(fileURLToPath(packageRoot()), "models", "all-minilm-l6-v2-f32.gguf");

/** Processor seconds of every round by library, and how far each is from the first. */
async function measure(
  libraries: readonly string[],
  model: string,
  texts: readonly string[],
  rounds: number,
): Promise<string[][]> {
  const opened: Llama[] = [];
  const seconds: number[][] = libraries.map(() => []);
  const vectors: Float32Array[] = [];
  try {
    for (const library of libraries) opened.push(await Llama.load(model, { library }));
    for (let round = 0; round <= rounds; round++) { // the first one warms
      for (let turn = 0; turn < opened.length; turn++) {
        const i = (round + turn) % opened.length;
        const start = process.cpuUsage();
        const found = await opened[i]!.embed(texts);
        const { user, system } = process.cpuUsage(start);
        if (round > 0) seconds[i]!.push((user + system) / 1e6);
        else vectors[i] = new Float32Array(found.flatMap((vector) => [...vector]));
      }
    }
  } finally {
    for (const llama of opened) await llama.close();
  }
  return libraries.map((library, i) => {
    const ratios = seconds[i]!.map((one, round) => seconds[0]![round]! / one);
    const fastest = Math.min(...seconds[0]!) / Math.min(...seconds[i]!);
    const { maxAbs } = distance(vectors[0]!, vectors[i]!, vectors[0]!.length / texts.length);
    const spread = `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`;
    return [
      library,
      (texts.length / median(seconds[i]!)).toFixed(1),
      median(ratios).toFixed(3),
      spread,
      fastest.toFixed(3),
      maxAbs.toExponential(1),
    ];
  });
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      types: { type: "string", default: "q8_0,bf16,q4_k_m" },
      rounds: { type: "string", default: "7" },
      texts: { type: "string", default: "300" },
    },
  });
  if (positionals.length < 2) throw new RangeError("give two libraries or more");
  const libraries = positionals.map((path) => resolve(path));
  const texts = await paragraphs(Number(values.texts));
  const scratch = mkdtempSync(join(tmpdir(), "llamasaur-libraries-"));
  try {
    console.log(machineLine(describeMachine()));
    const rows: string[][] = [];
    for (const type of values.types.split(",")) {
      const model = join(scratch, `${type}.gguf`);
      await quantize(F32, model, type as WeightType, { library: libraries[0]! });
      for (const row of await measure(libraries, model, texts, Number(values.rounds))) rows.push([type, ...row]);
    }
    const columns = [
      "weights",
      "library",
      "texts a processor second",
      "of the first",
      "spread",
      "by fastest rounds",
      "max abs to the first",
    ];
    console.log(`\n${table(columns, rows, 2)}`);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

if (import.meta.main) await main();
