/**
 * Tests the package of a platform: `deno task prebuilt:test NAME [--again] [--minutes N] [--write]`. Natively where the platform
 * is this machine's, else emulated as far as that goes. What passed with the same library is not run again, unless `--again`
 * says so; `--minutes` begins nothing after that time; `--write` notes what passed in bench/results, for `deno task docs`.
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
import { type Counts, countsOf, type Tried } from "./counts.ts";
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
  const passed: Record<string, Counts> = !again && noted.sha512 === sha512 ? noted.passed : {};
  const { how, steps } = await stepsOf(platform, library, cache);
  const end = performance.now() + minutes * 60_000;
  let [good, whole] = [true, true];
  for (const step of steps) {
    const { name, command } = step;
    if (passed[name]) continue;
    if (performance.now() > end) {
      whole = false;
      continue;
    }
    const start = performance.now();
    const { code, output } = await tryStep(step);
    const seconds = ((performance.now() - start) / 1000).toFixed(0);
    console.log(`${code === 0 ? "ok" : "FAILED"} ${seconds} s  ${name}`);
    if (code === 0) passed[name] = countsOf(output);
    else console.log(`${shown(command)}\n${output}`);
    if (code === 0) console.log(output.trim().split("\n").slice(-3).map((line) => `    ${line}`).join("\n"));
    good &&= code === 0;
    await writeFile(state, JSON.stringify({ sha512, passed }));
  }
  const all = Object.keys(passed).length;
  console.log(
    `${platform.name}: ${all} of ${steps.length} steps have passed${whole ? "" : ", the rest is for another run"}`,
  );
  if (write && good) await note(platform, { how, version: VERSION, steps: passed });
  return good;
}

/** Runs a step, and again where the emulator was at fault. */
async function tryStep({ name, command, env, fault }: Step): Promise<{ code: number | null; output: string }> {
  for (let left = AGAIN;; left--) {
    const { code, output } = await run(command, { cwd: ROOT, env, timeout: LONGEST });
    if (code === 0 || left === 0 || !fault?.test(output)) return { code, output };
    console.log(`again: ${name}`);
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
