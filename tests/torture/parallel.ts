// Makes some runs at once, and tells of each as soon as it has ended.

/**
 * Makes `count` runs, at most `width` at once, and yields what each gives, in the order they end.
 *
 * When a run throws, the others are first waited for: whoever catches it removes the folder that they share.
 */
export async function* parallel<T>(
  count: number,
  width: number,
  run: (index: number) => Promise<T>,
): AsyncGenerator<T> {
  const running = new Map<number, Promise<readonly [number, T]>>();
  try {
    for (let next = 0; next < count || running.size > 0;) {
      while (next < count && running.size < width) {
        const index = next++;
        running.set(index, run(index).then((value) => [index, value] as const));
      }
      const [index, value] = await Promise.race(running.values());
      running.delete(index);
      yield value;
    }
  } finally {
    await Promise.allSettled(running.values());
  }
}
