/** The options of every call: types, defaults and checks. Wrong ones throw TypeError or RangeError, before any work. */
import type { LogLine } from "../ffi/mod.ts";

/** How the vectors of a text's tokens become one vector; `none` keeps one a token, `rank` is a classification head. */
export type Pooling = "none" | "mean" | "cls" | "last" | "rank";

/** What happens to a text with more tokens than the model takes. */
export type Truncate = "end" | "start" | "error";

/** Progress of a call: how many texts are done, of how many. */
export interface Progress {
  /** Texts whose result is there. */
  readonly done: number;
  /** Texts of the call. */
  readonly total: number;
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
  /** Contexts that compute side by side. Default: as many as CPU cores, divided by `threads`. */
  readonly contexts?: number | undefined;
  /** Threads of one context. @default {1} */
  readonly threads?: number | undefined;
  /**
   * Compute with this package's own kernels beside llama.cpp's where they are better: on the CPU, with one thread a
   * context, on processors that they were written for (`info.kernels`). @default {true}
   */
  readonly kernels?: boolean | undefined;
  /** Path or `file:` URL of the native library. Default: the places that the README lists. */
  readonly library?: string | URL | undefined;
  /** Refuse a file whose weights hold NaN or infinity; reads the whole file. @default {false} */
  readonly checkTensors?: boolean | undefined;
  /** Stops the loading. */
  readonly signal?: AbortSignal | undefined;
  /** Called with 0 to 1 while the weights are read. */
  readonly onProgress?: ((fraction: number) => void) | undefined;
  /** Receives llama.cpp's log lines and this package's warnings. Default: silence. */
  readonly onLog?: ((line: LogLine) => void) | undefined;
}

/** Options of `llama.embed` and `llama.embedDetailed`. */
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

/** Options of `llama.rerank`. */
export interface RerankOptions<T> {
  /** How many of the best to return. Default: all. */
  readonly topN?: number | undefined;
  /** The text of a document. Default: the document itself, which must then be a string. */
  readonly text?: ((document: T) => string) | undefined;
  /** Which end of a long document is cut off, or `"error"`. @default {"end"} */
  readonly truncate?: Truncate | undefined;
  /** Stops the call; what others asked for goes on. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each pass. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

const POOLINGS: readonly Pooling[] = ["none", "mean", "cls", "last", "rank"];
const TRUNCATES: readonly Truncate[] = ["end", "start", "error"];

/** Checks the options of `Llama.load`. */
export function checkLoadOptions(options: LoadOptions): LoadOptions {
  object("options", options);
  integer("contextSize", options.contextSize, 1);
  oneOf("pooling", options.pooling, POOLINGS);
  integer("gpuLayers", options.gpuLayers, -1);
  if (options.device !== undefined) checkText("device", options.device);
  integer("contexts", options.contexts, 1, 512);
  integer("threads", options.threads, 1, 512);
  if (options.library !== undefined && typeof options.library !== "string" && !(options.library instanceof URL)) {
    throw new TypeError(`Cannot read library: it must be a path or a URL, is ${show(options.library)}`);
  }
  if (options.library === "") throw new RangeError('Cannot read library: it must be a path, is ""');
  boolean("kernels", options.kernels);
  boolean("checkTensors", options.checkTensors);
  signal(options.signal);
  callback("onProgress", options.onProgress);
  callback("onLog", options.onLog);
  return options;
}

/**
 * Checks the options of an embed call.
 *
 * @param dimensions The model's dimensions.
 */
export function checkEmbedOptions(options: EmbedOptions, dimensions: number): EmbedOptions {
  object("options", options);
  boolean("normalize", options.normalize);
  integer("dimensions", options.dimensions, 1, dimensions);
  if (options.prompt !== undefined) checkText("prompt", options.prompt);
  oneOf("inputType", options.inputType, ["query", "document"]);
  oneOf("truncate", options.truncate, TRUNCATES);
  signal(options.signal);
  callback("onProgress", options.onProgress);
  return options;
}

/** Checks the options of a rerank call. */
export function checkRerankOptions<T>(options: RerankOptions<T>): RerankOptions<T> {
  object("options", options);
  integer("topN", options.topN, 0);
  callback("text", options.text);
  oneOf("truncate", options.truncate, TRUNCATES);
  signal(options.signal);
  callback("onProgress", options.onProgress);
  return options;
}

/** Checks that a value is a string of well-formed Unicode; `name` is the argument's, with its index. */
export function checkText(name: string, value: unknown): string {
  if (typeof value !== "string") throw new TypeError(`Cannot read ${name}: it must be a string, is ${show(value)}`);
  if (!value.isWellFormed()) {
    const at = Array.from({ length: value.length }, (_, i) => i).find((i) => !wellFormedAt(value, i)) ?? 0;
    const unit = value.charCodeAt(at).toString(16).toUpperCase();
    throw new TypeError(
      `Cannot read ${name}: it has a lone surrogate U+${unit} at index ${at}; text.toWellFormed() replaces such`,
    );
  }
  return value;
}

/** Checks a list of texts; the message names the index of the bad one. */
export function checkTexts(name: string, value: unknown): string[] {
  if (!Array.isArray(value)) throw new TypeError(`Cannot read ${name}: it must be an array, is ${show(value)}`);
  const texts: string[] = new Array(value.length);
  for (let i = 0; i < value.length; i++) texts[i] = checkText(`${name}[${i}]`, value[i]);
  return texts;
}

/** A value as it should appear in a message: short, and without running the value's own code. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return "a function";
  if (typeof value === "symbol") return "a symbol";
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object";
  return String(value);
}

function wellFormedAt(text: string, i: number): boolean {
  const code = text.charCodeAt(i);
  if (code < 0xd800 || code > 0xdfff) return true;
  if (code < 0xdc00) return text.charCodeAt(i + 1) >= 0xdc00 && text.charCodeAt(i + 1) <= 0xdfff;
  return i > 0 && text.charCodeAt(i - 1) >= 0xd800 && text.charCodeAt(i - 1) < 0xdc00;
}

function object(name: string, value: unknown): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError(`Cannot read ${name}: it must be an object, is ${show(value)}`);
  }
}

function integer(name: string, value: unknown, min: number, max: number = Number.MAX_SAFE_INTEGER): void {
  if (value === undefined) return;
  if (typeof value !== "number") throw new TypeError(`Cannot read ${name}: it must be an integer, is ${show(value)}`);
  if (!Number.isInteger(value) || value < min || value > max) {
    const range = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`;
    throw new RangeError(`Cannot read ${name}: it must be an integer ${range}, is ${value}`);
  }
}

function boolean(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== "boolean") {
    throw new TypeError(`Cannot read ${name}: it must be true or false, is ${show(value)}`);
  }
}

function oneOf(name: string, value: unknown, allowed: readonly string[]): void {
  if (value !== undefined && !allowed.includes(value as string)) {
    const list = allowed.map((one) => `"${one}"`).join(", ");
    throw new (typeof value === "string" ? RangeError : TypeError)(
      `Cannot read ${name}: it must be one of ${list}, is ${show(value)}`,
    );
  }
}

function signal(value: unknown): void {
  if (value !== undefined && !(value instanceof AbortSignal)) {
    throw new TypeError(`Cannot read signal: it must be an AbortSignal, is ${show(value)}`);
  }
}

function callback(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== "function") {
    throw new TypeError(`Cannot read ${name}: it must be a function, is ${show(value)}`);
  }
}
