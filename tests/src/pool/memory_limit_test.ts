import { test } from "node:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Llama, LlamaError } from "../../../mod.ts";
import { findProgram, ROOT, runChild } from "../../support/child.ts";
import { cannotLoad, farthest, modelPath } from "../../support/references.ts";

const NAME = "all-minilm-l6-v2-q8_0.gguf";
const MODEL = modelPath(NAME);
const skip = cannotLoad(NAME);
const MB = 1024 * 1024;
const LONG = "long ".repeat(600); // more than 512 tokens
const TEXTS = Array.from({ length: 200 }, (_, i) => `${i} a short text that is one of many`);

/** What the weights take, and contexts for texts of some lengths, one after another. */
async function sizes(...lengths: number[]): Promise<{ weights: number; contexts: number[] }> {
  await using llama = await Llama.load(MODEL, { contextSize: 512, contexts: 2 });
  const contexts: number[] = [];
  for (const length of lengths) contexts.push((await llama.estimateMemory(length)).contexts);
  return { weights: llama.info.memory.weights, contexts };
}

test("Llama.info.memory tells weights and contexts, which memoryLimit keeps below it", { skip }, async () => {
  await using free = await Llama.load(MODEL, { contexts: 2 });
  const { weights, contexts, limit } = free.info.memory;
  console.log(`weights ${Math.round(weights / MB)} MB, 2 contexts ${Math.round(contexts / MB)} MB`);
  assertEquals(limit, undefined);
  assert(weights > free.info.size && contexts > 0);
  const memoryLimit = Math.floor(weights + contexts / 2);
  await using llama = await Llama.load(MODEL, { contexts: 2, memoryLimit });
  const { memory } = llama.info;
  assertEquals(memory.limit, memoryLimit);
  assert(memory.weights + memory.contexts <= memoryLimit && memory.contexts > 0);
  const [some, all] = [await llama.embed(TEXTS), await free.embed(TEXTS)];
  assert(some.every((vector, i) => farthest(vector, all[i]!) < 1e-5));
});

test("Llama.embed() takes turns where memoryLimit has room for one long text only", { skip }, async () => {
  const { weights, contexts: [long = 0] } = await sizes(512);
  const memoryLimit = Math.ceil(weights + 1.2 * long);
  await using llama = await Llama.load(MODEL, { contextSize: 512, contexts: 2, memoryLimit });
  assertEquals(llama.info.contexts, 2);
  const many = [...TEXTS, ...Array.from({ length: 6 }, (_, i) => `${i} ${LONG}`)];
  const reports = await Promise.all([llama.embedDetailed(many), llama.embedDetailed(many.toReversed())]);
  for (let i = 0; i < many.length; i++) {
    assert(farthest(reports[0]![i]!.embedding, reports[1]!.at(-1 - i)!.embedding) < 1e-5);
  }
  assertEquals(reports[0]!.at(-1)!.tokens, 512);
});

test("Llama.embed() refuses a text that memoryLimit has no room for, with numbers, and goes on", { skip }, async () => {
  const { weights, contexts: [long = 0] } = await sizes(512);
  await using llama = await Llama.load(MODEL, { contextSize: 512, memoryLimit: Math.floor(weights + 0.8 * long) });
  const expected = await llama.embed("short");
  const error = await assertRejects(() => llama.embed(["short", LONG]), LlamaError, "memoryLimit");
  assertEquals([error.code, error.memoryLimit], ["out-of-memory", Math.floor(weights + 0.8 * long)]);
  assertMatch(
    error.message,
    /pass of 512 tokens: its context takes \d+ MB beside \d+ MB of weights.*contextSize.*raise/,
  );
  assertEquals([...await llama.embed("short")], [...expected]);
});

test("Llama.load() refuses a memoryLimit that no context fits, with numbers", { skip }, async () => {
  const error = await assertRejects(
    () => Llama.load(MODEL, { memoryLimit: 30e6 }),
    LlamaError,
    "memoryLimit, 30 MB",
  );
  assertEquals([error.code, error.memoryLimit], ["out-of-memory", 30e6]);
  await assertRejects(() => Llama.load(MODEL, { memoryLimit: 1 }), LlamaError, "memoryLimit, 1 byte: ");
  const enough = Number(/raise it to (\d+)/.exec(error.message)![1]);
  await (await Llama.load(MODEL, { memoryLimit: enough })).close();
  await assertRejects(() => Llama.load(MODEL, { memoryLimit: enough - MB }), LlamaError, "raise it");
});

test("Llama.estimateMemory() checks its lengths, and is refused after close()", { skip }, async () => {
  const llama = await Llama.load(MODEL);
  for (const wrong of [undefined, null, "12", {}, [1, "2"], [1n], new DataView(new ArrayBuffer(8))]) {
    await assertRejects(() => llama.estimateMemory(wrong as number[]), TypeError, "lengths");
  }
  await assertRejects(() => llama.estimateMemory([1, -1]), RangeError, "lengths[1]");
  for (const wrong of [0.5, 2 ** 53]) {
    await assertRejects(() => llama.estimateMemory([wrong]), RangeError, "lengths[0]");
    await assertRejects(() => llama.estimateMemory(wrong), RangeError, "lengths[0]");
  }
  assertEquals(await llama.estimateMemory([1e9]), await llama.estimateMemory(llama.info.maxTokens));
  await llama.close();
  const error = await assertRejects(() => llama.estimateMemory(1), LlamaError);
  assertEquals(error.code, "closed");
});

const skipProcess = skip || !existsSync("/proc/self/status");

test("Llama.estimateMemory() is near what a process takes", { skip: skipProcess }, async () => {
  const isDeno = "Deno" in globalThis;
  const worker = join(ROOT, "bench", "micro", "memory_worker.ts");
  const texts = join(ROOT, "README.md"); // a text a line
  const args = [...(isDeno ? ["run", "-A"] : []), worker, MODEL, '{"contexts":2}', texts];
  const { code, stdout, stderr } = await runChild(findProgram(isDeno ? "deno" : "bun")!, args, { timeout: 120_000 });
  assertEquals(code, 0, stderr);
  const { total, measured } = JSON.parse(stdout);
  console.log(
    `estimate ${Math.round(total / MB)} MB, measured ${Math.round(measured / MB)} MB, on ${process.platform}`,
  );
  assert(Math.abs(total / measured - 1) < 0.3, `estimate ${total}, measured ${measured}`);
});
