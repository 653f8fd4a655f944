/**
 * The one table of native functions, in the order of shim.h; the adapters for Deno and Bun are both made from it.
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
  saur_queue_new:          { args: [], returns: "ptr" },
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
  saur_context_init:       { args: ["ptr", "ptr", "buf", "i32"], returns: "i32" },
  saur_context_memory:     { args: ["ptr", "buf", "i32"], returns: "i32" },
  saur_context_free:       { args: ["ptr"], returns: "i32" },
  saur_batch_encode:       { args: ["ptr", "buf", "i32", "buf", "buf", "buf", "i32"], returns: "i32" },
  saur_pooling_embeddings: { args: ["ptr", "buf", "i32"], returns: "i32" },
} as const;
SYMBOLS satisfies Record<string, Signature>;

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

/** Our own names of the pooling types; the index is pooling.h's number. */
export const POOLING = ["none", "mean", "cls", "last", "rank"] as const;

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
 * The number of this table: it changes with any name, argument or result, so that a library built for another table
 * is refused before a call can go wrong.
 *
 * @returns A 31-bit FNV-1a hash (http://www.isthe.com/chongo/tech/comp/fnv/) of the table and the info fields.
 */
export function abi(): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(JSON.stringify([SYMBOLS, MODEL_INFO, POOLING]))) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return hash >>> 1;
}
