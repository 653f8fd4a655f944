// How long the event loop is held: `deno run -A bench/event_loop.ts [options]`, or `bun bench/event_loop.ts`
//   --texts LIST   titles of one call of each kind, and of a stream (default: 10000,100000; --smoke: 2000)
//   --long LIST    documents of 2,000 characters of one rerank call of each kind (default: 20000; --smoke: 500)
//   --works TEXT   only those whose name has this in it, such as "windows" or "yes/no"
//   --model FILE   in place of the tiny models of tests/fixtures, whose passes are so short that JavaScript has the most to
//                  do; what it cannot do is left out
//   --limit MS     fails where the loop was held for longer
// A timer of 1 ms looks at two clocks: the wall, and (on Linux) the processor time of the JavaScript thread. The longest
// stretch between two looks is the hold; in processor time another program's turn is not in it.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { convert } from "../convert.ts";
import { Llama } from "../mod.ts";
import { fixture } from "../tests/support/checkpoint.ts";
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

/** Documents of 2,000 characters. */
function long(count: number): string[] {
  const filler = titles(60).join(". ");
  return titles(count).map((title) => `${title}. ${filler}`.slice(0, 2000));
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

async function rerank(llama: Llama, texts: readonly string[], truncate: "end" | "windows" = "end"): Promise<Phases> {
  const watch = new Watch("check");
  const ranked = llama.rerank("note 7 about item 9", texts, {
    truncate,
    onProgress: ({ done, total }) => watch.enter(done < total ? "passes" : "scores and sort"),
  });
  watch.enter("tokenise");
  await ranked;
  return watch.stop();
}

function rerankWindows(llama: Llama, texts: readonly string[]): Promise<Phases> {
  return rerank(llama, texts, "windows");
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

type Work = (llama: Llama, texts: readonly string[]) => Promise<Phases>;

const EMBEDDER: readonly (readonly [string, Work])[] = [
  ["one call", oneCall],
  ["estimateMemory", estimate],
  ["embedStream", stream],
];

/** A checkpoint or a GGUF file of tests/fixtures for each kind of reranker. */
const MODELS = {
  "cosine": "tiny_bert",
  "cross-encoder": "tiny_cross_encoder",
  "yes-no": "families/qwen3_reranker_plain.gguf",
};

/** What is done with a model that ranks by this. */
function worksOf(reranker: keyof typeof MODELS, titles: boolean): (readonly [string, Work])[] {
  return [
    ...(titles && reranker === "cosine" ? EMBEDDER : []),
    [`rerank by ${reranker}`, rerank],
    ...(titles ? [] : [[`rerank by ${reranker} with windows`, rerankWindows] as const]),
  ];
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      texts: { type: "string" },
      long: { type: "string" },
      works: { type: "string", default: "" },
      model: { type: "string" },
      limit: { type: "string", default: "Infinity" },
      smoke: { type: "boolean", default: false },
    },
  });
  const counts = (list: string): number[] => list.split(",").map(Number).filter((count) => count > 0);
  const lists = [
    ...counts(values.texts ?? (values.smoke ? "2000" : "10000,100000")).map((count) =>
      ["titles", titles(count)] as const
    ),
    ...counts(values.long ?? (values.smoke ? "500" : "20000")).map((count) => ["long documents", long(count)] as const),
  ];
  const directory = mkdtempSync(join(tmpdir(), "llamasaur-event-loop-"));
  let longest = 0;
  try {
    const runtime = "Deno" in globalThis ? "Deno" : "Bun";
    console.log(`| ${runtime} | phase | longest hold, processor ms | wall ms |\n| --- | --- | ---: | ---: |`);
    for (const name of values.model === undefined ? Object.values(MODELS) : [values.model]) {
      const model = values.model ?? (name.endsWith(".gguf") ? fixture(name) : join(directory, `${name}.gguf`));
      if (values.model === undefined && !name.endsWith(".gguf")) await convert(fixture(name), model);
      await using llama = await Llama.load(model);
      for (const [kind, texts] of lists) {
        for (const [work, run] of worksOf(llama.info.reranker, kind === "titles")) {
          if (!work.includes(values.works)) continue;
          await run(llama, texts.slice(0, 1000)); // warm
          const phases = await run(llama, texts);
          for (const line of row(`${work}, ${texts.length} ${kind}`, phases)) console.log(line);
          for (const { processor } of Object.values(phases)) longest = Math.max(longest, processor);
        }
      }
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
  console.log(`\nlongest: ${longest.toFixed(1)} ms`);
  return longest > Number(values.limit) ? 1 : 0;
}

process.exitCode = await main();
