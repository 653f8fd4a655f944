/** Describes a loaded model: what its file says and what was decided for it. */
import type { Model } from "../../ffi/mod.ts";
import type { MemoryInfo } from "../pool/memory.ts";
import type { Pooling } from "../options.ts";
import type { FastestWeights } from "./fastest.ts";

/** How `rerank` scores: by a classification head, by the logits of two answers of a causal model, or by cosine. */
export type Reranker = "cross-encoder" | "yes-no" | "cosine";

/** How much of the original a loaded model is known to be: `llama.info.exactness`. */
export interface Exactness {
  /** What is known to be as in the original. */
  readonly known: readonly string[];
  /** What is known to be missing or different, each with the remedy; `Llama.load` warns of these alone. */
  readonly lacks: readonly string[];
  /** What the file leaves open: it may be as in the original, and nothing says so. */
  readonly unknown: readonly string[];
}

/** What a loaded model is: `llama.info`. */
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
  /**
   * What the model was trained to find before a query and before a document, `""` for nothing: what `inputType` puts
   * there. Undefined where it is not known: then `inputType` is refused, and `prompt` says what goes there.
   */
  readonly prompts: { readonly query: string; readonly document: string } | undefined;
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
  /** What it takes in memory. */
  readonly memory: MemoryInfo;
  /** What is computed by this package's own kernels where a model needs it; empty: all is llama.cpp's. */
  readonly kernels: readonly string[];
  /**
   * The type of weights, as `quantize` names it, that this processor computes fastest with these options, whatever type this
   * model has; undefined where llama.cpp computes, such as on a GPU. Source: the table of docs/speed.md.
   */
  readonly fastestWeights: FastestWeights | undefined;
  /**
   * How `rerank` scores: by the file's classification head (`"cross-encoder"`), by how likely a causal model finds the
   * answers "yes" and "no" (`"yes-no"`), or by the cosine of two vectors.
   */
  readonly reranker: Reranker;
  /**
   * Whether all that changes a result is known to be as in the original model: `exactness` lists nothing lacking and
   * nothing unknown. True for files that `convert()` made, and for those that say everything themselves.
   */
  readonly exact: boolean;
  /** What of the original model is known to be there, what is lacking, and what the file leaves open. */
  readonly exactness: Exactness;
  /** Changes when the vectors of `embed` with default options would; `llama.fingerprint()` takes options. */
  readonly fingerprint: string;
}

/** What is decided at load; the file says the rest. */
export type Decided = Pick<
  LlamaInfo,
  | "maxTokens"
  | "pooling"
  | "contexts"
  | "threads"
  | "memory"
  | "device"
  | "kernels"
  | "fastestWeights"
  | "reranker"
  | "exactness"
  | "prompts"
  | "fingerprint"
>;

/** Makes `llama.info`. */
export function describe(model: Model, decided: Decided): LlamaInfo {
  const { numbers } = model;
  const { known, lacks, unknown } = decided.exactness;
  return Object.freeze({
    architecture: model.meta("general.architecture") ?? "unknown",
    dimensions: numbers.dimensions,
    contextLength: numbers.contextLength,
    labels: Object.freeze(model.labels),
    vocabularySize: numbers.vocabularySize,
    quantization: model.meta(":file_type") ?? "unknown",
    size: numbers.bytes,
    parameters: numbers.parameters,
    ...decided,
    prompts: decided.prompts && Object.freeze({ ...decided.prompts }),
    exact: lacks.length === 0 && unknown.length === 0,
    exactness: Object.freeze({
      known: Object.freeze(known),
      lacks: Object.freeze(lacks),
      unknown: Object.freeze(unknown),
    }),
  });
}
