// The processor time of the thread that asks, which other programs on the machine do not change.
import { existsSync, readFileSync } from "node:fs";

const SCHEDSTAT = "/proc/thread-self/schedstat";

/** Whether the system tells it: Linux does. */
export const told: boolean = existsSync(SCHEDSTAT);

/** In milliseconds; the wall's where the system does not tell. */
export function threadTime(): number {
  return told ? parseInt(readFileSync(SCHEDSTAT, "latin1")) / 1e6 : performance.now();
}
