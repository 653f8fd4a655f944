/** Runs CMake as planned, and turns its failures into something to read. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BuildError } from "./failure.ts";
import type { Plan } from "./plan.ts";
import { elapsed, step } from "./progress.ts";
import { remedyHere } from "./toolchain.ts";
import { run } from "./run.ts";
import { stage } from "./stage.ts";
import { exists } from "./workspace.ts";

/** Lines of a failure that are shown; all of them are in the log. */
const SHOWN_LINES = 60;

/**
 * Configures and compiles.
 *
 * @param onLine Told every line that CMake's build step writes.
 * @throws {BuildError} With the words of CMake or of the compiler.
 */
export async function compile(plan: Plan, onLine: (line: string) => void, signal: AbortSignal): Promise<void> {
  const staging = join(plan.directory, "stage");
  await stage(plan.assets, staging);
  if (plan.programs) await stage(plan.programs, staging);
  await configure(plan, signal);
  const start = performance.now();
  const log = join(plan.directory, "build.log");
  const built = await run(plan.compile, { signal, onLine });
  await writeFile(log, built.output);
  if (built.code === 0) return;
  throw new BuildError(
    `${failureWords(built.output)}\n\nthe compilation failed after ${elapsed((performance.now() - start) / 1000)}; ` +
      `everything it said is in ${log}`,
  );
}

async function configure(plan: Plan, signal: AbortSignal): Promise<void> {
  const marker = join(plan.directory, "configured");
  // what a first configure step found out that failed or was stopped is not to be trusted
  if (!(await exists(marker))) await rm(join(plan.directory, "cmake"), { recursive: true, force: true });
  const { code, output } = await run(plan.configure, { signal });
  if (code !== 0) {
    const words = output.trim().split("\n").slice(-SHOWN_LINES).join("\n");
    throw new BuildError(
      `${words}\n\nnothing was compiled: cmake cannot configure the build${await hint(plan, output)}`,
    );
  }
  await writeFile(marker, "");
}

/** What CMake was probably missing. */
async function hint(plan: Plan, output: string): Promise<string> {
  const { backend } = plan.flags;
  if (/CMAKE_C(XX)?_COMPILER|instance of Visual Studio/.test(output)) {
    return `\n    a C++17 compiler: ${await remedyHere("compiler")}`;
  }
  if (backend === "cpu" || backend === "metal" || plan.prebuilt) return "";
  return `\n    what --${backend} needs: ${await remedyHere(backend)}`;
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
