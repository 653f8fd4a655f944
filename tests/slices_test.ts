import { test } from "node:test";
import { clearImmediate, setImmediate } from "node:timers";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { forEachInSlices } from "../src/slices.ts";

function busy(milliseconds: number): void {
  for (const end = performance.now() + milliseconds; performance.now() < end;);
}

test("forEachInSlices() does each index once, in order", async () => {
  for (const count of [0, 1, 63, 64, 65, 1000]) {
    const seen: number[] = [];
    await forEachInSlices(count, (i) => seen.push(i));
    assertEquals(seen, Array.from({ length: count }, (_, i) => i));
  }
});

test("forEachInSlices() lets others run while a list takes long, and does a short one at once", async () => {
  let turns = 0;
  let timer: ReturnType<typeof setImmediate>;
  const turn = (): void => {
    turns++;
    timer = setImmediate(turn);
  };
  timer = setImmediate(turn);
  await forEachInSlices(64, () => {});
  assertEquals(turns, 0);
  await forEachInSlices(512, () => busy(0.2));
  clearImmediate(timer);
  console.log(`${turns} turns of the event loop in 100 ms`);
  assert(turns >= 5, `${turns} turns`);
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
