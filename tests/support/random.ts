// Random numbers that are the same on every run, so that what fails can be run again.

/** Draws integers from `min` to `max`, both included: mulberry32 (Tommy Ettinger, public domain). */
export function randomIntegers(seed: number): (min: number, max: number) => number {
  let state = seed | 0;
  return (min, max) => {
    state = state + 0x6d2b79f5 | 0;
    let t = Math.imul(state ^ state >>> 15, state | 1);
    t ^= t + Math.imul(t ^ t >>> 7, t | 61);
    return min + Math.floor(((t ^ t >>> 14) >>> 0) / 2 ** 32 * (max - min + 1));
  };
}
