/** The ceiling's own best: a grid of configurations, each run once, and the few best ones run again side by side. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import process from "node:process";
import { createInterface } from "node:readline";
import { Contender, type Run } from "./contender.ts";
import { median } from "./statistics.ts";

/** How the ceiling computes; `flash` is llama.h's number: 0 off, 1 on. */
export interface Configuration {
  readonly pack: number;
  readonly lanes: number;
  readonly threads: number;
  readonly flash: number;
}

/** A configuration and how long it took. */
export interface Cell extends Configuration, Run {}

/** The program, and what it is run on. */
export interface Setting {
  readonly program: string;
  readonly model: string;
  readonly texts: string;
  readonly limit: number;
}

const FINALISTS = 4;
const FINAL_ROUNDS = 3;

/** The command that runs one configuration on demand. */
export function serving(setting: Setting, { pack, lanes, threads, flash }: Configuration): string[] {
  return [...command(setting, [pack], lanes, threads, [flash]), "--serve"];
}

/** Runs every configuration that keeps all cores busy with no thread too many. */
export async function runGrid(setting: Setting, packs: readonly number[]): Promise<Cell[]> {
  const cores = availableParallelism();
  const cells: Cell[] = [];
  for (let threads = 1; threads <= cores; threads++) {
    if (cores % threads !== 0) continue;
    const [program, ...args] = [...command(setting, packs, cores / threads, threads, [0, 1]), "--rounds", "1"];
    const child = spawn(program!, args, { stdio: ["ignore", "pipe", "inherit"] });
    const exit = once(child, "exit");
    for await (const line of createInterface({ input: child.stdout })) cells.push(JSON.parse(line));
    const [code] = await exit;
    if (code !== 0) throw new Error(`${program} failed: its words are above`);
  }
  return cells;
}

/** Runs the best of the grid again, in turns, and returns the one with the best median. */
export async function bestOf(setting: Setting, cells: readonly Cell[]): Promise<Configuration> {
  const finalists = cells.toSorted((a, b) => a.seconds - b.seconds).slice(0, FINALISTS);
  const finals: { cell: Cell; contender: Contender; seconds: number[] }[] = [];
  try {
    for (const cell of finalists) {
      const contender = await Contender.start(nameOf(cell), serving(setting, cell));
      finals.push({ cell, contender, seconds: [] });
    }
    for (let round = 0; round < FINAL_ROUNDS; round++) {
      for (const { contender, seconds } of finals) seconds.push((await contender.measure()).seconds);
    }
  } finally {
    for (const { contender } of finals) await contender.stop();
  }
  for (const { cell, seconds } of finals) {
    process.stderr.write(`  final: ${nameOf(cell)}: ${seconds.map((s) => s.toFixed(2)).join(" ")} s\n`);
  }
  return finals.toSorted((a, b) => median(a.seconds) - median(b.seconds))[0]!.cell;
}

/** A configuration in words. */
export function nameOf({ pack, lanes, threads, flash }: Configuration): string {
  return `packs of ${pack}, ${lanes} × ${threads}, flash ${flash === 1 ? "on" : "off"}`;
}

function command(
  { program, model, texts, limit }: Setting,
  packs: readonly number[],
  lanes: number,
  threads: number,
  flash: readonly number[],
): string[] {
  const options = { limit, packs: packs.join(), lanes, threads, flash: flash.join() };
  return [program, model, texts, ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])];
}
