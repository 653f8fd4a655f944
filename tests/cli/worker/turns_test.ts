import { setImmediate } from "node:timers";
import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Clock, Places, Rate, Turns } from "../../../cli/worker/turns.ts";

/** A clock that is set on to the earliest moment that somebody waits for, once nobody has anything else to do. */
class TestClock implements Clock {
  #now = 1e6;
  readonly #waiting: { readonly at: number; readonly go: () => void }[] = [];
  now = (): number => this.#now;
  wait = (milliseconds: number): Promise<void> =>
    new Promise((go) => {
      this.#waiting.push({ at: this.#now + milliseconds, go });
      if (this.#waiting.length === 1) setImmediate(() => this.#goOn());
    });

  #goOn(): void {
    this.#waiting.sort((one, other) => one.at - other.at);
    const first = this.#waiting.shift()!;
    this.#now = Math.max(this.#now, first.at);
    first.go();
    if (this.#waiting.length > 0) setImmediate(() => this.#goOn());
  }
}

for (
  const [rate, rows, seconds] of [[10, 256, 0.05], [1000, 256, 0.01], [300, 256, 0.5], [7, 1, 0.1], [
    50,
    10_000,
    2,
  ]] as const
) {
  test(`Rate holds ${rate} texts a second to a tenth in every minute, of jobs of ${rows}`, async () => {
    const clock = new TestClock();
    const shared = new Rate(rate, clock);
    const { signal } = new AbortController();
    const begin = clock.now();
    const done: (readonly [at: number, texts: number])[] = [];
    await Promise.all([1, 2].map(async () => {
      while (clock.now() < begin + 200_000) {
        for await (const part of shared.parts(Array.from({ length: rows }), signal)) {
          done.push([clock.now() - begin, part.length]);
          await clock.wait(1000 * seconds); // to compute it
        }
      }
    }));
    for (let from = 0; from <= 120_000; from += 7_300) {
      const texts = done.filter(([at]) => at >= from && at < from + 60_000).reduce((sum, [, count]) => sum + count, 0);
      const part = texts / (60 * rate);
      assert(part > 0.9 && part < 1.1, `${part} of the rate from ${from} ms on`);
    }
  });
}

test("Rate gives all rows at once where there is none, an empty job once, and ends with the signal's reason", async () => {
  const { signal } = new AbortController();
  const all = async (rate: Rate, rows: number[]) => await Array.fromAsync(rate.parts(rows, signal));
  assertEquals(await all(new Rate(undefined), [1, 2, 3]), [[1, 2, 3]]);
  assertEquals(await all(new Rate(undefined), []), [[]]);
  assertEquals(await all(new Rate(2, new TestClock()), [1, 2, 3]), [[1, 2], [3]]);
  const ending = new AbortController();
  const slow = new Rate(1);
  await assertRejects(
    async () => {
      for await (const _ of slow.parts([1, 2], ending.signal)) ending.abort(new Error("made by a test"));
    },
    Error,
    "made by a test",
  );
});

test("Turns lets a suspect go alone, before those who come later; Places lets so many go at once", async () => {
  const turns = new Turns();
  const log: string[] = [];
  const take = async (name: string, alone: boolean) => {
    const release = await turns.take(alone);
    log.push(name);
    return release;
  };
  const [first, second] = [await take("a", false), await take("b", false)];
  const suspect = take("suspect", true);
  const later = take("later", false);
  first();
  await Promise.resolve();
  assertEquals(log, ["a", "b"]);
  second();
  second(); // twice is once
  const alone = await suspect;
  await Promise.resolve();
  assertEquals(log, ["a", "b", "suspect"]);
  alone();
  (await later)();
  assertEquals(log, ["a", "b", "suspect", "later"]);
  const places = new Places(1);
  const free = await places.take();
  let taken = false;
  const waiting = places.take().then(() => taken = true);
  await Promise.resolve();
  assertEquals(taken, false);
  free();
  await waiting;
});
