/** Works through long lists in short slices, so that other users of the event loop run in between. */
import { setImmediate } from "node:timers/promises";

const SLICE = 5; // milliseconds of work between two pauses
const LOOK = 16; // items between two looks at the clock
const RUN = 1024; // items that are sorted at once: less than a slice's time

/** A list that is read one by one: an array, or one that makes each item when it is asked for. */
export interface Items<T> {
  readonly length: number;
  at(index: number): T | undefined;
}

// When the event loop was given to others last: one time for all, since a call does one thing after another, each in less than
// a slice. With a time for each, five levels of a merge held the loop for 20 ms.
let given = performance.now();

/** Whether it is time for a pause. */
export function sliceIsOver(): boolean {
  return performance.now() - given >= SLICE;
}

/** Gives the event loop to others once. */
export async function pause(): Promise<void> {
  await setImmediate();
  given = performance.now();
}

/**
 * Does something for each index from 0, in order; of a short list at once, of a long one with pauses.
 *
 * @param count How many.
 */
export async function forEachInSlices(count: number, work: (index: number) => void): Promise<void> {
  for (let i = 0; i < count; i++) {
    work(i);
    if (i % LOOK === LOOK - 1 && sliceIsOver()) await pause();
  }
}

/** Maps each item, in order. */
export async function mapInSlices<T, R>(items: Items<T>, work: (item: T, index: number) => R): Promise<R[]> {
  const results: R[] = [];
  await forEachInSlices(items.length, (i) => results.push(work(items.at(i)!, i)));
  return results;
}

/** Measures each item by a whole number, such as its length, in order. */
export async function measureInSlices<T>(items: Items<T>, measure: (item: T) => number): Promise<Uint32Array> {
  const numbers = new Uint32Array(items.length);
  await forEachInSlices(items.length, (i) => void (numbers[i] = measure(items.at(i)!)));
  return numbers;
}

/**
 * Sorts a list; the sort is stable. Runs are sorted, then merged two by two.
 *
 * @param compare As of `Array.sort`.
 */
export async function sortInSlices<T>(items: readonly T[], compare: (a: T, b: T) => number): Promise<T[]> {
  let sorted: T[] = [];
  for (let from = 0; from < items.length; from += RUN) {
    for (const item of items.slice(from, from + RUN).sort(compare)) sorted.push(item);
    if (sliceIsOver()) await pause();
  }
  for (let run = RUN; run < sorted.length; run *= 2) {
    const before = sorted;
    const merged: T[] = [];
    let [left, middle, right, end] = [0, 0, 0, 0];
    await forEachInSlices(before.length, (i) => {
      if (i === end) {
        left = end;
        middle = right = Math.min(left + run, before.length);
        end = Math.min(left + 2 * run, before.length);
      }
      const leftIsNext = left < middle && (right === end || compare(before[left]!, before[right]!) <= 0);
      merged.push(before[leftIsNext ? left++ : right++]!);
    });
    sorted = merged;
  }
  return sorted;
}
