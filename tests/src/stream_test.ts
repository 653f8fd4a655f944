import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { Llama, LlamaError, type Progress } from "../../mod.ts";
import { CHUNK, type EmbedChunk, embedChunks } from "../../src/stream.ts";
import { cannotLoad, modelPath } from "../support/references.ts";

const LIMITS = { count: 4, length: 100, patience: 5 };

/** Embeds a text as its number, and writes down what is under way. */
class Fake {
  running = 0;
  chunks: string[][] = [];
  most = 0;
  readonly embed: EmbedChunk = async (texts, _from, signal) => {
    this.chunks.push(texts);
    this.most = Math.max(this.most, ++this.running);
    await sleep(1);
    this.running--;
    signal.throwIfAborted();
    return texts.map((text) => ({ embedding: Float32Array.of(Number(text)), tokens: 1, truncated: false }));
  };
}

function* numbers(count: number): Generator<string, void, undefined> {
  for (let i = 0; i < count; i++) yield `${i}`;
}

test("embedChunks() gives every text's vector in order, from iterables of both kinds and any length", async () => {
  async function* slowly(): AsyncGenerator<string, void, undefined> {
    for (const text of numbers(23)) {
      if (Number(text) % 7 === 0) await sleep(8);
      yield text;
    }
  }
  for (const texts of [numbers(0), numbers(1), numbers(4), numbers(23), slowly(), Array.from(numbers(23))]) {
    const fake = new Fake();
    const found: number[] = [];
    for await (const { embedding } of embedChunks(texts, fake.embed, undefined, LIMITS)) found.push(embedding[0]!);
    assertEquals(found, found.map((_, i) => i));
    assertEquals(found.length, fake.chunks.flat().length);
    assert(fake.most <= 2 && fake.chunks.every(({ length }) => length >= 1 && length <= 4));
  }
});

test("embedChunks() reads two chunks ahead of the reader, and no more", async () => {
  let read = 0;
  function* watched(): Generator<string, void, undefined> {
    for (const text of numbers(1000)) {
      read++;
      yield text;
    }
  }
  const fake = new Fake();
  const stream = embedChunks(watched(), fake.embed, undefined, LIMITS);
  for (let taken = 1; taken <= 100; taken++) {
    await stream.next();
    await sleep(0);
    assert(read <= taken + 2 * LIMITS.count, `${read} texts read when ${taken} vectors were taken`);
  }
  await stream.return();
});

test("embedChunks() does not keep vectors back when the next text is slow to come", async () => {
  let release = (): void => {};
  async function* stalling(): AsyncGenerator<string, void, undefined> {
    yield "0";
    yield "1";
    await new Promise<void>((resolve) => release = resolve);
    yield "2";
  }
  const stream = embedChunks(stalling(), new Fake().embed, undefined, LIMITS);
  assertEquals((await stream.next()).value?.embedding[0], 0);
  assertEquals((await stream.next()).value?.embedding[0], 1);
  release();
  assertEquals((await stream.next()).value?.embedding[0], 2);
  assertEquals((await stream.next()).done, true);
});

test("embedChunks() left early closes the source and aborts what is under way", async () => {
  let closed = 0;
  function* texts(): Generator<string, void, undefined> {
    try {
      yield* numbers(100);
    } finally {
      closed++;
    }
  }
  const fake = new Fake();
  for await (const _ of embedChunks(texts(), fake.embed, undefined, LIMITS)) break;
  await sleep(5);
  assertEquals([closed, fake.running, fake.chunks.length <= 2], [1, 0, true]);
});

test("embedChunks() names the text that is none, by its index in the stream, when its turn comes", async () => {
  const found: number[] = [];
  const read = async (texts: Iterable<string>): Promise<void> => {
    for await (const { embedding } of embedChunks(texts, new Fake().embed, undefined, LIMITS)) {
      found.push(embedding[0]!);
    }
  };
  await assertRejects(() => read(["0", "1", 2 as unknown as string]), TypeError, "texts[2]: it must be a string, is 2");
  await assertRejects(() => read("abc"), TypeError, 'an iterable or async iterable of strings, is "abc"');
  await assertRejects(() => read(7 as unknown as string[]), TypeError, "is 7");
  await assertRejects(() => read([..."0123456789", "\ud800"]), TypeError, "texts[10]: it has a lone surrogate");
});

const MINILM = "all-minilm-l6-v2-q8_0.gguf";
const options = { skip: cannotLoad(MINILM) };

test("embedStream() gives what embed() gives, with progress, and can be aborted", options, async () => {
  await using llama = await Llama.load(modelPath(MINILM));
  const texts = Array.from({ length: CHUNK.count + 88 }, (_, i) => `number ${i}`);
  const expected = await llama.embed(texts, { dimensions: 64 });
  const seen: Progress[] = [];
  let i = 0;
  for await (const vector of llama.embedStream(texts, { dimensions: 64, onProgress: (p) => void seen.push(p) })) {
    assertAlmostEquals(vector.reduce((sum, x, j) => sum + x * expected[i]![j]!, 0), 1, 1e-3);
    i++;
  }
  assertEquals([i, seen.length, seen[1]!.done], [texts.length, 2, texts.length]);
  assert(seen[0]!.done < seen[1]!.done);
  const { total, tokens, rate } = seen.at(-1)!;
  assert(total === texts.length && tokens >= 4 * total && rate > 0, JSON.stringify(seen));
  const controller = new AbortController();
  const stream = llama.embedStream(texts, { signal: controller.signal });
  await stream.next();
  controller.abort("enough");
  const reason = await (async () => {
    for await (const _ of stream);
  })().catch((error) => error);
  assertEquals(reason, "enough");
  assertEquals((await llama.embed("still there")).length, 384);
});

test("embedStream() after close() is a closed error", options, async () => {
  const llama = await Llama.load(modelPath(MINILM));
  await llama.close();
  const error = await assertRejects(() => llama.embedStream(["a"]).next(), LlamaError, "after close()");
  assertEquals(error.code, "closed");
});
