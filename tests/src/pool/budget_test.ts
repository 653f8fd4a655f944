import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Budget } from "../../../src/pool/budget.ts";
import { later } from "../../support/fake_native.ts";
import { randomIntegers } from "../../support/random.ts";

test("Budget.take() never lets more be held than the limit, and everybody has a turn", async () => {
  for (let round = 0; round < 50; round++) {
    const draw = randomIntegers(round);
    const limit = draw(10, 100);
    const budget = new Budget<number>(limit);
    let turns = 0;
    await Promise.all(Array.from({ length: 6 }, async (_, holder) => {
      for (let i = 0; i < 20; i++) {
        await budget.take(holder, draw(1, limit));
        assert(budget.used <= limit, `${budget.used} of ${limit}`);
        turns++;
        await later(draw(0, 2));
        budget.give(holder);
      }
    }));
    assertEquals([turns, budget.used, budget.wanted], [120, 0, false]);
  }
});

test("Budget.take() serves who waits in turn, however little the next one wants", async () => {
  const budget = new Budget<string>(10);
  const served: string[] = [];
  await budget.take("first", 6);
  const waiting = [["large", 10], ["small", 1]] as const;
  for (const [holder, bytes] of waiting) void budget.take(holder, bytes).then(() => served.push(holder));
  await later(1);
  assertEquals([served, budget.wanted, budget.has("large")], [[], true, false]);
  budget.give("first");
  await later(1);
  assertEquals(served, ["large"]);
  budget.give("large");
  await later(1);
  assertEquals(served, ["large", "small"]);
});

test("Budget.close() lets all go on that wait", async () => {
  const budget = new Budget<string>(1);
  await budget.take("a", 1);
  const waits = budget.take("b", 1);
  budget.close();
  await waits;
  assert(!budget.wanted);
});
