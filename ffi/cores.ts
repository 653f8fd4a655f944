/** How many cores the process may keep busy; see cores.cpp. `node:os` would ask for a permission. */
import type { Native } from "./native.ts";

/**
 * Physical cores, as many as the process's affinity and control group allow, at least 1.
 *
 * @param root Directory with the `/proc` and `/sys` of some Linux machine, for tests; by default this one's.
 */
export function cores({ functions }: Native, root = ""): number {
  return functions.saur_cores(new TextEncoder().encode(`${root}\0`));
}
