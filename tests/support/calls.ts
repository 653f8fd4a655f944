// Every public function with arguments that are right, and what must be said of one that is wrong.
import { join } from "node:path";
import { build } from "../../build/mod.ts";
import { convert, quantize } from "../../convert.ts";
import {
  cosineSimilarity,
  describeLibrary,
  dot,
  hamming,
  listDevices,
  Llama,
  toBinary,
  toInt8,
  topK,
} from "../../mod.ts";
import {
  cacheFolders,
  download,
  listModels,
  readHeader,
  removeModel,
  resolveModel,
  verifyModel,
} from "../../models.ts";
import { fixture } from "./checkpoint.ts";

/** Says by which words a value must be refused, such as `documents[3]`; undefined when it may be taken. */
type Refusal = (value: unknown) => string | undefined;

/** A public function. */
export interface Call {
  readonly name: string;
  readonly args: readonly unknown[];
  /** Of each argument that may be replaced; `2.topN` is a key of the third. */
  readonly refusals: Readonly<Record<string, Refusal>>;
  /** The index of the argument that is options, and the options that no value is tried for. */
  readonly options?: { readonly at: number; readonly more?: readonly string[] };
  readonly sync?: boolean;
  /** The argument that is a path to be written to: what may be taken is replaced by one in the directory. */
  readonly written?: string;
  run(...args: unknown[]): unknown;
}

function named(name: string, right: (value: unknown) => boolean): Refusal {
  return (value) => right(value) ? undefined : name;
}

function option(name: string, right: (value: unknown) => boolean): Refusal {
  return named(name, (value) => value === undefined || right(value));
}

const isText = (value: unknown): value is string => typeof value === "string" && value.isWellFormed();
const isObject = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value);
const isFunction = (value: unknown): boolean => typeof value === "function";
const isBytes = (value: unknown): boolean => value instanceof Uint8Array || value instanceof Int8Array;
const isBoolean = (value: unknown): boolean => typeof value === "boolean";
const isSignal = (value: unknown): boolean => value instanceof AbortSignal;
const isPath = (value: unknown): boolean =>
  value instanceof URL || isText(value) && value !== "" && !value.includes("\0");
const isModel = (value: unknown): boolean => value instanceof URL || typeof value === "string";
const within = (min: number, max = Number.MAX_SAFE_INTEGER) => (value: unknown): boolean =>
  Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
const oneOf = (...words: string[]) => (value: unknown): boolean => words.includes(value as string);
const options: Refusal = option("options", isObject);

function texts(name: string): Refusal {
  return (value) => {
    if (!Array.isArray(value)) return name;
    for (let i = 0; i < value.length; i++) if (!isText(value[i])) return `${name}[${i}]`;
    return undefined;
  };
}

function integers(name: string, right: (value: unknown) => boolean): Refusal {
  return (value) => {
    if (!Array.isArray(value) && !(ArrayBuffer.isView(value) && "length" in value)) return name;
    const list = value as ArrayLike<unknown>;
    for (let i = 0; i < list.length; i++) if (!right(list[i])) return `${name}[${i}]`;
    return undefined;
  };
}

const lengths: Refusal = (value) => integers("lengths", within(0))(typeof value === "number" ? [value] : value);
const ids = (count: number): Refusal => integers("ids", within(0, count - 1));

function vector(name: string): Refusal {
  return (value) => {
    const list = value as ArrayLike<unknown>;
    if (typeof value !== "object" || !Number.isSafeInteger(list?.length) || list.length < 0) return name;
    for (let i = 0; i < list.length; i++) if (typeof list[i] !== "number") return `${name}[${i}]`;
    return undefined;
  };
}

const embedOptions = (most: number): Call["refusals"] => ({
  "normalize": option("normalize", isBoolean),
  "dimensions": option("dimensions", within(1, most)),
  "prompt": option("prompt", isText),
  "inputType": option("inputType", (value) => value === undefined),
  "truncate": option("truncate", oneOf("end", "start", "error")),
  "signal": option("signal", isSignal),
  "onProgress": option("onProgress", isFunction),
});
const embedding = (most: number): Call["refusals"] => ({
  "0": (value) => typeof value === "string" ? named("input", isText)(value) : texts("input")(value),
  "1": options,
  ...keys(1, embedOptions(most)),
});
const quantizing = {
  "threads": option("threads", within(1, 512)),
  "signal": option("signal", isSignal),
  "onProgress": option("onProgress", isFunction),
  "library": option("library", isPath),
};

/** The names of a call's options. */
export function optionsOf({ options, refusals }: Call): string[] {
  if (options === undefined) return [];
  const tried = Object.keys(refusals).filter((key) => key.startsWith(`${options.at}.`));
  return [...tried.map((key) => key.slice(key.indexOf(".") + 1)), ...options.more ?? []];
}

function keys(argument: number, refusals: Readonly<Record<string, Refusal>>): Record<string, Refusal> {
  return Object.fromEntries(Object.entries(refusals).map(([key, refusal]) => [`${argument}.${key}`, refusal]));
}

/**
 * The calls.
 *
 * @param directory Where files may be made; `tiny.gguf` is there, the embedder's model with f32 weights.
 */
export function callsOf(embedder: Llama, directory: string): Call[] {
  const model = join(directory, "tiny.gguf");
  return [
    ...libraryCalls(model, embedder.info.contextLength),
    ...embeddingCalls(embedder),
    ...textCalls(embedder),
    ...vectorCalls(),
    ...hubCalls(model, join(directory, "cache")),
    ...conversionCalls(model, join(directory, "out.gguf")),
  ];
}

function libraryCalls(model: string, positions: number): Call[] {
  return [
    {
      name: "Llama.load",
      args: [model, {}],
      refusals: {
        "0": named("model", isModel),
        "1": options,
        "1.contextSize": option("contextSize", within(1, positions)),
        "1.pooling": option("pooling", oneOf("none", "mean", "cls", "last", "rank")),
        "1.gpuLayers": option("gpuLayers", within(-1)),
        "1.device": option("device", (value) => typeof value === "string" && /^cpu$/i.test(value)),
        "1.contexts": option("contexts", within(1, 512)),
        "1.threads": option("threads", within(1, 512)),
        "1.kernels": option("kernels", isBoolean),
        "1.memoryLimit": option("memoryLimit", within(1)),
        "1.library": option("library", isPath),
        "1.checkTensors": option("checkTensors", isBoolean),
        "1.download": option("download", isBoolean),
        "1.signal": option("signal", isSignal),
        "1.onProgress": option("onProgress", isFunction),
        "1.onLog": option("onLog", isFunction),
        "1.attention": option("attention", oneOf("causal", "non-causal")),
        "1.addBos": option("addBos", isBoolean),
        "1.addEos": option("addEos", isBoolean),
        "1.addSep": option("addSep", isBoolean),
        "1.template": (value) => option("template", isText)(value) && texts("template")(value),
      },
      options: { at: 1, more: ["answers"] },
      run: async (...args) => await (await Llama.load(...args as Parameters<typeof Llama.load>)).close(),
    },
    {
      name: "listDevices",
      args: [{}],
      refusals: { "0": options, "0.library": option("library", isPath) },
      options: { at: 0 },
      run: (value) => listDevices(value as object),
    },
    {
      name: "describeLibrary",
      args: [{}],
      refusals: { "0": options, "0.library": option("library", isPath) },
      options: { at: 0 },
      run: (value) => describeLibrary(value as object),
    },
    {
      name: "build",
      args: [{ dryRun: true, onLine: () => {} }],
      refusals: {
        "0.backend": option("backend", oneOf("cpu")),
        "0.portable": option("portable", isBoolean),
        "0.jobs": option("jobs", within(1)),
        "0.source": option("source", isPath),
        "0.llama": option("llama", isPath),
        "0.out": option("out", isPath),
        "0.target": option("target", (value) => typeof value === "string"),
        "0.signal": option("signal", isSignal),
        "0.onLine": option("onLine", isFunction),
      },
      options: { at: 0, more: ["dryRun", "debug", "clean", "sanitize", "prebuilt"] },
      run: (value) => build(value as { dryRun: true }),
    },
  ];
}

function embeddingCalls(embedder: Llama): Call[] {
  const { dimensions } = embedder.info;
  return [
    {
      name: "embed",
      args: [["one", "two"], {}],
      refusals: embedding(dimensions),
      options: { at: 1 },
      run: (...args) => embedder.embed(...args as [string[]]),
    },
    {
      name: "embedDetailed",
      args: ["one", {}],
      refusals: embedding(dimensions),
      options: { at: 1 },
      run: (...args) => embedder.embedDetailed(...args as [string]),
    },
    {
      name: "embedStream",
      args: [["one", "two"], {}],
      refusals: keys(1, embedOptions(dimensions)),
      options: { at: 1 },
      run: async (...args) => {
        for await (const _ of embedder.embedStream(...args as [string[]]));
      },
    },
    {
      name: "embedStreamDetailed",
      args: [["one", "two"], {}],
      refusals: keys(1, { ...embedOptions(dimensions), "text": option("text", isFunction) }),
      options: { at: 1 },
      run: async (...args) => {
        for await (const _ of embedder.embedStreamDetailed(...args as [string[]]));
      },
    },
    {
      name: "fingerprint",
      args: [{}],
      refusals: { "0": options, ...keys(0, embedOptions(dimensions)) },
      options: { at: 0 },
      sync: true,
      run: (value) => embedder.fingerprint(value as object),
    },
  ];
}

function textCalls(embedder: Llama): Call[] {
  return [
    {
      name: "rerank",
      args: ["one", ["two", "three"], {}],
      refusals: {
        "0": named("query", isText),
        "1": texts("documents"),
        "2": options,
        "2.topN": option("topN", within(0)),
        "2.text": option("text", isFunction),
        "2.truncate": option("truncate", oneOf("end", "start", "error", "windows")),
        "2.signal": option("signal", isSignal),
        "2.onProgress": option("onProgress", isFunction),
      },
      options: { at: 2, more: ["instruction", "label"] },
      run: (...args) => embedder.rerank(...args as [string, string[]]),
    },
    {
      name: "tokenize",
      args: ["one"],
      refusals: { "0": named("text", isText) },
      run: (text) => embedder.tokenize(text as string),
    },
    {
      name: "pieces",
      args: [[1, 2]],
      refusals: { "0": ids(embedder.info.vocabularySize) },
      run: (...args) => embedder.pieces(...args as [number[]]),
    },
    {
      name: "countTokens",
      args: ["one"],
      refusals: { "0": (value) => typeof value === "string" ? named("text", isText)(value) : texts("text")(value) },
      run: (text) => embedder.countTokens(text as string),
    },
    {
      name: "estimateMemory",
      args: [[1, 2]],
      refusals: { "0": lengths },
      run: (...args) => embedder.estimateMemory(...args as [number[]]),
    },
  ];
}

function vectorCalls(): Call[] {
  return [
    ...[dot, cosineSimilarity].map((call): Call => ({
      name: call.name,
      args: [[1, 2], [3, 4]],
      refusals: { "0": vector("a"), "1": vector("b") },
      sync: true,
      run: (...args) => call(...args as [number[], number[]]),
    })),
    {
      name: "topK",
      args: [[1, 2], [[3, 4], [5, 6]], 1],
      refusals: {
        "0": vector("query"),
        "1": named("vectors", Array.isArray),
        "2": named("k", within(0, Number.MAX_VALUE)),
      },
      sync: true,
      run: (...args) => topK(...args as [number[], number[][], number]),
    },
    {
      name: "toBinary",
      args: [[1, 2]],
      refusals: { "0": vector("vector") },
      sync: true,
      run: (value) => toBinary(value as number[]),
    },
    {
      name: "toInt8",
      args: [[[1, 2]], [[3, 4]]],
      refusals: {
        "0": named("vectors", Array.isArray),
        "1": named("calibration", (value) => value === undefined || Array.isArray(value)),
      },
      sync: true,
      run: (...args) => toInt8(...args as [number[][], number[][]]),
    },
    {
      name: "hamming",
      args: [Uint8Array.of(1), Uint8Array.of(2)],
      refusals: { "0": named("a", isBytes), "1": named("b", isBytes) },
      sync: true,
      run: (...args) => hamming(...args as [Uint8Array, Uint8Array]),
    },
  ];
}

function hubCalls(model: string, cache: string): Call[] {
  const offline = { cache, endpoint: "http://127.0.0.1:1", token: "secret", offline: true };
  return [
    {
      name: "resolveModel",
      args: [model],
      refusals: { "0": named("model", isModel) },
      sync: true,
      run: (value) => resolveModel(value as string),
    },
    {
      name: "readHeader",
      args: [model],
      refusals: { "0": named("model", isModel) },
      run: (value) => readHeader(value as string),
    },
    { name: "cacheFolders", args: [], refusals: {}, sync: true, run: () => cacheFolders() },
    {
      name: "listModels",
      args: [{ cache }],
      refusals: { "0": options, "0.cache": option("cache", isPath) },
      options: { at: 0 },
      run: (value) => listModels(value as object),
    },
    {
      name: "verifyModel",
      args: [model, { cache }],
      refusals: {
        "0": named("model", isText),
        "1": options,
        "1.cache": option("cache", isPath),
        "1.signal": option("signal", isSignal),
        "1.onProgress": option("onProgress", isFunction),
      },
      options: { at: 1 },
      run: (...args) => verifyModel(...args as [string]),
    },
    {
      name: "removeModel",
      args: ["hf:owner/repo/none.gguf", { cache }],
      refusals: { "0": named("model", isText), "1": options, "1.cache": option("cache", isPath) },
      options: { at: 1 },
      run: (...args) => removeModel(...args as [string]),
    },
    {
      name: "download",
      args: ["hf:owner/repo/model.gguf", offline],
      refusals: {
        "0": named("model", isModel),
        "1": options,
        "1.cache": option("cache", isPath),
        "1.endpoint": option("endpoint", (value) => isText(value) && /^https?:[/][/]\w/.test(value)),
        "1.token": option("token", (value) => typeof value === "string" && /^[!-~]*$/.test(value)),
        "1.offline": option("offline", isBoolean),
        "1.signal": option("signal", isSignal),
        "1.onProgress": option("onProgress", isFunction),
        "1.fetch": option("fetch", isFunction),
      },
      options: { at: 1 },
      run: (...args) => download(...args as Parameters<typeof download>),
    },
  ];
}

function conversionCalls(model: string, out: string): Call[] {
  return [
    {
      name: "convert",
      args: [fixture("tiny_bert"), out, {}],
      written: "1",
      refusals: {
        "0": named("directory", isPath),
        "1": named("out", isPath),
        "2": options,
        "2.type": option("type", oneOf("f32", "f16", "bf16", "q8_0")),
        "2.pooling": option("pooling", oneOf("mean", "cls", "last")),
        "2.name": option("name", isText),
        ...keys(2, quantizing),
      },
      options: { at: 2 },
      run: (...args) => convert(...args as Parameters<typeof convert>),
    },
    {
      name: "quantize",
      args: [model, out, "q8_0", {}],
      written: "1",
      refusals: {
        "0": named("input", isPath),
        "1": named("out", isPath),
        "2": named("type", oneOf("f32", "f16", "bf16", "q8_0")),
        "3": options,
        ...keys(3, quantizing),
      },
      options: { at: 3 },
      run: (...args) => quantize(...args as Parameters<typeof quantize>),
    },
  ];
}
