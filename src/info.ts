/** What a loaded model is: read from its file, not guessed. */
import type { Model } from "../ffi/mod.ts";
import { LlamaError } from "../ffi/errors.ts";
import type { Pooling } from "./options.ts";

/** What `llama.info` tells. */
export interface LlamaInfo {
  /** llama.cpp's name of the architecture, such as `bert`. */
  readonly architecture: string;
  /** Numbers of a vector. */
  readonly dimensions: number;
  /** Tokens that the model has positions for. */
  readonly contextLength: number;
  /** Tokens of one text, special ones included, beyond which it is truncated. */
  readonly maxTokens: number;
  /** How the tokens' vectors become one. */
  readonly pooling: Pooling;
  /** Names of the classification head's outputs; empty without any. */
  readonly labels: readonly string[];
  /** Entries of the vocabulary. */
  readonly vocabularySize: number;
  /** llama.cpp's name of the weights' type, such as `Q8_0`. */
  readonly quantization: string;
  /** Size of the weights in bytes. */
  readonly size: number;
  /** How many weights. */
  readonly parameters: number;
  /** The device that computes. */
  readonly device: string;
  /** Contexts that compute side by side, at most. */
  readonly contexts: number;
  /** Threads of one context. */
  readonly threads: number;
  /** What is computed by this package's own kernels where a model needs it; empty: all is llama.cpp's. */
  readonly kernels: readonly string[];
  /** How `rerank` scores: by the file's classification head, or by the cosine of two vectors. */
  readonly reranker: "cross-encoder" | "cosine";
  /** Whether the file holds all that the original model has; false when a part that changes the result is missing. */
  readonly exact: boolean;
  /** Changes when the vectors would: model file, pooling, limit or llama.cpp version. For those who store vectors. */
  readonly fingerprint: string;
}

/** What was decided at load, besides what the file says. */
export type Decided = Pick<
  LlamaInfo,
  "maxTokens" | "pooling" | "contexts" | "threads" | "device" | "kernels" | "reranker" | "exact"
>;

/**
 * Tokens of one text: the option, else the catalogue's, else what sentence-transformers cuts at (our converter writes
 * it), else the file's.
 */
export function maxTokensOf(model: Model, contextSize: number | undefined, known: number | undefined): number {
  const { contextLength } = model.numbers;
  if (contextSize !== undefined && contextSize > contextLength) {
    throw new RangeError(
      `Cannot load with contextSize ${contextSize}: the model has positions for ${contextLength} tokens`,
    );
  }
  const trained = known ?? Number(model.meta("llamasaur.max_seq_length") ?? contextLength);
  return contextSize ?? (trained > 0 ? Math.min(trained, contextLength) : contextLength);
}

/** How `rerank` will score, and what is wrong with the file for it. */
export function rerankerOf(
  model: Model,
  pooling: Pooling,
): Pick<LlamaInfo, "reranker" | "exact"> & { warning?: string } {
  if (pooling !== "rank") return { reranker: "cosine", exact: true };
  const dense = model.hasTensor("cls.weight");
  if (!dense && !model.hasTensor("cls.output.weight")) {
    throw new LlamaError(
      "model-unsupported",
      'Cannot load with pooling "rank": the file has no classification head; load it without that option to rank by cosine',
    );
  }
  if (dense || model.meta("general.architecture") !== "bert") return { reranker: "cross-encoder", exact: true };
  const warning = `${model.meta("general.name") ?? "The model"} lacks the pooler (cls.weight) that BERT's head was ` +
    "trained with, so its scores are not the original's: convert the original checkpoint with convert()";
  return { reranker: "cross-encoder", exact: false, warning };
}

/** Puts together what `llama.info` tells. */
export function describe(model: Model, decided: Decided, version: string): LlamaInfo {
  const { numbers } = model;
  return Object.freeze({
    architecture: model.meta("general.architecture") ?? "unknown",
    dimensions: numbers.dimensions,
    contextLength: numbers.contextLength,
    labels: Object.freeze(model.labels),
    vocabularySize: numbers.vocabularySize,
    quantization: model.meta(":file_type") ?? "unknown",
    size: numbers.bytes,
    parameters: numbers.parameters,
    fingerprint: fnv1a(JSON.stringify([model.meta(":hash"), decided.pooling, decided.maxTokens, version])),
    ...decided,
  });
}

/** FNV-1a in 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/), as 16 hex digits. */
function fnv1a(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(16).padStart(16, "0");
}
