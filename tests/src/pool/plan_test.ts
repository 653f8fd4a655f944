import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  type Attention,
  type Limits,
  Line,
  longestFirst,
  passLimits,
  type Share,
  Turns,
} from "../../../src/pool/plan.ts";
import { randomIntegers } from "../../support/random.ts";

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
  const weight = draw(1, 300);
  return { ...limitsOf(draw(1, weight), draw(1, 64)), weight, least: draw(1, 64) };
}

/** Limits that are as much as is best. */
function limitsOf(best: number, count: number): Limits {
  return { best, least: Math.min(best, 40), weight: best, count };
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
    const pass = turns.take(limits, draw(1, 4));
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
    const limits = { ...randomLimits(draw), count: draw(2, 64) };
    const lanes = draw(1, 4);
    const turns = new Turns<Weighed>();
    turns.add(new Weighed(Uint32Array.from({ length: 500 }, () => draw(1, 400))));
    for (let i = draw(0, 3); i > 0; i--) turns.take(limits, lanes);
    const single = new Weighed(Uint32Array.of(draw(1, 400)));
    turns.add(single);
    const passes = [turns.take(limits, lanes), turns.take(limits, lanes)];
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
    assertEquals(turns.take(limitsOf(50, 64)).map(({ line, items }) => [lines.indexOf(line), items]), [
      ...lines.map((_, i) => [i, [pass]]),
    ]);
  }
});

test("take() fills a pass with short items behind one that does not fit", () => {
  const turns = new Turns<Weighed>();
  const [first, long, short] = [[60], [90], [10, 10, 10]].map((weights) => new Weighed(Uint32Array.from(weights)));
  for (const line of [first!, long!, short!]) turns.add(line);
  assertEquals(weightsOf(turns.take(limitsOf(100, 64))), [60, 10, 10, 10]);
  assertEquals(weightsOf(turns.take(limitsOf(100, 64))), [90]);
});

test("take() is empty when nothing waits", () => {
  assertEquals(new Turns<Line>().take(limitsOf(100, 10)), []);
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

/** All passes of one line that has all lanes to itself. */
function passesOf(weights: readonly number[], limits: Limits, lanes: number): number[][] {
  const turns = new Turns<Weighed>();
  turns.add(new Weighed(Uint32Array.from(weights)));
  const passes: number[][] = [];
  while (turns.size > 0) passes.push(weightsOf(turns.take(limits, lanes)));
  return passes;
}

const sum = (weights: readonly number[]): number => weights.reduce((a, b) => a + b, 0);

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
function fullPasses(weights: readonly number[], { best, count }: Limits): number[][] {
  const passes: number[][] = [];
  for (const weight of weights.toSorted((a, b) => b - a)) {
    const last = passes.at(-1);
    if (last && sum(last) + weight <= best && last.length < count) last.push(weight);
    else passes.push([weight]);
  }
  return passes;
}

const LIMITS = passLimits({ attention: "sequence", gpu: false, logits: 30_522, lanes: 2 });
const PASS = 10; // tokens' time
const texts = fc.array(fc.integer({ min: 3, max: 200 }), { minLength: 1, maxLength: 120 });

test("take() has all lanes done within a text's time of each other, for one call alone", () => {
  fc.assert(fc.property(texts, fc.integer({ min: 1, max: 8 }), (weights, lanes) => {
    const { last } = finish(passesOf(weights, LIMITS, lanes), lanes, PASS);
    const rounds = Math.ceil(Math.ceil(sum(weights) / LIMITS.best) / lanes) + 1;
    // A lane's fair share, or a pass that is not worth two; a text more or less, and what the passes cost themselves.
    const fair = Math.max(sum(weights) / lanes, Math.min(sum(weights), 2 * LIMITS.least));
    assert(last <= fair + 1.5 * Math.max(...weights) + rounds * PASS, `${last}, a fair share is ${fair}`);
  }));
});

test("take() costs next to no work more than full passes, and little calls end far sooner on several lanes", () => {
  const ratios = { last: [] as number[], work: [] as number[] };
  const lanes = 2;
  for (let round = 0; round < ROUNDS; round++) {
    const draw = randomIntegers(3000 + round);
    const weights = Array.from({ length: draw(8, 40) }, () => draw(5, 60));
    const [even, full] = [passesOf(weights, LIMITS, lanes), fullPasses(weights, LIMITS)]
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
  const limits = { best: 256, least: 50, weight: 384, count: 64 };
  const shape = (count: number, weight: number, lanes: number): number[] =>
    passesOf(new Array<number>(count).fill(weight), limits, lanes).map(sum);
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
    const turns = new Turns<Line>();
    for (const part of parts) turns.add(new Line(counted(part), longestFirst(part)));
    let count = 0;
    while (turns.size > 0) count += sum(turns.take(LIMITS, 2).map(({ items }) => items.length));
    console.log(`${parts.length} lines: ${(looks / lengths.length).toFixed(1)} looks an item`);
    assertEquals(count, lengths.length);
    assert(looks < 20 * lengths.length, `${looks} looks`);
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

test("passLimits() holds what costs least a token: less where attention is over all pairs of a pass", () => {
  const best = (attention: Attention): number => passLimits({ attention, gpu: false, logits: 30_522, lanes: 2 }).best;
  assertEquals([best("sequence"), best("flash"), best("matrix")], [256, 200, 57]);
});

test("passLimits() makes the pass of a model with a large vocabulary smaller, by lanes, never below 64 tokens", () => {
  const cases = [[30_522, 2, 384], [0, 2, 384], [250_002, 2, 268], [250_002, 4, 134], [1e9, 1, 64]] as const;
  for (const [logits, lanes, weight] of cases) {
    const limits = passLimits({ attention: "sequence", gpu: false, logits, lanes });
    assertEquals([limits.weight, limits.best], [weight, Math.min(256, weight)]);
    assert(limits.least <= limits.best && limits.count <= 256);
  }
});
