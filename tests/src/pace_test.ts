import { test } from "node:test";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { assert } from "@std/assert";
import { convert } from "../../convert.ts";
import { Llama } from "../../mod.ts";
import { threadTime, told } from "../../bench/thread_time.ts";
import { fixture, inDirectory } from "../support/checkpoint.ts";
import { cannotLoad, libraryMissing, modelPath } from "../support/references.ts";
import { slow } from "../support/slow.ts";

const Q8_0 = "all-minilm-l6-v2-q8_0.gguf";
// Where the system does not tell the thread's own time, a busy machine may be slow in one attempt; what this package blocks,
// it blocks in all.
const ATTEMPTS = 12;
const TICK = 10;
// In the gate a fifth: 20 ms in one stretch are 1 µs for each of 20,000 texts, and 0.2 µs for each of 100,000.
const TEXTS = slow ? 100_000 : 20_000;
const DOCUMENTS = slow ? 30_000 : 6_000;
const PAIRS = slow ? 10_000 : 2_000; // of a causal model

/** Runs a 10 ms timer until the work is done; returns the most milliseconds that were worked between two ticks, and the ticks. */
async function longestHold(work: () => Promise<unknown>): Promise<{ hold: number; ticks: number }> {
  const pause = told ? 0 : TICK; // the wall's time goes on between two ticks, the thread's does not
  let hold = 0;
  let ticks = 0;
  let last = threadTime();
  const look = (): void => {
    const now = threadTime();
    hold = Math.max(hold, now - last - pause);
    last = now;
    ticks++;
  };
  const timer = setInterval(look, TICK);
  await work();
  // What blocked at the very end counts, too.
  look();
  clearInterval(timer);
  return { hold, ticks };
}

async function drain(vectors: AsyncIterable<Float32Array>): Promise<void> {
  for await (const vector of vectors) assert(vector.length > 0);
}

type Works = Readonly<Record<string, () => Promise<unknown>>>;

/** Each is tried until its longest hold is one that is allowed. */
async function assertShortHolds(works: Works): Promise<void> {
  for (const [name, work] of Object.entries(works)) {
    let best = Infinity;
    for (let attempt = 0; attempt < ATTEMPTS && best > 20; attempt++) {
      const { hold, ticks } = await longestHold(work);
      console.log(`${name}: at most ${hold.toFixed(1)} ms between two of ${ticks} ticks`);
      best = Math.min(best, hold);
    }
    assert(best <= 20, `${name}: ${best.toFixed(1)} ms`);
  }
}

/** Runs with a fixture's model: a checkpoint, or a GGUF file. */
async function withModel(name: string, run: (llama: Llama) => Promise<void>): Promise<void> {
  await inDirectory(async (directory) => {
    const file = name.endsWith(".gguf") ? fixture(name) : join(directory, "model.gguf");
    if (file !== fixture(name)) await convert(fixture(name), file);
    // One lane, so that a core is left for the timer on a small machine.
    await using llama = await Llama.load(file, { contexts: 1 });
    await run(llama);
  });
}

test(
  `embed() of ${TEXTS} texts, rerank() of ${DOCUMENTS} by cosine, one text of 100,000 words, estimateMemory() and ` +
    "embedStream() never hold the event loop for more than 20 ms",
  {
    skip: libraryMissing,
    timeout: 900_000,
  },
  async () => {
    const many = Array.from({ length: 100_000 }, (_, i) => `a${i}`);
    const short = many.slice(0, TEXTS);
    const long = Array.from({ length: 100_000 }, (_, i) => `word${i % 977}`).join(" ");
    await withModel("tiny_bert", async (llama) => {
      await llama.embed(short.slice(0, 2000));
      await llama.rerank("q", short.slice(0, 2000));
      await assertShortHolds({
        "one call": () => llama.embed(short),
        "one text": () => llama.embed(long),
        "a stream": () => drain(llama.embedStream(short.slice(0, 2000))),
        "cosines": () => llama.rerank("q", short.slice(0, DOCUMENTS)),
        "lengths": () => llama.estimateMemory(many.map(({ length }) => length)),
      });
    });
  },
);

// As many documents as take a second: in one stretch, what is done for each would be above the limit.
for (
  const [model, count] of [["tiny_cross_encoder", DOCUMENTS], ["families/qwen3_reranker_plain.gguf", PAIRS]] as const
) {
  test(
    `rerank() of ${count} pairs, and of long ones in windows, never holds the event loop for more than 20 ms: ${model}`,
    {
      skip: libraryMissing,
      timeout: 900_000,
    },
    async () => {
      const short = Array.from({ length: count }, (_, i) => `a${i}`);
      const words = Array.from({ length: 30_000 }, (_, i) => ["river", "stone", "green", "snow"][i * i % 4]!);
      const long = Array.from({ length: 100 }, (_, i) => words.slice(i * 300, i * 300 + 300).join(" ") + i);
      await withModel(model, async (llama) => {
        await llama.rerank("q", short.slice(0, 500));
        await assertShortHolds({
          "pairs": () => llama.rerank("q", short),
          "windows": () => llama.rerank("q", long, { truncate: "windows" }),
          "one document": () => llama.rerank("q", [words.join(" ")], { truncate: "windows" }),
        });
      });
    },
  );
}

test("embed() of 1,000 texts in as many calls at once has 0.8 of the speed of one call", {
  skip: cannotLoad(Q8_0),
  timeout: 300_000,
}, async () => {
  await using llama = await Llama.load(modelPath(Q8_0));
  // As long as a title: of texts of two words the model takes less time by now than a call of JavaScript may.
  const texts = Array.from(
    { length: 1000 },
    (_, i) => `note ${i} about the river in the north, and what it does in winter`,
  );
  const time = async (work: () => Promise<unknown>): Promise<number> => {
    const start = performance.now();
    await work();
    return performance.now() - start;
  };
  await llama.embed(texts.slice(0, 200));
  let [together, single] = [Infinity, Infinity];
  for (let round = 0; round < 2 || single * 0.8 > together && round < 6; round++) {
    together = Math.min(together, await time(() => llama.embed(texts)));
    single = Math.min(single, await time(() => Promise.all(texts.map((text) => llama.embed(text)))));
    const speed = together / single;
    console.log(`one call ${together.toFixed(0)} ms, 1,000 calls ${single.toFixed(0)} ms: ${speed.toFixed(3)}`);
  }
  assert(single * 0.8 <= together, `1,000 calls took ${single} ms, one call ${together} ms`);
});
