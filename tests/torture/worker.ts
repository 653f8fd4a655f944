// A case that runs in a process of its own runtime, and tells of each run by a line.
import process from "node:process";
import { fileURLToPath } from "node:url";
import { findProgram, runChild } from "../support/child.ts";
import { type Context, wrongEnd } from "./case.ts";

/** The command that runs a script on a runtime. */
export function runtimeCommand(platform: Context["platform"], script: string, ...flags: string[]): string[] {
  const program = findProgram(platform);
  if (program === undefined) throw new Error(`Cannot find ${platform} on PATH`);
  return platform === "deno" ? [program, "run", "--quiet", ...flags, script] : [program, script];
}

/** Path of a file beside this one. */
export function beside(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

/** How a worker is run. */
export interface WorkerOptions {
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  /** In ms. */
  readonly timeout?: number;
  /** What to start the runtime with, such as prlimit. */
  readonly prefix?: readonly string[];
  readonly flags?: readonly string[];
}

/** Runs a worker of this folder to its end: undefined for each run that was right, and words for what was wrong. */
export async function* runWorker(
  { platform }: Pick<Context, "platform">,
  script: string,
  args: readonly unknown[],
  { prefix = [], flags = ["-A"], timeout = 600_000, ...options }: WorkerOptions = {},
): AsyncGenerator<string | undefined> {
  const [program = "", ...rest] = [
    ...prefix,
    ...runtimeCommand(platform, beside(script), ...flags),
    ...args.map(String),
  ];
  const outcome = await runChild(program, rest, { ...options, timeout });
  for (const line of outcome.stdout.split("\n")) {
    if (line === "run ok") yield undefined;
    else if (line.startsWith("run failed ")) yield line.slice(11);
  }
  const wrong = wrongEnd(outcome);
  if (wrong !== undefined) yield wrong;
}

/** Told by a worker of one of its runs. */
export function tell(failure: string | undefined): void {
  process.stdout.write(
    failure === undefined ? "run ok\n" : `run failed ${failure.replaceAll(/\s+/g, " ").slice(0, 600)}\n`,
  );
}
