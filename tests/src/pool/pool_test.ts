import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { LlamaError } from "../../../ffi/errors.ts";
import { contextSize, FakeNative, later, LIMITS, rowOf } from "../../support/fake_native.ts";
import { randomIntegers } from "../../support/random.ts";

const LOST = 13;

function one(...ids: number[]): { ids: Int32Array; truncated: boolean }[] {
  return [{ ids: Int32Array.from(ids), truncated: false }];
}

test("Pool fails only the call whose pass fails, and computes the others' again", async () => {
  const pool = new FakeNative(randomIntegers(99)).pool(1);
  const calls = Array.from({ length: 5 }, () => pool.encode(one(50, 51)));
  await assertRejects(() => pool.encode(one(LOST)), LlamaError, "encode");
  for (const rows of await Promise.all(calls)) assertEquals([...rows[0]!], [50, 101, 2]);
  await pool.close();
});

test("Pool puts calls that are made at once into shared passes", async () => {
  const fake = new FakeNative(randomIntegers(5));
  const pool = fake.pool(1);
  await Promise.all(Array.from({ length: 80 }, () => pool.encode(one(40))));
  console.log(`${fake.passes.length} passes`);
  assert(fake.passes.length <= 12, `${fake.passes.length} passes for 80 texts, ${LIMITS.maxItems} a pass`);
  await pool.close();
});

test("Pool plans calls that are made at once together, evenly for its lanes", async () => {
  const fake = new FakeNative(randomIntegers(9));
  const pool = fake.pool(2);
  await Promise.all(Array.from({ length: 6 }, (_, i) => pool.encode(one(...new Int32Array(10).fill(40 + i)))));
  assertEquals(fake.passes.map(({ length }) => length), [3, 3]);
  await pool.close();
});

test("Pool makes one context for little work, call after call, however many lanes there are", async () => {
  const fake = new FakeNative(randomIntegers(10));
  const pool = fake.pool(4);
  await pool.tokenize(Array.from({ length: 200 }, () => "x".repeat(400))); // enough for several lanes
  for (let call = 0; call < 20; call++) {
    await pool.tokenize(["a", "b", "c"]);
    await Promise.all(Array.from({ length: 3 }, () => pool.encode(one(40, 41, 42))));
  }
  assert(fake.lanes.length > 1, "only one lane tokenises");
  assertEquals(fake.lanes.filter(({ context }) => context).length, 1);
  await pool.close();
});

test("Pool does its work on the lanes that there are when the system has no more threads", async () => {
  const fake = new FakeNative(randomIntegers(11), { lanes: 2 });
  const pool = fake.pool(8);
  const sequences = Array.from({ length: 100 }, (_, i) => one(...new Int32Array(20).fill(20 + i))[0]!);
  assertEquals((await pool.encode(sequences)).map(([first]) => first), sequences.map(({ ids }) => ids[0]));
  assertEquals(fake.lanes.length, 2);
  await pool.close();
});

test("Pool puts a query into the first pass that begins after its text was tokenised", async () => {
  const fake = new FakeNative(randomIntegers(12));
  const pool = fake.pool(1);
  const list = pool.encode(Array.from({ length: 100 }, () => one(...new Int32Array(10).fill(20))[0]!));
  while (fake.passes.length < 5) await later(1);
  const begun = fake.passes.length;
  await pool.tokenize(["query"]);
  await pool.encode(one(21));
  assertEquals(fake.passes.findIndex((pass) => pass.some(([first]) => first === 21)), begun);
  await list;
  await pool.close();
});

test("Pool makes no more lanes than contexts, and only for work", async () => {
  const fake = new FakeNative(randomIntegers(6));
  const pool = fake.pool(3);
  await pool.encode(one(40));
  assertEquals(fake.lanes.length, 1);
  await Promise.all(Array.from({ length: 50 }, (_, i) => pool.encode(one(...new Int32Array(60).fill(20 + i)))));
  assertEquals(fake.lanes.length, 3);
  await pool.close();
});

test("Pool rejects a call with an aborted signal before any work", async () => {
  const fake = new FakeNative(randomIntegers(7));
  const pool = fake.pool(1);
  const signal = AbortSignal.abort(new Error("before"));
  await assertRejects(() => pool.encode(one(40), { signal }), Error, "before");
  await assertRejects(() => pool.tokenize(["a"], "add", { signal }), Error, "before");
  assertEquals(fake.passes.length, 0);
  await pool.close();
});

test("Pool rejects a call whose onDone throws, and only that", async () => {
  const pool = new FakeNative(randomIntegers(8)).pool(1);
  const other = pool.encode(one(40));
  const onDone = (): void => {
    throw new Error("from the caller");
  };
  await assertRejects(() => pool.encode(one(40), { onDone }), Error, "from the caller");
  assertEquals([...(await other)[0]!], [40, 40, 1]);
  await pool.close();
});

test("Pool.close() waits for the work that aborted calls left, and rejects what still waits", async () => {
  for (let round = 0; round < 40; round++) {
    const draw = randomIntegers(round);
    const fake = new FakeNative(draw);
    const pool = fake.pool(2);
    const controller = new AbortController();
    const { signal } = controller;
    const aborted = [pool.encode(one(40), { signal }), pool.tokenize(["abc"], "add", { signal })];
    const waiting = Array.from({ length: 30 }, () => pool.encode(one(draw(20, 200))));
    await later(round % 5);
    controller.abort("enough");
    const closed = pool.close();
    const settled = await Promise.allSettled<unknown>([...aborted, ...waiting]);
    for (const [i, one] of settled.entries()) {
      if (one.status === "rejected" && i < 2) assertEquals(one.reason, "enough");
      else if (one.status === "rejected") assertEquals((one.reason as LlamaError).code, "closed");
    }
    await closed;
    assertEquals(fake.wrong, [], `round ${round}`);
    assert(fake.lanes.every(({ freed }) => freed) && fake.modelFreed === 1);
  }
});

test("Pool keeps all contexts below a limit, and computes every text that one fits", async () => {
  for (let round = 0; round < 60; round++) {
    const draw = randomIntegers(round);
    const fake = new FakeNative(draw, { context: round % 3 });
    const longest = draw(100, 400);
    const pool = fake.pool(3, Math.max(contextSize(Math.ceil(longest / 64) * 64), 2 * contextSize(64)));
    const calls: Promise<PromiseSettledResult<void>[]>[] = [];
    for (let i = 0; i < 30; i++) {
      const ids = Int32Array.from({ length: draw(0, 3) === 0 ? draw(65, longest) : draw(1, 60) }, () => 20 + i);
      const call = pool.encode([{ ids, truncated: false }]).then(([row]) => assertEquals([...row!], rowOf(ids)));
      calls.push(Promise.allSettled([call]));
      if (draw(0, 3) === 0) await later(draw(0, 6));
    }
    for (const result of (await Promise.all(calls)).flat()) {
      if (result.status === "rejected") {
        const { code, memoryLimit } = result.reason as LlamaError;
        // The fake context that cannot be made is the system's fault: every text fits the limit.
        assertEquals([code, memoryLimit], ["out-of-memory", undefined], `${result.reason}`);
      }
      if (result.status === "rejected") assert(round % 3 > 0, `${result.reason}`);
    }
    assertEquals(fake.wrong, [], `round ${round}`);
    await pool.close();
  }
});

test("Pool refuses a text whose context is above the limit, with numbers, and goes on", async () => {
  const fake = new FakeNative(randomIntegers(9));
  const pool = fake.pool(2, contextSize(128));
  const refused = [
    pool.encode(one(...new Int32Array(129).fill(20))),
    pool.encode(one(...new Int32Array(500).fill(20))),
  ];
  const taken = pool.encode(one(...new Int32Array(128).fill(20)));
  for (const call of refused) {
    const error = await assertRejects(() => call, LlamaError, "memoryLimit");
    assertEquals([error.code, error.memoryLimit], ["out-of-memory", contextSize(128)]);
    assert(
      /pass of \d+ tokens: its context takes \d+ MB beside 0 bytes of weights.*contextSize/.test(error.message),
      error.message,
    );
  }
  assertEquals((await taken).length, 1);
  assertEquals([...(await pool.encode(one(40)))[0]!], [40, 40, 1]);
  assertEquals(fake.wrong, []);
  await pool.close();
});

test("Pool.close() ends lanes that wait for memory", async () => {
  for (let round = 0; round < 40; round++) {
    const draw = randomIntegers(round);
    const fake = new FakeNative(draw);
    const pool = fake.pool(3, contextSize(256));
    const calls = Array.from({ length: 9 }, () => pool.encode(one(...new Int32Array(draw(60, 256)).fill(20))));
    const settled = Promise.allSettled(calls);
    await later(draw(0, 20));
    await pool.close();
    await settled;
    assertEquals(fake.wrong, [], `round ${round}`);
    assert(fake.lanes.every(({ freed }) => freed) && fake.modelFreed === 1);
  }
});
