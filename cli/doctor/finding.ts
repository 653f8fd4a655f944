/** Says what a check of `doctor` found. */

/** `note` and `skipped` are neither good nor bad; only `failed` makes exit code 1. */
export type State = "ok" | "note" | "warning" | "failed" | "skipped";

/** What a check found. */
export interface Finding {
  /** What was looked at. */
  readonly check: string;
  readonly state: State;
  /** What was found, in a line. */
  readonly message: string;
  /** The one command that mends it. */
  readonly remedy?: string;
  /** More lines. */
  readonly more?: readonly string[];
  /** The same for programs. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** What can be told, or undefined where the runtime refuses to. */
export function told<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch {
    return undefined;
  }
}

/** The first line of an error. */
export function wordsOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
}
