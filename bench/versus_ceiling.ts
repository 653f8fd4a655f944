// How near we come to libllama in C++ alone: `deno task bench:paragraphs [options]`
//   --models LIST   types of all-MiniLM-L6-v2 in models/ (default: q8_0,bf16)
//   --packs LIST    packs of the ceiling's grid, in tokens; one alone is not searched, but taken (lanes of one thread, flash)
//   --rounds N      of ceiling, Deno, Bun, in turns (default: 9)
//   --texts N       paragraphs of the pinned llama.cpp tree's documentation (default: 300)
//   --singles       instead: 1,000 calls of one text at once against one call with 1,000
// Prints Markdown, and writes every single figure to bench-results/.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "../build/mod.ts";
import { packageRoot } from "../ffi/host/paths.ts";
import { Contender, type Run } from "./contender.ts";
import { bestOf, type Configuration, runGrid, serving } from "./grid.ts";
import { describeMachine } from "./machine.ts";
import { paragraphs } from "./paragraphs.ts";
import { machineLine, type Measured, type ModelReport, modelTable, type Singles, singlesTable } from "./report.ts";
import { type Distance, distance } from "./statistics.ts";

const ROOT = fileURLToPath(packageRoot());
const OURS = join(ROOT, "bench", "ours.ts");
const RUNTIMES = [{ name: "Deno", command: ["deno", "run", "-A"] }, { name: "Bun", command: ["bun"] }];
const SINGLES = 1000;

async function startOurs(model: string, scratch: string): Promise<Contender[]> {
  const texts = readFileSync(join(scratch, "texts"), "utf8").trimEnd().split("\n");
  const path = join(scratch, "job.json");
  writeFileSync(path, JSON.stringify({ kind: "embed", model: modelPath(model), texts }));
  return await Promise.all(RUNTIMES.map(({ name, command }) => Contender.start(name, [...command, OURS, path])));
}

async function measureModel(model: string, scratch: string, options: Options): Promise<ModelReport> {
  const texts = join(scratch, "texts");
  const { path: program } = await build({ target: "ceiling" });
  const ours = await startOurs(model, scratch);
  const contenders = [...ours];
  try {
    const setting = { program, model: modelPath(model), texts, limit: Number(ours[0]!.ready["limit"]) };
    const single = options.packs.length === 1;
    const lanes = availableParallelism();
    const grid = single ? [] : await runGrid(setting, options.packs);
    const best: Configuration = single
      ? { pack: options.packs[0]!, lanes, threads: 1, flash: 1 }
      : await bestOf(setting, grid);
    contenders.unshift(await Contender.start("ceiling", serving(setting, best)));
    const runs = await inTurns(contenders, options.rounds);
    const distances = await compareVectors(contenders, options.texts, scratch);
    const measured = contenders.map(({ name }, i): Measured => ({
      name,
      runs: runs[i]!,
      distance: distances[i],
    }));
    return { model, texts: options.texts, grid, best, contenders: measured };
  } finally {
    for (const contender of contenders) await contender.stop();
  }
}

/** Runs by contender and round, after a round that does not count; each round begins with another contender. */
async function inTurns(contenders: readonly Contender[], rounds: number): Promise<Run[][]> {
  const runs = contenders.map((): Run[] => []);
  for (const contender of contenders) await contender.measure();
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const i = (round + turn) % contenders.length;
      runs[i]!.push(await contenders[i]!.measure());
    }
    const shown = contenders.map(({ name }, i) => `${name} ${timesOf(runs[i]!)}`);
    process.stderr.write(`  round ${round + 1}: ${shown.join(", ")}\n`);
  }
  return runs;
}

/** The last of some runs, in words. */
function timesOf(runs: readonly Run[]): string {
  const { seconds, cpu } = runs.at(-1)!;
  return `${seconds.toFixed(2)} s (processors ${cpu.toFixed(2)})`;
}

/** How far each contender's vectors are from those of the first. */
async function compareVectors(
  contenders: readonly Contender[],
  texts: number,
  scratch: string,
): Promise<(Distance | undefined)[]> {
  const vectors: Float32Array[] = [];
  for (const contender of contenders) {
    const path = join(scratch, contender.name);
    await contender.ask(`vectors ${path}`);
    vectors.push(new Float32Array(new Uint8Array(readFileSync(path)).buffer));
  }
  const [first] = vectors;
  return vectors.map((one, i) => i === 0 ? undefined : distance(first!, one, first!.length / texts));
}

async function measureSingles(model: string, scratch: string, rounds: number): Promise<Singles[]> {
  const contenders = await startOurs(model, scratch);
  const results = contenders.map(({ name }) => ({ name, together: [] as Run[], singles: [] as Run[] }));
  try {
    for (let round = 0; round < rounds; round++) {
      for (const [i, contender] of contenders.entries()) {
        const { name, together, singles } = results[i]!;
        const measureTogether = async () => together.push(await contender.measure());
        if (round % 2 === 0) await measureTogether();
        singles.push(await contender.measure("singles"));
        if (round % 2 === 1) await measureTogether();
        const line = `${name}: one call ${timesOf(together)}, many ${timesOf(singles)}`;
        process.stderr.write(`  round ${round + 1}: ${line}\n`);
      }
    }
    return results;
  } finally {
    for (const contender of contenders) await contender.stop();
  }
}

interface Options {
  readonly models: readonly string[];
  readonly packs: readonly number[];
  readonly rounds: number;
  readonly texts: number;
  readonly singles: boolean;
}

function parseOptions(): Options {
  const { values } = parseArgs({
    options: {
      models: { type: "string", default: "q8_0,bf16" },
      packs: { type: "string", default: "128,192,256,384,512,768,1024" },
      rounds: { type: "string" },
      texts: { type: "string" },
      singles: { type: "boolean", default: false },
    },
  });
  const models = values.models.split(",").map((type) => `all-minilm-l6-v2-${type}`);
  const rounds = Number(values.rounds ?? (values.singles ? 5 : 9));
  const texts = Number(values.texts ?? (values.singles ? SINGLES : 300));
  const packs = values.packs.split(",").map(Number);
  for (
    const [name, value] of [
      ["rounds", rounds],
      ["texts", texts],
      ...packs.map((pack) => ["packs", pack] as const),
    ]
  ) {
    if (!(Number.isSafeInteger(value) && Number(value) > 0)) throw new RangeError(`--${name} must be 1 or more`);
  }
  return { models, packs, rounds, texts, singles: values.singles };
}

function modelPath(model: string): string {
  return join(ROOT, "models", `${model}.gguf`);
}

function save(name: string, results: unknown): string {
  const directory = join(ROOT, "bench-results");
  mkdirSync(directory, { recursive: true });
  const path = join(directory, `${name}-${new Date().toISOString().replaceAll(":", "-").slice(0, 19)}.json`);
  writeFileSync(path, `${JSON.stringify(results, undefined, 2)}\n`);
  return path;
}

async function main(): Promise<void> {
  const options = parseOptions();
  const machine = describeMachine();
  const scratch = mkdtempSync(join(tmpdir(), "llamasaur-bench-"));
  try {
    writeFileSync(join(scratch, "texts"), (await paragraphs(options.texts)).join("\n") + "\n");
    const results: (ModelReport | { model: string; singles: Singles[] })[] = [];
    console.log(machineLine(machine));
    for (const model of options.models) {
      process.stderr.write(`${model}\n`);
      if (options.singles) {
        const singles = await measureSingles(model, scratch, options.rounds);
        results.push({ model, singles });
        console.log(`\n${singlesTable(model, options.texts, singles)}`);
      } else {
        const report = await measureModel(model, scratch, options);
        results.push(report);
        console.log(`\n${modelTable(report)}`);
      }
    }
    process.stderr.write(`${save(options.singles ? "singles" : "paragraphs", { machine, ...options, results })}\n`);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

if (import.meta.main) await main();
