// What streams.ts runs: streams_worker.ts SEED RUNS DIRECTORY
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { convert } from "../../convert.ts";
import { dot, Llama, type Progress } from "../../mod.ts";
import { fixture } from "../support/checkpoint.ts";
import { randomIntegers } from "../support/random.ts";
import { tell } from "./worker.ts";

const [seed = "", runs = "", directory = ""] = process.argv.slice(2);
const draw = randomIntegers(Number(seed));
const path = join(directory, "tiny.gguf");
await convert(fixture("tiny_bert"), path);
const llama = await Llama.load(path);

const SOON = 5000; // ms, on a busy machine; a stream that does not hear waits for ever
const words = ["river", "stone", "window", "quiet", "green", "paper", "seven", "music"];
const known = Array.from({ length: 64 }, (_, i) => `${words[i % 8]} `.repeat(1 + i % 11).trim());
const expected = await llama.embed(known);

const ENDS = [
  "whole",
  "null",
  "surrogate",
  "too long",
  "text() throws",
  "source throws",
  "no result",
  "silent",
] as const;
const SOURCES = ["array", "generator", "async generator", "web stream", "iterator", "async iterator"] as const;
const LEAVES = ["no", "no", "break", "abort", "abort in onProgress", "return", "throw"] as const;
type End = (typeof ENDS)[number];

const pick = <T>(list: readonly T[]): T => list[draw(0, list.length - 1)]!;
const mine = new Error("mine");

/** What is streamed, how it ends and how it is left. */
interface Plan {
  readonly source: (typeof SOURCES)[number];
  readonly end: End;
  readonly leave: (typeof LEAVES)[number];
  /** Items before the end. */
  readonly count: number;
  /** Every which item is slow to come; 0 for none. */
  readonly slow: number;
  /** Vectors, or milliseconds, until it is left. */
  readonly after: number;
}

function drawPlan(): Plan {
  const source = pick(SOURCES);
  const waits = source.startsWith("async") || source === "web stream"; // can wait, and so be silent
  const drawn = pick(ENDS);
  const never = drawn === "silent" && !waits || drawn === "no result" && !source.endsWith("iterator") ||
    drawn === "source throws" && source === "array";
  const end = never ? "whole" : drawn;
  const leave = end === "silent" ? pick(["abort", "return"] as const) : pick(LEAVES);
  const count = draw(0, 9) === 0 ? draw(500, 1500) : draw(0, 60);
  return {
    source,
    end,
    leave,
    count,
    slow: waits && draw(0, 1) ? draw(3, 40) : 0,
    after: draw(0, 60),
  };
}

/** The items, and what became of their source. */
class Source {
  closed = 0;
  readonly #plan: Plan;
  #next = 0;

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  /** One result, or what stands in its place. */
  #step(): IteratorResult<unknown> {
    const { count, end } = this.#plan;
    if (this.#next < count) return { done: false, value: known[this.#next++ % known.length] };
    if (end === "source throws") throw mine;
    if (end === "no result") return 7 as unknown as IteratorResult<unknown>;
    const bad =
      { null: null, surrogate: "\udc00", "too long": "stone ".repeat(3000), "text() throws": mine }[end as "null"];
    if (bad === undefined || this.#next > count) return { done: true, value: undefined };
    this.#next++;
    return { done: false, value: bad };
  }

  async #later(): Promise<IteratorResult<unknown>> {
    const { count, end, slow } = this.#plan;
    if (slow && this.#next % slow === slow - 1) await sleep(draw(0, 25));
    if (end === "silent" && this.#next === count) await new Promise(() => {});
    return this.#step();
  }

  readonly #close = (): IteratorResult<unknown> => {
    this.closed++;
    return { done: true, value: undefined };
  };

  *#sync(): Generator<unknown, void, undefined> {
    try {
      for (let next = this.#step(); !next.done; next = this.#step()) yield next.value;
    } finally {
      this.closed++;
    }
  }

  async *#async(): AsyncGenerator<unknown, void, undefined> {
    try {
      for (let next = await this.#later(); !next.done; next = await this.#later()) yield next.value;
    } finally {
      this.closed++;
    }
  }

  items(): Iterable<string> | AsyncIterable<string> {
    const kinds: Record<Plan["source"], () => unknown> = {
      array: () => [...this.#sync()],
      generator: () => this.#sync(),
      "async generator": () => this.#async(),
      "web stream": () =>
        new ReadableStream<unknown>({
          pull: async (controller) => {
            const next = await this.#later();
            if (next.done) controller.close();
            else controller.enqueue(next.value);
          },
          cancel: () => void this.closed++,
        }),
      iterator: () => ({ [Symbol.iterator]: () => ({ next: () => this.#step(), return: this.#close }) }),
      "async iterator": () => ({
        [Symbol.asyncIterator]: () => ({ next: () => this.#later(), return: () => Promise.resolve(this.#close()) }),
      }),
    };
    return kinds[this.#plan.source]() as Iterable<string>;
  }
}

/** How a stream ended. */
interface Outcome {
  count: number;
  wrong?: string;
  error?: { readonly reason: unknown };
  /** When it was left, and when it ended. */
  left?: number;
  ended: number;
}

/** Reads a stream to its end, or leaves it. */
async function read({ leave, after }: Plan, source: Source, controller: AbortController): Promise<Outcome> {
  const outcome: Outcome = { count: 0, ended: 0 };
  const leaveNow = (how: () => unknown): void => {
    outcome.left ??= performance.now();
    how();
  };
  const stream = llama.embedStreamDetailed(source.items(), {
    text: (item: unknown) => {
      if (item === mine) throw mine;
      return item as string;
    },
    truncate: "error",
    signal: controller.signal,
    onProgress: (_: Progress) => {
      if (leave === "abort in onProgress" && outcome.count >= after / 2) leaveNow(() => controller.abort(mine));
    },
  });
  const later = { abort: () => controller.abort(mine), return: () => void stream.return() }[leave as "abort"];
  const timer = later && setTimeout(() => leaveNow(later), after);
  try {
    for await (const { index, embedding } of stream) {
      if (index !== outcome.count) outcome.wrong ??= `vector ${index} came as number ${outcome.count}`;
      if (dot(embedding, expected[index % known.length]!) < 0.9999) outcome.wrong ??= `vector ${index} is another`;
      outcome.count++;
      if (outcome.count > after && leave === "break") {
        outcome.left = performance.now();
        break;
      }
      if (outcome.count > after && leave === "throw") leaveNow(() => void stream.throw(mine).catch(() => {}));
    }
  } catch (reason) {
    outcome.error = { reason };
  }
  clearTimeout(timer);
  outcome.ended = performance.now();
  return outcome;
}

/** The words of the error that an end brings; undefined for none. */
function wordsOf({ end, count }: Plan): RegExp | undefined {
  switch (end) {
    case "null":
    case "surrogate":
    case "too long":
      return new RegExp(`items\\[${count}\\]`);
    case "text() throws":
    case "source throws":
      return /^mine$/;
    case "no result":
      return /its iterator gave 7/;
    default:
      return undefined;
  }
}

function judge(plan: Plan, { count, wrong, error, left, ended }: Outcome, source: Source): string | undefined {
  if (wrong) return wrong;
  const own = plan.source !== "array" && plan.end !== "silent";
  if (left === undefined || !(left < ended)) {
    const words = wordsOf(plan);
    if (plan.end === "silent") return "it ended though its source is silent";
    if (count !== plan.count) return `${count} vectors of ${plan.count} came`;
    if (!words) return error && `it failed with ${String(error.reason)}`;
    const reason = error?.reason;
    if (!(reason instanceof Error) || !words.test(reason.message)) return `it failed with ${String(reason)}`;
  } else {
    if (ended - left > SOON) return `it ended ${(ended - left).toFixed(0)} ms after it was left`;
    if (count > plan.count) return `${count} vectors of ${plan.count} came`;
    const words = wordsOf(plan);
    const reason = error?.reason;
    const right = reason === undefined || reason === mine || reason instanceof Error && words?.test(reason.message);
    if (!right) return `it failed with ${String(reason)}`;
  }
  const closes = plan.source === "generator" || plan.source === "async generator";
  return own && closes && count > 0 && source.closed !== 1 ? `its source was closed ${source.closed} times` : undefined;
}

async function one(): Promise<string | undefined> {
  const plan = drawPlan();
  const source = new Source(plan);
  const late = new AbortController();
  const reading = read(plan, source, new AbortController());
  const patience = sleep(60_000, undefined, { signal: late.signal }).catch(() => undefined);
  const outcome = await Promise.race([reading, patience]);
  late.abort();
  if (outcome && source.closed === 0) await sleep(100); // a generator that is slow to give hears of it afterwards
  const wrong = outcome === undefined ? "it did not end" : judge(plan, outcome, source);
  const [vector] = await llama.embed([known[5]!]);
  const harm = dot(vector!, expected[5]!) > 0.9999 ? undefined : "another vector afterwards";
  return (wrong ?? harm) && `${wrong ?? harm}: ${JSON.stringify(plan)}`;
}

for (let run = 0; run < Number(runs); run++) tell(await one().catch((error) => `${error}`));
await llama.close();
process.exit(); // timers of sources that nobody waits for
