// What a job of the command line costs beside the engine alone: `deno task bench:jobs [options]`
//   --rows N      titles; of paragraphs it is a tenth (default: 100000)
//   --rounds N    each takes every contender once, in turn (default: 3)
//   --runtime R   deno or bun (default: deno)
//   --smoke       2000 rows, one round
//   --write       keeps the figures in bench/results/jobs.json, for `deno task docs`
// Each contender is a process of its own, timed from its start to its end, with the model's load. The engine is
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

const ROOT = fileURLToPath(packageRoot());
const MODEL = join(ROOT, "models", "all-minilm-l6-v2-q8_0.gguf");
const MOST_DIFFERENT = 5000;

interface Spent {
  readonly seconds: number;
  /** Of the processor: what neighbours do changes it less. */
  readonly processor: number;
  /** MB that the process had at most. */
  readonly memory: number;
}

/** Runs a program of the checkout, and measures it. */
function timed(runtime: string, file: string, args: readonly string[], cwd: string): Spent {
  const command = runtime === "deno" ? ["deno", "run", "-A"] : ["bun"];
  const start = performance.now();
  const words = ["-f", "%U %S %M", ...command, join(ROOT, file), ...args];
  const { status, stderr } = spawnSync("/usr/bin/env", ["time", ...words], { cwd, encoding: "utf8" });
  const seconds = (performance.now() - start) / 1000;
  if (status !== 0) throw new Error(`Cannot run ${file} ${args.join(" ")}: ${stderr}`);
  const [user = 0, system = 0, kilobytes = 0] = stderr.trim().split("\n").at(-1)!.split(" ").map(Number);
  return { seconds, processor: user + system, memory: kilobytes / 1000 };
}

/** So many texts; equal ones would be computed once, so a number makes them different. */
function many(texts: readonly string[], count: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    const round = Math.floor(i / texts.length);
    return round === 0 ? texts[i]! : `${texts[i % texts.length]} ${round}`;
  });
}

function compare(kind: string, texts: readonly string[], rounds: number, runtime: string): string[][] {
  const directory = mkdtempSync(join(tmpdir(), "llamasaur-jobs-"));
  try {
    const write = (name: string, some: readonly string[]): void => {
      writeFileSync(join(directory, name), some.map((text) => JSON.stringify({ text })).join("\n") + "\n");
    };
    write("all.jsonl", texts);
    write("tenth.jsonl", texts.slice(0, texts.length / 10));
    const job = (input: string, output: string) => {
      const words = ["embed", input, "--model", MODEL, "-o", output, "--restart", "--quiet"];
      return () => timed(runtime, "cli/main.ts", words, directory);
    };
    const engine = () => timed(runtime, "bench/micro/jobs_engine.ts", [MODEL, "all.jsonl"], directory);
    const contenders = [
      { name: "embedStream", run: engine, tenth: undefined },
      { name: "job to JSONL", run: job("all.jsonl", "out.jsonl"), tenth: job("tenth.jsonl", "out.jsonl") },
      { name: "job to Parquet", run: job("all.jsonl", "out.parquet"), tenth: job("tenth.jsonl", "out.parquet") },
    ];
    const spent = contenders.map((): Spent[] => []);
    for (let round = 0; round < rounds; round++) {
      for (const [i, { run }] of contenders.entries()) spent[i]!.push(run());
    }
    const of = (i: number, what: keyof Spent) => median(spent[i]!.map((one) => one[what]));
    return contenders.map(({ name, tenth }, i) => [
      kind,
      name,
      `${texts.length}`,
      of(i, "seconds").toFixed(1),
      (of(0, "seconds") / of(i, "seconds")).toFixed(2),
      (of(0, "processor") / of(i, "processor")).toFixed(2),
      of(i, "memory").toFixed(0),
      tenth ? (of(i, "memory") / tenth().memory).toFixed(2) : "",
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
    rounds: { type: "string", default: "3" },
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
console.log(`${machineLine(machine)}, ${values.runtime}, ${rounds} rounds, medians\n`);
const figures: Figures = {
  columns: ["texts", "", "rows", "s", "of embedStream", "by processor time", "peak MB", "of a tenth of the rows"],
  rows: [...compare("titles", short, rounds, values.runtime), ...compare("paragraphs", long, rounds, values.runtime)],
  words: 2,
};
console.log(table(figures.columns, figures.rows, figures.words));
const start = help(values.runtime, rounds);
console.log(`\n${start}`);
if (values.write) {
  const command = `deno task bench:jobs --rows ${rows} --rounds ${rounds} --runtime ${values.runtime} --write`;
  const others = machine.load >= machine.cores ? `; other work ran (load ${machine.load.toFixed(0)})` : "";
  const method = `all-MiniLM-L6-v2 q8_0 on ${values.runtime}, medians of ${rounds} rounds in turns; ${start}${others}`;
  keep("jobs", noted(command, machine, method, figures));
}
