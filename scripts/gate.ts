// The gate: every check and every test, on both runtimes. `deno task ok [--examples] [--reports DIR] [STEP...]`
//   --examples      runs every example on both runtimes, too
//   --reports DIR   leaves deno.xml, bun.xml (JUnit) and summary.txt there, instead of printing the summary
//   STEP            runs only the steps whose names begin so: `deno task ok fmt lint`
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Counts, junitCounts, sum, summary } from "./junit.ts";

interface Step {
  name: string;
  run: () => Promise<Counts>;
}

const PASSED: Counts = { passed: 1, failed: 0, skipped: 0 };
const FAILED: Counts = { passed: 0, failed: 1, skipped: 0 };
const MINUTES = 20; // a step that takes longer hangs
const BUN_TIMEOUT = "--timeout=600000"; // ms a test; Bun's own default of 5 s is too short for a model on a busy machine
// With the root entries: their code blocks are tests. Those of README and docs are tests/docs/blocks_test.ts's.
const DOCUMENTED = ["src", "ffi", "build"];

function steps(reports: string, examples: boolean): Step[] {
  const entries = Object.values<string>(JSON.parse(readFileSync("deno.json", "utf8")).exports);
  const documented = [...entries.filter((path) => !path.slice(2).includes("/")), ...DOCUMENTED].filter(existsSync);
  const deno = join(reports, "deno.xml");
  const bun = join(reports, "bun.xml");
  return [
    { name: "library", run: library },
    check("fmt", "deno", "fmt", "--check"),
    check("lint", "deno", "lint"),
    check("check", "deno", "check"),
    check("doc", "deno", "doc", "--quiet", "--lint", ...entries),
    check("imports", "deno", "run", "-A", "scripts/imports.ts"),
    check("docs", "deno", "run", "-A", "scripts/docs.ts", "--check"),
    check("publish", "deno", "publish", "--dry-run", "--allow-dirty"),
    tests("deno test", deno, "deno", "test", "-A", "--doc", `--junit-path=${deno}`, "tests", ...documented),
    tests("bun test", bun, "bun", "test", BUN_TIMEOUT, "--reporter=junit", `--reporter-outfile=${bun}`, "./tests"),
    { name: "instructions", run: async () => (await import("./instructions.ts")).instructions() },
    check("torture", "deno", "run", "-A", "tests/torture/mod.ts", "--ci"),
    ...(examples ? exampleNames().flatMap((name) => [example(name), example(name, "--bun")]) : []),
  ];
}

/** Without the library every native test would be skipped, and the gate green for the wrong reason. */
async function library(): Promise<Counts> {
  if (process.env["LLAMASAUR_LIBRARY"]) return PASSED;
  const { libraryFileName, targetName } = await import("../ffi/host/paths.ts");
  const path = join("lib", targetName(), libraryFileName());
  if (existsSync(path)) return PASSED;
  console.log(
    `Cannot find ${path}: build it with \`deno task build\`, or have scripts/test.sh set up all that is missing`,
  );
  return FAILED;
}

function check(name: string, ...command: string[]): Step {
  return { name, run: async () => (await succeeds(command, "shown if it fails")) ? PASSED : FAILED };
}

function example(name: string, ...flags: string[]): Step {
  return check(`example ${name} ${flags.join("")}`.trim(), "bash", "examples/run.sh", name, ...flags);
}

function exampleNames(): string[] {
  return readdirSync("examples").filter((file) => file.endsWith(".ts")).map((file) => file.slice(0, -3)).sort();
}

function tests(name: string, report: string, ...command: string[]): Step {
  async function run(): Promise<Counts> {
    rmSync(report, { force: true });
    const success = await succeeds(command, "shown");
    if (!existsSync(report)) return FAILED; // a file that does not load, or a process that died
    const counts = junitCounts(readFileSync(report, "utf8"));
    return success || counts.failed > 0 ? counts : sum([counts, FAILED]);
  }
  return { name, run };
}

function succeeds([program = "", ...args]: string[], output: "shown" | "shown if it fails"): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const pipe = output === "shown" ? "inherit" : "pipe";
  const child = spawn(program, args, {
    stdio: ["ignore", pipe, pipe],
    timeout: MINUTES * 60_000,
    killSignal: "SIGKILL",
  });
  const chunks: Uint8Array[] = [];
  child.stdout?.on("data", (chunk) => chunks.push(chunk));
  child.stderr?.on("data", (chunk) => chunks.push(chunk));
  child.on("error", (error) => {
    console.log(`Cannot run ${program}: ${error.message}. Put the pinned runtimes on PATH with \`. scripts/env.sh\``);
    resolve(false);
  });
  child.on("close", (code, signal) => {
    if (code !== 0) process.stdout.write(Buffer.concat(chunks));
    if (signal) console.log(`\n${program} was ended by ${signal} (the gate sends SIGKILL after ${MINUTES} minutes)`);
    resolve(code === 0);
  });
  return promise;
}

function wanted(name: string, beginnings: readonly string[]): boolean {
  return beginnings.length === 0 || beginnings.some((beginning) => name.startsWith(beginning));
}

async function timed({ name, run }: Step): Promise<Counts> {
  const start = performance.now();
  const counts = await run().catch((error: unknown) => {
    console.log(error instanceof Error ? error.message : error);
    return FAILED;
  });
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${counts.failed > 0 ? "FAILED" : "ok    "} ${seconds.padStart(6)} s  ${name}`);
  return counts;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { examples: { type: "boolean", default: false }, reports: { type: "string" } },
  });
  process.chdir(fileURLToPath(new URL("..", import.meta.url)));
  const reports = values.reports ?? mkdtempSync(join(tmpdir(), "llamasaur-gate-"));
  mkdirSync(reports, { recursive: true });
  const all = steps(reports, values.examples);
  const chosen = all.filter(({ name }) => wanted(name, positionals));
  if (chosen.length === 0) {
    throw new RangeError(`Cannot run "${positionals}": the steps are ${all.map(({ name }) => name)}`);
  }
  const results: Counts[] = [];
  for (const step of chosen) results.push(await timed(step)); // one at a time: some tests measure time
  const failed = chosen.filter((_, index) => results[index]!.failed > 0).map(({ name }) => name);
  if (failed.length > 0) console.log(`failed: ${failed.join(", ")}`);
  const line = summary(sum(results));
  if (values.reports === undefined) {
    console.log(line);
    rmSync(reports, { recursive: true });
  } else {
    writeFileSync(join(reports, "summary.txt"), line + "\n");
  }
  return failed.length > 0 ? 1 : 0;
}

process.exitCode = await main();
