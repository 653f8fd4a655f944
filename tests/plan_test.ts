import { test } from "node:test";
import { performance } from "node:perf_hooks";
import { assert, assertEquals } from "@std/assert";
import { type Limits, Line, longestFirst, passLimits, type Share, Turns } from "../src/plan.ts";
import { randomIntegers } from "./random.ts";

const ROUNDS = 300;

/** A line that knows its items' weights, for the checks. */
class Weighed extends Line {
  readonly weights: Uint32Array;

  constructor(weights: Uint32Array) {
    super(weights, longestFirst(weights));
    this.weights = weights;
  }
}

type Draw = ReturnType<typeof randomIntegers>;

function randomLine(draw: Draw, most: number): Weighed {
  return new Weighed(Uint32Array.from({ length: draw(0, 1) ? draw(1, 3) : draw(1, 60) }, () => draw(1, most)));
}

function randomLimits(draw: Draw): Limits {
  return { weight: draw(1, 300), count: draw(1, 64) };
}

/** The weights of a pass's items, line by line. */
function weightsOf(pass: readonly Share<Weighed>[]): number[] {
  return pass.flatMap(({ line, items }) => items.map((i) => line.weights[i]!));
}

/** Checks a pass against the limits; `round` names it in the message. */
function checkPass(pass: readonly Share<Weighed>[], limits: Limits, round: number): void {
  const weights = weightsOf(pass);
  const sum = weights.reduce((a, b) => a + b, 0);
  assert(weights.length > 0, `round ${round}: an empty pass while a line waits`);
  assert(weights.length <= limits.count, `round ${round}: ${weights.length} items, the limit is ${limits.count}`);
  assert(sum <= limits.weight || weights.length === 1, `round ${round}: ${sum} of weight, limit ${limits.weight}`);
  assertEquals(new Set(pass.map(({ line }) => line)).size, pass.length, `round ${round}: a line has two shares`);
}

/** Adds each pass's items to what each line got. */
function record(taken: Map<Line, number[]>, pass: readonly Share<Weighed>[]): void {
  for (const { line, items } of pass) taken.set(line, [...(taken.get(line) ?? []), ...items]);
}

/** Lines, and all passes until nothing waits; lines come while passes are taken. */
function takeAll(round: number): { lines: Weighed[]; taken: Map<Line, number[]> } {
  const draw = randomIntegers(round);
  const limits = randomLimits(draw);
  const turns = new Turns<Weighed>();
  const lines: Weighed[] = [];
  const taken = new Map<Line, number[]>();
  const coming = Array.from({ length: draw(1, 60) }, () => randomLine(draw, 400));
  while (coming.length > 0 || turns.size > 0) {
    for (let i = draw(0, 5); i > 0 && coming.length > 0; i--) {
      const line = coming.pop()!;
      lines.push(line);
      turns.add(line);
    }
    if (turns.size === 0) continue;
    const pass = turns.take(limits);
    checkPass(pass, limits, round);
    record(taken, pass);
  }
  return { lines, taken };
}

test("take() gives every item exactly once, never above the limits but one alone", () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { lines, taken } = takeAll(round);
    for (const line of lines) {
      const items = [...taken.get(line)!].sort((a, b) => a - b);
      assertEquals(items, Array.from(line.weights, (_, i) => i), `round ${round}`);
    }
  }
});

test("take() takes the longest first within a line, equal ones as they came", () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { lines, taken } = takeAll(round);
    for (const line of lines) assertEquals(taken.get(line), [...longestFirst(line.weights)], `round ${round}`);
  }
});

test("take() has a single item that comes behind a long line in the first or second pass", () => {
  for (let round = 0; round < ROUNDS; round++) {
    const draw = randomIntegers(1000 + round);
    const limits = { weight: draw(30, 300), count: draw(2, 64) };
    const turns = new Turns<Weighed>();
    turns.add(new Weighed(Uint32Array.from({ length: 500 }, () => draw(1, 400))));
    for (let i = draw(0, 3); i > 0; i--) turns.take(limits);
    const single = new Weighed(Uint32Array.of(draw(1, 400)));
    turns.add(single);
    const passes = [turns.take(limits), turns.take(limits)];
    assert(
      passes.some((pass) => pass.some(({ line }) => line === single)),
      `round ${round}: ${JSON.stringify(limits)}`,
    );
  }
});

test("take() serves lines that all wait in turn, whichever are long", () => {
  const turns = new Turns<Weighed>();
  const lines = Array.from({ length: 5 }, (_, i) => new Weighed(new Uint32Array(10 + i).fill(10)));
  for (const line of lines) turns.add(line);
  for (let pass = 0; pass < 10; pass++) {
    assertEquals(turns.take({ weight: 50, count: 64 }).map(({ line, items }) => [lines.indexOf(line), items]), [
      ...lines.map((_, i) => [i, [pass]]),
    ]);
  }
});

test("take() fills a pass with short items behind one that does not fit", () => {
  const turns = new Turns<Weighed>();
  const [first, long, short] = [[60], [90], [10, 10, 10]].map((weights) => new Weighed(Uint32Array.from(weights)));
  for (const line of [first!, long!, short!]) turns.add(line);
  assertEquals(weightsOf(turns.take({ weight: 100, count: 64 })), [60, 10, 10, 10]);
  assertEquals(weightsOf(turns.take({ weight: 100, count: 64 })), [90]);
});

test("take() is empty when nothing waits", () => {
  assertEquals(new Turns<Line>().take({ weight: 100, count: 10 }), []);
});

test("add() leaves an empty line out", () => {
  const turns = new Turns<Line>();
  turns.add(new Line([]));
  assertEquals(turns.size, 0);
});

test("remove() keeps what waits in a line from ever coming", () => {
  for (let round = 0; round < ROUNDS; round++) {
    const draw = randomIntegers(2000 + round);
    const limits = randomLimits(draw);
    const turns = new Turns<Weighed>();
    const lines = Array.from({ length: 10 }, () => randomLine(draw, 300));
    for (const line of lines) turns.add(line);
    const removed = new Set<Weighed>();
    const taken = new Map<Line, number[]>();
    while (turns.size > 0) {
      const pass = turns.take(limits);
      assert(!pass.some(({ line }) => removed.has(line)), `round ${round}: a removed line came`);
      record(taken, pass);
      const line = lines[draw(0, 19)];
      if (!line) continue;
      turns.remove(line);
      if (line.size > 0) removed.add(line);
    }
    for (const line of lines) {
      if (!removed.has(line)) assertEquals(taken.get(line)?.length, line.weights.length, `round ${round}`);
    }
  }
});

test("take() plans 100,000 items of one call, and 10,000 calls, in seconds", () => {
  const draw = randomIntegers(7);
  const lengths = Uint32Array.from({ length: 100_000 }, () => draw(3, 256));
  const limits = { weight: 256, count: 64 };
  const cases = [[lengths], Array.from({ length: 10_000 }, (_, i) => lengths.subarray(i * 10, i * 10 + 10))];
  for (const parts of cases) {
    const start = performance.now();
    const turns = new Turns<Weighed>();
    for (const part of parts) turns.add(new Weighed(part));
    let count = 0;
    while (turns.size > 0) count += turns.take(limits).reduce((sum, { items }) => sum + items.length, 0);
    const took = performance.now() - start;
    console.log(`${parts.length} lines of 100,000 lengths planned in ${took.toFixed(0)} ms`);
    assertEquals(count, lengths.length);
    assert(took < 10_000, `took ${took} ms`);
  }
});

test("longestFirst() sorts indices by length, equal ones as they came", () => {
  assertEquals([...longestFirst([3, 9, 3, 1, 9])], [1, 4, 0, 2, 3]);
  assertEquals([...longestFirst([])], []);
});

test("Line takes its items as they come without an order, and tells what waits", () => {
  const line = new Line([5, 7]);
  assertEquals([line.size, line.weight], [2, 5]);
  assertEquals([line.take(), line.weight, line.take(), line.size], [0, 7, 1, 0]);
});

test("passLimits() makes the pass of a model with a large vocabulary smaller, never below 32 tokens", () => {
  for (const [vocabulary, weight] of [[30_522, 256], [0, 256], [250_002, 256], [2_000_000, 33], [1e9, 32]] as const) {
    assertEquals(passLimits(vocabulary), { weight, count: 64 });
  }
});
