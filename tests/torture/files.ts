// Wrong model files: each is loaded or refused with a typed error that names the cause, by a process that lives on.
// A failure names the file: `deno run -A tests/torture/write_file.ts` writes it out.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { findProgram, ROOT } from "../support/child.ts";
import { ARCHITECTURES } from "./architectures.ts";
import type { Case, Context } from "./case.ts";
import { writeBases } from "./tiny_models.ts";

const WORKER = join(ROOT, "tests", "torture", "files_worker.ts");
const SILENCE = 30_000; // milliseconds without a line: the file before it hangs
const DEATH = /^(died|hung)/;
// What memory and threads may grow by from the middle to the end. The collectors' noise is 64 MB over 10,000 files of
// 200 KB each; 10 KB lost with each would be more.
const MEGABYTES = 96;
const THREADS = 2;

/** One line of the worker. */
export interface Report {
  readonly kind: ">" | "<" | "!" | "=" | ".";
  readonly text: string;
}

/**
 * Runs the worker to its end; a worker that dies or hangs is reported as "!" with the file's name.
 *
 * @param args Behind the directory: see files_worker.ts.
 */
export async function* work(
  platform: Context["platform"],
  directory: string,
  args: readonly string[],
): AsyncIterable<Report> {
  const program = findProgram(platform);
  if (program === undefined) throw new Error(`There is no ${platform} on PATH`);
  const runtime = platform === "deno" ? ["run", "-A", "--v8-flags=--expose-gc"] : ["--expose-gc"];
  const child = spawn("/usr/bin/env", [program, ...runtime, WORKER, directory, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stderr = "", last = "the start", over = false, hung = false;
  child.stderr.on("data", (data) => stderr = (stderr + data).slice(-2000));
  const ended = new Promise<string>((resolve) => child.on("close", (code, signal) => resolve(String(signal ?? code))));
  const strike = (): void => {
    hung = true;
    child.kill("SIGKILL");
  };
  let timer = setTimeout(strike, SILENCE);
  for await (const line of createInterface({ input: child.stdout })) {
    clearTimeout(timer);
    timer = setTimeout(strike, SILENCE);
    const report: Report = { kind: line[0] as Report["kind"], text: line.slice(2) };
    if (report.kind === ">") last = report.text;
    if (report.kind === ".") over = true;
    else yield report;
  }
  clearTimeout(timer);
  const end = await ended;
  if (over && end === "0") return;
  const words = stderr.trim().split("\n").slice(-4).join(" | ");
  yield { kind: "!", text: `${hung ? "hung" : `died with ${end}`} at ${last}: ${words}` };
}

/**
 * Yields once a file; what is wrong with memory, threads or the good model goes to the last.
 *
 * @param kind Which files: see files_worker.ts.
 */
export async function* run(context: Context, kind: readonly string[], threads = 1): AsyncIterable<string | undefined> {
  const { directory, planned, platform } = context;
  await writeBases(directory);
  const failures: string[] = [];
  let footprints: [number, number][] = [];
  let ran = 0;
  for (let position = 0, going = true; going && position < planned;) {
    going = false;
    let open: string | undefined;
    for await (
      const { kind: mark, text } of work(platform, directory, [`${threads}`, ...kind, `${position}`, `${planned}`])
    ) {
      if (mark === "=") {
        footprints.push(text.split(" ").map(Number) as [number, number]);
      } else if (mark === ">") {
        open = text;
        position = Number.parseInt(text) + 1;
      } else if (open === undefined) {
        failures.push(text);
      } else {
        const failure = mark === "!" ? `${open}: ${text}` : undefined;
        open = undefined;
        if (mark === "!" && DEATH.test(text)) [going, footprints] = [true, []]; // a new process goes on behind it
        if (++ran < planned) yield failure;
        else if (failure) failures.push(failure);
      }
    }
  }
  yield [...failures, ...grown(footprints)].join("; ") || undefined;
}

/** What has grown from the middle to the end: the corpus comes twice, so it has met every file by then. */
function grown([from, to]: readonly [number, number][]): string[] {
  if (!from || !to) return [];
  const words: string[] = [];
  if (to[0] - from[0] > MEGABYTES) words.push(`memory grew from ${from[0]} to ${to[0]} MB`);
  if (to[1] - from[1] > THREADS) words.push(`threads grew from ${from[1]} to ${to[1]}`);
  return words;
}

// How many files the corpus has; tests/ffi/cpp/gguf_check_test.ts counts them.
export const FILES = 12_676;
const CI_STEP = 36;
const NEIGHBOUR_STEP = 9; // a smallest model has some 150
const THREADED_STEP = 51; // two threads are slow on a busy machine

export const cases: readonly Case[] = [
  {
    name: "files: a wrong file loads or is refused, twice",
    planned: { ci: 2 * Math.floor(FILES / CI_STEP), full: 2 * FILES },
    run: (context) => {
      const step = Math.ceil(2 * FILES / context.planned); // so that the files that are met are met twice
      return run(context, ["corpus", `${context.seed % step}`, `${step}`]);
    },
  },
  {
    name: "files: a wrong file on a context of two threads",
    planned: { ci: 0, full: Math.floor(FILES / THREADED_STEP) },
    run: (context) => run(context, ["corpus", `${context.seed % THREADED_STEP}`, `${THREADED_STEP}`], 2),
  },
  {
    name: "files: the smallest model of each architecture, and what is like it",
    planned: { ci: 2, full: ARCHITECTURES.length },
    repeats: true,
    run: (context) => run(context, ["architecture", `${context.seed}`, `${NEIGHBOUR_STEP}`]),
  },
  {
    name: "files: random damage",
    planned: { ci: 400, full: 10_000 },
    repeats: true,
    run: (context) => run(context, ["random", `${context.seed * 1_000_000}`]),
  },
];
