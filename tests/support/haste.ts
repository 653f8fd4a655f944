// Makes time go faster for what waits long: the beats of a worker, its looks for jobs, its pauses while the database is away.

/** Milliseconds from which on a wait is shortened: limits of a second are what a slow machine needs. */
const LONG = 1500;

/** Shortens every long wait of this process to a part of it, until it is disposed of. */
export function hasten(factor: number): Disposable {
  const { setTimeout, setInterval } = globalThis;
  const shortened = (wait: unknown) => (run: () => void, delay: number = 0, ...more: unknown[]) =>
    (wait as (...all: unknown[]) => unknown)(run, delay < LONG ? delay : delay / factor, ...more);
  Object.assign(globalThis, { setTimeout: shortened(setTimeout), setInterval: shortened(setInterval) });
  return { [Symbol.dispose]: () => void Object.assign(globalThis, { setTimeout, setInterval }) };
}
