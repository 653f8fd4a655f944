// What a head of our own costs: to load, to quantise, and a text: `deno task bench:heads [options]`
//   --llama PATH   one more library, such as one that was built with --llama; it is loaded with and without the head
//   --smoke        few rounds
// A BERT of a few kilobytes with and without a head of 1,048,576 floats, and with one of 768 x 768, in turns, by processor
// time, which others disturb least, and of it the least.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Buffer } from "node:buffer";
import { quantize } from "../../convert.ts";
import { packageRoot } from "../../ffi/host/paths.ts";
import { Llama, type LoadOptions } from "../../mod.ts";
import { writeGguf } from "../../src/convert/gguf.ts";
import { readModel } from "../../src/convert/model.ts";
import { describeMachine } from "../machine.ts";
import { machineLine, table } from "../report.ts";

const CHECKPOINT = join(fileURLToPath(packageRoot()), "tests", "fixtures", "tiny_bert");
const TEXTS = Array.from({ length: 512 }, (_, i) => `${i} a cat in the river`);

/** Writes the model with linear layers of these inputs and outputs behind its pooling. */
async function write(path: string, layers: readonly (readonly [inputs: number, outputs: number])[]): Promise<string> {
  const { metadata, tensors } = await readModel(CHECKPOINT, { name: "head" });
  const numbers = layers.map(([inputs, outputs], i) => {
    const values = Float32Array.from({ length: inputs * outputs }, (_, at) => Math.sin(at + i) / Math.sqrt(inputs));
    return [`llamasaur.head.l${i}.weight`, { string: Buffer.from(values.buffer).toString("base64") }] as const;
  });
  const steps = { strings: layers.map(([, outputs], i) => `linear l${i} ${outputs}`) };
  const head = layers.length === 0 ? [] : [
    ["llamasaur.head.steps", steps] as const,
    ...numbers,
    ["llamasaur.head.count", { u32: 1 + numbers.length }] as const,
  ];
  await writeGguf(path, new Map([...metadata, ...head]), tensors);
  return path;
}

/** Milliseconds of the processor for each of some jobs, the least of rounds in which they take turns. */
async function inTurns(rounds: number, jobs: readonly (() => Promise<unknown>)[]): Promise<number[]> {
  const times = jobs.map((): number[] => []);
  for (let round = 0; round <= rounds; round++) {
    for (const [i, job] of jobs.entries()) {
      const start = process.cpuUsage();
      await job();
      const { user, system } = process.cpuUsage(start);
      if (round > 0) times[i]!.push((user + system) / 1000); // the first is warm-up
    }
  }
  return times.map((all) => Math.min(...all));
}

async function load(path: string, options: LoadOptions): Promise<void> {
  await using _llama = await Llama.load(path, options);
}

/** Microseconds a text that a layer of 768 x 768 takes more than the model without it. */
async function perText(paths: readonly string[], rounds: number, options: LoadOptions): Promise<number> {
  await using without = await Llama.load(paths[0]!, { ...options, contexts: 1 });
  await using within = await Llama.load(paths[1]!, { ...options, contexts: 1 });
  const [less, more] = await inTurns(rounds, [() => without.embed(TEXTS), () => within.embed(TEXTS)]);
  return (more! - less!) * 1000 / TEXTS.length;
}

async function main(directory: string): Promise<void> {
  const { values: { llama, smoke } } = parseArgs({
    options: { llama: { type: "string" }, smoke: { type: "boolean", default: false } },
  });
  const rounds = smoke ? 3 : 15;
  const [plain, large, narrow, square] = await Promise.all([
    write(join(directory, "plain.gguf"), []),
    write(join(directory, "large.gguf"), [[64, 16_384]]),
    write(join(directory, "narrow.gguf"), [[64, 768]]),
    write(join(directory, "square.gguf"), [[64, 768], [768, 768]]),
  ]) as [string, string, string, string];
  console.log(`${machineLine(describeMachine())}\n`);
  const rows: string[][] = [];
  const add = async (what: string, job: (path: string) => Promise<unknown>): Promise<void> => {
    const [less, more] = await inTurns(rounds, [() => job(plain), () => job(large)]) as [number, number];
    rows.push([what, less.toFixed(1), more.toFixed(1), (more - less).toFixed(1)]);
  };
  await add("load", (path) => load(path, {}));
  if (llama) await add("load, --llama", (path) => load(path, { library: llama }));
  await add("quantise", (path) => quantize(path, join(directory, "small.gguf"), "q8_0"));
  console.log(`${table(["ms of the processor", "no head", "1,048,576 floats", "more"], rows)}\n`);
  for (const [what, options] of [["kernels", {}], ["a plain loop", { kernels: false }]] as const) {
    const microseconds = await perText([narrow, square], rounds, options);
    console.log(`768 x 768 by ${what}: ${microseconds.toFixed(1)} µs a text, in packs of one lane`);
  }
}

if (import.meta.main) {
  const directory = mkdtempSync(join(tmpdir(), "llamasaur-heads-"));
  try {
    await main(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
