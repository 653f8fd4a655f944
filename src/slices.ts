/** Long lists in short slices, so that whoever else waits for the event loop gets it in between. */
import { setImmediate } from "node:timers/promises";

const SLICE = 5; // milliseconds
const LOOK = 64; // items between two looks at the clock

/**
 * Does something for each index from 0, in order; of a short list at once, of a long one with pauses.
 *
 * @param count How many.
 */
export async function forEachInSlices(count: number, work: (index: number) => void): Promise<void> {
  let start = performance.now();
  for (let i = 0; i < count; i++) {
    work(i);
    if (i % LOOK !== LOOK - 1 || performance.now() - start < SLICE) continue;
    await setImmediate();
    start = performance.now();
  }
}
