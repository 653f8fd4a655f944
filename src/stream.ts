/** Embeds the items of an iterable in chunks: in order, in constant memory, and no faster than the vectors are taken. */
import { checkText, show } from "./check.ts";
import type { Embedding } from "./embed.ts";
import { ProgressReporter } from "./progress.ts";
import type { EmbedOptions } from "./options.ts";
import { pause, sliceIsOver } from "./slices.ts";

/** The vector of an item of a stream, and what became of its text. */
export interface ItemEmbedding<T> extends Embedding {
  /** The item, as the source gave it. */
  readonly item: T;
  /** Its place in the stream, from 0. */
  readonly index: number;
}

/** Embeds one chunk; `nameOf` is asked for the name of the text that an error is about, and for no other. */
export type EmbedChunk = (
  nameOf: (index: number) => string,
  texts: string[],
  options: EmbedOptions,
) => Promise<Embedding[]>;

/** What is done with the items of a stream. */
export interface StreamRequest<T> {
  /** The argument's name, for messages. */
  readonly name: string;
  /** The text of an item; it is checked here. */
  readonly textOf: (item: T) => unknown;
  /** What the caller can do where that is an object, for messages. */
  readonly ofObject?: string | undefined;
  readonly embed: EmbedChunk;
  readonly options: EmbedOptions;
  /** Aborted when the model is closed: what is embedded by then still comes, and no more is read. */
  readonly closed: AbortSignal;
  readonly limits?: ChunkLimits;
}

/** How large a chunk is. */
export interface ChunkLimits {
  /** Texts of a chunk: enough to sort by length and fill passes. The first chunks are smaller. */
  readonly count: number;
  /** UTF-16 units of a chunk, unless one text is longer. */
  readonly length: number;
  /** Milliseconds that a chunk with a text in it waits for another. */
  readonly patience: number;
}

/** At most two chunks of this size are in memory: one is computed while the vectors of the other are taken. */
export const CHUNK: ChunkLimits = { count: 512, length: 512 * 1024, patience: 10 };

const CHUNKS_AHEAD = 2;

// The first chunk is one text, so that its vector comes as soon as that of an embed call; each next one is larger by this
// factor, so that 10,000 texts lose less than a hundredth of their speed.
const GROWTH = 4;

// Microtasks within which a generator yields a value that it has, or readline a line that it has read.
const MICROTASKS = 8;

// Milliseconds that a reader who leaves waits for the source's return(), which may have a file to close, or nothing to say.
const FAREWELL = 500;

const LATE = Symbol("late");

/**
 * Embeds an iterable.
 *
 * @param prepare Checks the arguments; called with the first `next()`, as the body of a generator is.
 * @param resultOf What the stream yields.
 * @returns A generator that also hears `return()` while a `next()` waits: it ends at once.
 */
export function embedIterable<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  prepare: () => StreamRequest<T>,
  resultOf: (embedded: ItemEmbedding<T>) => R,
): AsyncGenerator<R, void, undefined> {
  const leaving = new AbortController();
  const inner = embedChunks(items, prepare, resultOf, leaving);
  const stream: AsyncGenerator<R, void, undefined> = {
    async next() {
      try {
        return await inner.next();
      } catch (error) {
        if (leaving.signal.aborted && error === leaving.signal.reason) return { done: true, value: undefined };
        throw error;
      }
    },
    return() {
      leaving.abort();
      return inner.return();
    },
    throw(error) {
      leaving.abort();
      return inner.throw(error);
    },
    async [Symbol.asyncDispose]() {
      await stream.return();
    },
    [Symbol.asyncIterator]: () => stream,
  };
  return stream;
}

/**
 * Embeds chunk by chunk. The next items are read when the vectors of the chunk before the last have been taken. Whatever ends
 * the stream, the vectors before it come first; a reader that leaves ends it at once, and aborts what runs.
 *
 * @param leaving Aborted when the reader leaves, and here when the stream ends.
 */
async function* embedChunks<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  prepare: () => StreamRequest<T>,
  resultOf: (embedded: ItemEmbedding<T>) => R,
  leaving: AbortController,
): AsyncGenerator<R, void, undefined> {
  const request = prepare();
  const { closed, limits = CHUNK, options: { signal, onProgress, ...options } } = request;
  closed.throwIfAborted(); // before the source is opened: a web stream would stay locked
  const source = new Source(items, request);
  const stop = signal ? AbortSignal.any([signal, leaving.signal]) : leaving.signal;
  const waiting = AbortSignal.any([stop, closed]);
  const progress = new ProgressReporter(onProgress);
  const ahead: { readonly chunk: Chunk<T>; readonly embedded: Promise<EmbeddedPrefix> }[] = [];
  try {
    for (let [count, done] = [1, 0];;) {
      // The first text is alone under way: beside others it would share their pass, and take 3 times as long.
      while (ahead.length < (done === 0 ? 1 : CHUNKS_AHEAD) && !source.ended && !closed.aborted) {
        const wait = ahead.length === 0;
        const chunk = await source.take(
          { ...limits, count: Math.min(count, limits.count) },
          wait,
          wait ? waiting : stop,
        );
        if (chunk.items.length === 0) break;
        count = Math.min(count * GROWTH, limits.count);
        const embedded = embedPrefix(request, chunk, { ...options, signal: stop });
        embedded.catch(() => {}); // thrown when its turn comes
        ahead.push({ chunk, embedded });
      }
      const next = ahead.shift();
      if (!next) {
        if (!source.ended) closed.throwIfAborted();
        break;
      }
      const { chunk: { items, from }, embedded } = next;
      const { embeddings, failure } = await embedded;
      for (const { tokens } of embeddings) progress.tokens += tokens;
      progress.report(done += embeddings.length, source.count);
      for (const [i, embedding] of embeddings.entries()) {
        if (sliceIsOver()) await pause();
        stop.throwIfAborted(); // also if the vectors are there already
        yield resultOf({ item: items[i]!, index: from + i, ...embedding });
      }
      if (failure) throw failure.error;
    }
    if (source.failure) throw source.failure.error;
  } catch (error) {
    leaving.abort();
    // What the source says when it is closed would hide this error; an abort does not even wait for it.
    const farewell = source.close().catch(() => {});
    if (!signal?.aborted) await farewell;
    throw error;
  } finally {
    leaving.abort();
    await source.close();
  }
}

/** The vectors of a chunk's first texts: of all, or of those before the one that failed. */
interface EmbeddedPrefix {
  readonly embeddings: Embedding[];
  readonly failure?: { readonly error: unknown };
}

/** Embeds a chunk; if one of its texts fails, those before it are embedded alone. */
async function embedPrefix<T>(
  { name, embed }: StreamRequest<T>,
  { texts, from }: Chunk<T>,
  options: EmbedOptions,
): Promise<EmbeddedPrefix> {
  let failure: { readonly error: unknown } | undefined;
  for (let count = texts.length; count > 0;) {
    let failed: number | undefined;
    const nameOf = (i: number): string => `${name}[${from + (failed = i)}]`;
    try {
      const embeddings = await embed(nameOf, texts.slice(0, count), options);
      return failure ? { embeddings, failure } : { embeddings };
    } catch (error) {
      if (failed === undefined) throw error; // no text's fault
      options.signal?.throwIfAborted();
      failure = { error };
      count = failed;
    }
  }
  return { embeddings: [], ...(failure && { failure }) };
}

/** Items that were read, with their texts. */
interface Chunk<T> {
  readonly items: T[];
  readonly texts: string[];
  /** The index of the first in the stream. */
  readonly from: number;
}

/** An iterable of either kind, read one item at a time. */
class Source<T> {
  /** How many items were read. */
  count = 0;
  /** Whether no more will come. */
  ended = false;
  /** What the item behind the last one met, or the source itself. */
  failure: { readonly error: unknown } | undefined;
  readonly #request: StreamRequest<T>;
  readonly #sync: Iterator<T> | undefined;
  readonly #async: AsyncIterator<T> | undefined;
  #open = true; // as a for-await loop has it: neither at its end nor thrown
  #coming: Promise<IteratorResult<T>> | undefined;

  constructor(items: Iterable<T> | AsyncIterable<T>, request: StreamRequest<T>) {
    this.#request = request;
    const { name } = request;
    if (typeof items === "object" && items !== null) {
      // As for-await has it: what is null or undefined is not there.
      const { [Symbol.asyncIterator]: async, [Symbol.iterator]: sync } = items as AsyncIterable<T> & Iterable<T>;
      if (items instanceof ReadableStream) this.#async = readerOf(items);
      else if (typeof async === "function") this.#async = async.call(items);
      else if (typeof sync === "function") this.#sync = sync.call(items);
    }
    const iterator = this.#sync ?? this.#async;
    if (typeof iterator !== "object" || iterator === null) {
      throw new TypeError(
        `Cannot read ${name}: it must be an iterable or async iterable of ${name}, is ${show(items)}`,
      );
    }
    if (typeof iterator.next !== "function") {
      throw new TypeError(`Cannot read ${name}: its iterator has no next(), which is ${show(iterator.next)}`);
    }
  }

  /**
   * The next items, up to the limits: all that come without a pause. Fewer if one fails: then `failure` is set.
   *
   * @param wait Whether to wait for the first one however long it takes; otherwise there may be none yet.
   * @throws The reason of the signal, at any moment.
   */
  async take({ count, length, patience }: ChunkLimits, wait: boolean, signal: AbortSignal): Promise<Chunk<T>> {
    const chunk: Chunk<T> = { items: [], texts: [], from: this.count };
    for (let size = 0; chunk.items.length < count && size < length;) {
      signal.throwIfAborted();
      try {
        const next = await this.#next(chunk.items.length > 0 || !wait ? patience : undefined, signal);
        if (next === LATE) break;
        this.ended = next.done;
        if (this.ended) break;
        const { name, textOf, ofObject } = this.#request;
        const item = next.value as T; // read once: it may be another the second time
        const text = checkText(`${name}[${this.count}]`, textOf(item), ofObject);
        chunk.items.push(item);
        chunk.texts.push(text);
        this.count++;
        size += text.length;
      } catch (error) {
        signal.throwIfAborted();
        this.failure = { error };
        this.ended = true;
      }
      if (this.failure) break;
    }
    return chunk;
  }

  /** Closes the source, if it has more. One that does not answer is told, and not waited for. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    const iterator = this.#sync ?? this.#async;
    const closing = (async () => {
      if (typeof iterator?.return === "function") await iterator.return();
    })();
    closing.catch(() => {}); // should nobody be there any more to be told
    if (!this.#coming) await within(closing, FAREWELL);
  }

  /** The next result; LATE if it takes longer than so many milliseconds. */
  async #next(
    patience: number | undefined,
    signal: AbortSignal,
  ): Promise<{ readonly done: boolean; readonly value?: unknown } | typeof LATE> {
    let next: IteratorResult<T> | typeof LATE;
    try {
      if (this.#sync) next = this.#sync.next();
      else next = await within(this.#coming ??= Promise.resolve(this.#async!.next()), patience, signal);
    } catch (error) {
      if (this.#sync || !signal.aborted) this.#open = false;
      throw error;
    }
    if (next === LATE) return next;
    this.#coming = undefined;
    if (typeof next !== "object" || next === null) {
      this.#open = false;
      throw new TypeError(`Cannot read ${this.#request.name}: its iterator gave ${show(next)}, not a result object`);
    }
    if (!next.done) return { done: false, value: next.value };
    this.#open = false;
    return { done: true };
  }
}

/** Reads a web stream. Its own iterator cannot be closed while it waits: the stream would stay locked. */
function readerOf<T>(stream: ReadableStream<T>): AsyncIterator<T> {
  const reader = stream.getReader();
  return {
    async next() {
      try {
        const { done, value } = await reader.read();
        if (!done) return { done, value };
      } catch (error) {
        reader.releaseLock();
        throw error;
      }
      reader.releaseLock();
      return { done: true, value: undefined };
    },
    async return() {
      await reader.cancel().finally(() => reader.releaseLock());
      return { done: true, value: undefined };
    },
  };
}

/**
 * What a promise gives, or LATE if it takes longer than so many milliseconds. What is there within a few microtasks needs no
 * timer: a timer for each text costs more than the wait.
 *
 * @throws The reason of the signal, as soon as it is aborted.
 */
async function within<T>(
  promise: Promise<T>,
  milliseconds: number | undefined,
  signal?: AbortSignal,
): Promise<T | typeof LATE> {
  let settled = false;
  const settle = (): void => void (settled = true);
  promise.then(settle, settle);
  for (let turn = 0; turn < MICROTASKS && !settled; turn++) await undefined;
  if (settled) return await promise;
  const { promise: ended, resolve, reject } = Promise.withResolvers<typeof LATE>();
  const timer = milliseconds === undefined ? undefined : setTimeout(() => resolve(LATE), milliseconds);
  const abort = (): void => reject(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  try {
    signal?.throwIfAborted(); // during the microtasks
    return await Promise.race([promise, ended]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}
