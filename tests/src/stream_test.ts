import { test } from "node:test";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { Llama, LlamaError, type Progress } from "../../mod.ts";
import { CHUNK, type EmbedChunk, embedIterable, type ItemEmbedding } from "../../src/stream.ts";
import { cannotLoad, modelPath } from "../support/references.ts";

const LIMITS = { count: 4, length: 100, patience: 5 };

/** Embeds a text as its number, and writes down what is under way. */
class Fake {
  running = 0;
  chunks: string[][] = [];
  most = 0;
  readonly embed: EmbedChunk = async (nameOf, texts, { signal }) => {
    this.chunks.push(texts);
    this.most = Math.max(this.most, ++this.running);
    await sleep(1);
    this.running--;
    signal?.throwIfAborted();
    const bad = texts.findIndex((text) => Number.isNaN(Number(text)));
    if (bad >= 0) throw new RangeError(`Cannot embed ${nameOf(bad)}: it is no number`);
    return texts.map((text) => ({ embedding: Float32Array.of(Number(text)), tokens: 1, truncated: false }));
  };
}

type Texts = Iterable<string> | AsyncIterable<string>;

/** Streams texts through a fake. */
function embedChunks(
  texts: Texts,
  embed: EmbedChunk,
  signal?: AbortSignal,
  limits = LIMITS,
): AsyncGenerator<ItemEmbedding<string>, void, undefined> {
  const closed = new AbortController().signal;
  const request = { name: "texts", textOf: (text: string) => text, embed, closed, options: { signal }, limits };
  return embedIterable(texts, () => request, (embedded) => embedded);
}

function* numbers(count: number): Generator<string, void, undefined> {
  for (let i = 0; i < count; i++) yield `${i}`;
}

test("embedIterable() gives every text's vector in order, from iterables of both kinds and any length", async () => {
  async function* slowly(): AsyncGenerator<string, void, undefined> {
    for (const text of numbers(23)) {
      if (Number(text) % 7 === 0) await sleep(8);
      yield text;
    }
  }
  for (const texts of [numbers(0), numbers(1), numbers(4), numbers(23), slowly(), Array.from(numbers(23))]) {
    const fake = new Fake();
    const found: number[] = [];
    for await (const { item, index, embedding } of embedChunks(texts, fake.embed)) {
      found.push(embedding[0]!);
      assertEquals([item, index], [`${embedding[0]}`, embedding[0]]);
    }
    assertEquals(found, found.map((_, i) => i));
    assertEquals(found.length, fake.chunks.flat().length);
    assertEquals(fake.chunks[0]?.length ?? 1, 1); // the first vector does not wait for others
    assert(fake.most <= 2 && fake.chunks.every(({ length }) => length >= 1 && length <= 4));
  }
});

test("embedIterable() embeds the first text alone, so that it shares no pass with the next", async () => {
  const fake = new Fake();
  const besides: number[] = [];
  const embed: EmbedChunk = async (nameOf, texts, options) => {
    const embedded = await fake.embed(nameOf, texts, options);
    await sleep(5);
    besides.push(fake.chunks.length);
    return embedded;
  };
  const stream = embedChunks(numbers(23), embed);
  await stream.next();
  assertEquals(besides, [1]);
  await stream.return();
});

test("embedIterable() reads two chunks ahead of the reader, and no more", async () => {
  let read = 0;
  function* watched(): Generator<string, void, undefined> {
    for (const text of numbers(1000)) {
      read++;
      yield text;
    }
  }
  const fake = new Fake();
  const stream = embedChunks(watched(), fake.embed);
  for (let taken = 1; taken <= 100; taken++) {
    await stream.next();
    await sleep(0);
    assert(read <= taken + 2 * LIMITS.count, `${read} texts read when ${taken} vectors were taken`);
  }
  await stream.return();
});

test("embedIterable() does not keep vectors back when the next text is slow to come", async () => {
  let release = (): void => {};
  async function* stalling(): AsyncGenerator<string, void, undefined> {
    yield "0";
    yield "1";
    await new Promise<void>((resolve) => release = resolve);
    yield "2";
  }
  const stream = embedChunks(stalling(), new Fake().embed);
  assertEquals((await stream.next()).value?.embedding[0], 0);
  assertEquals((await stream.next()).value?.embedding[0], 1);
  release();
  assertEquals((await stream.next()).value?.embedding[0], 2);
  assertEquals((await stream.next()).done, true);
});

test("embedIterable() left early closes the source and aborts what is under way", async () => {
  let closed = 0;
  function* texts(): Generator<string, void, undefined> {
    try {
      yield* numbers(100);
    } finally {
      closed++;
    }
  }
  const fake = new Fake();
  for await (const _ of embedChunks(texts(), fake.embed)) break;
  await sleep(5);
  assertEquals([closed, fake.running, fake.chunks.length <= 2], [1, 0, true]);
});

/** Reads a stream; what it gave, and what it threw. */
async function outcome(stream: AsyncIterable<{ readonly index: number }>): Promise<[number, unknown]> {
  let count = 0;
  try {
    for await (const { index } of stream) assertEquals(index, count++);
  } catch (error) {
    return [count, error];
  }
  return [count, undefined];
}

test("embedIterable() gives all before what fails, wherever and whatever that is, and then throws", async () => {
  const failures: [what: RegExp, next: (i: number) => unknown][] = [
    [/texts\[(\d+)\]: it must be a string, is null/, () => null],
    [/texts\[(\d+)\]: it has a lone surrogate/, () => "\ud800"],
    [/Cannot embed texts\[(\d+)\]: it is no number/, () => "bad"],
    [/source (\d+) failed/, (i) => {
      throw new Error(`source ${i} failed`);
    }],
  ];
  for (const [words, fail] of failures) {
    for (const bad of [0, 1, 2, 4, 5, 6, 20, 23]) {
      let closed = 0;
      const sync = function* (): Generator<string, void, undefined> {
        try {
          for (let i = 0; i < 40; i++) yield i === bad || i === bad + 2 ? fail(i) as string : `${i}`;
        } finally {
          closed++;
        }
      };
      const async = async function* (): AsyncGenerator<string, void, undefined> {
        for (const text of sync()) yield text;
      };
      for (const texts of [sync(), async()]) {
        const [count, error] = await outcome(embedChunks(texts, new Fake().embed));
        const message = (error as Error | undefined)?.message ?? "";
        assertEquals([count, words.exec(message)?.[1]], [bad, `${bad}`], `${words} at ${bad}: ${message}`);
      }
      assertEquals(closed, 2);
    }
  }
  await assertRejects(() => embedChunks("abc", new Fake().embed).next(), TypeError, 'is "abc"');
  await assertRejects(() => embedChunks(7 as unknown as string[], new Fake().embed).next(), TypeError, "is 7");
});

test("embedIterable() refuses an iterator whose result is none, after what came before it", async () => {
  for (const wrong of [undefined, null, 3, "x"]) {
    for (const kind of [Symbol.iterator, Symbol.asyncIterator]) {
      let i = 0;
      const texts = { [kind]: () => ({ next: () => i < 7 ? { value: `${i++}` } : wrong }) } as unknown as Texts;
      const [count, error] = await outcome(embedChunks(texts, new Fake().embed));
      assertEquals(count, 7);
      assert(error instanceof TypeError && error.message.includes("Cannot read texts: its iterator gave"), `${error}`);
    }
  }
});

test("embedIterable() reads each value once, goes by what for-await takes for an iterator, and names one without next()", async () => {
  let reads = 0;
  const once = {
    [Symbol.asyncIterator]: null,
    [Symbol.iterator]: () => ({
      next: () => ({
        done: reads >= 3,
        get value() {
          return `${reads++}`;
        },
      }),
      return: 5,
    }),
  } as unknown as Texts;
  assertEquals(await outcome(embedChunks(once, new Fake().embed)), [3, undefined]);
  assertEquals(reads, 3);
  for (const iterator of [{}, { next: 5 }, { next: null }]) {
    const texts = { [Symbol.asyncIterator]: () => iterator } as unknown as Texts;
    await assertRejects(() => embedChunks(texts, new Fake().embed).next(), TypeError, "its iterator has no next()");
  }
  const none = { [Symbol.asyncIterator]: () => null } as unknown as Texts;
  await assertRejects(() => embedChunks(none, new Fake().embed).next(), TypeError, "it must be an iterable");
});

test("embedIterable() left early does not wait for ever for a source that does not end its return()", async () => {
  let told = 0;
  const texts = {
    [Symbol.asyncIterator]: () => ({
      next: () => Promise.resolve({ value: "1", done: false }),
      return: () => (told++, new Promise(() => {})),
    }),
  } as unknown as Texts;
  for await (const _ of embedChunks(texts, new Fake().embed)) break;
  assertEquals(told, 1);
});

/** Sources that give some texts and then nothing; `asked` resolves when the reader waits for more. */
const SILENT: Record<string, (count: number, onClose: () => void) => { texts: Texts; asked: Promise<void> }> = {
  "a generator": (count, onClose) => {
    const { promise: asked, resolve } = Promise.withResolvers<void>();
    async function* texts(): AsyncGenerator<string, void, undefined> {
      try {
        yield* numbers(count);
        resolve();
        await new Promise(() => {});
      } finally {
        onClose(); // never: nothing can end a generator that waits
      }
    }
    return { texts: texts(), asked };
  },
  "a web stream": (count, onClose) => {
    const { promise: asked, resolve } = Promise.withResolvers<void>();
    let i = 0;
    const texts = new ReadableStream<string>({
      pull: (controller) => i < count ? controller.enqueue(`${i++}`) : (resolve(), new Promise(() => {})),
      cancel: onClose,
    });
    return { texts: texts as unknown as AsyncIterable<string>, asked };
  },
  "a queue": (count, onClose) => {
    const { promise: asked, resolve } = Promise.withResolvers<void>();
    let i = 0;
    const next = (): Promise<IteratorResult<string>> => {
      if (i < count) return Promise.resolve({ done: false, value: `${i++}` });
      resolve();
      return new Promise(() => {});
    };
    const close = (): Promise<IteratorResult<string>> => {
      onClose();
      return Promise.resolve({ done: true, value: undefined });
    };
    return { texts: { [Symbol.asyncIterator]: () => ({ next, return: close }) }, asked };
  },
};

for (const [kind, make] of Object.entries(SILENT)) {
  test(`embedIterable() hears an abort, a break and return() while ${kind} is silent`, async () => {
    for (const count of [0, 1, 3, 12]) {
      const reason = new Error("mine");
      const controller = new AbortController();
      const aborted = make(count, () => {});
      const heard = embedChunks(aborted.texts, new Fake().embed, controller.signal);
      for (let i = 0; i < count; i++) assertEquals((await heard.next()).value?.index, i);
      const waiting = heard.next().catch((error) => error);
      await aborted.asked;
      await sleep(20);
      controller.abort(reason);
      assertEquals(await waiting, reason);

      const left = make(count, () => {});
      const stream = embedChunks(left.texts, new Fake().embed);
      for (let i = 0; i < count; i++) assertEquals((await stream.next()).value?.index, i);
      const pending = stream.next();
      await left.asked;
      await sleep(20);
      assertEquals(await stream.return(), { done: true, value: undefined });
      assertEquals(await pending, { done: true, value: undefined });
      assertEquals(await stream.next(), { done: true, value: undefined });

      if (count === 0) continue;
      for await (const _ of embedChunks(make(count, () => {}).texts, new Fake().embed)) break;
    }
  });
}

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
  assertEquals([i, seen.at(-1)!.done, seen[0]!.done], [texts.length, texts.length, 1]);
  assert(seen.every(({ done }, i) => i === 0 || done > seen[i - 1]!.done), JSON.stringify(seen));
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

test("embedStreamDetailed() gives each item with its vector, place and tokens", options, async () => {
  await using llama = await Llama.load(modelPath(MINILM), { contextSize: 16 });
  const items = Array.from({ length: 60 }, (_, i) => ({ id: i, body: "word ".repeat(i) }));
  const expected = await llama.embedDetailed(items.map(({ body }) => body), { dimensions: 32 });
  let i = 0;
  for await (const found of llama.embedStreamDetailed(items, { text: ({ body }) => body, dimensions: 32 })) {
    const { tokens, truncated, embedding } = expected[i]!;
    assertEquals([found.item, found.index, found.tokens, found.truncated], [items[i], i, tokens, truncated]);
    const largest = found.embedding.reduce((most, x, j) => Math.max(most, Math.abs(x - embedding[j]!)), 0);
    assert(largest <= 1e-6, `item ${i} differs by ${largest}`);
    i++;
  }
  assertEquals(i, items.length);
  const untold = llama.embedStreamDetailed(items as unknown as string[]);
  const remedy = "items[0]: it must be a string, is an object; pass text, a function that gives its text";
  await assertRejects(() => untold.next(), TypeError, remedy);
});

test("embedStream() gives what is before a text that is too long or has no tokens", options, async () => {
  await using llama = await Llama.load(modelPath(MINILM), { contextSize: 16 });
  for (const bad of [0, 1, 7, 600]) {
    const texts = Array.from({ length: 700 }, (_, i) => i === bad ? "long ".repeat(40) : `row ${i}`);
    let count = 0;
    const error = await assertRejects(async () => {
      for await (const _ of llama.embedStream(texts, { truncate: "error" })) count++;
    }, RangeError);
    assertEquals([count, error.message.includes(`texts[${bad}]`)], [bad, true], error.message);
  }
});

test("embedIterable() throws what ended the stream, whatever the source says when it is closed", async () => {
  const source = (bad: number) => ({
    [Symbol.asyncIterator]: () => {
      let i = 0;
      return {
        next: () => Promise.resolve({ done: false, value: i++ === bad ? "no number" : "1" }),
        return: () => Promise.reject(new Error("cannot be closed")),
      };
    },
  });
  await assertRejects(() => Array.fromAsync(embedChunks(source(9), new Fake().embed)), RangeError, "texts[9]");
  const abort = new AbortController();
  const stream = embedChunks(source(-1), new Fake().embed, abort.signal);
  await stream.next();
  abort.abort(new Error("my reason"));
  await assertRejects(() => Array.fromAsync(stream), Error, "my reason");
});

test("embedIterable() that is aborted does not wait for the source to say goodbye", async () => {
  const source = {
    [Symbol.asyncIterator]: () => ({
      next: () => Promise.resolve({ done: false, value: "1" }),
      return: () => new Promise<never>(() => {}),
    }),
  };
  const abort = new AbortController();
  const stream = embedChunks(source, new Fake().embed, abort.signal);
  await stream.next();
  const start = performance.now();
  abort.abort(new Error("my reason"));
  await assertRejects(() => Array.fromAsync(stream), Error, "my reason");
  assert(performance.now() - start < 250, `${performance.now() - start} ms`);
});

test("embedIterable() leaves a web stream that is silent unlocked and cancelled", async () => {
  let cancelled = false;
  const source = new ReadableStream<string>({
    start: (controller) => controller.enqueue("1"),
    cancel: () => void (cancelled = true),
  });
  const stream = embedChunks(source, new Fake().embed);
  assertEquals((await stream.next()).value?.index, 0);
  const next = stream.next();
  await stream.return();
  assertEquals((await next).done, true);
  await sleep(5);
  assertEquals([cancelled, source.locked], [true, false]);
  const whole = new ReadableStream<string>({
    start(controller) {
      for (const text of numbers(9)) controller.enqueue(text);
      controller.close();
    },
  });
  assertEquals((await Array.fromAsync(embedChunks(whole, new Fake().embed))).length, 9);
  assertEquals(whole.locked, false);
});

test("embedStream() hears close() while its source is silent, and reads nothing after it", options, async () => {
  const llama = await Llama.load(modelPath(MINILM));
  let read = 0;
  async function* source(): AsyncGenerator<string, void, undefined> {
    read++;
    yield "one";
    await new Promise(() => {});
  }
  const stream = llama.embedStream(source());
  await stream.next();
  const next = stream.next();
  await sleep(20);
  await llama.close();
  const error = await assertRejects(() => next, LlamaError);
  assertEquals(error.code, "closed");
  assertEquals((await assertRejects(() => llama.embedStream([]).next(), LlamaError)).code, "closed");
  await assertRejects(() => llama.embedStream(source()).next(), LlamaError, "after close()");
  const web = new ReadableStream<string>();
  await assertRejects(() => llama.embedStream(web).next(), LlamaError, "after close()");
  assertEquals(web.locked, false);
  assertEquals(read, 1);
});

test("embedStream() gives what is before a text that takes more than memoryLimit, and names it", options, async () => {
  // under wine the smallest context is measured as 13 MB, on Linux as 6
  const memoryLimit = process.platform === "win32" ? 60_000_000 : 50_000_000;
  await using llama = await Llama.load(modelPath(MINILM), { contextSize: 512, memoryLimit, onLog() {} });
  const texts = Array.from({ length: 120 }, (_, i) => i === 110 ? "word ".repeat(500) : `note ${i}`);
  let count = 0;
  const error = await assertRejects(async () => {
    for await (const vector of llama.embedStream(texts)) count += vector.length > 0 ? 1 : 0;
  }, LlamaError);
  assertEquals([error.code, count, error.message.includes("texts[110]")], ["out-of-memory", 110, true]);
  await assertRejects(() => llama.embed(texts), LlamaError, "input[110]");
});

test("embedStream() rejects with what a source or an option throws, whatever that is", options, async () => {
  await using llama = await Llama.load(modelPath(MINILM));
  for (const thrown of [undefined, null, 0, "words"]) {
    const source = {
      [Symbol.iterator](): Iterator<string> {
        throw thrown;
      },
    };
    const wrong = {
      get prompt(): string {
        throw thrown;
      },
    };
    for (const stream of [llama.embedStream(source), llama.embedStream(["a"], wrong)]) {
      const ended = await stream.next().then(() => "done", (error) => [error]);
      assertEquals(ended, [thrown]);
    }
  }
});
