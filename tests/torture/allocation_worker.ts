// What scarcity.ts runs with failing_allocator.c preloaded: allocation_worker.ts SEED RUNS DIRECTORY ALLOCATOR THREADS
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { convert, quantize } from "../../convert.ts";
import type { Signature } from "../../ffi/symbols.ts";
import { dot, Llama, LlamaError } from "../../mod.ts";
import { fixture } from "../support/checkpoint.ts";
import { randomIntegers } from "../support/random.ts";
import { tell } from "./worker.ts";

const [seed = "", runs = "", directory = "", allocator = "", threads = "1"] = process.argv.slice(2);
const draw = randomIntegers(Number(seed));

interface Allocator {
  saur_fail(after: number, count: number, size: number): void;
  saur_asked(): number;
  saur_failed(): number;
}
const TABLE = {
  saur_fail: { args: ["i32", "i32", "i32"], returns: "void" },
  saur_asked: { args: [], returns: "i32" },
  saur_failed: { args: [], returns: "i32" },
} as const;
TABLE satisfies Record<string, Signature>;
const { open } = "Deno" in globalThis
  ? await import("../../ffi/runtime/deno.ts")
  : await import("../../ffi/runtime/bun.ts");
const { saur_fail, saur_asked, saur_failed } = open<Allocator>(allocator, TABLE).functions;

mkdirSync(directory, { recursive: true });
const tiny = join(directory, "tiny.gguf");
const cross = join(directory, "cross.gguf");
await convert(fixture("tiny_bert"), tiny);
await convert(fixture("tiny_cross_encoder"), cross);

const TEXTS = Array.from({ length: 300 }, (_, i) => `text number ${i} `.repeat(1 + i % 7));
const settings = { threads: Number(threads), contexts: 1 };
const load = (model: string): Promise<Llama> => Llama.load(model, settings);

/** What is done while memory fails, and with which models; each gives one number by which it is right. */
const WORK: Record<
  string,
  () => Promise<{ before?: () => Promise<void>; work: () => Promise<number>; after(): Promise<void> }>
> = {
  load: async () => {
    let llama: Llama | undefined;
    return await Promise.resolve({
      work: async () => (llama = await load(tiny)).info.dimensions,
      after: async () => await llama?.close(),
    });
  },
  "first embed": async () => {
    const llama = await load(tiny);
    return { work: async () => (await llama.embed("hello"))[0]!, after: () => usable(llama) };
  },
  "many texts": async () => {
    const llama = await load(tiny);
    await llama.embed("hello");
    return { work: async () => (await llama.embed(TEXTS))[299]![0]!, after: () => usable(llama) };
  },
  rerank: async () => {
    const llama = await load(cross);
    return { work: async () => (await llama.rerank("a", ["b", "c"]))[0]!.score, after: () => usableReranker(llama) };
  },
  quantize: async () => {
    const out = join(directory, "q8_0.gguf");
    return await Promise.resolve({
      work: async () => (await quantize(tiny, out, "q8_0", { threads: 1 }), 0),
      after: async () => await (await load(out)).close(),
    });
  },
};

async function usable(llama: Llama): Promise<void> {
  const cosine = dot(await llama.embed("hello"), expected);
  await llama.close();
  if (!(cosine > 0.99999)) throw new Error(`afterwards the vector is another: cosine ${cosine}`);
}

async function usableReranker(llama: Llama): Promise<void> {
  const ranked = await llama.rerank("a", ["b", "c"]);
  await llama.close();
  if (ranked.length !== 2) throw new Error("afterwards rerank gives nothing");
}

let expected: Float32Array = new Float32Array();
{
  const llama = await load(tiny);
  expected = await llama.embed("hello");
  await llama.close();
}

/** How many allocations each work makes, and its result when none fails. */
const normal = new Map<string, { asked: number; result: number }>();
async function normally(name: string, least: number): Promise<{ asked: number; result: number }> {
  const key = `${name} ${least}`;
  if (!normal.has(key)) {
    const { work, after } = await WORK[name]!();
    saur_fail(2 ** 30, 1, least);
    const result = await work();
    const asked = saur_asked();
    saur_fail(0, 0, 0);
    await after();
    normal.set(key, { asked, result });
  }
  return normal.get(key)!;
}

const LEAST = [65_536, 1_048_576]; // of fewer bytes, ggml frees what it has only half made
for (let run = 0; run < Number(runs); run++) {
  const names = Object.keys(WORK);
  const name = names[draw(0, names.length - 1)]!;
  const least = LEAST[draw(0, LEAST.length - 1)]!;
  const { asked, result } = await normally(name, least);
  const from = draw(0, Math.max(0, asked - 1));
  const count = draw(0, 1) === 0 ? 1 : 2 ** 30;
  const what = `${name}, ${
    count === 1 ? "one allocation" : "all allocations"
  } of ${least} bytes or more from ${from} of ${asked} on`;
  process.stderr.write(`${what}\n`); // the last line tells where a process died
  try {
    const { work, after } = await WORK[name]!();
    saur_fail(from, count, least);
    const error = await work().then(
      (value) => value === result ? undefined : new Error(`gave ${value}, not ${result}`),
      (reason) => reason,
    );
    const failed = saur_failed();
    saur_fail(0, 0, 0);
    const right = error === undefined || failed > 0 && error instanceof LlamaError && error.code === "out-of-memory";
    if (right) await after();
    tell(right ? undefined : `${what}: ${failed} failed: ${error instanceof LlamaError ? error.code : ""} ${error}`);
  } catch (error) {
    tell(`${what}: ${error}`);
  }
}
