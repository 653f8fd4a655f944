import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  type Attention,
  longestFirst,
  type PassLimits,
  passLimits,
  Queue,
  Scheduler,
  type Share,
} from "../../../src/pool/plan.ts";
import { randomIntegers } from "../../support/random.ts";

const ROUNDS = 300;

/** A queue that knows its items' costs, for the checks. */
class KnownQueue extends Queue {
  readonly costs: Uint32Array;

  constructor(costs: Uint32Array) {
    super(costs, longestFirst(costs));
    this.costs = costs;
  }
}

type Draw = ReturnType<typeof randomIntegers>;

function randomQueue(draw: Draw, most: number): KnownQueue {
  return new KnownQueue(Uint32Array.from({ length: draw(0, 1) ? draw(1, 3) : draw(1, 60) }, () => draw(1, most)));
}

function randomLimits(draw: Draw): PassLimits {
  const maxCost = draw(1, 300);
  return { ...limitsOf(draw(1, maxCost), draw(1, 64)), maxCost, minCost: draw(1, 64) };
}

/** Limits whose largest pass is the best one. */
function limitsOf(targetCost: number, maxItems: number): PassLimits {
  return { targetCost, minCost: Math.min(targetCost, 40), maxCost: targetCost, maxItems };
}

/** The costs of a pass's items, queue by queue. */
function costsOf(pass: readonly Share<KnownQueue>[]): number[] {
  return pass.flatMap(({ queue, items }) => items.map((i) => queue.costs[i]!));
}

/** Checks a pass against the limits; `round` names it in the message. */
function checkPass(pass: readonly Share<KnownQueue>[], limits: PassLimits, round: number): void {
  const costs = costsOf(pass);
  const sum = costs.reduce((a, b) => a + b, 0);
  assert(costs.length > 0, `round ${round}: an empty pass while a queue waits`);
  assert(costs.length <= limits.maxItems, `round ${round}: ${costs.length} items, the limit is ${limits.maxItems}`);
  assert(sum <= limits.maxCost || costs.length === 1, `round ${round}: ${sum} of cost, limit ${limits.maxCost}`);
  assertEquals(new Set(pass.map(({ queue }) => queue)).size, pass.length, `round ${round}: a queue has two shares`);
}

/** Adds each pass's items to what each queue got. */
function record(taken: Map<Queue, number[]>, pass: readonly Share<KnownQueue>[]): void {
  for (const { queue, items } of pass) taken.set(queue, [...(taken.get(queue) ?? []), ...items]);
}

/** Queues, and all passes until nothing waits; queues come while passes are taken. */
function takeAll(round: number): { queues: KnownQueue[]; taken: Map<Queue, number[]> } {
  const draw = randomIntegers(round);
  const limits = randomLimits(draw);
  const scheduler = new Scheduler<KnownQueue>();
  const queues: KnownQueue[] = [];
  const taken = new Map<Queue, number[]>();
  const coming = Array.from({ length: draw(1, 60) }, () => randomQueue(draw, 400));
  while (coming.length > 0 || scheduler.size > 0) {
    for (let i = draw(0, 5); i > 0 && coming.length > 0; i--) {
      const queue = coming.pop()!;
      queues.push(queue);
      scheduler.add(queue);
    }
    if (scheduler.size === 0) continue;
    const pass = scheduler.take(limits, draw(1, 4));
    checkPass(pass, limits, round);
    record(taken, pass);
  }
  return { queues, taken };
}

test("take() gives every item exactly once, never above the limits but one alone", () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { queues, taken } = takeAll(round);
    for (const queue of queues) {
      const items = [...taken.get(queue)!].sort((a, b) => a - b);
      assertEquals(items, Array.from(queue.costs, (_, i) => i), `round ${round}`);
    }
  }
});

test("take() takes the longest first within a queue, equal ones as they came", () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { queues, taken } = takeAll(round);
    for (const queue of queues) assertEquals(taken.get(queue), [...longestFirst(queue.costs)], `round ${round}`);
  }
});

test("take() has a single item that comes behind a long queue in the first or second pass", () => {
  for (let round = 0; round < ROUNDS; round++) {
    const draw = randomIntegers(1000 + round);
    const limits = { ...randomLimits(draw), maxItems: draw(2, 64) };
    const lanes = draw(1, 4);
    const scheduler = new Scheduler<KnownQueue>();
    scheduler.add(new KnownQueue(Uint32Array.from({ length: 500 }, () => draw(1, 400))));
    for (let i = draw(0, 3); i > 0; i--) scheduler.take(limits, lanes);
    const single = new KnownQueue(Uint32Array.of(draw(1, 400)));
    scheduler.add(single);
    const passes = [scheduler.take(limits, lanes), scheduler.take(limits, lanes)];
    assert(
      passes.some((pass) => pass.some(({ queue }) => queue === single)),
      `round ${round}: ${JSON.stringify(limits)}`,
    );
  }
});

test("take() serves queues that all wait in turn, whichever are long", () => {
  const scheduler = new Scheduler<KnownQueue>();
  const queues = Array.from({ length: 5 }, (_, i) => new KnownQueue(new Uint32Array(10 + i).fill(10)));
  for (const queue of queues) scheduler.add(queue);
  for (let pass = 0; pass < 10; pass++) {
    assertEquals(scheduler.take(limitsOf(50, 64)).map(({ queue, items }) => [queues.indexOf(queue), items]), [
      ...queues.map((_, i) => [i, [pass]]),
    ]);
  }
});

test("take() fills a pass with short items behind one that does not fit", () => {
  const scheduler = new Scheduler<KnownQueue>();
  const [first, long, short] = [[60], [90], [10, 10, 10]].map((costs) => new KnownQueue(Uint32Array.from(costs)));
  for (const queue of [first!, long!, short!]) scheduler.add(queue);
  assertEquals(costsOf(scheduler.take(limitsOf(100, 64))), [60, 10, 10, 10]);
  assertEquals(costsOf(scheduler.take(limitsOf(100, 64))), [90]);
});

test("take() is empty when nothing waits", () => {
  assertEquals(new Scheduler<Queue>().take(limitsOf(100, 10)), []);
});

test("add() leaves an empty queue out", () => {
  const scheduler = new Scheduler<Queue>();
  scheduler.add(new Queue([]));
  assertEquals(scheduler.size, 0);
});

test("remove() keeps what waits in a queue from ever coming", () => {
  for (let round = 0; round < ROUNDS; round++) {
    const draw = randomIntegers(2000 + round);
    const limits = randomLimits(draw);
    const scheduler = new Scheduler<KnownQueue>();
    const queues = Array.from({ length: 10 }, () => randomQueue(draw, 300));
    for (const queue of queues) scheduler.add(queue);
    const removed = new Set<KnownQueue>();
    const taken = new Map<Queue, number[]>();
    while (scheduler.size > 0) {
      const pass = scheduler.take(limits);
      assert(!pass.some(({ queue }) => removed.has(queue)), `round ${round}: a removed queue came`);
      record(taken, pass);
      const queue = queues[draw(0, 19)];
      if (!queue) continue;
      scheduler.remove(queue);
      if (queue.size > 0) removed.add(queue);
    }
    for (const queue of queues) {
      if (!removed.has(queue)) assertEquals(taken.get(queue)?.length, queue.costs.length, `round ${round}`);
    }
  }
});

/** All passes of one queue that has all lanes to itself. */
function passesOf(costs: readonly number[], limits: PassLimits, lanes: number): number[][] {
  const scheduler = new Scheduler<KnownQueue>();
  scheduler.add(new KnownQueue(Uint32Array.from(costs)));
  const passes: number[][] = [];
  while (scheduler.size > 0) passes.push(costsOf(scheduler.take(limits, lanes)));
  return passes;
}

const sum = (costs: readonly number[]): number => costs.reduce((a, b) => a + b, 0);

/** When the last lane is done, if each takes the next pass as soon as it is free, and how much all lanes worked. */
function finish(
  passes: readonly (readonly number[])[],
  lanes: number,
  overhead: number,
): { last: number; work: number } {
  const free = new Array<number>(lanes).fill(0);
  for (const pass of passes) {
    const next = free.indexOf(Math.min(...free));
    free[next]! += overhead + sum(pass);
  }
  return { last: Math.max(...free), work: sum(passes.map(sum)) + passes.length * overhead };
}

/** What was done before: passes as full as they get. */
function fullPasses(costs: readonly number[], { targetCost, maxItems }: PassLimits): number[][] {
  const passes: number[][] = [];
  for (const cost of costs.toSorted((a, b) => b - a)) {
    const last = passes.at(-1);
    if (last && sum(last) + cost <= targetCost && last.length < maxItems) last.push(cost);
    else passes.push([cost]);
  }
  return passes;
}

const LIMITS = passLimits({ attention: "sequence", gpu: false, logits: 30_522, lanes: 2 });
const PASS = 10; // tokens' time
const texts = fc.array(fc.integer({ min: 3, max: 200 }), { minLength: 1, maxLength: 120 });

test("take() has all lanes done within a text's time of each other, for one call alone", () => {
  fc.assert(fc.property(texts, fc.integer({ min: 1, max: 8 }), (costs, lanes) => {
    const { last } = finish(passesOf(costs, LIMITS, lanes), lanes, PASS);
    const rounds = Math.ceil(Math.ceil(sum(costs) / LIMITS.targetCost) / lanes) + 1;
    // A lane's fair share, or a pass that is not worth two; a text more or less, and what the passes cost themselves.
    const fair = Math.max(sum(costs) / lanes, Math.min(sum(costs), 2 * LIMITS.minCost));
    assert(last <= fair + 1.5 * Math.max(...costs) + rounds * PASS, `${last}, a fair share is ${fair}`);
  }));
});

test("take() costs next to no work more than full passes, and little calls end far sooner on several lanes", () => {
  const ratios = { last: [] as number[], work: [] as number[] };
  const lanes = 2;
  for (let round = 0; round < ROUNDS; round++) {
    const draw = randomIntegers(3000 + round);
    const costs = Array.from({ length: draw(8, 40) }, () => draw(5, 60));
    const [even, full] = [passesOf(costs, LIMITS, lanes), fullPasses(costs, LIMITS)]
      .map((passes) => finish(passes, lanes, PASS));
    ratios.last.push(even!.last / full!.last);
    ratios.work.push(even!.work / full!.work);
  }
  const mean = (values: number[]): number => sum(values) / values.length;
  console.log(`of full passes': time ${mean(ratios.last).toFixed(3)}, work ${mean(ratios.work).toFixed(3)}`);
  assert(mean(ratios.last) < 0.9, `${mean(ratios.last)} of the time`);
  assert(mean(ratios.work) < 1.03, `${mean(ratios.work)} of the work`);
});

test("take() keeps little work in one pass, and spreads more over lanes evenly", () => {
  const limits = { targetCost: 256, minCost: 50, maxCost: 384, maxItems: 64 };
  const shape = (count: number, cost: number, lanes: number): number[] =>
    passesOf(new Array<number>(count).fill(cost), limits, lanes).map(sum);
  assertEquals(shape(3, 30, 2), [90]);
  assertEquals(shape(4, 30, 2), [60, 60]);
  assertEquals(shape(10, 30, 2), [150, 150]);
  assertEquals(shape(20, 30, 2), [300, 300]);
  assertEquals(shape(30, 30, 2), [240, 210, 240, 210]);
  assertEquals(shape(22, 30, 1), [210, 240, 210]);
  assertEquals(shape(2, 500, 2), [500, 500]);
  // two of them are nearer to the best than one
  assertEquals(shape(8, 130, 2), [260, 260, 260, 260]);
});

test("take() makes no tiny passes of what is left behind long items", () => {
  const passes = passesOf([...new Array<number>(10).fill(512), ...new Array<number>(30).fill(10)], LIMITS, 2);
  assertEquals(passes.map(sum), [...new Array<number>(10).fill(512), 150, 150]);
});

test("take() plans 100,000 items of one call, and of 10,000 calls, with a look or two at each", () => {
  const draw = randomIntegers(7);
  const lengths = Uint32Array.from({ length: 100_000 }, () => draw(3, 256));
  const cases = [[lengths], Array.from({ length: 10_000 }, (_, i) => lengths.subarray(i * 10, i * 10 + 10))];
  for (const parts of cases) {
    let looks = 0;
    const counted = (part: Uint32Array): ArrayLike<number> =>
      new Proxy(part, { get: (target, key) => (looks++, Reflect.get(target, key)) });
    const scheduler = new Scheduler<Queue>();
    for (const part of parts) scheduler.add(new Queue(counted(part), longestFirst(part)));
    let count = 0;
    while (scheduler.size > 0) count += sum(scheduler.take(LIMITS, 2).map(({ items }) => items.length));
    console.log(`${parts.length} queues: ${(looks / lengths.length).toFixed(1)} looks an item`);
    assertEquals(count, lengths.length);
    assert(looks < 20 * lengths.length, `${looks} looks`);
  }
});

test("longestFirst() sorts indices by length, equal ones as they came", () => {
  assertEquals([...longestFirst([3, 9, 3, 1, 9])], [1, 4, 0, 2, 3]);
  assertEquals([...longestFirst([])], []);
});

test("Queue takes its items as they come without an order, and counts what waits", () => {
  const queue = new Queue([5, 7]);
  assertEquals([queue.size, queue.nextCost], [2, 5]);
  assertEquals([queue.take(), queue.nextCost, queue.take(), queue.size], [0, 7, 1, 0]);
});

test("passLimits() holds what costs least a token: less where attention is over all pairs of a pass", () => {
  const best = (attention: Attention): number =>
    passLimits({ attention, gpu: false, logits: 30_522, lanes: 2 }).targetCost;
  assertEquals([best("sequence"), best("flash"), best("matrix")], [256, 200, 57]);
});

test("passLimits() makes the pass of a model with a large vocabulary smaller, by lanes, never below 64 tokens", () => {
  const cases = [[30_522, 2, 384], [0, 2, 384], [250_002, 2, 268], [250_002, 4, 134], [1e9, 1, 64]] as const;
  for (const [logits, lanes, most] of cases) {
    const limits = passLimits({ attention: "sequence", gpu: false, logits, lanes });
    assertEquals([limits.maxCost, limits.targetCost], [most, Math.min(256, most)]);
    assert(limits.minCost <= limits.targetCost && limits.maxItems <= 256);
  }
});
