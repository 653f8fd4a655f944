// Wrong model files: each is loaded or refused with a typed error that names the cause, by a process that lives on.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { findProgram, ROOT } from "../../tests/child.ts";
import type { Case, Context } from "./case.ts";
import { writeBases } from "./tiny_models.ts";

const WORKER = join(ROOT, "scripts", "torture", "files_worker.ts");
const SILENCE = 30_000; // milliseconds without a line: the file before it hangs
// What memory and threads may grow by from a look to the last: noise of the collectors, no leak of a file's size.
const MEGABYTES = 40;
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

/** Yields once a file; what is wrong with memory, threads or the good model goes to the last. */
async function* run(
  context: Context,
  argsFrom: (next: number) => string[],
  step: number,
): AsyncIterable<string | undefined> {
  await writeBases(context.directory);
  let [next, ran] = [Number.NaN, 0];
  let open: string | undefined;
  const failures: string[] = [];
  let looks: [number, number][] = [];
  for (let going = true; going && ran < context.planned;) {
    going = false;
    for await (const { kind, text } of work(context.platform, context.directory, argsFrom(next))) {
      if (kind === ">") {
        [open, next] = [text, Number.parseInt(text) + step];
      } else if (kind === "=") {
        looks.push(text.split(" ").map(Number) as [number, number]);
      } else if (open === undefined) {
        failures.push(text);
      } else {
        const failure = kind === "!" ? `${open}: ${text}` : undefined;
        open = undefined;
        if (failure && /^(died|hung)/.test(text)) [going, looks] = [true, []]; // a new process goes on behind it
        if (++ran < context.planned) yield failure;
        else failures.push(...failure ? [failure] : []);
      }
    }
  }
  yield [...failures, ...grown(looks)].join("; ") || undefined;
}

/** What has grown from the first quarter of the looks to the last. */
function grown(looks: readonly [number, number][]): string[] {
  const [from, to] = [looks[looks.length >> 2], looks.at(-1)];
  if (!from || !to || from === to) return [];
  const words: string[] = [];
  if (to[0] - from[0] > MEGABYTES) words.push(`memory grew from ${from[0]} to ${to[0]} MB`);
  if (to[1] - from[1] > THREADS) words.push(`threads grew from ${from[1]} to ${to[1]}`);
  return words;
}
