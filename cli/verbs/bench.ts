/** Measures what a model does on this machine, in less than a minute, and makes one line of it to share. */
import { readFile } from "node:fs/promises";
import { availableParallelism, cpus } from "node:os";
import process from "node:process";
import type { Llama } from "@llamasaur/llamasaur";
import { columns, size } from "../layout.ts";
import { loadModel, modelName, type ModelOptions } from "../model.ts";
import { count } from "../progress.ts";
import { shown } from "../quote.ts";
import type { Session } from "../session.ts";
import { integer } from "../values.ts";
import { VERSION } from "../version.ts";
import type { Given, Verb } from "../verb.ts";

/** The options of `bench`. */
export interface BenchOptions extends ModelOptions {
  readonly seconds: number;
  readonly json?: boolean;
}

/** The verb. */
export const verb: Verb<BenchOptions> = {
  arguments: "[model]",
  description:
    "Measures a model on this machine: texts (or pairs) a second, milliseconds a query, the load, peak memory; " +
    "and prints a line to share. Texts have some 100 tokens, a query 8 words.",
  shared: ["model", "json"],
  options: [
    { flags: "--seconds <count>", description: "how long it measures", default: 15, read: integer("--seconds", 1, 50) },
  ],
  examples: ["bench all-minilm-l6-v2 --seconds 1", "bench all-minilm-l6-v2 --seconds 1 --json"],
  run,
};

const WORDS =
  ("the of and to in a is that for it as was with be by on not he his but at are this have from or had an they " +
    "which one you were all her she there would their we him been has when who will no more if out so up said what its about than " +
    "into them can only other time new some could these two may first then do any like my now over such our man me even most made " +
    "after also did many off before must well back through years much where your way down should because long each just state")
    .split(" ");
const TEXT_WORDS = 80, QUERY_WORDS = 8;
/** The part of the time that texts get; queries get the rest. */
const TEXTS_PART = 2 / 3;
/** Texts of a call at most, and milliseconds that one would take without others beside it. */
const MOST = 128, SPAN = 1000;

async function run({ args: [named], options }: Given<BenchOptions>, session: Session): Promise<void> {
  const model = named ?? modelName(options);
  const start = performance.now();
  await using llama = await loadModel(model, options, session, { onLog: () => {} });
  const loadMilliseconds = performance.now() - start;
  const ranks = llama.info.reranker !== "cosine";
  const milliseconds = options.seconds * 1000;
  const measured = await lists(llama, milliseconds * TEXTS_PART, ranks, session);
  const query = await queries(llama, milliseconds * (1 - TEXTS_PART), ranks, session);
  session.clear(true);
  const { info: { architecture, quantization, dimensions, device, fastestWeights } } = llama;
  const unit = ranks ? "pairs" : "texts";
  const peakMemory = await peak();
  const runtime = "Deno" in globalThis ? `Deno ${process.versions["deno"]}` : `Bun ${process.versions["bun"]}`;
  const machine = `${process.platform}-${process.arch}, ${
    cpus()[0]?.model.trim() ?? "unknown processor"
  }, ${availableParallelism()} threads`;
  const share = `llamasaur ${VERSION}: ${shown(model)} (${architecture}, ${quantization}, ${dimensions} dimensions): ` +
    `${count(measured.rate)} ${unit}/s, ${count(measured.tokens)} tokens/s, ${query.median.toFixed(1)} ms a query, ` +
    `loads in ${loadMilliseconds.toFixed(0)} ms, peak ${size(peakMemory)}; ${runtime}, ${machine}, ${device}`;
  if (options.json) {
    const rates = { unit, perSecond: measured.rate, tokensPerSecond: measured.tokens };
    const times = { queryMilliseconds: query.median, queryMilliseconds95: query.most, loadMilliseconds };
    await session.json({
      model,
      architecture,
      type: quantization,
      dimensions,
      device,
      fastestWeights: fastestWeights ?? null,
      ...rates,
      ...times,
      peakMemory,
      runtime,
      machine,
      share,
    });
    return;
  }
  await session.write(columns([
    [unit, `${count(measured.rate)} a second, ${count(measured.tokens)} tokens a second`],
    ["query", `${query.median.toFixed(1)} ms (median; 95 % below ${query.most.toFixed(1)} ms)`],
    ["load", `${loadMilliseconds.toFixed(0)} ms`],
    ["memory", `${size(peakMemory)} at the peak`],
    ...fastestWeights ? [["weights", weights(quantization, fastestWeights)] as const] : [],
  ]));
  await session.write(`\n${share}\n`);
}

/** The type of the model's weights, and another that would be faster here. */
function weights(type: string, fastest: string): string {
  if (type.toLowerCase() === fastest) return `${type}, which this processor computes fastest`;
  return `${type}; this processor computes ${fastest} fastest: \`llamasaur convert\` makes it of a checkpoint, \`quantize\` of f32`;
}

/** Texts that differ, the same on every machine. */
function* texts(words: number): Generator<string, never> {
  let state = 1;
  const word = (): string => WORDS[(state = Math.imul(state, 48271) >>> 1) % WORDS.length]!;
  for (;;) yield Array.from({ length: words }, word).join(" ");
}

/** What was done in a second. */
interface Rate {
  readonly rate: number;
  readonly tokens: number;
}

/** Embeds or ranks list after list for a time; of a slow model, lists are short. */
async function lists(llama: Llama, milliseconds: number, ranks: boolean, session: Session): Promise<Rate> {
  const source = texts(TEXT_WORDS);
  const query = texts(QUERY_WORDS).next().value;
  const { signal } = session;
  const compute = async (count: number): Promise<void> => {
    const list = Array.from({ length: count }, () => source.next().value);
    if (ranks) await llama.rerank(query, list, { signal });
    else await llama.embed(list, { signal });
  };
  await compute(1); // which makes the contexts
  const start = performance.now();
  await compute(1);
  const count = Math.max(1, Math.min(MOST, Math.round(SPAN / (performance.now() - start))));
  const before = llama.activity.tokens;
  const begin = performance.now();
  let done = 0;
  do {
    await compute(count);
    done += count;
    session.progress(ranks ? "pairs" : "texts", {
      done,
      total: undefined,
      part: (performance.now() - begin) / milliseconds,
    });
  } while (performance.now() - begin < milliseconds);
  const seconds = (performance.now() - begin) / 1000;
  return { rate: done / seconds, tokens: (llama.activity.tokens - before) / seconds };
}

/** Milliseconds of single calls, one after the other. */
async function queries(
  llama: Llama,
  milliseconds: number,
  ranks: boolean,
  session: Session,
): Promise<{ readonly median: number; readonly most: number }> {
  const [source, documents] = [texts(QUERY_WORDS), texts(TEXT_WORDS)];
  const { signal } = session;
  const times: number[] = [];
  const begin = performance.now();
  do {
    const [query, document] = [source.next().value, documents.next().value];
    const start = performance.now();
    if (ranks) await llama.rerank(query, [document], { signal });
    else await llama.embed(query, { signal });
    times.push(performance.now() - start);
  } while (performance.now() - begin < milliseconds);
  times.sort((a, b) => a - b);
  const at = (part: number): number => times[Math.min(times.length - 1, Math.floor(times.length * part))]!;
  return { median: at(0.5), most: at(0.95) };
}

/** Bytes of memory that the process had at most. */
async function peak(): Promise<number> {
  const status = await readFile("/proc/self/status", "utf8").catch(() => "");
  const [, kibibytes] = /^VmHWM:\s*(\d+) kB/m.exec(status) ?? [];
  return kibibytes === undefined ? process.memoryUsage().rss : Number(kibibytes) * 1024;
}
