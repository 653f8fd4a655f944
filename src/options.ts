/** The options of every call: types, defaults and checks. Wrong ones throw TypeError or RangeError, before any work. */
import {
  boolean,
  callback,
  type Checked,
  checkOptions,
  checkPath,
  type Checks,
  checkText,
  checkTexts,
  integer,
  signal,
  word,
} from "./check.ts";

/** How the vectors of a text's tokens become one vector; `none` keeps one a token, `rank` is a classification head. */
export type Pooling = "none" | "mean" | "cls" | "last" | "rank";

/** What happens to a text with more tokens than the model takes. */
export type Truncate = "end" | "start" | "error";

/** A line of llama.cpp's log, or a warning of this package. */
export interface LogLine {
  /** How grave it is. */
  readonly level: "debug" | "info" | "warn" | "error";
  /** The line, without its line break. */
  readonly message: string;
}

/** Progress of a call, in the caller's texts: equal ones, which are computed once, count each. */
export interface Progress {
  /** Texts whose result is there. */
  readonly done: number;
  /** Texts of the call; of a stream, those that were read so far. */
  readonly total: number;
  /** Tokens of the texts that are done. */
  readonly tokens: number;
  /** Texts per second since the call began. */
  readonly rate: number;
  /** Milliseconds until all texts of the call were tokenised; a stream has none. */
  readonly tokenizing?: number;
  /** Milliseconds that they waited then for their first pass, behind other calls; a stream has none. */
  readonly waiting?: number;
}

/** Options of `Llama.load`. */
export interface LoadOptions {
  /** Tokens of the longest single text; longer ones are truncated. Default: what the model was made for. */
  readonly contextSize?: number | undefined;
  /** Default: what the file says. */
  readonly pooling?: Pooling | undefined;
  /** Layers to keep on the GPU, −1 for all. @default {-1} */
  readonly gpuLayers?: number | undefined;
  /** The device to compute on, by its name in `listDevices()`. Default: the first GPU of the library, else the CPU. */
  readonly device?: string | undefined;
  /**
   * Contexts that compute side by side. Default: one on a GPU; else as many as physical cores that the process may use
   * (by its affinity and its control group), divided by `threads`.
   */
  readonly contexts?: number | undefined;
  /** Threads of one context. @default {1} */
  readonly threads?: number | undefined;
  /**
   * Compute with this package's own kernels beside llama.cpp's where they are better: on the CPU, with one thread a
   * context, on processors that they were written for (`info.kernels`). @default {true}
   */
  readonly kernels?: boolean | undefined;
  /**
   * Bytes that weights and contexts may take together: fewer contexts and smaller passes are used to stay below it, and a
   * text that takes more is an error. Default: no limit.
   */
  readonly memoryLimit?: number | undefined;
  /** Path or `file:` URL of the native library. Default: the places that docs/building.md lists. */
  readonly library?: string | URL | undefined;
  /** Refuse a file whose weights hold NaN or infinity; reads the whole file. @default {false} */
  readonly checkTensors?: boolean | undefined;
  /**
   * Get a model of the catalogue or `hf:` that is not on this machine, as `download` of `./models` does, with its line of
   * progress on a terminal. @default {false}
   */
  readonly download?: boolean | undefined;
  /** Stops the loading. */
  readonly signal?: AbortSignal | undefined;
  /** Called with 0 to 1 while the weights are read. */
  readonly onProgress?: ((fraction: number) => void) | undefined;
  /**
   * Whether a decoder's token attends only to those before it, or to the whole text. Default: what the file says, else
   * `"causal"`. Encoders, llama-embed and EmbeddingGemma always see the whole text.
   */
  readonly attention?: "causal" | "non-causal" | undefined;
  /** Whether texts begin with BOS. Default: what the file says. */
  readonly addBos?: boolean | undefined;
  /** Whether texts end with EOS. Default: what the file says. */
  readonly addEos?: boolean | undefined;
  /** Whether texts end with SEP. Default: what the file says. */
  readonly addSep?: boolean | undefined;
  /**
   * What `rerank` puts a pair in: text with `{query}` and `{document}`, and if wanted `{instruction}`; special tokens
   * spelled out in it are such. A list of texts is tokenised text by text. Default: the file's own, else the catalogue's,
   * else Qwen3-Reranker's for a causal model, else what the family wants.
   */
  readonly template?: string | readonly string[] | undefined;
  /**
   * The answers for and against, of a causal model that ranks; one token each. The score is the difference of their logits,
   * or the logit of the only one. Default: the catalogue's, else `["yes", "no"]`.
   */
  readonly answers?: readonly [yes: string, no?: string] | undefined;
  /**
   * Receives llama.cpp's log lines and this package's warnings: truncated texts, what the file lacks, options without
   * effect. Default: warnings go to `console.warn`, once a model and kind; llama.cpp's lines are dropped.
   */
  readonly onLog?: ((line: LogLine) => void) | undefined;
}

/** Options of `llama.embed`, `llama.embedDetailed` and `llama.embedStream`. */
export interface EmbedOptions {
  /** Scale each vector to length 1 (L2). @default {true} */
  readonly normalize?: boolean | undefined;
  /** Keep only the first dimensions, for models trained so (Matryoshka); normalised afterwards. Default: all. */
  readonly dimensions?: number | undefined;
  /** Text put before each text, such as `"query: "`. Default: none. */
  readonly prompt?: string | undefined;
  /** Puts the model's own prompt before each text; known for models loaded by a name of the catalogue. */
  readonly inputType?: "query" | "document" | undefined;
  /** Which end of a long text is cut off, or `"error"`. @default {"end"} */
  readonly truncate?: Truncate | undefined;
  /** Stops the call; what others asked for goes on. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each pass. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/** Options of `llama.embedStreamDetailed`. */
export interface EmbedStreamOptions<T> extends EmbedOptions {
  /** The text of an item. Default: the item itself, which must then be a string. */
  readonly text?: ((item: T) => string) | undefined;
}

/** Options of `llama.rerank`. */
export interface RerankOptions<T> {
  /** How many of the best to return. Default: all. */
  readonly topN?: number | undefined;
  /** The text of a document. Default: the document itself, which must then be a string. */
  readonly text?: ((document: T) => string) | undefined;
  /**
   * Which end of a long document is cut off, or `"error"`; `"windows"` scores its overlapping windows and takes the best.
   * A query is never cut. @default {"end"}
   */
  readonly truncate?: Truncate | "windows" | undefined;
  /** What the model is to look for, for those with a line `Instruct: …`. Default: the line as it is. */
  readonly instruction?: string | undefined;
  /** The label that counts, of a model with several. Default: `yes`, else the first. */
  readonly label?: string | undefined;
  /** Stops the call; what others asked for goes on. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each pass; with windows it counts these. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/** What to do about an item that is an object, where a call has the `text` option and it was not given. */
export const TEXT_OF_OBJECTS = "pass text, a function that gives its text";

/** The options of a call whose items are of a type: what is no string needs the `text` option. */
export type OptionsFor<T, Options extends { readonly text?: unknown }> = [T] extends [string] ? [options?: Options]
  : [options: Options & { readonly text: Exclude<Options["text"], undefined> }];

const POOLINGS: readonly Pooling[] = ["none", "mean", "cls", "last", "rank"];
const TRUNCATES: readonly Truncate[] = ["end", "start", "error"];
const MOST_THREADS = 512;

// One line an option: what it must be, and so that it exists.

const LOAD: Checks<LoadOptions> = {
  contextSize: integer(1),
  pooling: word(POOLINGS),
  gpuLayers: integer(-1),
  device: checkText,
  contexts: integer(1, MOST_THREADS),
  threads: integer(1, MOST_THREADS),
  kernels: boolean,
  memoryLimit: integer(1),
  library: checkPath,
  checkTensors: boolean,
  download: boolean,
  signal,
  onProgress: callback,
  attention: word(["causal", "non-causal"]),
  addBos: boolean,
  addEos: boolean,
  addSep: boolean,
  template: textOrTexts,
  answers: oneOrTwoTexts,
  onLog: callback,
};

const EMBED: Checks<EmbedOptions> = {
  normalize: boolean,
  dimensions: integer(1), // and at most the model's
  prompt: checkText,
  inputType: word(["query", "document"]),
  truncate: word(TRUNCATES),
  signal,
  onProgress: callback,
};

const RERANK: Checks<RerankOptions<unknown>> = {
  topN: integer(0),
  text: callback,
  truncate: word([...TRUNCATES, "windows"]),
  instruction: checkText,
  label: checkText,
  signal,
  onProgress: callback,
};

function oneOrTwoTexts(name: string, value: unknown): [string, string?] {
  const [yes, no, ...more] = checkTexts(name, value);
  if (yes !== undefined && more.length === 0) return no === undefined ? [yes] : [yes, no];
  const count = yes === undefined ? 0 : more.length + 2;
  throw new RangeError(
    `Cannot read ${name}: it must be one text, or two texts, one for and one against, has ${count}`,
  );
}

function textOrTexts(name: string, value: unknown): string | string[] {
  return typeof value === "string" ? checkText(name, value) : checkTexts(name, value);
}

/** Checks the options of `Llama.load`; `library` becomes a path. */
export function checkLoadOptions(options: LoadOptions): Checked<LoadOptions> {
  return checkOptions(options, LOAD);
}

/** Checks the options of `listDevices`; `library` becomes a path. */
export function checkDevicesOptions(options: Pick<LoadOptions, "library">): Checked<Pick<LoadOptions, "library">> {
  return checkOptions(options, { library: checkPath });
}

/**
 * Checks the options of an embed call.
 *
 * @param most The model's dimensions.
 */
export function checkEmbedOptions(options: EmbedOptions, most: number): Checked<EmbedOptions> {
  return checkOptions(options, { ...EMBED, dimensions: integer(1, most) });
}

/**
 * Checks the options of a stream of items.
 *
 * @param most The model's dimensions.
 */
export function checkEmbedStreamOptions<T>(
  options: EmbedStreamOptions<T>,
  most: number,
): Checked<EmbedStreamOptions<T>> {
  return checkOptions<EmbedStreamOptions<T>>(options, { ...EMBED, dimensions: integer(1, most), text: callback });
}

/** Checks the options of a rerank call. */
export function checkRerankOptions<T>(options: RerankOptions<T>): Checked<RerankOptions<T>> {
  return checkOptions<RerankOptions<T>>(options, RERANK);
}
