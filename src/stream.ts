/** Texts that come one after another, embedded in chunks: in order, in constant memory, and no faster than they are taken. */
import { checkText, show } from "./check.ts";
import type { Embedding } from "./embed.ts";
import { Meter } from "./progress.ts";
import type { EmbedOptions } from "./options.ts";
import { Slices } from "./slices.ts";

/** Embeds one chunk; `from` is the index of its first text in the stream. */
export type EmbedChunk = (texts: string[], from: number, signal: AbortSignal) => Promise<Embedding[]>;

/** How texts are put together. */
export interface ChunkLimits {
  /** Texts of a chunk: enough to sort by length and fill passes. */
  readonly count: number;
  /** UTF-16 units of a chunk, but for one text alone. */
  readonly length: number;
  /** Milliseconds that a chunk which has begun waits for another text. */
  readonly patience: number;
}

/** Two chunks of this size are in memory at most: one that is computed, and one whose vectors are taken. */
export const CHUNK: ChunkLimits = { count: 512, length: 512 * 1024, patience: 10 };

const AHEAD = 2;

// Microtasks until what a generator has at hand is there, or a line that readline has read.
const TURNS = 8;

/** Embeds a stream and tells its progress. */
export function embedIterable(
  texts: Iterable<string> | AsyncIterable<string>,
  embed: (names: (index: number) => string, texts: string[], options: EmbedOptions) => Promise<Embedding[]>,
  { onProgress, signal, ...options }: EmbedOptions,
): AsyncGenerator<Embedding, void, undefined> {
  const meter = new Meter(onProgress);
  let [done, read] = [0, 0];
  return embedChunks(texts, async (chunk, from, signal) => {
    read = from + chunk.length;
    const embedded = await embed((i) => `texts[${from + i}]`, chunk, { ...options, signal });
    for (const { tokens } of embedded) meter.tokens += tokens;
    meter.tell(done += chunk.length, read);
    return embedded;
  }, signal);
}

/**
 * Embeds a stream.
 *
 * The next texts are read when the vectors of the chunk before the last have been taken. When the reader stops, what is
 * under way is aborted and the source is closed.
 */
export async function* embedChunks(
  texts: Iterable<string> | AsyncIterable<string>,
  embed: EmbedChunk,
  signal: AbortSignal | undefined,
  limits: ChunkLimits = CHUNK,
): AsyncGenerator<Embedding, void, undefined> {
  const source = new Source(texts);
  const left = new AbortController();
  const stop = signal ? AbortSignal.any([signal, left.signal]) : left.signal;
  const ahead: Promise<Embedding[]>[] = [];
  const slices = new Slices();
  try {
    for (;;) {
      while (ahead.length < AHEAD && !source.ended) {
        const from = source.count;
        const chunk = await source.take(limits, ahead.length === 0, stop);
        if (chunk.length === 0) break;
        const embedded = embed(chunk, from, stop);
        embedded.catch(() => {}); // it is told when its turn comes
        ahead.push(embedded);
      }
      const first = ahead.shift();
      if (!first) return;
      for (const embedding of await first) {
        if (slices.due) await slices.pause();
        signal?.throwIfAborted(); // also where the vectors are there already
        yield embedding;
      }
    }
  } finally {
    left.abort();
    await source.close();
  }
}

/** An iterable of either kind, read one text at a time. */
class Source {
  /** How many texts were read. */
  count = 0;
  ended = false;
  readonly #sync: Iterator<string> | undefined;
  readonly #async: AsyncIterator<string> | undefined;
  #coming: Promise<IteratorResult<string>> | undefined;

  constructor(texts: Iterable<string> | AsyncIterable<string>) {
    if (typeof texts === "object" && texts !== null) {
      if (Symbol.asyncIterator in texts) this.#async = texts[Symbol.asyncIterator]();
      else if (Symbol.iterator in texts) this.#sync = texts[Symbol.iterator]();
    }
    if (this.#sync || this.#async) return;
    throw new TypeError(`Cannot read texts: it must be an iterable or async iterable of strings, is ${show(texts)}`);
  }

  /**
   * The next texts, up to the limits: all that come without a pause.
   *
   * @param wait Whether to wait for the first one however long it takes; otherwise there may be none yet.
   */
  async take({ count, length, patience }: ChunkLimits, wait: boolean, signal: AbortSignal): Promise<string[]> {
    const chunk: string[] = [];
    for (let size = 0; chunk.length < count && size < length;) {
      signal.throwIfAborted();
      // What is there already needs neither a promise nor a timer, which would be garbage for every text.
      const next = this.#sync?.next() ?? await this.#next(chunk.length > 0 || !wait ? patience : undefined);
      if (next === undefined) break;
      if (next.done) {
        this.ended = true;
        break;
      }
      chunk.push(checkText(`texts[${this.count}]`, next.value));
      this.count++;
      size += next.value.length;
    }
    return chunk;
  }

  async close(): Promise<void> {
    if (!this.ended) await (this.#sync ?? this.#async)?.return?.();
  }

  /** The next result of an async iterator; undefined if it takes longer than so many milliseconds. */
  async #next(patience: number | undefined): Promise<IteratorResult<string> | undefined> {
    this.#coming ??= Promise.resolve(this.#async!.next());
    const next = patience === undefined
      ? await this.#coming
      : await soon(this.#coming) ?? await within(this.#coming, patience);
    if (next) this.#coming = undefined;
    return next;
  }
}

/** What a promise gives, or undefined if it takes more than a few microtasks: a timer for each text costs more than the wait. */
async function soon<T>(promise: Promise<T>): Promise<T | undefined> {
  let value: T | undefined;
  promise.then((given) => value = given, () => {}); // who waits for it is told of an error
  for (let turn = 0; turn < TURNS && value === undefined; turn++) await undefined;
  return value;
}

/** What a promise gives, or undefined if it takes longer. */
async function within<T>(promise: Promise<T>, milliseconds: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => timer = setTimeout(() => resolve(undefined), milliseconds));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
