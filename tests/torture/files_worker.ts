// Loads wrong files one after the other in one process and tells of each. See files.ts.
//
//   files_worker.ts DIRECTORY THREADS corpus BEGIN STEP POSITION END   every STEP-th file from BEGIN, again and again,
//                                                                      from one position of that sequence to another
//   files_worker.ts DIRECTORY THREADS random SEED POSITION END         the mutants of SEED + POSITION and on
//   files_worker.ts DIRECTORY THREADS vocabulary SEED POSITION END     models with the random vocabularies of these seeds,
//                                                                      which tokenise texts of their own
//   files_worker.ts DIRECTORY THREADS architecture SEED STEP POSITION END
//                                                                      the smallest models of architectures, and every STEP-th
//                                                                      of what is like them
//
// Lines: "> POSITION WHICH" before a file, "< OUTCOME" behind it, "! WHY" for what is wrong; "= MEGABYTES THREADS" after
// each half, and "." at the end.
import { readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { Llama, LlamaError, type LoadOptions, ModelNotFoundError } from "../../mod.ts";
import { corpus } from "./corpus.ts";
import { mutant } from "./mutator.ts";
import { randomVocabulary } from "./random_vocabularies.ts";
import { writeModel, type Written } from "./split.ts";
import { type Base, readBase } from "./tiny_models.ts";
import { ARCHITECTURES } from "./architectures.ts";
import { serialise } from "./gguf.ts";
import { neighbours, smallest } from "./smallest_models.ts";

const [directory, threads, kind, ...rest] = process.argv.slice(2) as [string, string, string, ...string[]];
const say = (line: string): void => void writeSync(1, `${line}\n`);
const stem = join(directory, `${kind} ${process.pid}`);
const OTHERWISE: readonly LoadOptions[] = [
  ...(["mean", "cls", "none"] as const).map((pooling) => ({ pooling })),
  { pooling: "mean", kernels: false },
  { pooling: "mean", attention: "non-causal" },
];
const EVERY = 100; // files between two questions to the good model
const TEXT_MS = 2000; // of processor time, that a text may be tokenised for: what others do on the machine does not count

/** A model, and the texts that it is to tokenise; without any it embeds or ranks. */
interface Met {
  readonly name: string;
  readonly bytes: Written;
  readonly texts?: readonly string[];
}

/** Loads a file and asks it for something; the words of what it answered. */
async function meet(path: string, options: LoadOptions = {}): Promise<string> {
  await using llama = await Llama.load(path, { contexts: 1, threads: Number(threads), onLog: () => {}, ...options });
  await llama.tokenize("hello world");
  if (llama.info.pooling === "rank") {
    const ranked = await llama.rerank("hello", ["hello world", "yes"]);
    if (!ranked.every(({ logit, score }) => Number.isFinite(logit) && Number.isFinite(score))) {
      throw new Error("not finite");
    }
    return "ranked";
  }
  const vectors = await llama.embed(["hello world", "a cat"]);
  if (!vectors.every((vector) => vector.every(Number.isFinite))) throw new Error("not finite");
  return "embedded";
}

/** Loads a file and has it tokenise texts; the words of how many tokens they have. */
async function tokenise(path: string, texts: readonly string[]): Promise<string> {
  await using llama = await Llama.load(path, { contexts: 1 });
  const counts: number[] = [];
  for (const text of texts) {
    const before = process.cpuUsage();
    const ids = await llama.tokenize(text).catch(refusedOr);
    const { user, system } = process.cpuUsage(before);
    const took = (user + system) / 1000;
    if (took > TEXT_MS) throw new Error(`took ${took.toFixed(0)} ms for ${JSON.stringify(text).slice(0, 200)}`);
    counts.push(ids?.length ?? -1);
  }
  return `${counts.join(" ")} tokens`;
}

/** Nothing for an error that is promised; any other is thrown again. */
function refusedOr(error: unknown): undefined {
  if (refusal(error) === undefined) throw error;
}

/** The words of an error of the kinds that are promised; undefined for any other. */
function refusal(error: unknown): string | undefined {
  const promised = error instanceof LlamaError || error instanceof RangeError || error instanceof ModelNotFoundError;
  if (!promised || !/^Cannot /.test(error.message)) return undefined;
  // The cause must be there, not only that there is one.
  if (/(llama\.cpp refused|assertion or threw|not compute the batch)$/.test(error.message)) return undefined;
  return `${error instanceof LlamaError ? error.code : error.name} ${
    error.message.replaceAll(/\s+/g, " ").slice(0, 400)
  }`;
}

/** Resident memory in megabytes and the number of threads, as Linux has them. */
function footprint(): [megabytes: number, threads: number] {
  const status = readFileSync("/proc/self/status", "utf8");
  const number = (name: string): number => Number(status.match(new RegExp(`^${name}:\\s+(\\d+)`, "m"))?.[1]);
  return [Math.round(number("VmRSS") / 1024), number("Threads")];
}

const good = await Llama.load(join(directory, "bert.gguf"), { contexts: 1 });
const expected = await good.embed("the process goes on");

async function checkGood(): Promise<void> {
  const vector = await good.embed("the process goes on");
  if (!vector.every((x, i) => x === expected[i])) say("! the good model gives another vector");
}

async function one(position: number, { name, bytes, texts }: Met): Promise<void> {
  say(`> ${position} ${name}`);
  const paths = writeModel(stem, bytes);
  try {
    say(`< ${await (texts ? tokenise(paths[0]!, texts) : meet(paths[0]!))}`);
  } catch (error) {
    const words = refusal(error);
    const thrown = error instanceof Error ? `${error.name}: ${error.message}` : error;
    say(words === undefined ? `! ${thrown}`.replaceAll("\n", " ") : `< ${words}`);
  }
  for (const path of paths) rmSync(path, { force: true });
}

/** The smallest model of an architecture, and what is like it; a line for each file, and the outcome of all. */
async function architecture(position: number, seed: number, step: number): Promise<void> {
  const name = ARCHITECTURES[(position + seed) % ARCHITECTURES.length]!;
  const path = `${stem}.gguf`;
  let loads = 0, met = 0, wrong: string | undefined;
  const attempt = async (variant: string, file: Uint8Array, options?: LoadOptions): Promise<string | undefined> => {
    say(`> ${position} ${name} ${variant}`);
    writeFileSync(path, file);
    try {
      met++;
      await meet(path, options);
      loads++;
      return undefined;
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      if (refusal(error) === undefined) wrong ??= `${variant}: ${words}`;
      return words;
    }
  };
  const { file, end } = await smallest(name, readBase(directory, "llama"), (bytes) => attempt("grows", bytes));
  for (const options of OTHERWISE) await attempt(JSON.stringify(options), serialise(file), options);
  let i = seed;
  for (const { name: variant, bytes } of neighbours(file, name)) if (i++ % step === 0) await attempt(variant, bytes());
  rmSync(path, { force: true });
  const outcome = `${name}: ${loads} of ${met} files loaded${end === undefined ? "" : `, grew until: ${end}`}`;
  say((wrong === undefined ? `< ${outcome}` : `! ${outcome}; ${wrong}`).replaceAll("\n", " "));
}

/** The file at a position, and its name. */
function source(): (position: number) => Met {
  const read = (base: Base): Uint8Array => readBase(directory, base);
  if (kind !== "corpus") {
    const seed = Number(rest.shift());
    return (position) => kind === "random" ? mutant(seed + position, read) : randomVocabulary(seed + position);
  }
  const [begin, step] = [Number(rest.shift()), Number(rest.shift())];
  const list = [...corpus(read)];
  const count = Math.floor((list.length - begin - 1) / step) + 1;
  return (position) => {
    const number = begin + position % count * step;
    const { name, bytes } = list[number]!;
    return { name: `${number} ${name}`, bytes: bytes() };
  };
}

const grows = kind === "architecture";
const [seed, step] = grows ? rest.splice(0, 2).map(Number) as [number, number] : [0, 0];
const at = grows ? undefined : source();
const [from, to] = rest.map(Number) as [number, number];
for (let position = from; position < to; position++) {
  await (at ? one(position, at(position)) : architecture(position, seed, step));
  const half = position + 1 === to >> 1 || position + 1 === to;
  if (half || position % EVERY === 0) await checkGood();
  if (half && process.platform === "linux") {
    (globalThis as { gc?: () => void }).gc?.();
    say(`= ${footprint().join(" ")}`);
  }
}
await good.close();
say(".");
