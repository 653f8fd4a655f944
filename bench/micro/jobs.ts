// What a job of the command line costs beside the engine alone: `deno task bench:jobs [options]`
//   --rows N      titles; of paragraphs it is a tenth (default: 100000)
//   --rounds N    each takes every contender once (default: 2, which take 11 minutes on 2 cores)
//   --runtime R   deno or bun (default: deno)
//   --smoke       2000 rows, one round
//   --write       keeps the figures in bench/results/jobs.json, for `deno task docs`
// Each contender is a process of its own, timed from its start to its end, with the model's load, while it is not stopped: they
// run in turns of half a second (bench/turns.ts). A ratio is of one round, and what is told the median of the rounds. The engine is
// `embedStream` over the same texts; memory is the most that a process had, also beside a job of a tenth of the rows.
// Prints a table of Markdown.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { packageRoot } from "../../ffi/host/paths.ts";
import { describeMachine } from "../machine.ts";
import { paragraphs } from "../paragraphs.ts";
import { type Figures, keep, noted } from "../noted.ts";
import { machineLine, table } from "../report.ts";
import { median } from "../statistics.ts";
import { titles, withCount } from "../texts.ts";
import { inTurns, type Spent } from "../turns.ts";

const ROOT = fileURLToPath(packageRoot());
const MODEL = join(ROOT, "models", "all-minilm-l6-v2-q8_0.gguf");
const MOST_DIFFERENT = 5000;

/** The command of a program of the checkout. */
function commandOf(runtime: string, file: string, args: readonly string[]): string[] {
  return [...(runtime === "deno" ? ["deno", "run", "-A"] : ["bun"]), join(ROOT, file), ...args];
}

/** So many texts; equal ones would be computed once, so a number makes them different. */
function many(texts: readonly string[], count: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    const round = Math.floor(i / texts.length);
    return round === 0 ? texts[i]! : `${texts[i % texts.length]} ${round}`;
  });
}

async function compare(kind: string, texts: readonly string[], rounds: number, runtime: string): Promise<string[][]> {
  const directory = mkdtempSync(join(tmpdir(), "llamasaur-jobs-"));
  try {
    const write = (name: string, some: readonly string[]): void => {
      writeFileSync(join(directory, name), some.map((text) => JSON.stringify({ text })).join("\n") + "\n");
    };
    write("all.jsonl", texts);
    write("tenth.jsonl", texts.slice(0, texts.length / 10));
    const job = (input: string, output: string) =>
      commandOf(runtime, "cli/main.ts", ["embed", input, "--model", MODEL, "-o", output, "--restart", "--quiet"]);
    const engine = commandOf(runtime, "bench/micro/jobs_engine.ts", [MODEL, "all.jsonl"]);
    const all = [engine, job("all.jsonl", "out.jsonl"), job("all.jsonl", "out.parquet")];
    const spent: Spent[][] = [];
    for (let round = 0; round < rounds; round++) spent.push(await inTurns(all, directory));
    const tenths: Spent[] = [];
    for (const output of ["out.jsonl", "out.parquet"]) {
      tenths.push(...await inTurns([job("tenth.jsonl", output)], directory));
    }
    const of = (i: number, what: keyof Spent) => median(spent.map((round) => round[i]![what]));
    const ratio = (i: number, what: keyof Spent) => {
      const ratios = spent.map((round) => round[0]![what] / round[i]![what]);
      const [least, most] = [Math.min(...ratios), Math.max(...ratios)].map((one) => one.toFixed(2));
      return least === most ? least! : `${median(ratios).toFixed(2)} (${least} to ${most})`;
    };
    return ["embedStream", "job to JSONL", "job to Parquet"].map((name, i) => [
      kind,
      name,
      `${texts.length}`,
      of(i, "seconds").toFixed(1),
      ratio(i, "seconds"),
      ratio(i, "processor"),
      of(i, "memory").toFixed(0),
      i > 0 ? (of(i, "memory") / tenths[i - 1]!.memory).toFixed(2) : "",
    ]);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** How long `--help` takes, in starts of an empty script. */
function help(runtime: string, rounds: number): string {
  const directory = mkdtempSync(join(tmpdir(), "llamasaur-help-"));
  writeFileSync(join(directory, "empty.ts"), "export {};\n");
  const command = runtime === "deno" ? ["deno", "run", "-A"] : ["bun"];
  const times: [number[], number[]] = [[], []];
  for (let round = 0; round < 10 * rounds; round++) {
    for (const [i, words] of [[join(directory, "empty.ts")], [join(ROOT, "cli", "main.ts"), "--help"]].entries()) {
      const start = performance.now();
      spawnSync("/usr/bin/env", [...command, ...words]);
      times[i]!.push(performance.now() - start);
    }
  }
  rmSync(directory, { recursive: true });
  const [empty, own] = times.map((some) => median(some)) as [number, number];
  return `--help takes ${own.toFixed(0)} ms, an empty script ${empty.toFixed(0)} ms (${
    (own / empty).toFixed(2)
  } times)`;
}

const { values: { smoke, ...values } } = parseArgs({
  options: {
    rows: { type: "string", default: "100000" },
    rounds: { type: "string", default: "2" },
    runtime: { type: "string", default: "deno" },
    smoke: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
  },
});
const rows = smoke ? 2000 : Number(values.rows);
const rounds = smoke ? 1 : Number(values.rounds);
const machine = describeMachine();
const short = many(await withCount((tokens) => titles(Math.min(rows, MOST_DIFFERENT), tokens)), rows);
const long = many(await paragraphs(Math.min(rows / 10, 1000)), rows / 10);
console.log(`${machineLine(machine)}, ${values.runtime}, ${rounds} rounds in turns of half a second, medians\n`);
const figures: Figures = {
  columns: ["texts", "", "rows", "s", "of embedStream", "by processor time", "peak MB", "of a tenth of the rows"],
  rows: [
    ...await compare("titles", short, rounds, values.runtime),
    ...await compare("paragraphs", long, rounds, values.runtime),
  ],
  words: 2,
};
console.log(table(figures.columns, figures.rows, figures.words));
const start = help(values.runtime, rounds);
console.log(`\n${start}`);
if (values.write) {
  const command = `deno task bench:jobs --rows ${rows} --rounds ${rounds} --runtime ${values.runtime} --write`;
  const others = machine.load >= machine.cores ? `; other work ran (load ${machine.load.toFixed(0)})` : "";
  const method =
    `all-MiniLM-L6-v2 q8_0 on ${values.runtime}, medians of ${rounds} rounds, in turns of half a second; ${start}${others}`;
  keep("jobs", noted(command, machine, method, figures));
}
