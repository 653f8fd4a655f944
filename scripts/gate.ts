// The gate: every check and every test, on both runtimes. `deno task ok [--examples] [--reports DIR] [STEP...]`
//   --examples      runs every example on both runtimes, too
//   --slow          runs what `deno task slow` does instead: what takes longer than the gate may
//   --reports DIR   leaves the runtimes' JUnit reports and summary.txt there, instead of printing the summary
//   STEP            runs only the steps whose names begin so: `deno task ok fmt lint`
// Steps of one stage run side by side, as many as there are cores and one that waits for most of its time. What one prints is shown as a whole when it has ended.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { failures } from "./failures.ts";
import { type Counts, junitCounts, sum, summary, summaryCounts } from "./junit.ts";

/** One command, or a few words. */
interface Step {
  readonly name: string;
  readonly run: () => Promise<Ended>;
  /** It waits more than it computes, and runs beside as many others as there are cores. */
  readonly waits?: boolean;
}

interface Ended {
  readonly counts: Counts;
  /** What is shown of it. */
  readonly output: string;
}

const PASSED: Counts = { passed: 1, failed: 0, skipped: 0 };
const FAILED: Counts = { passed: 0, failed: 1, skipped: 0 };
const SLOW_MINUTES = 180;
const BUN_TIMEOUT = "--timeout=1800000"; // ms a test: the soak of `slow` takes 20 minutes; Bun's own default of 5 s is too short for a model on a busy machine
// With the root entries: their code blocks are tests. Those of README and docs are tests/docs/blocks_test.ts's.
const DOCUMENTED = ["src", "ffi", "build"];
/** Tests of speed: nothing may run beside them. Those that only bound a time leave room for a neighbour. */
const TIMED = ["tests/src/pace_test.ts"];
/** Tests that wait half of their time: for heartbeats, for a database that comes back. */
const WAITING = "tests/cli/worker/";
/** Steps that take long enough to be announced. */
const LONG = /^(deno|bun) test|^torture/;
let minutes = 20; // a step that takes longer hangs

/** What runs one after the other; the steps of each run side by side. */
function gate(reports: string, examples: boolean): Step[][] {
  const entries = Object.values<string>(JSON.parse(readFileSync("deno.json", "utf8")).exports);
  const documented = [...entries.filter((path) => !path.slice(2).includes("/")), ...DOCUMENTED].filter(existsSync);
  const [waiting, others] = [true, false].map((waits) =>
    testFiles().filter((file) => !TIMED.includes(file) && file.startsWith(WAITING) === waits)
  ) as [string[], string[]];
  // A runtime's tests in one piece left a core idle for a minute, while the longer runtime ended.
  const halves = [0, 1].map((half) => others.filter((_, i) => i % 2 === half)) as [string[], string[]];
  const names = examples ? exampleNames() : [];
  return [
    [{ name: "library", run: library }],
    [
      check("check", "deno", "check", "--doc"), // the tests' types, too: they are not checked again
      check("fmt", "deno", "fmt", "--check"),
      check("lint", "deno", "lint"),
      check("doc", "deno", "doc", "--quiet", "--lint", ...entries),
      check("imports", "deno", "run", "-A", "scripts/imports.ts"),
      check("docs", "deno", "run", "-A", "scripts/docs.ts", "--check"),
      check("publish", "deno", "publish", "--dry-run", "--allow-dirty"),
      check("publish of cli", "bash", "-c", "cd cli && deno publish --dry-run --allow-dirty"),
    ],
    [
      { ...denoTests("deno test of the worker", reports, waiting), waits: true },
      { ...bunTests("bun test of the worker", reports, waiting), waits: true },
      counted("torture", "shown if it fails", "deno", "run", "-A", "tests/torture/mod.ts", "--ci"),
      denoTests("deno test (first half)", reports, ["--doc", ...halves[0], ...documented]),
      denoTests("deno test (second half)", reports, halves[1]),
      bunTests("bun test (first half)", reports, halves[0]),
      bunTests("bun test (second half)", reports, halves[1]),
      counted("instructions", "shown", "deno", "run", "-A", "scripts/instructions.ts"),
    ],
    [denoTests("deno test of speed", reports, TIMED)],
    [bunTests("bun test of speed", reports, TIMED)],
    names.flatMap((name) => [example(name), example(name, "--bun")]),
  ];
}

/** What takes longer than the gate may: the tests in their full size, the torture with every case. */
function slow(reports: string): Step[][] {
  process.env["LLAMASAUR_SLOW"] = "1";
  const larger = testFiles().filter((file) => /support\/(slow|python)\.ts"/.test(readFileSync(file, "utf8")));
  return [
    [{ name: "library", run: library }],
    [denoTests("deno test, full size", reports, larger)],
    [bunTests("bun test, full size", reports, larger)],
    [counted("torture", "shown", "deno", "run", "-A", "tests/torture/mod.ts")],
  ];
}

function testFiles(): string[] {
  const all = readdirSync("tests", { recursive: true, encoding: "utf8" }).map((path) => path.replaceAll("\\", "/"));
  return all.filter((path) => path.endsWith("_test.ts")).map((path) => `tests/${path}`).sort();
}

/** Without the library every native test would be skipped, and the gate green for the wrong reason; with an older one all fail. */
async function library(): Promise<Ended> {
  try {
    await (await import("../ffi/mod.ts")).open();
    return { counts: PASSED, output: "" };
  } catch (error) {
    const remedy = "build it with `deno task build`, or have scripts/test.sh set up all that is missing";
    return { counts: FAILED, output: `${(error as Error).message}\n${remedy}\n` };
  }
}

function check(name: string, ...command: string[]): Step {
  async function run(): Promise<Ended> {
    const { success, output } = await runCommand(command);
    return success ? { counts: PASSED, output: "" } : { counts: FAILED, output };
  }
  return { name, run };
}

/** A program that ends with a line of counts. */
function counted(name: string, shown: "shown" | "shown if it fails", ...command: string[]): Step {
  async function run(): Promise<Ended> {
    const { success, output } = await runCommand(command);
    const counts = summaryCounts(output) ?? FAILED; // without the line it was ended
    const all = success || counts.failed > 0 ? counts : sum([counts, FAILED]);
    return { counts: all, output: all.failed > 0 || shown === "shown" ? output : "" };
  }
  return { name, run };
}

function example(name: string, ...flags: string[]): Step {
  return check(`example ${name} ${flags.join("")}`.trim(), "bash", "examples/run.sh", name, ...flags);
}

function exampleNames(): string[] {
  return readdirSync("examples").filter((file) => file.endsWith(".ts")).map((file) => file.slice(0, -3)).sort();
}

function denoTests(name: string, reports: string, paths: readonly string[]): Step {
  const report = join(reports, `${name.replaceAll(/\W+/g, "-")}.xml`);
  return tests(name, report, "deno", "test", "-A", "--no-check", `--junit-path=${report}`, ...paths);
}

function bunTests(name: string, reports: string, paths: readonly string[]): Step {
  const report = join(reports, `${name.replaceAll(/\W+/g, "-")}.xml`);
  const files = paths.map((path) => `./${path}`); // without the dot, Bun takes a path for a pattern
  return tests(name, report, "bun", "test", BUN_TIMEOUT, "--reporter=junit", `--reporter-outfile=${report}`, ...files);
}

function tests(name: string, report: string, ...command: string[]): Step {
  async function run(): Promise<Ended> {
    rmSync(report, { force: true });
    const { success, output } = await runCommand(command);
    if (!existsSync(report)) return { counts: FAILED, output }; // a file that does not load, or a process that died
    const counts = junitCounts(readFileSync(report, "utf8"));
    return { counts: success || counts.failed > 0 ? counts : sum([counts, FAILED]), output };
  }
  return { name, run };
}

/** Runs a program to its end, and keeps what it says on both streams. */
function runCommand([program = "", ...args]: string[]): Promise<{ success: boolean; output: string }> {
  const { promise, resolve } = Promise.withResolvers<{ success: boolean; output: string }>();
  const child = spawn(program, args, {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: minutes * 60_000,
    killSignal: "SIGKILL",
  });
  const chunks: Uint8Array[] = [];
  child.stdout.on("data", (chunk) => chunks.push(chunk));
  child.stderr.on("data", (chunk) => chunks.push(chunk));
  child.on("error", ({ message }) => {
    const output = `Cannot run ${program}: ${message}. Put the pinned runtimes on PATH with \`. scripts/env.sh\`\n`;
    resolve({ success: false, output });
  });
  child.on("close", (code, signal) => {
    const words = `\n${program} was ended by ${signal} (the gate sends SIGKILL after ${minutes} minutes)\n`;
    resolve({ success: code === 0, output: Buffer.concat(chunks).toString() + (signal ? words : "") });
  });
  return promise;
}

function wanted(name: string, beginnings: readonly string[]): boolean {
  return beginnings.length === 0 || beginnings.some((beginning) => name.startsWith(beginning));
}

/** Runs a step and tells of it. */
async function tell({ name, run }: Step): Promise<Ended> {
  const start = performance.now();
  const ended = await run().catch((error: unknown): Ended => {
    return { counts: FAILED, output: `${error instanceof Error ? error.message : error}\n` };
  });
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  process.stdout.write(ended.output);
  console.log(`${ended.counts.failed > 0 ? "FAILED" : "ok    "} ${seconds.padStart(6)} s  ${name}`);
  return ended;
}

/** Runs a stage's steps, as many at once as there are cores, and beside them one after the other those that wait. */
async function runStage(steps: readonly Step[]): Promise<Ended[]> {
  if (steps.some(({ name }) => LONG.test(name))) console.log(`-- ${steps.map(({ name }) => name).join(" and ")}`);
  const results = new Map<Step, Ended>();
  async function work(left: Step[]): Promise<void> {
    for (let step = left.shift(); step; step = left.shift()) results.set(step, await tell(step));
  }
  const [waiting, others] = [steps.filter(({ waits }) => waits), steps.filter(({ waits }) => !waits)];
  await Promise.all([work(waiting), ...Array.from({ length: availableParallelism() }, () => work(others))]);
  return steps.map((step) => results.get(step)!);
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      examples: { type: "boolean", default: false },
      slow: { type: "boolean", default: false },
      reports: { type: "string" },
    },
  });
  process.chdir(fileURLToPath(new URL("..", import.meta.url)));
  const reports = values.reports ?? mkdtempSync(join(tmpdir(), "llamasaur-gate-"));
  mkdirSync(reports, { recursive: true });
  if (values.slow) minutes = SLOW_MINUTES;
  const all = values.slow ? slow(reports) : gate(reports, values.examples);
  const stages = all.map((steps) => steps.filter(({ name }) => wanted(name, positionals)));
  const chosen = stages.flat();
  if (chosen.length === 0) {
    throw new RangeError(`Cannot run "${positionals}": the steps are ${all.flat().map(({ name }) => name)}`);
  }
  const start = performance.now();
  const results: Ended[] = [];
  for (const steps of stages) {
    results.push(...await runStage(steps));
    if (steps[0]?.name === "library" && results[0]!.counts.failed > 0) break; // nothing after it could pass
  }
  const failed = chosen.flatMap(({ name }, i) =>
    (results[i]?.counts.failed ?? 0) > 0 ? [{ name, ...results[i]! }] : []
  );
  // The end of a log is what is kept of it and read first.
  for (const { name, output } of failed) console.log(`\n-- what failed in ${name}\n${failures(output)}\n`);
  if (failed.length > 0) console.log(`failed: ${failed.map(({ name }) => name).join(", ")}`);
  const line = summary(sum(results.map(({ counts }) => counts)));
  console.log(`took ${((performance.now() - start) / 60_000).toFixed(1)} minutes`);
  if (values.reports === undefined) {
    console.log(line);
    rmSync(reports, { recursive: true });
  } else {
    writeFileSync(join(reports, "summary.txt"), line + "\n");
  }
  return failed.length > 0 ? 1 : 0;
}

process.exitCode = await main();
