/** Follows one request: its limits, its end when the client goes, and what is told of it in headers, metrics and the log. */
import type { Llama, Progress, Truncate } from "@llamasaur/llamasaur";
import type { Asked } from "./asked.ts";
import { type Family, Problem } from "./problem.ts";
import type { Ticket } from "./queue.ts";
import type { ServedModel } from "./served_model.ts";

/** What every request is held to. */
export interface Limits {
  /** What becomes of long texts where a request says nothing. */
  readonly truncate: Truncate;
  /** Texts of a request; undefined is any number. */
  readonly maxBatchSize: number | undefined;
  /** Bytes of a body. */
  readonly maxBody: number;
  /** Milliseconds for the model, its load included; undefined is any time. */
  readonly timeout: number | undefined;
  /** Aborted when running requests must end. */
  readonly end: AbortSignal;
}

/** What a request came to. */
export interface Counts {
  readonly tokens: number;
  readonly truncated: number;
  readonly characters: number;
}

const SURE = 4096; // characters after which the density of tokens counts fully

/** The client has gone: nobody reads the answer. */
export class Gone extends Error {
  override readonly name = "Gone";
}

/** A request and its answer. */
export class Exchange {
  readonly asked: Asked;
  readonly route: string;
  /** Whose body an error has; a body may choose another one. */
  family: Family;
  readonly start: number = performance.now();
  model: ServedModel | undefined;
  texts = 0;
  counted: Counts | undefined;
  /** Milliseconds that loading the model took, or waiting for it. */
  loading = 0;
  /** Milliseconds until the texts were tokenised. */
  tokenizing = 0;
  /** Milliseconds that they waited then for their first pass. */
  waiting = 0;
  /** Milliseconds of the passes. */
  computing = 0;
  cancelled = false;
  readonly #limits: Limits;
  readonly #stop = new AbortController();

  constructor(asked: Asked, route: string, family: Family, limits: Limits) {
    this.asked = asked;
    this.route = route;
    this.family = family;
    this.#limits = limits;
  }

  /** What becomes of long texts where the body says nothing. */
  get truncate(): Truncate {
    return this.#limits.truncate;
  }

  /** Takes so many texts to a model. */
  take(model: ServedModel, texts: number): void {
    this.model = model;
    this.texts = texts;
    const { maxBatchSize } = this.#limits;
    if (maxBatchSize === undefined || texts <= maxBatchSize) return;
    throw new Problem(
      "batch_too_large",
      `Cannot take ${texts} texts at once: the limit is ${maxBatchSize} (--max-batch-size)`,
    );
  }

  /**
   * Enters the model's queue. Counting tokens would tokenise twice, so they are estimated by what a character came to so far.
   *
   * @param more Characters that go with each text.
   */
  enter(model: ServedModel, texts: readonly string[], maxTokens: number, more = 0): Ticket {
    let tokens = 0;
    for (const { length } of texts) tokens += Math.min(maxTokens, Math.ceil((length + more) * model.density) + 2);
    return model.queue.enter(tokens, texts.length);
  }

  /**
   * Works with the model, and keeps how long it took to load. It ends when the client goes, the time is over or the server
   * ends; a load goes on then, for those who come next.
   */
  async use<T>(model: ServedModel, work: (llama: Llama) => Promise<T>): Promise<T> {
    const start = performance.now();
    const { signal } = this.#stop;
    const ignore = this.#listen();
    try {
      signal.throwIfAborted();
      let begin = (): void => {};
      const done = model.use((llama) => {
        this.loading = performance.now() - start;
        begin();
        return work(llama);
      });
      if (model.loaded === undefined) {
        await new Promise<void>((resolve) => {
          begin = resolve;
          signal.addEventListener("abort", () => resolve(), { once: true });
          done.catch(() => resolve()); // it is awaited below, but where nobody waits for the load any more
        });
        signal.throwIfAborted();
      }
      return await done;
    } catch (error) {
      this.cancelled = signal.aborted;
      throw this.cancelled ? signal.reason : error;
    } finally {
      ignore();
    }
  }

  /** Keeps what the library tells of the work. */
  progressed(model: ServedModel, ticket: Ticket, { tokens, done, tokenizing = 0, waiting = 0 }: Progress): void {
    this.tokenizing = tokenizing;
    this.waiting = waiting;
    ticket.progress(tokens, done);
    model.passed();
  }

  /** Learns how many tokens a character comes to. */
  learn(model: ServedModel, tokens: number, characters: number): void {
    if (characters === 0) return;
    const weight = Math.min(1, characters / SURE) / 8;
    model.density += weight * (tokens / characters - model.density);
  }

  /** Runs the model's work, and keeps how long its passes took. */
  async run<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const start = performance.now();
    try {
      return await work(this.#stop.signal);
    } finally {
      this.computing = Math.max(0, performance.now() - start - this.tokenizing - this.waiting);
    }
  }

  /** Stops the work when it is time to; gives what ends the listening. */
  #listen(): () => void {
    const { end, timeout } = this.#limits;
    const stop = this.#stop;
    const over = (): void => stop.abort(new Problem("unavailable", "Cannot answer: the server is closing"));
    end.addEventListener("abort", over, { once: true });
    if (end.aborted) over();
    // Deno.serve tells of a client that has gone once the request was answered, too: from then on nothing listens.
    const ignore = this.asked.onGone(() => stop.abort(new Gone("the client has gone")));
    const timer = timeout === undefined ? undefined : setTimeout(() => {
      stop.abort(new Problem("unavailable", `Cannot answer within ${timeout} ms (--timeout)`));
    }, timeout);
    return () => {
      clearTimeout(timer);
      ignore();
      end.removeEventListener("abort", over);
    };
  }

  /** Keeps what the request came to. */
  counts(counts: Counts): void {
    this.counted = counts;
  }

  /** The headers that tell what the request came to; those of text-embeddings-inference are in milliseconds, too. */
  headers(): Record<string, string> {
    const { tokens = 0, truncated = 0, characters = 0 } = this.counted ?? {};
    const total = performance.now() - this.start;
    return {
      ...(truncated > 0 && { "x-truncated": String(truncated) }),
      "x-compute-type": /^cpu/i.test(this.model?.known?.info.device ?? "cpu") ? "cpu" : "gpu",
      "x-compute-time": whole(total),
      "x-compute-characters": String(characters),
      "x-compute-tokens": String(tokens),
      "x-total-time": whole(total),
      "x-tokenization-time": whole(this.tokenizing),
      "x-queue-time": whole(this.loading + this.waiting),
      "x-inference-time": whole(this.computing),
    };
  }
}

function whole(milliseconds: number): string {
  return String(Math.round(milliseconds));
}
