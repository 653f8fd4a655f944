// How near estimateMemory() comes to what an embed call takes: `deno task bench:memory [options]`
//   --full          all counts of texts and all models; else a smoke of some
//   --model PATH    one more model, loaded with --options JSON
//   --runtimes LIST (default: deno,bun)
// Each case runs in a fresh process, which tells its peak from /proc (Linux). Prints Markdown; ends with 1 if an estimate
// is off by more than 15 %.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { quantize } from "../../convert.ts";
import { packageRoot } from "../../ffi/host/paths.ts";
import { randomIntegers } from "../../tests/support/random.ts";
import { vocabulariesMissing, writeVocabularyModel } from "../../tests/support/vocabulary.ts";
import { describeMachine } from "../machine.ts";
import type { MemoryReport } from "./memory_worker.ts";
import { machineLine, table } from "../report.ts";

const ROOT = fileURLToPath(packageRoot());
const WORKER = join(ROOT, "bench", "micro", "memory_worker.ts");
const COMMANDS: Readonly<Record<string, readonly string[]>> = { deno: ["deno", "run", "-A"], bun: ["bun"] };
const WORDS = "the of cat house river stone music paper light green water train small large happy under market".split(
  " ",
);
const ALLOWED = 0.15;
const MB = 1024 * 1024;

interface Case {
  readonly model: string;
  readonly options: Record<string, unknown>;
  readonly texts: number;
  /** Words of a text, about. */
  readonly words: number;
}

/** Distinct texts, one a line. */
function linesOf({ texts, words }: Case): string {
  const draw = randomIntegers(texts + words);
  const text = (): string =>
    Array.from({ length: draw(Math.ceil(words / 2), words * 3 / 2) }, () => WORDS[draw(0, WORDS.length - 1)]).join(" ");
  return Array.from({ length: texts }, (_, i) => `${i} ${text()}`).join("\n");
}

/** An encoder of XLM-R's kind: a real vocabulary of 250,000 entries and random weights, q8_0. */
async function writeLarge(directory: string): Promise<string> {
  const [f32, path] = [join(directory, "f32.gguf"), join(directory, "xlm-r-like-q8_0.gguf")];
  await writeVocabularyModel("nomic-bert-moe", f32, { width: 384, layers: 4 });
  await quantize(f32, path, "q8_0");
  rmSync(f32);
  return path;
}

async function casesOf(
  directory: string,
  full: boolean,
  more: { path: string; options: string } | undefined,
): Promise<Case[]> {
  const minilm = (type: string): string => join(ROOT, "models", `all-minilm-l6-v2-${type}.gguf`);
  const cases: Case[] = [];
  const add = (model: string, counts: readonly number[], options = {}): void => {
    for (const texts of counts) cases.push({ model, options, texts, words: 10 });
  };
  add(minilm("q8_0"), full ? [10, 100, 1000, 10_000] : [10, 1000]);
  if (full) {
    for (const type of ["f32", "bf16"]) add(minilm(type), [10, 1000]);
    for (const type of ["f32", "q8_0"]) {
      cases.push({ model: minilm(type), options: { contextSize: 512 }, texts: 50, words: 600 });
      cases.push({
        model: minilm(type),
        options: { memoryLimit: (type === "f32" ? 130 : 60) * 1e6 },
        texts: 1000,
        words: 10,
      });
    }
    if (!vocabulariesMissing) add(await writeLarge(directory), [10, 100, 1000]);
  }
  if (more) add(more.path, full ? [10, 100, 1000] : [10, 100], JSON.parse(more.options));
  return cases;
}

function run(runtime: string, one: Case, directory: string): MemoryReport {
  const file = join(directory, "texts");
  writeFileSync(file, linesOf(one));
  const [program, ...args] = [...COMMANDS[runtime]!, WORKER, one.model, JSON.stringify(one.options), file];
  return JSON.parse(execFileSync(program!, args, { encoding: "utf8" }));
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      full: { type: "boolean", default: false },
      model: { type: "string" },
      options: { type: "string", default: "{}" },
      runtimes: { type: "string", default: "deno,bun" },
    },
  });
  const directory = mkdtempSync(join(tmpdir(), "llamasaur-memory-"));
  try {
    const more = values.model === undefined ? undefined : { path: values.model, options: values.options };
    const rows: string[][] = [];
    let worst = 0;
    for (const one of await casesOf(directory, values.full, more)) {
      for (const runtime of values.runtimes.split(",")) {
        const report = run(runtime, one, directory);
        const off = report.total / report.measured - 1;
        worst = Math.max(worst, Math.abs(off));
        const figures = [report.weights, report.contexts, report.outputs, report.total, report.measured];
        const { model, options, texts, words } = one;
        const name = [basename(model, ".gguf"), ...Object.entries(options).map(([key, value]) => `${key} ${value}`)];
        rows.push([
          name.join(", "),
          `${texts} × ${words}`,
          runtime,
          ...figures.map((bytes) => (bytes / MB).toFixed(1)),
          `${(100 * off).toFixed(1)} %`,
        ]);
        process.stderr.write(`${rows.at(-1)!.join(" | ")} (loaded ${(report.loaded / MB).toFixed(1)})\n`);
      }
    }
    const columns = [
      "",
      "texts × words",
      "runtime",
      "weights",
      "contexts",
      "outputs",
      "estimate",
      "measured",
      "off by",
    ];
    console.log(`${machineLine(describeMachine())}\n\nMB of 2^20 bytes.\n\n${table(columns, rows)}\n`);
    console.log(`The worst estimate is off by ${(100 * worst).toFixed(1)} %.`);
    if (worst > ALLOWED) process.exitCode = 1;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

if (import.meta.main) await main();
