// Signals where they are easily lost: between two steps of a job, while waiting, and right before close().
import { test } from "node:test";
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { assertEquals, assertRejects } from "@std/assert";
import { build } from "../../build/mod.ts";
import { Llama } from "../../mod.ts";
import { fixture } from "../support/checkpoint.ts";
import { withHub } from "../support/hub_server.ts";

const MODEL = fixture("../../models/all-minilm-l6-v2-q8_0.gguf");
const skip = !existsSync(MODEL);
const REASON = { why: "no error, as a reason may be" };

function reasonOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(() => "nothing", (reason) => reason);
}

test("close() right after an abort frees nothing under a running job", { skip }, async () => {
  await using other = await Llama.load(MODEL);
  const expected = await other.embed("hello");
  const texts = Array.from({ length: 100 }, (_, i) => `${i} ${"some words to be read ".repeat(1 + i % 20)}`);
  for (let i = 0; i < 12; i++) {
    const llama = await Llama.load(MODEL);
    const controller = new AbortController();
    const call = reasonOf(llama.embed(texts, { signal: controller.signal }));
    await sleep(i * 4);
    controller.abort(REASON);
    assertEquals(await call, REASON);
    await llama.close();
    assertEquals(await other.embed("hello"), expected);
  }
});

test("Llama.load() rejects with its signal's reason at any moment, or was faster", { skip }, async () => {
  for (let i = 0; i < 8; i++) {
    const controller = new AbortController();
    const loading = Llama.load(MODEL, { signal: controller.signal });
    setTimeout(() => controller.abort(REASON), i * 8);
    const result = await loading.then((llama) => llama.close(), (reason) => reason);
    assertEquals(result === undefined || result === REASON, true, String(result));
  }
});

test(
  "Llama.load() with an onProgress that throws rejects with that, and does not end the process",
  { skip },
  async () => {
    const onProgress = (): void => {
      throw new Error("from the caller");
    };
    await assertRejects(() => Llama.load(MODEL, { onProgress }), Error, "from the caller");
  },
);

test("tokenize() of a text that is taken in pieces gives what its words give", { skip }, async () => {
  await using llama = await Llama.load(MODEL);
  const words = Array.from(
    { length: 40_000 },
    (_, i) => ["Stones,", "naïve", "東京 tower", "x9\n", "[SEP]"][i * i % 5]!,
  );
  const whole = await llama.tokenize(words.join(" ")); // some 300 KB
  const parts: number[] = [];
  for (let from = 0; from < words.length; from += 1000) {
    parts.push(...(await llama.tokenize(words.slice(from, from + 1000).join(" "))).subarray(1, -1));
  }
  assertEquals([...whole.subarray(1, -1)], parts);
  assertEquals([whole[0], whole.at(-1)], [101, 102]);
});

test("download() and build() with an aborted signal reject with its reason, also when there is nothing to do", async () => {
  const signal = AbortSignal.abort(REASON);
  assertEquals(await reasonOf(build({ signal, dryRun: true, onLine: () => {} })), REASON);
  await withHub(async (_hub, _cache, get) => {
    await get();
    assertEquals(await reasonOf(get(undefined, { signal })), REASON);
  });
});
