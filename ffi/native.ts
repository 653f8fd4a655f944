/** An opened library, as everything of the boundary holds it. */
import type { Jobs } from "./jobs.ts";
import type { Functions } from "./symbols.ts";

/** An opened library. */
export interface Native {
  /** The file that was opened. */
  readonly path: string;
  readonly functions: Functions;
  /** The lanes of this JavaScript thread that have a job. */
  readonly jobs: Jobs;
}
