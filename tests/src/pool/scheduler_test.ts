import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { LlamaError } from "../../../ffi/errors.ts";
import { FakeNative, later } from "../../support/fake_native.ts";
import { randomIntegers } from "../../support/random.ts";
import { type Fate, live, passesBeforeQuery } from "../../support/scheduler.ts";

test("Pool settles every random call rightly, whatever the others do", { timeout: 120_000 }, async () => {
  const sums = new Map<string, number>();
  for (let seed = 0; seed < 60; seed++) {
    const { fates, wrong } = await live(seed);
    assertEquals(wrong, [], `seed ${seed}`);
    for (const [fate, n] of Object.entries(fates)) sums.set(fate, (sums.get(fate) ?? 0) + n);
  }
  console.log(Object.fromEntries(sums));
  for (const fate of ["encoded", "tokenised", "aborted", "failed", "unlucky"] satisfies Fate[]) {
    assert(sums.get(fate)! > 10, `only ${sums.get(fate)} calls ${fate}`);
  }
});

test("Pool begins at most two passes before the one with a query that comes behind a long list", async () => {
  const waits: number[] = [];
  for (let seed = 0; seed < 40; seed++) waits.push(await passesBeforeQuery(seed, 1));
  console.log(`passes before a query: ${waits.join(" ")}`);
  assert(Math.max(...waits) <= 1, `${Math.max(...waits)} passes before the query's own`);
});

test("Pool begins at most a pass for each long list before the one with a query", async () => {
  for (let seed = 0; seed < 20; seed++) {
    const lists = 2 + seed % 4;
    const wait = await passesBeforeQuery(seed, lists);
    assert(wait <= lists, `seed ${seed}: ${wait} passes before a query behind ${lists} lists`);
  }
});

test("Pool.close() frees a lane only when the pass that its call no longer waits for has ended", async () => {
  for (let turns = 0; turns < 12; turns++) {
    const fake = new FakeNative(randomIntegers(turns));
    const pool = fake.pool(1);
    const controller = new AbortController();
    const call = pool.encode([{ ids: Int32Array.of(40, 41), truncated: false }], { signal: controller.signal });
    await later(turns);
    controller.abort(new Error("enough"));
    await call.catch(() => undefined);
    pool.close();
    await later(20);
    assertEquals(fake.wrong, [], `${turns} turns`);
    assertEquals(fake.lanes.map(({ freed }) => freed), [true], `${turns} turns`);
  }
});

test("Pool.encode() after close() is refused and touches no freed lane", async () => {
  const fake = new FakeNative(randomIntegers(1));
  const pool = fake.pool(1);
  await pool.tokenize(["a"]);
  pool.close();
  const error = await assertRejects(() => pool.encode([{ ids: Int32Array.of(40), truncated: false }]), LlamaError);
  assertEquals(error.code, "closed");
  assertEquals(fake.wrong, []);
});
