/** Says what a verb of the command line is: its help, its options, and what it does. Loads nothing. */
import type { Session } from "./session.ts";

/** The options that several verbs share, by what they are about. */
export type Shared = "model" | "json";

/** An option as its help has it. */
export interface VerbOption {
  /** As commander writes them: `-o, --output <path>`, `--text <text...>`, `--no-normalize`. */
  readonly flags: string;
  readonly description: string;
  /** The words that it takes, if it takes no others. */
  readonly choices?: readonly string[];
  readonly default?: string | number | boolean;
  /** Reads the value; throws a `UsageError` that says what is wanted. A repeated option gets what it read before. */
  readonly read?: (value: string, before: unknown) => unknown;
  /** The variable of the environment that stands for it. */
  readonly env?: string;
  /** Whether the variable may be empty, and says something by that. */
  readonly mayBeEmpty?: boolean;
}

/** What was given to a verb. */
export interface Given<Options> {
  readonly args: readonly string[];
  readonly options: Options;
  /** Everything behind the program's name, as it was written: for the command that goes on with a job. */
  readonly words: readonly string[];
}

/** A verb. Its file imports nothing heavy: what it needs it loads in `run`. */
export interface Verb<Options = Readonly<Record<string, unknown>>> {
  /** The arguments as commander writes them: `<query> [input]`. */
  readonly arguments: string;
  readonly description: string;
  /** The shared options that it takes; `--quiet` and `--help` are everywhere. */
  readonly shared: readonly Shared[];
  readonly options: readonly VerbOption[];
  /** What follows `llamasaur` in two commands that run as they stand; tests run them. */
  readonly examples: readonly [string, string];
  /** Arguments and options that belong to another program are passed through in `args`. */
  readonly passThrough?: boolean;
  /** Does the work. Returns the exit code; nothing is 0. */
  run(given: Given<Options>, session: Session): Promise<number | void>;
}
