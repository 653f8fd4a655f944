import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assertEquals, assertRejects } from "@std/assert";
import { parallel } from "./parallel.ts";

test("parallel() makes every run once, at most as many at once as it may, and yields in the order they end", async () => {
  let running = 0;
  let most = 0;
  async function run(index: number): Promise<number> {
    most = Math.max(most, ++running);
    await sleep(index === 0 ? 60 : 5);
    running--;
    return index;
  }
  const ended: number[] = [];
  for await (const index of parallel(5, 2, run)) ended.push(index);
  assertEquals([most, ended.toSorted(), ended.at(0)], [2, [0, 1, 2, 3, 4], 1]);
});

test("parallel() waits for the neighbours of a run that throws, and starts no more", async () => {
  const ended: number[] = [];
  let started = 0;
  async function run(index: number): Promise<number> {
    started++;
    if (index === 1) throw new Error("run 1 failed");
    await sleep(20 * (index + 1));
    ended.push(index);
    return index;
  }
  await assertRejects(
    async () => {
      for await (const _ of parallel(9, 3, run));
    },
    Error,
    "run 1 failed",
  );
  assertEquals([ended, started], [[0, 2], 3]);
});

test("parallel() waits for the runs that go on when its reader stops", async () => {
  let ended = 0;
  for await (
    const _ of parallel(3, 3, async (index) => {
      await sleep(10 * index);
      ended++;
    })
  ) break;
  assertEquals(ended, 3);
});
