/**
 * Making GGUF files: from checkpoints of sentence-transformers and Hugging Face, and with smaller weights.
 *
 * @module
 */
export { convert, type ConvertOptions } from "./src/convert/convert.ts";
export { quantize, type QuantizeOptions, type WeightType } from "./src/convert/quantize.ts";
export type { CheckpointPooling } from "./src/convert/sentence_transformers.ts";
export { LlamaError, type LlamaErrorCode } from "./ffi/errors.ts";
