/**
 * Lists what crosses the boundary: the native functions, in the order of shim.h, and the names of the numbers that they
 * take and give. Both adapters are made from this table, and so is the header that C++ sees (build/abi.ts).
 *
 * `i32`: a 32-bit integer. `ptr`: an opaque native handle, never dereferenced in JavaScript. `buf`: a typed array
 * that the function copies from or into before it returns. `blocking`: called off the JavaScript thread.
 */
export type NativeType = "i32" | "ptr" | "buf" | "void";

/** The signature of one native function. */
export interface Signature {
  readonly args: readonly NativeType[];
  readonly returns: NativeType;
  readonly blocking?: true;
}

// deno-fmt-ignore
export const SYMBOLS = {
  saur_abi:                { args: [], returns: "i32" },
  saur_versions:           { args: ["buf", "i32"], returns: "i32" },
  saur_cpu_missing:        { args: ["buf", "i32", "i32"], returns: "i32" },
  saur_init:               { args: ["buf"], returns: "i32" },
  saur_default_params:     { args: ["buf", "i32"], returns: "i32" },
  saur_kernels:            { args: ["buf", "i32"], returns: "i32" },
  saur_cores:              { args: ["buf"], returns: "i32" },
  saur_log_drain:          { args: ["ptr", "buf", "i32"], returns: "i32" },
  saur_queue_new:          { args: ["i32"], returns: "ptr" },
  saur_queue_notify:       { args: ["ptr", "ptr"], returns: "void" },
  saur_queue_wait:         { args: ["ptr"], returns: "i32", blocking: true },
  saur_queue_take:         { args: ["ptr"], returns: "i32" },
  saur_lane_new:           { args: ["ptr", "i32", "i32"], returns: "ptr" },
  saur_lane_free:          { args: ["ptr"], returns: "void" },
  saur_lane_abort:         { args: ["ptr", "i32"], returns: "void" },
  saur_lane_progress:      { args: ["ptr"], returns: "i32" },
  saur_lane_result:        { args: ["ptr", "buf", "i32"], returns: "i32" },
  saur_device_count:       { args: [], returns: "i32" },
  saur_device_text:        { args: ["i32", "buf", "i32"], returns: "i32" },
  saur_device_memory:      { args: ["i32", "buf"], returns: "i32" },
  saur_model_load:         { args: ["ptr", "buf", "buf", "i32"], returns: "i32" },
  saur_model_take:         { args: ["ptr"], returns: "ptr" },
  saur_model_free:         { args: ["ptr"], returns: "void" },
  saur_model_info:         { args: ["ptr", "buf", "i32"], returns: "i32" },
  saur_model_meta:         { args: ["ptr", "buf", "buf", "i32"], returns: "i32" },
  saur_model_label:        { args: ["ptr", "i32", "buf", "i32"], returns: "i32" },
  saur_model_has_tensor:   { args: ["ptr", "buf"], returns: "i32" },
  saur_model_quantize:     { args: ["ptr", "buf", "buf", "buf", "i32"], returns: "i32" },
  saur_vocab_tokenize:     { args: ["ptr", "ptr", "buf", "buf", "buf", "i32"], returns: "i32" },
  saur_vocab_counts:       { args: ["ptr", "buf", "i32"], returns: "i32" },
  saur_vocab_tokens:       { args: ["ptr", "buf", "i32"], returns: "i32" },
  saur_vocab_pieces:       { args: ["ptr", "buf", "i32", "buf", "buf", "i32"], returns: "i32" },
  saur_context_init:       { args: ["ptr", "ptr", "buf", "i32", "buf", "i32"], returns: "i32" },
  saur_context_memory:     { args: ["ptr", "buf", "i32"], returns: "i32" },
  saur_context_free:       { args: ["ptr"], returns: "i32" },
  saur_batch_encode:       { args: ["ptr", "buf", "i32", "buf", "buf", "buf", "i32"], returns: "i32" },
  saur_pooling_embeddings: { args: ["ptr", "buf", "i32"], returns: "i32" },
} as const;
SYMBOLS satisfies Record<string, Signature>;

/** What `saur_model_load` is given, in its order. */
export const MODEL_OPTIONS = [
  "gpuLayers", // to keep on the GPU; negative: all
  "checkTensors", // 1: look for numbers that are not finite
  "checkHeader", // 0: load what llama.cpp could die of, for tests of what lies behind that check
  "device", // index of the GPU; -1: the first, or the CPU if there is none
  "addBos", // around a text: 1 or 0, -1: as the file says; so are the next two
  "addEos",
  "addSep",
  "causal", // whether a token attends only to those before it: 1 or 0, -1: as the file says
  "repack", // whether llama.cpp may put weights into an order of its own, which our kernels cannot read
] as const;

/** What `saur_context_init` is given, in its order, besides the answers. */
export const CONTEXT_OPTIONS = ["tokens", "sequences", "threads", "pooling", "kernels"] as const;

/** What `saur_context_memory` writes, in its order. */
export const CONTEXT_MEMORY = ["weights", "cache", "compute", "row", "perToken", "head"] as const;

/** What `saur_model_info` writes, in its order. */
export const MODEL_INFO = [
  "dimensions",
  "contextLength",
  "vocabularySize",
  "layers",
  "classes",
  "bytes",
  "parameters",
  "pooling",
  "hasEncoder",
  "hasDecoder",
  "recurrent",
  "isCausalDecoder",
  "causal",
  "causalBy",
  "exposesHiddenStates",
  "classifiesLastToken",
  "bos",
  "eos",
  "sep",
  "addBos",
  "addEos",
  "addSep",
  "device",
] as const;

/**
 * Our own numbers of the pooling types, so that a renumbering upstream is a compile error and not a wrong vector:
 * `unspecified` is what the model's file says, `unknown` a number in a file that llama.cpp has no name for.
 */
export const POOLING = { unknown: -2, unspecified: -1, none: 0, mean: 1, cls: 2, last: 3, rank: 4 } as const;

/**
 * Who says whether a token attends only to those before it: the architecture, an option, the file, the name of a model whose
 * files do not say, or nobody: then it is causal, as in llama.cpp.
 */
export const CAUSAL_BY = { nobody: 0, file: 1, option: 2, architecture: 3, name: 4 } as const;

/** A pooling that a context can be made with. */
export type PoolingName = Exclude<keyof typeof POOLING, "unknown" | "unspecified">;

/**
 * What tokenising does about special tokens: `add` puts those around a text that the model wants and takes what is
 * written in it as plain text, `none` only the latter, `parse` reads those that are written in it (for templates only).
 */
export const SPECIAL = { none: 0, add: 1, parse: 2 } as const;

/** How grave a line of the log is; a lane that is made with `none` keeps no line. */
export const LOG_LEVEL = { debug: 0, info: 1, warn: 2, error: 3, none: 4 } as const;

/** What a job comes to, and why one is refused; ffi/errors.ts has the words. */
export const STATUS = {
  OK: 0,
  BUSY: -1, // the lane runs a job, or was freed
  NO_CONTEXT: -2, // encode before context_init
  EMPTY: -3, // an empty batch, or a sequence of no tokens
  SEQUENCE_TOO_LONG: -4, // longer than the context or than the model was trained for
  BATCH_TOO_LARGE: -5, // more tokens than one pass of this context takes
  TOO_MANY_SEQUENCES: -6,
  BAD_TOKEN: -7, // an id outside the vocabulary
  BAD_ARGUMENT: -8,
  EXITING: -9, // the process is leaving
  LOST: -100, // an assertion or exception was caught; the context must be made anew
  ABORTED: -101,
  NULL: -102, // llama.cpp returned NULL; its error lines say why
  OUT_OF_MEMORY: -103,
  DECODE_FAILED: -104,
  NO_OUTPUT: -105, // no embedding for a sequence
  NOT_FOUND: -106, // no file at the model's path
  NOT_GGUF: -107, // the file is something else
  UNSOUND: -108, // a GGUF file that is damaged or made wrong
} as const;

/** The lists of names that cross the boundary as numbers. */
export type ListName =
  | "MODEL_OPTIONS"
  | "CONTEXT_OPTIONS"
  | "CONTEXT_MEMORY"
  | "MODEL_INFO"
  | "POOLING"
  | "CAUSAL_BY"
  | "SPECIAL"
  | "LOG_LEVEL"
  | "STATUS";

/** All of those lists: the build writes them for C++, and `abi()` covers them. */
export const NAMES: Readonly<Record<ListName, readonly string[] | Readonly<Record<string, number>>>> = {
  MODEL_OPTIONS,
  CONTEXT_OPTIONS,
  CONTEXT_MEMORY,
  MODEL_INFO,
  POOLING,
  CAUSAL_BY,
  SPECIAL,
  LOG_LEVEL,
  STATUS,
};

/** Puts numbers in the order of a list of names. */
export function inOrder<Name extends string>(names: readonly Name[], values: Readonly<Record<Name, number>>): number[] {
  return names.map((name) => values[name]);
}

/** Gives numbers the names of a list. */
export function byName<Name extends string>(
  names: readonly Name[],
  values: ArrayLike<number>,
): { readonly [K in Name]: number } {
  return Object.fromEntries(names.map((name, i) => [name, values[i]])) as { [K in Name]: number };
}

/** An opaque native pointer. */
export type Handle = { readonly __handle: unique symbol };
type Argument<T> = T extends "i32" ? number
  : T extends "ptr" ? Handle | null
  : Uint8Array | Int32Array | Float32Array | Float64Array;
type Result<T> = T extends "i32" ? number : T extends "ptr" ? Handle | null : void;
type Arguments<A extends readonly NativeType[]> = { -readonly [K in keyof A]: Argument<A[K]> };

/** The native functions as JavaScript sees them; a blocking one gives a promise. */
export type Functions = {
  [K in keyof typeof SYMBOLS]: (typeof SYMBOLS)[K] extends { blocking: true }
    ? (...args: Arguments<(typeof SYMBOLS)[K]["args"]>) => Promise<Result<(typeof SYMBOLS)[K]["returns"]>>
    : (...args: Arguments<(typeof SYMBOLS)[K]["args"]>) => Result<(typeof SYMBOLS)[K]["returns"]>;
};

/**
 * The number of the table and of all that crosses by name: it changes with any of them, so that a library that was built
 * for others is refused before a call can go wrong.
 *
 * @returns A 31-bit FNV-1a hash (http://www.isthe.com/chongo/tech/comp/fnv/).
 */
export function abi(): number {
  const table = JSON.stringify([SYMBOLS, NAMES]);
  let hash = 0x811c9dc5;
  // By index, and no bytes of it are made: at a start nothing is compiled yet, and the iterator alone took 1 ms.
  for (let i = 0; i < table.length; i++) hash = Math.imul(hash ^ table.charCodeAt(i), 0x01000193);
  return hash >>> 1;
}
