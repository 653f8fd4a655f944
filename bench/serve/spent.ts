/** Reads what processes have spent of the processor, by thread: /proc tells it on Linux. */
import { readdirSync, readFileSync } from "node:fs";
import { treeOf } from "../resources.ts";

/** Milliseconds of the processor. */
export interface Spent {
  /** Of the first thread: on Deno and on Bun JavaScript runs there. */
  readonly script: number;
  /** Of all others: the model's, and the runtime's own. */
  readonly others: number;
}

/** What a process and all below it have spent so far; 0 without /proc. */
export function spentBy(pid: number): Spent {
  let [script, others] = [0, 0];
  for (const process of treeOf(pid)) {
    for (const thread of threadsOf(process)) {
      const milliseconds = timeOf(process, thread);
      if (thread === String(process)) script += milliseconds;
      else others += milliseconds;
    }
  }
  return { script, others };
}

function threadsOf(process: number): string[] {
  try {
    return readdirSync(`/proc/${process}/task`);
  } catch {
    return []; // it has ended
  }
}

function timeOf(process: number, thread: string): number {
  try {
    return parseInt(readFileSync(`/proc/${process}/task/${thread}/schedstat`, "latin1")) / 1e6;
  } catch {
    return 0; // it has ended
  }
}
