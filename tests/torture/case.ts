// What the suites of the torture have in common: a case, what a run is given, and how a run is told of.
import type { Outcome } from "../support/child.ts";

/** What a case runs on: one of the runtimes, or the C++ harness. */
export type Platform = "deno" | "bun" | "native";

/** How much is run: `ci` in seconds, `full` in minutes. */
export type Scale = "ci" | "full";

/** What a case is given. */
export interface Context {
  readonly platform: Platform;
  readonly scale: Scale;
  /** How many runs are planned; the case makes exactly as many. */
  readonly planned: number;
  /** Of this round of the case; the table prints it, and `--seed` repeats it. */
  readonly seed: number;
  /** Integers from `min` to `max`, both included, drawn from the seed. */
  readonly draw: (min: number, max: number) => number;
  /** A directory of this case's own, empty, removed afterwards. */
  readonly directory: string;
}

/** One thing that must not break the process, tried many times. */
export interface Case {
  /** `suite: what happens, when`; the table's first column. */
  readonly name: string;
  /** Default: Deno and Bun. */
  readonly platforms?: readonly Platform[];
  readonly planned: Readonly<Record<Scale, number>>;
  /** Whether `--minutes` may run it again and again, each time with another seed. */
  readonly repeats?: boolean;
  /** Why it cannot run on this machine, if so. */
  readonly skip?: string | undefined;
  /** Yields once a run: undefined when all was right, else what went wrong. */
  run(context: Context): AsyncIterable<string | undefined>;
}

/** What went wrong with a process that should have ended with an exit code and by no signal; undefined if nothing. */
export function wrongEnd({ code, signal, stderr }: Outcome, expected = 0): string | undefined {
  if (code === expected && signal === null) return undefined;
  return `ended with ${signal ?? code}, expected ${expected}: ${stderr.trim().split("\n").slice(-5).join(" | ")}`;
}
