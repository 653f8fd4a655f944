/** Gives users a loaded model. Its methods stand in the order of the data: load, tokens, vectors, ranking. */
import { LlamaError, ModelNotFoundError } from "../ffi/errors.ts";
import { checkRuntime, type Device, devices, open } from "../ffi/mod.ts";
import { type Embedding, embedTexts } from "./embed.ts";
import { type Engine, loadEngine } from "./engine/load.ts";
import type { LlamaInfo } from "./engine/info.ts";
import { estimateMemory, type MemoryEstimate } from "./pool/memory.ts";
import { missingFile, type ModelReference, parseModel, pathOf } from "./models/find.ts";
import { catalogueEntryOf, catalogueEntryOfFile } from "./models/catalogue.ts";
import { checkText, copyInput } from "./check.ts";
import {
  checkDevicesOptions,
  checkEmbedOptions,
  checkEmbedStreamOptions,
  checkLoadOptions,
  checkRerankOptions,
  type EmbedOptions,
  type EmbedStreamOptions,
  type LoadOptions,
  type OptionsFor,
  type RerankOptions,
  TEXT_OF_OBJECTS,
} from "./options.ts";
import type { Activity, Pool } from "./pool/pool.ts";
import { rankDocuments, type Ranked } from "./rerank.ts";
import { mapInSlices } from "./slices.ts";
import { countTokens } from "./text/count.ts";
import { piecesOf } from "./text/pieces.ts";
import { embedIterable, type ItemEmbedding } from "./stream.ts";

export type { Device };

// Frees the native side of a Llama that was garbage-collected without close().
const dropped = new FinalizationRegistry((pool: Pool) => void pool.close());

/** What a call gives for a text, or for a list of texts: one, or a list. */
export type ForInput<Input extends string | readonly string[], One> = Input extends string ? One : One[];

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
  readonly #engine: Engine;
  readonly #running = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();
  #closed: Promise<void> | undefined;

  private constructor(engine: Engine) {
    // Only from JavaScript, or with a cast: the type has no constructor to call.
    if (!engine?.pool) throw new TypeError("Cannot make a Llama with new: use await Llama.load(model)");
    this.#engine = engine;
    this.info = engine.info;
    dropped.register(this, engine.pool, this);
  }

  /**
   * Loads a GGUF model. Never builds anything, and downloads only with `download: true`.
   *
   * @param model Path or `file:` URL of a GGUF file, a name of the catalogue (`"bge-small-en-v1.5"`), or
   * `hf:owner/repository/file.gguf[@revision]`; the latter two are looked up in `models/` and the hub's cache.
   * @param options See {@linkcode LoadOptions}.
   * @returns The model, ready for calls.
   * @throws {TypeError} when an option does not exist or is of the wrong type; the message names it.
   * @throws {RangeError} when an option is out of range.
   * @throws {ModelNotFoundError} when there is no such file.
   * @throws {HubUnavailableError} when the hub gives no answer, with `download: true`; else what `download` of `./models` throws.
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
    checkRuntime();
    const checked = checkLoadOptions(options);
    const reference = parseModel(model);
    const known = reference.kind === "hub" ? catalogueEntryOf(reference.file.repository) : undefined;
    const path = checked.download && reference.kind === "hub"
      ? await findOrDownload(reference, String(model), checked.signal)
      : pathOf(reference, String(model));
    const entry = known ?? catalogueEntryOfFile(path);
    const matryoshka = entry && entry.matryoshka === true;
    return new Llama(
      await loadEngine(path, checked, { ...known, matryoshka }).catch((error) => {
        throw error instanceof ModelNotFoundError ? missingFile(path) : error;
      }),
    );
  }

  /**
   * The token ids of a text, with the special tokens that the model wants around it, not truncated.
   *
   * @param text The text; special tokens written in it are plain text.
   * @returns Token ids, one for each token.
   * @throws {TypeError} when the text is no string or has a lone surrogate.
   * @throws {LlamaError} `closed` or `out-of-memory`.
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
    const [ids] = await this.#call(() => this.#engine.pool.tokenize([text]));
    return ids!;
  }

  /**
   * The vocabulary's text of each token id, as the model's file writes it: `▁hello` or `Ġhello` is a word's beginning, and
   * what has no such mark goes on. Special tokens have theirs, such as `[CLS]`. The texts are not put together to what was
   * tokenised: one token may be a part of a character, which has no text of its own.
   *
   * @param ids Token ids, as `tokenize` gives them.
   * @returns The texts, in the order of the ids.
   * @throws {TypeError} when the ids are no list or typed array, or one is no number; the message names its index.
   * @throws {RangeError} when one is no integer, or not in the vocabulary; the message names its index and value.
   * @throws {LlamaError} `closed` or `out-of-memory`.
   * @example
   * ```ts
   * import { Llama } from "@llamasaur/llamasaur";
   *
   * await using llama = await Llama.load("models/all-minilm-l6-v2-q8_0.gguf");
   * console.log(await llama.pieces(await llama.tokenize("dinosaurs"))); // [ "[CLS]", "▁dinosaurs", "[SEP]" ]
   * ```
   */
  async pieces(ids: ArrayLike<number>): Promise<string[]> {
    return await this.#call(() => piecesOf(this.#engine.model, ids));
  }

  /**
   * How many tokens a text has, or each of many, special ones included, before any truncation.
   *
   * @param text A text, or a list of texts.
   * @returns The number of tokens, or a list of them in the order of the texts; `embed` truncates a text with more than
   * `info.maxTokens`.
   * @throws As `tokenize`; the message names the index.
   * @example
   * ```ts
   * import { Llama } from "@llamasaur/llamasaur";
   *
   * await using llama = await Llama.load("models/all-minilm-l6-v2-q8_0.gguf");
   * console.log(await llama.countTokens("hello world")); // 4
   * console.log(await llama.countTokens(["hello world", "hello"])); // [ 4, 3 ]
   * ```
   */
  async countTokens<Input extends string | readonly string[]>(text: Input): Promise<ForInput<Input, number>> {
    const counts = await this.#call(() => countTokens(this.#engine.pool, text));
    return (typeof text === "string" ? counts[0]! : counts) as ForInput<Input, number>;
  }

  /**
   * The vector of a text, or the vectors of many texts. Texts of one call, and of calls made at once, share passes.
   *
   * @param input A text, or a list of texts.
   * @param options See {@linkcode EmbedOptions}.
   * @returns For each text, in order, a vector of `dimensions` numbers and length 1; with pooling `none`, tokens × dimensions
   * numbers: a row for each token.
   * @throws {TypeError} when a text is no string or has a lone surrogate (the message names its index), or an option does
   * not exist or is of the wrong type.
   * @throws {RangeError} when an option is out of range, a text is too long with `truncate: "error"`, or the prompt leaves no room.
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
  async embed<Input extends string | readonly string[]>(
    input: Input,
    options: EmbedOptions = {},
  ): Promise<ForInput<Input, Float32Array>> {
    const embedded = await this.#embedInput(input, options);
    const vectors = await mapInSlices(embedded, ({ embedding }) => embedding);
    return (typeof input === "string" ? vectors[0]! : vectors) as ForInput<Input, Float32Array>;
  }

  /**
   * As `embed`, with each text's number of tokens and whether it was truncated.
   *
   * @param input A text, or a list of texts.
   * @param options See {@linkcode EmbedOptions}.
   * @returns An {@linkcode Embedding}, or a list of them in the order of the texts.
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
  async embedDetailed<Input extends string | readonly string[]>(
    input: Input,
    options: EmbedOptions = {},
  ): Promise<ForInput<Input, Embedding>> {
    const embedded = await this.#embedInput(input, options);
    return (typeof input === "string" ? embedded[0]! : embedded) as ForInput<Input, Embedding>;
  }

  /**
   * The vectors of the texts of an iterable or async iterable of any length, in their order and in constant memory. Texts are
   * read no faster than the vectors are taken; texts that come at once share passes.
   *
   * The first vector comes as soon as that of an `embed` call. If a text is bad, or the iterable throws, the vectors of all
   * texts before it come first. Leaving the loop or aborting the signal ends the stream at once, also while the iterable has
   * nothing to give; the iterable is closed.
   *
   * @param texts The texts.
   * @param options As of `embed`; `onProgress` is called after each chunk of texts.
   * @returns The vectors, of the shape that `embed` gives; leaving the loop aborts running passes.
   * @throws As `embed`, when the text's turn comes.
   * @example
   * ```ts
   * import { Llama } from "@llamasaur/llamasaur";
   *
   * await using llama = await Llama.load("models/all-minilm-l6-v2-q8_0.gguf");
   * const lines = ["a cat", "a kitten", "a car"].values();
   * for await (const vector of llama.embedStream(lines)) console.log(vector.length); // 384, three times
   * ```
   */
  embedStream(
    texts: Iterable<string> | AsyncIterable<string>,
    options: EmbedOptions = {},
  ): AsyncGenerator<Float32Array, void, undefined> {
    return embedIterable(texts, () => ({
      name: "texts",
      textOf: (text) => text,
      embed: this.#embed.bind(this),
      closed: this.#closing.signal,
      options: checkEmbedOptions(options, this.info.dimensions),
    }), ({ embedding }) => embedding);
  }

  /**
   * As `embedStream`, of items of any kind: each comes back with its vector, its place, its number of tokens and whether its
   * text was truncated.
   *
   * @param items The items: strings, or anything with the `text` option.
   * @param options As of `embedStream`, and `text`, the text of an item.
   * @returns A generator of `{ item, index, embedding, tokens, truncated }` in the order of the items.
   * @throws As `embedStream`, or what `text` throws, when the item's turn comes.
   * @example
   * ```ts
   * import { Llama } from "@llamasaur/llamasaur";
   *
   * await using llama = await Llama.load("models/all-minilm-l6-v2-q8_0.gguf");
   * const rows = [{ id: 7, body: "a cat" }, { id: 9, body: "a car" }];
   * for await (const { item, embedding } of llama.embedStreamDetailed(rows, { text: ({ body }) => body })) {
   *   console.log(item.id, embedding.length); // 7 384, then 9 384
   * }
   * ```
   */
  embedStreamDetailed<T = string>(
    items: Iterable<T> | AsyncIterable<T>,
    ...[options = {}]: OptionsFor<T, EmbedStreamOptions<T>>
  ): AsyncGenerator<ItemEmbedding<T>, void, undefined> {
    return embedIterable(items, () => {
      const { text, ...rest } = checkEmbedStreamOptions(options, this.info.dimensions);
      return {
        name: "items",
        textOf: text ?? ((item) => item),
        ofObject: text ? undefined : TEXT_OF_OBJECTS,
        embed: this.#embed.bind(this),
        closed: this.#closing.signal,
        options: rest,
      };
    }, (embedded) => embedded);
  }

  /**
   * Ranks documents by how well they answer a query: by a cross-encoder's score of each pair, by how likely a causal
   * model answers "yes" when asked, or with an embedding model by the cosine of the vectors (with the model's own prompts,
   * where they are known). `info.reranker` says which.
   *
   * @param query The query.
   * @param documents The documents: strings, or anything with the `text` option.
   * @param options See {@linkcode RerankOptions}.
   * @returns The documents, best first; equal scores keep the order of the list.
   * @throws {TypeError} when a text is no string or has a lone surrogate (the message names its index), or an option does
   * not exist or is of the wrong type.
   * @throws {RangeError} when an option is out of range, the query leaves no room for a document, or a document is too
   * long with `truncate: "error"`.
   * @throws {LlamaError} `closed`, `non-finite`, `out-of-memory`, `context-lost` or `model-unsupported`.
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
    ...[options = {}]: OptionsFor<T, RerankOptions<T>>
  ): Promise<Ranked<T>[]> {
    const checked = checkRerankOptions(options);
    checkText("query", query);
    return await this.#call(() => rankDocuments(this.#engine, query, documents, checked));
  }

  /**
   * A short string that changes when the vectors of `embed` with these options would: with the model file, its special
   * tokens, pooling, limit, prompt, dimensions, normalisation or llama.cpp's version. Store it beside vectors, and
   * compute them anew when it differs.
   *
   * @param options The options that `embed` is called with.
   * @returns 16 hex digits; without options `info.fingerprint`.
   * @throws {TypeError} when an option does not exist or is of the wrong type; the message names it.
   * @throws {RangeError} when an option is out of range.
   * @throws {LlamaError} `closed` after `close()`.
   * @example
   * ```ts
   * import { Llama } from "@llamasaur/llamasaur";
   *
   * await using llama = await Llama.load("models/all-minilm-l6-v2-q8_0.gguf");
   * console.log(llama.fingerprint() === llama.fingerprint({ dimensions: 128 })); // false
   * ```
   */
  fingerprint(options: EmbedOptions = {}): string {
    const checked = checkEmbedOptions(options, this.info.dimensions);
    this.#throwIfClosed();
    return this.#engine.fingerprint(checked);
  }

  /**
   * Peak memory of an `embed` call, of the process and of a GPU together, estimated without running it.
   *
   * @param lengths Tokens of each text, as `countTokens` counts them, or of a single text.
   * @returns Bytes of the weights, of the contexts, of the vectors with their token ids, and their sum; the texts themselves
   * are not counted.
   * @throws {TypeError | RangeError} when a length is no integer from 0; the message names its index.
   * @throws {LlamaError} `closed` or `out-of-memory`.
   * @example
   * ```ts
   * import { Llama } from "@llamasaur/llamasaur";
   *
   * await using llama = await Llama.load("models/all-minilm-l6-v2-q8_0.gguf");
   * const { total } = await llama.estimateMemory(new Uint32Array(10_000).fill(100));
   * console.log(total < 300e6); // true
   * ```
   */
  async estimateMemory(lengths: number | ArrayLike<number>): Promise<MemoryEstimate> {
    return await this.#call(() => estimateMemory(this.#engine, lengths));
  }

  /**
   * What was computed since the model was loaded, by all calls together: work that an aborted call left undone is not in it.
   *
   * @example
   * ```ts
   * import { Llama } from "@llamasaur/llamasaur";
   *
   * await using llama = await Llama.load("models/all-minilm-l6-v2-q8_0.gguf");
   * await llama.embed(["a cat", "a kitten"]);
   * console.log(llama.activity.sequences); // 2
   * ```
   */
  get activity(): Activity {
    return this.#engine.pool.activity;
  }

  /**
   * Frees the model and its contexts when all running calls have ended; later calls throw `closed`. Idempotent.
   *
   * @returns A promise that resolves when everything is freed.
   */
  close(): Promise<void> {
    if (!this.#closed) this.#closing.abort(closedError());
    this.#closed ??= (async () => {
      await Promise.allSettled(this.#running);
      dropped.unregister(this);
      await this.#engine.pool.close();
    })();
    return this.#closed;
  }

  /** Calls `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #embedInput(input: string | readonly string[], options: EmbedOptions): Promise<Embedding[]> {
    const checked = checkEmbedOptions(options, this.info.dimensions);
    const name = (i: number): string => typeof input === "string" ? "input" : `input[${i}]`;
    return await this.#embed(name, copyInput(input), checked);
  }

  #embed(nameOf: (index: number) => string, texts: readonly unknown[], options: EmbedOptions): Promise<Embedding[]> {
    return this.#call(() => embedTexts(this.#engine, nameOf, texts, options));
  }

  #throwIfClosed(): void {
    if (this.#closed) throw closedError();
  }

  async #call<T>(run: () => Promise<T>): Promise<T> {
    this.#throwIfClosed();
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    this.#running.add(ended); // before any code of the caller runs: it may call close()
    try {
      return await run();
    } finally {
      this.#running.delete(ended);
      end();
    }
  }
}

function closedError(): LlamaError {
  return new LlamaError("closed", "Cannot call a model after close()");
}

/** The path of a model of the hub; one that is on this machine is asked for nowhere. */
async function findOrDownload(
  reference: ModelReference,
  model: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  try {
    return pathOf(reference, model);
  } catch (error) {
    if (!(error instanceof ModelNotFoundError)) throw error;
    const { download } = await import("./models/hub/download.ts"); // nothing else here leads to the network
    return await download(model, { signal });
  }
}

/**
 * Lists the devices that the native library offers: the CPU, and GPUs if it was built for them.
 *
 * @param options `library`: path or `file:` URL of the native library, if it is not in one of the usual places.
 * @returns The devices; a GPU's name is what the `device` option of `Llama.load` takes.
 * @throws {TypeError} when `library` is neither, or another option is there.
 * @throws {LibraryNotFoundError} when the native library was not built.
 * @example
 * ```ts
 * import { listDevices } from "@llamasaur/llamasaur";
 *
 * for (const { name, kind } of await listDevices()) console.log(name, kind); // CPU cpu
 * ```
 */
export async function listDevices(options: { readonly library?: string | URL | undefined } = {}): Promise<Device[]> {
  return devices(await open(checkDevicesOptions(options).library));
}
