/**
 * Embed and rerank text with GGUF models from Deno and Bun, in-process, through llama.cpp.
 *
 * @example
 * ```ts
 * import { Llama } from "@llamasaur/llamasaur";
 *
 * await using llama = await Llama.load("models/all-minilm-l6-v2-q8_0.gguf");
 * const ranked = await llama.rerank("safe systems programming", ["Rust is safe.", "Bananas are yellow."]);
 * for (const { score, document } of ranked) console.log(score.toFixed(2), document);
 * ```
 *
 * @module
 */
export { type Device, type ForInput, listDevices, Llama } from "./src/llama.ts";
export { describeLibrary, type LibraryInfo } from "./src/library.ts";
export type { Embedding } from "./src/embed.ts";
export type { ItemEmbedding } from "./src/stream.ts";
export type { Ranked } from "./src/rerank.ts";
export type { LabelScore } from "./src/scores.ts";
export type { Activity } from "./src/pool/pool.ts";
export type { MemoryEstimate, MemoryInfo } from "./src/pool/memory.ts";
export type { FastestWeights } from "./src/engine/fastest.ts";
export type { Exactness, LlamaInfo, Reranker } from "./src/engine/info.ts";
export type {
  EmbedOptions,
  EmbedStreamOptions,
  LoadOptions,
  LogLine,
  OptionsFor,
  Pooling,
  Progress,
  RerankOptions,
  Truncate,
} from "./src/options.ts";
export { cosineSimilarity, dot, hamming, type Match, toBinary, toInt8, topK } from "./src/vectors.ts";
export {
  HubUnavailableError,
  LibraryNotFoundError,
  LlamaError,
  type LlamaErrorCode,
  ModelNotFoundError,
} from "./ffi/errors.ts";
