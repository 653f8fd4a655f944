/** The class that users hold. Its methods read in the order that the data flows: load, tokens, vectors, ranking. */
import { fileURLToPath } from "node:url";
import { Lane, LLAMA_VERSION, type Model, type Native, open } from "../ffi/mod.ts";
import { LlamaError } from "../ffi/errors.ts";
import { describe, type LlamaInfo, maxTokensOf } from "./info.ts";
import {
  checkEmbedOptions,
  checkLoadOptions,
  checkRerankOptions,
  checkText,
  checkTexts,
  type EmbedOptions,
  type LoadOptions,
  type RerankOptions,
  show,
  type Truncate,
} from "./options.ts";
import { passLimits } from "./plan.ts";
import { Pool } from "./pool.ts";
import { fitTokens, type Sequence } from "./tokens.ts";
import { normalizeBertInPieces } from "./bert_normalizer.ts";
import { dot, isFiniteVector, normalize } from "./vectors.ts";

/** The vector of a text, and what became of the text. */
export interface Embedding {
  /** The vector. */
  readonly embedding: Float32Array;
  /** Tokens that went into the model, special ones included. */
  readonly tokens: number;
  /** Whether the text was longer than the model takes, so that its end (or start) is not in the vector. */
  readonly truncated: boolean;
}

/** A document's place in a ranking. */
export interface Ranked<T> {
  /** The document's index in the list that was given. */
  readonly index: number;
  /** How well it answers the query: the cosine, −1 to 1. */
  readonly score: number;
  /** The number before it was made a score; for a cosine the same. */
  readonly logit: number;
  /** The document as it was given. */
  readonly document: T;
  /** Whether it was longer than the model takes. */
  readonly truncated: boolean;
}

// Frees the native side of a Llama that was dropped without close().
const dropped = new FinalizationRegistry((pool: Pool) => pool.close());

/**
 * A loaded model that embeds and reranks text.
 *
 * @example
 * ```ts
 * import { Llama } from "@llamasaur/llamasaur";
 *
 * await using llama = await Llama.load("models/all-minilm-l6-v2-q8_0.gguf");
 * const vectors = await llama.embed(["a cat", "a kitten"]);
 * console.log(vectors.length, vectors[0]!.length); // 2 384
 * ```
 */
export class Llama {
  /** What the model is. */
  readonly info: LlamaInfo;
  readonly #model: Model;
  readonly #pool: Pool;
  readonly #onLog: LoadOptions["onLog"];
  readonly #running = new Set<Promise<unknown>>();
  #closed: Promise<void> | undefined;

  private constructor(info: LlamaInfo, model: Model, pool: Pool, onLog: LoadOptions["onLog"]) {
    this.info = info;
    this.#model = model;
    this.#pool = pool;
    this.#onLog = onLog;
    dropped.register(this, pool, this);
  }

  /**
   * Loads a GGUF model. Never downloads or builds anything.
   *
   * @param model Path or `file:` URL of a GGUF file.
   * @param options See {@linkcode LoadOptions}.
   * @returns The model, ready for calls.
   * @throws {ModelNotFoundError} when there is no such file.
   * @throws {LibraryNotFoundError} when the native library was not built.
   * @throws {LlamaError} `model-invalid`, `model-unsupported`, `version-mismatch` or `out-of-memory`.
   * @example
   * ```ts
   * import { Llama } from "@llamasaur/llamasaur";
   *
   * await using llama = await Llama.load("models/all-minilm-l6-v2-q8_0.gguf", { contextSize: 128 });
   * console.log(llama.info.dimensions); // 384
   * ```
   */
  static async load(model: string | URL, options: LoadOptions = {}): Promise<Llama> {
    const { signal, onProgress, onLog, ...settings } = checkLoadOptions(options);
    const path = modelPath(model);
    signal?.throwIfAborted();
    const native = await open(settings.library);
    const lane = new Lane(native, onLog);
    try {
      const watch = { signal, onProgress };
      const loaded = await lane.loadModel(path, settings.gpuLayers ?? -1, settings.checkTensors ?? false, watch);
      try {
        return Llama.#create(native, loaded, lane, options);
      } catch (error) {
        loaded.close();
        throw error;
      }
    } catch (error) {
      lane.close();
      throw error;
    }
  }

  static #create(native: Native, model: Model, lane: Lane, options: LoadOptions): Llama {
    const threads = options.threads ?? 1;
    const contexts = options.contexts ?? Math.max(1, Math.floor(navigator.hardwareConcurrency / threads));
    const pooling = options.pooling ?? model.pooling ?? "none";
    const maxTokens = maxTokensOf(model, options.contextSize);
    const { classes, dimensions, vocabularySize } = model.numbers;
    const info = describe(model, { maxTokens, pooling, contexts, threads, version: LLAMA_VERSION });
    const pool = new Pool(native, model, lane, {
      contexts,
      threads,
      pooling,
      width: pooling === "rank" ? classes : dimensions,
      pass: passLimits(vocabularySize),
      prepare: prepareFor(model),
      onLog: options.onLog,
    });
    return new Llama(info, model, pool, options.onLog);
  }

  /**
   * The token ids of a text, with the special tokens that the model wants around it, not truncated.
   *
   * @param text The text; special tokens written in it are plain text.
   * @returns Token ids.
   * @example
   * ```ts
   * import { Llama } from "@llamasaur/llamasaur";
   *
   * await using llama = await Llama.load("models/all-minilm-l6-v2-q8_0.gguf");
   * console.log(await llama.tokenize("hello world")); // Int32Array(4) [ 101, 7592, 2088, 102 ]
   * ```
   */
  async tokenize(text: string): Promise<Int32Array> {
    checkText("text", text);
    const [ids] = await this.#call(() => this.#pool.tokenize([text]));
    return ids!;
  }

  /**
   * How many tokens a text has, special ones included, before any truncation.
   *
   * @param text The text.
   * @returns The number of tokens; more than `info.maxTokens` means that `embed` truncates.
   * @example
   * ```ts
   * import { Llama } from "@llamasaur/llamasaur";
   *
   * await using llama = await Llama.load("models/all-minilm-l6-v2-q8_0.gguf");
   * console.log(await llama.countTokens("hello world")); // 4
   * ```
   */
  async countTokens(text: string): Promise<number> {
    return (await this.tokenize(text)).length;
  }

  /**
   * The vector of a text, or the vectors of many texts: those of one call, and of calls made at once, share passes.
   *
   * @param input A text, or a list of texts.
   * @param options See {@linkcode EmbedOptions}.
   * @returns A vector of `info.dimensions` numbers and length 1, or a list of such in the order of the texts. With
   * pooling `none`, tokens × dimensions numbers, one row a token.
   * @throws {TypeError} when a text is no string or has a lone surrogate; the message names its index.
   * @throws {RangeError} when an option is out of range, or a text is too long with `truncate: "error"`.
   * @throws {LlamaError} `closed`, `non-finite`, `out-of-memory` or `context-lost`.
   * @example
   * ```ts
   * import { dot, Llama } from "@llamasaur/llamasaur";
   *
   * await using llama = await Llama.load("models/all-minilm-l6-v2-q8_0.gguf");
   * const query = await llama.embed("small domestic animals");
   * const [cat, car] = await llama.embed(["a cat sleeps", "a car drives"]);
   * console.log(dot(query, cat!) > dot(query, car!)); // true
   * ```
   */
  embed(input: string, options?: EmbedOptions): Promise<Float32Array>;
  embed(input: readonly string[], options?: EmbedOptions): Promise<Float32Array[]>;
  async embed(input: string | readonly string[], options: EmbedOptions = {}): Promise<Float32Array | Float32Array[]> {
    if (typeof input === "string") return (await this.embedDetailed(input, options)).embedding;
    return (await this.embedDetailed(input, options)).map(({ embedding }) => embedding);
  }

  /**
   * As `embed`, with each text's number of tokens and whether it was truncated.
   *
   * @param input A text, or a list of texts.
   * @param options See {@linkcode EmbedOptions}.
   * @returns A report, or a list of reports in the order of the texts.
   * @throws As `embed`.
   * @example
   * ```ts
   * import { Llama } from "@llamasaur/llamasaur";
   *
   * await using llama = await Llama.load("models/all-minilm-l6-v2-q8_0.gguf");
   * const { tokens, truncated } = await llama.embedDetailed("hello world");
   * console.log(tokens, truncated); // 4 false
   * ```
   */
  embedDetailed(input: string, options?: EmbedOptions): Promise<Embedding>;
  embedDetailed(input: readonly string[], options?: EmbedOptions): Promise<Embedding[]>;
  async embedDetailed(
    input: string | readonly string[],
    options: EmbedOptions = {},
  ): Promise<Embedding | Embedding[]> {
    checkEmbedOptions(options, this.info.dimensions);
    if (typeof input !== "string" && !Array.isArray(input)) {
      throw new TypeError(`Cannot embed: input must be a string or an array of strings, is ${show(input)}`);
    }
    const texts = typeof input === "string" ? [checkText("input", input)] : checkTexts("input", input);
    const results = await this.#call(() => this.#embed("input", texts, options));
    return typeof input === "string" ? results[0]! : results;
  }

  /**
   * Ranks documents by how well they answer a query: by the cosine of their vectors.
   *
   * @param query The query.
   * @param documents The documents: strings, or anything with the `text` option.
   * @param options See {@linkcode RerankOptions}.
   * @returns The documents, best first; equal scores keep the order of the list.
   * @throws {TypeError} when a text is no string or has a lone surrogate; the message names its index.
   * @throws {LlamaError} `closed`, `non-finite`, `out-of-memory` or `context-lost`.
   * @example
   * ```ts
   * import { Llama } from "@llamasaur/llamasaur";
   *
   * await using llama = await Llama.load("models/all-minilm-l6-v2-q8_0.gguf");
   * const [best] = await llama.rerank("yellow fruit", ["Paris is a city.", "Bananas are yellow."], { topN: 1 });
   * console.log(best!.document); // Bananas are yellow.
   * ```
   */
  async rerank<T = string>(
    query: string,
    documents: readonly T[],
    options: RerankOptions<T> = {},
  ): Promise<Ranked<T>[]> {
    const { topN, text, ...embedOptions } = checkRerankOptions(options);
    checkText("query", query);
    if (!Array.isArray(documents)) {
      throw new TypeError(`Cannot rank: documents must be an array, is ${show(documents)}`);
    }
    const texts = checkTexts("documents", text ? documents.map((document) => text(document)) : documents);
    if (texts.length === 0) return [];
    return await this.#call(async () => {
      const [[wanted], found] = await Promise.all([
        this.#embed("query", [query], { signal: embedOptions.signal, truncate: embedOptions.truncate }),
        this.#embed("documents", texts, embedOptions),
      ]);
      const ranked = found.map(({ embedding, truncated }, index): Ranked<T> => {
        const score = dot(wanted!.embedding, embedding);
        return { index, score, logit: score, document: documents[index]!, truncated };
      });
      return ranked.sort((a, b) => b.logit - a.logit || a.index - b.index).slice(0, topN);
    });
  }

  /**
   * Frees the model and its contexts once the calls that run have ended; later calls throw. Idempotent.
   *
   * @returns A promise that resolves when everything is freed.
   */
  close(): Promise<void> {
    this.#closed ??= (async () => {
      await Promise.allSettled(this.#running);
      dropped.unregister(this);
      this.#pool.close();
    })();
    return this.#closed;
  }

  /** Calls `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #embed(name: string, texts: readonly string[], options: EmbedOptions): Promise<Embedding[]> {
    const { prompt = "", signal, onProgress, truncate = "end" } = options;
    // Equal texts are computed once.
    const unique = Array.from(new Set(texts));
    const places = new Map(unique.map((text, i) => [text, i]));
    const nameOf = (i: number): string => name === "query" ? name : `${name}[${texts.indexOf(unique[i]!)}]`;
    const ids = await this.#pool.tokenize(prompt ? unique.map((text) => prompt + text) : unique, { signal });
    const sequences = ids.map((one, i) => this.#fit(nameOf, i, one, truncate));
    this.#warnOfTruncation(sequences);
    const rows = await this.#pool.encode(sequences.map(({ ids }) => ids), {
      signal,
      onDone: onProgress && ((done) => onProgress({ done, total: unique.length })),
    });
    const vectors = rows.map((row, i) => this.#finish(nameOf, i, row, options));
    const copied = new Set<number>();
    return texts.map((text): Embedding => {
      const i = places.get(text)!;
      const embedding = copied.has(i) ? vectors[i]!.slice() : vectors[i]!;
      copied.add(i);
      return { embedding, tokens: sequences[i]!.ids.length, truncated: sequences[i]!.truncated };
    });
  }

  #fit(nameOf: (i: number) => string, i: number, ids: Int32Array, truncate: Truncate): Sequence {
    const { maxTokens } = this.info;
    if (ids.length > 0 && ids.length <= maxTokens) return { ids, truncated: false };
    return fitTokens(nameOf(i), ids, maxTokens, truncate, this.#model.numbers);
  }

  #warnOfTruncation(sequences: readonly Sequence[]): void {
    const count = sequences.filter(({ truncated }) => truncated).length;
    if (count === 0 || !this.#onLog) return;
    const texts = count === 1 ? "1 text was" : `${count} texts were`;
    this.#onLog({ level: "warn", message: `${texts} truncated to ${this.info.maxTokens} tokens` });
  }

  #finish(nameOf: (i: number) => string, i: number, row: Float32Array, options: EmbedOptions): Float32Array {
    const { dimensions = this.info.dimensions, normalize: wanted = true } = options;
    const width = this.info.dimensions;
    const finite = isFiniteVector(row);
    if (!finite) {
      throw new LlamaError("non-finite", `Cannot embed ${nameOf(i)}: the model gave NaN or infinity for it`);
    }
    const vector = new Float32Array(row.length / width * dimensions);
    for (let from = 0, to = 0; from < row.length; from += width, to += dimensions) {
      const part = vector.subarray(to, to + dimensions);
      part.set(row.subarray(from, from + dimensions));
      if (wanted) normalize(part);
    }
    return vector;
  }

  async #call<T>(run: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new LlamaError("closed", "Cannot call a model after close()");
    const promise = run();
    this.#running.add(promise);
    try {
      return await promise;
    } finally {
      this.#running.delete(promise);
    }
  }
}

/** BERT's WordPiece wants its texts normalised; the other tokenizers take them as they are. */
function prepareFor(model: Model): ((text: string) => Promise<string>) | undefined {
  if (model.meta("tokenizer.ggml.model") !== "bert") return undefined;
  const lowercase = model.meta("tokenizer.ggml.normalizer.lowercase") ?? "true";
  const stripAccents = (model.meta("tokenizer.ggml.normalizer.strip_accents") ?? lowercase) === "true";
  return (text) => normalizeBertInPieces(text, stripAccents);
}

function modelPath(model: unknown): string {
  if (typeof model !== "string" && !(model instanceof URL)) {
    throw new TypeError(`Cannot load: model must be a path or a URL, is ${show(model)}`);
  }
  if (model instanceof URL || model.startsWith("file:")) {
    const url = new URL(model);
    if (url.protocol !== "file:") throw new TypeError(`Cannot load: model must be a file: URL, is ${url.protocol}`);
    return fileURLToPath(url);
  }
  checkText("model", model);
  if (model === "" || model.includes("\0")) {
    throw new RangeError(`Cannot load: model must be a path, is ${JSON.stringify(model)}`);
  }
  return model;
}
