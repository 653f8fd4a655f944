/** Embeds texts of an iterable in chunks: in order, in constant memory, and no faster than the vectors are taken. */
import { checkText, show } from "./check.ts";
import type { Embedding } from "./embed.ts";
import { ProgressReporter } from "./progress.ts";
import type { EmbedOptions } from "./options.ts";
import { Slices } from "./slices.ts";

/** Embeds one chunk; `from` is the index of its first text in the stream. */
export type EmbedChunk = (texts: string[], from: number, signal: AbortSignal) => Promise<Embedding[]>;

/** How large a chunk is. */
export interface ChunkLimits {
  /** Texts of a chunk: enough to sort by length and fill passes. */
  readonly count: number;
  /** UTF-16 units of a chunk, unless one text is longer. */
  readonly length: number;
  /** Milliseconds that a chunk with a text in it waits for another. */
  readonly patience: number;
}

/** At most two chunks of this size are in memory: one is computed while the vectors of the other are taken. */
export const CHUNK: ChunkLimits = { count: 512, length: 512 * 1024, patience: 10 };

const CHUNKS_AHEAD = 2;

// Microtasks within which a generator yields a value that it has, or readline a line that it has read.
const MICROTASKS = 8;

/** Embeds an iterable and reports progress. */
export function embedIterable(
  texts: Iterable<string> | AsyncIterable<string>,
  embed: (names: (index: number) => string, texts: string[], options: EmbedOptions) => Promise<Embedding[]>,
  { onProgress, signal, ...options }: EmbedOptions,
): AsyncGenerator<Embedding, void, undefined> {
  const progress = new ProgressReporter(onProgress);
  let [done, read] = [0, 0];
  return embedChunks(texts, async (chunk, from, signal) => {
    read = from + chunk.length;
    const embedded = await embed((i) => `texts[${from + i}]`, chunk, { ...options, signal });
    for (const { tokens } of embedded) progress.tokens += tokens;
    progress.report(done += chunk.length, read);
    return embedded;
  }, signal);
}

/**
 * Embeds an iterable, whatever `embed` does with a chunk.
 *
 * The next texts are read when the vectors of the chunk before the last have been taken. When the reader stops, running
 * chunks are aborted and the source is closed.
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
      while (ahead.length < CHUNKS_AHEAD && !source.ended) {
        const from = source.count;
        const chunk = await source.take(limits, ahead.length === 0, stop);
        if (chunk.length === 0) break;
        const embedded = embed(chunk, from, stop);
        embedded.catch(() => {}); // it is thrown when its turn comes
        ahead.push(embedded);
      }
      const first = ahead.shift();
      if (!first) return;
      for (const embedding of await first) {
        if (slices.due) await slices.pause();
        signal?.throwIfAborted(); // also where the vectors are already there
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
  /** Texts that were read. */
  count = 0;
  ended = false;
  readonly #sync: Iterator<string> | undefined;
  readonly #async: AsyncIterator<string> | undefined;
  #pending: Promise<IteratorResult<string>> | undefined;

  constructor(texts: Iterable<string> | AsyncIterable<string>) {
    if (typeof texts === "object" && texts !== null) {
      if (Symbol.asyncIterator in texts) this.#async = texts[Symbol.asyncIterator]();
      else if (Symbol.iterator in texts) this.#sync = texts[Symbol.iterator]();
    }
    if (this.#sync || this.#async) return;
    throw new TypeError(`Cannot read texts: it must be an iterable or async iterable of strings, is ${show(texts)}`);
  }

  /**
   * Reads the next texts, up to the limits: all that come without a pause.
   *
   * @param wait Whether to wait for the first text however long it takes; otherwise the chunk may be empty.
   */
  async take({ count, length, patience }: ChunkLimits, wait: boolean, signal: AbortSignal): Promise<string[]> {
    const chunk: string[] = [];
    for (let size = 0; chunk.length < count && size < length;) {
      signal.throwIfAborted();
      // A text that is already there needs no promise and no timer, which would be garbage for every text.
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
    this.#pending ??= Promise.resolve(this.#async!.next());
    const next = patience === undefined
      ? await this.#pending
      : await withinMicrotasks(this.#pending) ?? await withinTime(this.#pending, patience);
    if (next) this.#pending = undefined;
    return next;
  }
}

/** A promise's value, or undefined if it takes more than a few microtasks: a timer for each text would cost more than the wait. */
async function withinMicrotasks<T>(promise: Promise<T>): Promise<T | undefined> {
  let value: T | undefined;
  promise.then((given) => value = given, () => {}); // the one that awaits it gets the error
  for (let turn = 0; turn < MICROTASKS && value === undefined; turn++) await undefined;
  return value;
}

/** A promise's value, or undefined if it takes longer. */
async function withinTime<T>(promise: Promise<T>, milliseconds: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => timer = setTimeout(() => resolve(undefined), milliseconds));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
