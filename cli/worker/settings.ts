/** Holds what the verbs over a database share: its option, and the options as they were given. */
import type { ModelOptions } from "../model.ts";

/** The options of `backfill`. */
export interface BackfillOptions extends ModelOptions {
  readonly database?: string;
  readonly table?: string;
  readonly key?: readonly string[];
  readonly text?: string;
  readonly into?: string;
  readonly where?: string;
  readonly chunk?: string | boolean;
  readonly dimensions?: number;
  readonly inputType?: "query" | "document";
  readonly truncate: "end" | "start" | "error";
  readonly type: "halfvec" | "vector";
  readonly shard: number;
  readonly limit?: number;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** The options of `worker`. */
export interface WorkerOptions extends Omit<ModelOptions, "model"> {
  readonly database?: string;
  readonly model?: readonly string[];
  readonly concurrency: number;
  readonly rate?: number;
  /** Milliseconds. */
  readonly heartbeat?: number;
  /** Milliseconds. */
  readonly grace?: number;
  /** Milliseconds. */
  readonly giveUp?: number;
  readonly stopWhenEmpty?: boolean;
  readonly host?: string;
  readonly port?: number;
}

/** The options of `jobs`. */
export interface JobsOptions {
  readonly database?: string;
  readonly into?: string;
  readonly fingerprint?: string;
  readonly key?: readonly string[];
  /** False leaves the rows uncounted. */
  readonly rows: boolean;
  readonly json?: boolean;
}
