import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Budget } from "../../../src/pool/budget.ts";
import { later } from "../../support/fake_native.ts";
import { randomIntegers } from "../../support/random.ts";

test("Budget.acquire() never lets more be held than the limit, and everybody has a turn", async () => {
  for (let round = 0; round < 50; round++) {
    const draw = randomIntegers(round);
    const limit = draw(10, 100);
    const budget = new Budget<number>(limit);
    let turns = 0;
    await Promise.all(Array.from({ length: 6 }, async (_, holder) => {
      for (let i = 0; i < 20; i++) {
        await budget.acquire(holder, draw(1, limit));
        assert(budget.held <= limit, `${budget.held} of ${limit}`);
        turns++;
        await later(draw(0, 2));
        budget.release(holder);
      }
    }));
    assertEquals([turns, budget.held, budget.contended], [120, 0, false]);
  }
});

test("Budget.acquire() serves who waits in turn, however little the next one wants", async () => {
  const budget = new Budget<string>(10);
  const served: string[] = [];
  await budget.acquire("first", 6);
  const waiting = [["large", 10], ["small", 1]] as const;
  for (const [holder, bytes] of waiting) void budget.acquire(holder, bytes).then(() => served.push(holder));
  await later(1);
  assertEquals([served, budget.contended, budget.holds("large")], [[], true, false]);
  budget.release("first");
  await later(1);
  assertEquals(served, ["large"]);
  budget.release("large");
  await later(1);
  assertEquals(served, ["large", "small"]);
});

test("Budget.close() lets all go on that wait", async () => {
  const budget = new Budget<string>(1);
  await budget.acquire("a", 1);
  const waits = budget.acquire("b", 1);
  budget.close();
  await waits;
  assert(!budget.contended);
});
