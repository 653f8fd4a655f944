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
