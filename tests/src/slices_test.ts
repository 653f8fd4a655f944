import { test } from "node:test";
import { clearImmediate, setImmediate } from "node:timers";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { forEachInSlices, mapInSlices, sortInSlices } from "../../src/slices.ts";
import { randomIntegers } from "../support/random.ts";

function busy(milliseconds: number): void {
  for (const end = performance.now() + milliseconds; performance.now() < end;);
}

/** How many turns the event loop takes while some work is done. */
async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let timer: ReturnType<typeof setImmediate>;
  const turn = (): void => {
    turns++;
    timer = setImmediate(turn);
  };
  timer = setImmediate(turn);
  await work();
  clearImmediate(timer);
  return turns;
}

test("forEachInSlices() does each index once, in order", async () => {
  for (const count of [0, 1, 15, 16, 17, 1000]) {
    const seen: number[] = [];
    await forEachInSlices(count, (i) => seen.push(i));
    assertEquals(seen, Array.from({ length: count }, (_, i) => i));
  }
});

test("forEachInSlices() lets others run while a list takes long, and does a short one at once", async () => {
  assertEquals(await turnsDuring(() => forEachInSlices(15, () => {})), 0);
  const turns = await turnsDuring(() => forEachInSlices(512, () => busy(0.2)));
  console.log(`${turns} turns of the event loop in 100 ms`);
  assert(turns >= 5, `${turns} turns`);
});

test("works that are each shorter than a slice let others run between them", async () => {
  const turns = await turnsDuring(async () => {
    for (let work = 0; work < 20; work++) await forEachInSlices(16, () => busy(0.2));
  });
  assert(turns >= 8, `${turns} turns in 64 ms`);
});

test("mapInSlices() gives what each item becomes, in their order", async () => {
  assertEquals(await mapInSlices([], () => 1), []);
  const items = Array.from({ length: 300 }, (_, i) => `${i}`);
  assertEquals(await mapInSlices(items, (item, i) => item + i), items.map((item) => item + item));
});

test("sortInSlices() sorts as Array.sort does, equal items as they came, and leaves the list alone", async () => {
  const draw = randomIntegers(3);
  for (const count of [0, 1, 2, 1023, 1024, 1025, 2048, 3000, 4097, 20_000]) {
    for (const most of [3, 1_000_000]) {
      const items = Array.from({ length: count }, (_, index) => ({ key: draw(0, most), index }));
      const copy = [...items];
      const sorted = await sortInSlices(items, (a, b) => a.key - b.key);
      assertEquals(items, copy);
      assertEquals(sorted, copy.sort((a, b) => a.key - b.key), `${count} items`);
    }
  }
});

test("sortInSlices() lets others run while a long list is sorted", async () => {
  const compare = (a: number, b: number): number => {
    busy(0.001);
    return a - b;
  };
  const items = Array.from({ length: 20_000 }, (_, i) => i * 7919 % 20_011);
  const turns = await turnsDuring(() => sortInSlices(items, compare));
  assert(turns >= 10, `${turns} turns`);
});

test("forEachInSlices() rejects with what the work throws, and goes no further", async () => {
  const seen: number[] = [];
  await assertRejects(
    () =>
      forEachInSlices(10, (i) => {
        if (i === 5) throw new Error("at 5");
        seen.push(i);
      }),
    Error,
    "at 5",
  );
  assertEquals(seen, [0, 1, 2, 3, 4]);
});
