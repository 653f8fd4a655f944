/** Runs CMake as planned, and turns its failures into something to read. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BuildError } from "./failure.ts";
import { elapsed, step } from "./progress.ts";
import { run } from "./run.ts";
import { type Assets, stage } from "./stage.ts";
import { exists } from "./workspace.ts";

/** Lines of a failure that are shown; all of them are in the log. */
const SHOWN_LINES = 60;

/** What CMake is to make, of which files, and where. */
export interface Compilation {
  /** The build's own directory. */
  readonly directory: string;
  readonly assets: Assets;
  readonly programs?: Assets | undefined;
  readonly configure: readonly string[];
  readonly compile: readonly string[];
  /** Variables for both commands. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** What CMake was probably missing, told by the output of its configure step; a line for each. */
  readonly hint?: ((output: string) => Promise<string>) | undefined;
}

/**
 * Configures and compiles.
 *
 * @param onLine Told every line that CMake's build step writes.
 * @throws {BuildError} With the words of CMake or of the compiler.
 */
export async function compile(work: Compilation, onLine: (line: string) => void, signal: AbortSignal): Promise<void> {
  const staging = join(work.directory, "stage");
  await stage(work.assets, staging);
  if (work.programs) await stage(work.programs, staging);
  await configure(work, signal);
  const start = performance.now();
  const log = join(work.directory, "build.log");
  const built = await run(work.compile, { env: work.env, signal, onLine });
  await writeFile(log, built.output);
  if (built.code === 0) return;
  throw new BuildError(
    `${failureWords(built.output)}\n\nthe compilation failed after ${elapsed((performance.now() - start) / 1000)}; ` +
      `everything it said is in ${log}`,
  );
}

async function configure({ directory, configure, env, hint }: Compilation, signal: AbortSignal): Promise<void> {
  const marker = join(directory, "configured");
  // what a first configure step found out that failed or was stopped is not to be trusted
  if (!(await exists(marker))) await rm(join(directory, "cmake"), { recursive: true, force: true });
  const { code, output } = await run(configure, { env, signal });
  if (code !== 0) {
    const words = output.trim().split("\n").slice(-SHOWN_LINES).join("\n");
    throw new BuildError(
      `${words}\n\nnothing was compiled: cmake cannot configure the build${await hint?.(output) ?? ""}`,
    );
  }
  await writeFile(marker, "");
}

/** The part of a build's output that tells what went wrong. */
export function failureWords(output: string): string {
  const lines = output.split("\n");
  const words: string[] = [];
  let failed = false; // ninja: from "FAILED:" to the next step
  for (const line of lines) {
    if (line.startsWith("FAILED:")) failed = true;
    else if (step(line)) failed = false;
    if (failed) words.push(line);
  }
  const shown = words.length > 0 ? words : lines.filter((line) => !step(line)).slice(-SHOWN_LINES);
  return shown.slice(0, SHOWN_LINES).join("\n").trimEnd();
}
