// Loads wrong files one after the other in one process and tells of each: files_worker.ts DIRECTORY THREADS corpus FROM
// STEP PASSES, or files_worker.ts DIRECTORY THREADS random SEED SECONDS. See files.ts.
//
// Lines: "> NUMBER NAME" before a file, "< OUTCOME" behind it, "= RSS THREADS" now and then, "! WHY" for what is wrong.
import { readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { Llama, LlamaError, ModelNotFoundError } from "../../mod.ts";
import { corpus } from "./corpus.ts";
import { mutant } from "./mutator.ts";
import { readBase } from "./tiny_models.ts";

const [directory, threads, kind, ...rest] = process.argv.slice(2) as [string, string, string, ...string[]];
const [first, second, third] = rest.map(Number) as [number, number, number];
const say = (line: string): void => void writeSync(1, `${line}\n`);
const file = join(directory, `${kind} ${process.pid}.gguf`);
const GOOD = join(directory, "bert.gguf");
const EVERY = 100; // files between two looks at memory and the good model

/** Loads a file and asks it for something; the words of what it answered. */
async function meet(path: string): Promise<string> {
  await using llama = await Llama.load(path, { contexts: 1, threads: Number(threads) });
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

const good = await Llama.load(GOOD, { contexts: 1 });
const expected = await good.embed("the process goes on");

async function check(): Promise<void> {
  const vector = await good.embed("the process goes on");
  if (!vector.every((x, i) => x === expected[i])) say("! the good model gives another vector");
  (globalThis as { gc?: () => void }).gc?.();
  if (process.platform === "linux") say(`= ${footprint().join(" ")}`);
}

async function one(number: number, name: string, bytes: Uint8Array): Promise<void> {
  say(`> ${number} ${name}`);
  writeFileSync(file, bytes);
  try {
    say(`< ${await meet(file)}`);
  } catch (error) {
    const words = refusal(error);
    if (words === undefined) {
      say(`! ${error instanceof Error ? `${error.name}: ${error.message}` : error}`.replaceAll("\n", " "));
    } else say(`< ${words}`);
  }
}

async function everyOne(from: number, step: number, passes: number): Promise<void> {
  const list = [...corpus((base) => readBase(directory, base))];
  for (let pass = 0; pass < passes; pass++) {
    let done = 0;
    for (let i = pass === 0 ? from : from % step; i < list.length; i += step) {
      await one(i, list[i]!.name, list[i]!.bytes());
      if (++done % EVERY === 0) await check();
    }
    await check();
  }
}

async function random(seed: number, seconds: number): Promise<void> {
  const end = performance.now() + seconds * 1000;
  for (let i = 0; performance.now() < end; i++) {
    const { name, bytes } = mutant(seed + i, (base) => readBase(directory, base));
    await one(seed + i, name, bytes);
    if ((i + 1) % EVERY === 0) await check();
  }
  await check();
}

await (kind === "corpus" ? everyOne(first, second, third) : random(first, second));
await good.close();
rmSync(file, { force: true });
say(".");
