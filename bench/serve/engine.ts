// The engine in-process, for bench/serve/mod.ts: `engine.ts MODEL JOB.json`. It answers a line of stdin ("embed 3 64": calls
// of 64 texts for three seconds) by one of stdout, a Sample as JSON.
import { readFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { Llama } from "../../mod.ts";
import { type Job, type Sample, sampleOf } from "./sample.ts";

const [model = "", job = ""] = process.argv.slice(2);
const { texts, query, documents }: Job = JSON.parse(readFileSync(job, "utf8"));
await using llama = await Llama.load(model, { onLog: () => {} });

/** Calls again and again for some seconds. */
async function repeated(seconds: number, count: number, call: () => Promise<unknown>): Promise<Sample> {
  const times: number[] = [];
  const before = llama.activity;
  const start = performance.now();
  while (performance.now() - start < seconds * 1000) {
    const from = performance.now();
    await call();
    times.push(performance.now() - from);
  }
  const { passes, sequences } = llama.activity;
  const filled = (sequences - before.sequences) / (passes - before.passes);
  return { ...sampleOf(times, times.length * count, performance.now() - start, 0), filled };
}

/** Queries beside a list that is embedded again and again, and how long a pass takes. */
async function mixed(seconds: number): Promise<Sample> {
  const stop = new AbortController();
  const before = llama.activity.passes;
  const start = performance.now();
  let listed = 0;
  const bulk = (async () => {
    while (!stop.signal.aborted) {
      await llama.embed(texts, { signal: stop.signal }).then(() => listed += texts.length, () => {});
    }
  })();
  const queries = await repeated(seconds, 1, () => llama.embed(query));
  const milliseconds = performance.now() - start;
  const passes = llama.activity.passes - before;
  stop.abort();
  await bulk;
  return {
    ...queries,
    textsPerSecond: queries.textsPerSecond + listed / milliseconds * 1000,
    pass: milliseconds * llama.info.contexts / passes,
  };
}

async function answer(words: readonly string[]): Promise<Sample> {
  const [what, seconds, count] = [words[0], Number(words[1]), Number(words[2])];
  switch (what) {
    case "embed":
      return await repeated(seconds, count, () => llama.embed(texts.slice(0, count)));
    case "query":
      return await repeated(seconds, 1, () => llama.embed(query));
    case "mix":
      return await mixed(seconds);
    case "rerank":
      return await repeated(seconds, documents.length, () => llama.rerank(query, documents));
    default:
      throw new Error(`Cannot do ${what}`);
  }
}

console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(line.split(" "))));
}
