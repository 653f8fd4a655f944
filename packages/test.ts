/**
 * Tests the package of a platform: `deno task prebuilt:test NAME [--again] [--minutes N] [--write]`. Natively where the platform
 * is this machine's, else emulated as far as that goes. What passed with the same library is not run again, also where the test
 * has changed, unless `--again` says so; `--minutes` begins nothing after that time; `--write` notes in bench/results what
 * passed, what failed and what was not run, for `deno task docs`.
 */
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { BuildError } from "../build/failure.ts";
import { run, shown } from "../build/run.ts";
import { cacheDirectory, libraryFileName, packageRoot } from "../ffi/host/paths.ts";
import { VERSION } from "../ffi/version.ts";
import { type Counts, countsOf, summaryOf, type Tried } from "./counts.ts";
import { PLATFORMS, SHIMS, type Target } from "./platforms.ts";
import { type Step, stepsOf } from "./steps.ts";

const ROOT = fileURLToPath(packageRoot());
const NOTED = join(ROOT, "bench", "results", "prebuilt.json");

const TARGETS: readonly Target[] = [...PLATFORMS, ...SHIMS];

/** In seconds: a step that takes longer hangs, emulated and beside other work, too. */
const LONGEST = 3600;
/** How often a step is begun again where the emulator is at fault. */
const AGAIN = 3;

interface TestOptions {
  readonly again: boolean;
  /** No step begins after it. */
  readonly minutes: number;
  readonly write: boolean;
}

/** Runs the steps that have not passed yet; whether none has failed. */
async function test(platform: Target, { again, minutes, write }: TestOptions): Promise<boolean> {
  const library = join(ROOT, "dist", platform.name, libraryFileName(platform.platform));
  const cache = cacheDirectory();
  if (cache === undefined) throw new BuildError("the user cache is unknown: set XDG_CACHE_HOME or HOME");
  const bytes = await readFile(library).catch(() => {
    throw new BuildError(`${library} is missing: deno task prebuilt ${platform.name}`);
  });
  const sha512 = createHash("sha512").update(bytes).digest("hex");
  const state = join(cache, "prebuilt", `${platform.name}.tested.json`);
  const noted = await readFile(state, "utf8").then(JSON.parse, () => ({}));
  const known = !again && noted.sha512 === sha512;
  const passed: Record<string, Counts> = known ? noted.passed : {};
  const failed = new Set<string>(known ? noted.failed : []);
  const { how, steps } = await stepsOf(platform, library, cache);
  const end = performance.now() + minutes * 60_000;
  let good = true;
  for (const step of steps) {
    if (passed[step.name] || performance.now() > end) continue;
    const counts = await tryStep(step);
    if (counts) passed[step.name] = counts;
    failed[counts ? "delete" : "add"](step.name);
    good &&= counts !== undefined;
    await writeFile(state, JSON.stringify({ sha512, passed, failed: [...failed] }));
  }
  const outcome = summaryOf(steps.map(({ name }) => name), passed, failed);
  const count = Object.keys(outcome.steps).length;
  console.log(`${platform.name}: ${count} of ${steps.length} steps have passed`);
  for (const name of outcome.lacking) console.log(`${failed.has(name) ? "FAILED" : "not run"}  ${name}`);
  if (write) await note(platform, { how, version: VERSION, ...outcome });
  return good;
}

/** Runs a step, and again where the emulator was at fault; what it counted, or undefined where it failed. */
async function tryStep(step: Step): Promise<Counts | undefined> {
  const { name, command, env, fault } = step;
  const start = performance.now();
  for (let left = AGAIN;; left--) {
    const { code, output } = await run(command, { cwd: ROOT, env, timeout: LONGEST });
    const counts = countsOf(output);
    const good = code === 0 && (!step.tests || counts.passed > 0); // a library that does not open has its tests skipped
    if (!good && left > 0 && fault?.test(output)) {
      console.log(`again: ${name}`);
      continue;
    }
    console.log(`${good ? "ok" : "FAILED"} ${((performance.now() - start) / 1000).toFixed(0)} s  ${name}`);
    if (good) console.log(output.trim().split("\n").slice(-3).map((line) => `    ${line}`).join("\n"));
    else console.log(`${shown(command)}\n${output}${code === 0 ? "no test of it passed" : ""}`);
    return good ? counts : undefined;
  }
}

/** Keeps what passed for the table of README. */
async function note({ name }: Target, tried: Omit<Tried, "date">): Promise<void> {
  const noted = await readFile(NOTED, "utf8").then(JSON.parse, () => ({}));
  noted[name] = { date: new Date().toISOString().slice(0, 10), ...tried };
  const ordered = Object.fromEntries(
    TARGETS.filter((one) => noted[one.name]).map((one) => [one.name, noted[one.name]]),
  );
  await writeFile(NOTED, `${JSON.stringify(ordered, null, 2)}\n`);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    args: process.argv.slice(2),
    options: {
      again: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
      minutes: { type: "string", default: "Infinity" },
    },
    allowPositionals: true,
  });
  const minutes = Number(values.minutes);
  if (!(minutes > 0)) throw new BuildError(`--minutes is ${values.minutes}: give a number above 0`);
  const platform = TARGETS.find(({ name }) => name === positionals[0]);
  if (platform === undefined) {
    throw new BuildError(`give one of ${TARGETS.map(({ name }) => name).join(", ")}`);
  }
  if (!await test(platform, { ...values, minutes })) process.exitCode = 1;
}

if (import.meta.main) {
  await main().catch((error) => {
    if (!(error instanceof BuildError)) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = 1;
  });
}
