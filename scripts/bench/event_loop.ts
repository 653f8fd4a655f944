// How long the event loop is held: `deno run -A scripts/bench/event_loop.ts [options]`, or `bun scripts/bench/event_loop.ts`
//   --texts LIST   titles of one call of each kind, and of a stream (default: 10000,100000; --smoke: 2000)
//   --model FILE   default: the tiny BERT of tests/fixtures, whose passes are so short that JavaScript has the most to do
//   --limit MS     fails where the loop was held for longer
// A timer of 1 ms looks at two clocks: the wall, and (on Linux) the processor time of the JavaScript thread. The longest
// stretch between two looks is the hold; in processor time another program's turn is not in it.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { convert } from "../../convert.ts";
import { Llama } from "../../mod.ts";
import { fixture } from "../../tests/checkpoint.ts";
import { threadTime } from "./thread_time.ts";

/** In milliseconds. */
interface Hold {
  readonly wall: number;
  /** Of the JavaScript thread. */
  readonly processor: number;
}

type Phases = Record<string, Hold>;

/** Watches the event loop; a stretch counts for the phase in which it ends. */
class Watch {
  readonly phases: Phases = {};
  #phase: string;
  #wall = performance.now();
  #processor = threadTime();
  readonly #timer = setInterval(() => this.look(), 1);

  constructor(phase: string) {
    this.#phase = phase;
  }

  /** The next stretch is of another phase; what was until now is of the last one. */
  enter(phase: string): void {
    if (phase === this.#phase) return;
    this.look();
    this.#phase = phase;
  }

  look(): void {
    const [wall, processor] = [performance.now(), threadTime()];
    const before = this.phases[this.#phase];
    this.phases[this.#phase] = {
      wall: Math.max(before?.wall ?? 0, wall - this.#wall),
      processor: Math.max(before?.processor ?? 0, processor - this.#processor),
    };
    [this.#wall, this.#processor] = [wall, processor];
  }

  stop(): Phases {
    this.look();
    clearInterval(this.#timer);
    return this.phases;
  }
}

function titles(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `note ${i} about item ${i % 977} of the catalogue`);
}

/** One call with all texts. Its phases are told apart by what a caller sees: its return, its progress, its end. */
async function oneCall(llama: Llama, texts: readonly string[]): Promise<Phases> {
  const watch = new Watch("check");
  const vectors = llama.embed(texts, {
    onProgress: ({ done }) => watch.enter(done < texts.length ? "passes" : "last pass and finish"),
  });
  watch.enter("tokenise");
  await vectors;
  return watch.stop();
}

async function rerank(llama: Llama, texts: readonly string[]): Promise<Phases> {
  const watch = new Watch("check");
  const ranked = llama.rerank("note 7 about item 9", texts, {
    onProgress: ({ done }) => watch.enter(done < texts.length ? "passes" : "scores and sort"),
  });
  watch.enter("tokenise");
  await ranked;
  return watch.stop();
}

async function estimate(llama: Llama, texts: readonly string[]): Promise<Phases> {
  const lengths = texts.map(({ length }) => length);
  const watch = new Watch("lengths");
  await llama.estimateMemory(lengths);
  return watch.stop();
}

async function stream(llama: Llama, texts: readonly string[]): Promise<Phases> {
  const watch = new Watch("stream");
  let vectors = 0;
  for await (const vector of llama.embedStream(texts)) vectors += Math.sign(vector.length);
  if (vectors !== texts.length) throw new Error(`${texts.length} texts gave ${vectors} vectors`);
  return watch.stop();
}

function row(work: string, phases: Phases): string[] {
  return Object.entries(phases).map(([phase, { wall, processor }]) =>
    `| ${work} | ${phase} | ${processor.toFixed(1)} | ${wall.toFixed(1)} |`
  );
}

const WORKS = [
  ["one call", oneCall],
  ["rerank", rerank],
  ["estimateMemory", estimate],
  ["embedStream", stream],
] as const;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      texts: { type: "string" },
      model: { type: "string" },
      limit: { type: "string", default: "Infinity" },
      smoke: { type: "boolean", default: false },
    },
  });
  const counts = (values.texts ?? (values.smoke ? "2000" : "10000,100000")).split(",").map(Number);
  const directory = mkdtempSync(join(tmpdir(), "llamasaur-event-loop-"));
  let longest = 0;
  try {
    const model = values.model ?? join(directory, "tiny.gguf");
    if (values.model === undefined) await convert(fixture("tiny_bert"), model);
    await using llama = await Llama.load(model);
    await llama.embed(titles(1000)); // warm
    console.log(
      `| ${
        "Deno" in globalThis ? "Deno" : "Bun"
      } | phase | longest hold, processor ms | wall ms |\n| --- | --- | ---: | ---: |`,
    );
    for (const count of counts) {
      const texts = titles(count);
      for (const [name, work] of WORKS) {
        const phases = await work(llama, texts);
        for (const line of row(`${name}, ${count} titles`, phases)) console.log(line);
        for (const { processor } of Object.values(phases)) longest = Math.max(longest, processor);
      }
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
  console.log(`\nlongest: ${longest.toFixed(1)} ms`);
  return longest > Number(values.limit) ? 1 : 0;
}

process.exitCode = await main();
