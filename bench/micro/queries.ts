// How long one query takes while a long list is embedded: `deno task bench:queries [options]`
//   --models LIST   GGUF files, or types of all-MiniLM-L6-v2 in models/ (default: q8_0,bf16,f32)
//   --seconds N     of queries beside a list, and as long alone (default: 20)
//   --smoke         one model, few seconds
// The list is embedded again and again, in the same process; the queries come one after another. A query is in the
// second pass that begins after it came, at the latest (tests/src/pool/scheduler_test.ts counts them).
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { packageRoot } from "../../ffi/host/paths.ts";
import { Llama } from "../../mod.ts";
import { describeMachine } from "../machine.ts";
import { paragraphs } from "../paragraphs.ts";
import { machineLine } from "../report.ts";

const LIST = 1000;
const QUERY = "how do I load a model";

/** Milliseconds of queries, one after another, for some seconds. */
async function ask(llama: Llama, seconds: number): Promise<number[]> {
  const times: number[] = [];
  for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
    const start = performance.now();
    await llama.embed(QUERY);
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b);
}

/** Embeds a list again and again until it is told to stop; gives passes a second. */
async function keepBusy(llama: Llama, texts: readonly string[], signal: AbortSignal): Promise<number> {
  const start = performance.now();
  let passes = 0;
  while (!signal.aborted) {
    try {
      await llama.embed(texts, { signal, onProgress: () => void passes++ });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
  return passes / (performance.now() - start) * 1000;
}

async function main(): Promise<void> {
  const { values: { models, seconds, smoke } } = parseArgs({
    options: {
      models: { type: "string" },
      seconds: { type: "string" },
      smoke: { type: "boolean", default: false },
    },
  });
  const texts = await paragraphs(smoke ? 100 : LIST);
  const duration = Number(seconds ?? (smoke ? 2 : 20));
  console.log(`${machineLine(describeMachine())}\n`);
  console.log("| a query, ms | alone p50 | p99 | beside a list p50 | p99 | most | passes a second |");
  console.log("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
  for (const name of (models ?? (smoke ? "q8_0" : "q8_0,bf16,f32")).split(",")) {
    const path = name.endsWith(".gguf")
      ? name
      : join(fileURLToPath(packageRoot()), "models", `all-minilm-l6-v2-${name}.gguf`);
    await using llama = await Llama.load(path);
    await llama.embed(texts.slice(0, 50)); // warm
    const alone = await ask(llama, duration);
    const stop = new AbortController();
    const busy = keepBusy(llama, texts, stop.signal);
    const beside = await ask(llama, duration);
    stop.abort();
    const rate = await busy;
    const cells = [at(alone, 0.5), at(alone, 0.99), at(beside, 0.5), at(beside, 0.99), at(beside, 1), rate];
    console.log(`| ${name} | ${cells.map((cell) => cell.toFixed(1)).join(" | ")} |`);
  }
}

/** The value below which a part of the sorted values is. */
function at(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]!;
}

if (import.meta.main) await main();
