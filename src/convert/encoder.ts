/** What the families of checkpoints have in common: what is read of one, and what is asked of its config.json. */
import type { Config } from "./config.ts";
import type { GgufValue } from "./gguf.ts";
import type { Tensor } from "./safetensors.ts";
import type { Names } from "./tensors.ts";

/** A key of the metadata and its value. */
export type Entry = readonly [key: string, value: GgufValue];

/** The classes of a family's checkpoints. */
export interface Family {
  /** Classes whose encoder is taken. */
  readonly encoders: readonly string[];
  /** The class with a classification head. */
  readonly head: string;
  /** What Python takes for the class where config.json names none, by its model_type. */
  readonly type: string;
  readonly read: (source: Source) => Encoder | Promise<Encoder>;
}

/** A checkpoint as it lies there. */
export interface Source {
  /** Path of the directory with config.json. */
  readonly directory: string;
  readonly config: Config;
  /** sentence_bert_config.json, if there is one. */
  readonly sentence: Config | undefined;
  readonly weights: ReadonlyMap<string, Tensor>;
  /** Number of classes, of a model with a classification head. */
  readonly labels: number | undefined;
}

/** What a family makes of a checkpoint. */
export interface Encoder {
  /** llama.cpp's name of the architecture. */
  readonly architecture: string;
  /** Tokens that it takes. */
  readonly positions: number;
  /** Numbers of a token's row. */
  readonly width: number;
  /** What llama.cpp must know of the architecture. */
  readonly sizes: readonly Entry[];
  /** The feed-forward layers' activation, by transformers' name. */
  readonly activation: string;
  /** A head, as far as tensors do not hold it. */
  readonly head: readonly Entry[];
  readonly names: Names;
  /** Reads the tokenizer; asked for when the embedding is known to have as many rows as config.json says. */
  readonly tokenizer: () => Promise<readonly Entry[]>;
}

/**
 * GELU by erf, and those by tanh, which differ from it by less than 5e-4 (ACT2FN of transformers). llama.cpp computes the
 * tanh form of both; our kernels compute what the file says.
 */
export const GELUS: readonly string[] = [
  "gelu",
  "gelu_python",
  "gelu_new",
  "gelu_fast",
  "gelu_pytorch_tanh",
  "gelu_accurate",
];

/** Reads the activation of the feed-forward layers. */
export function activationOf(config: Config, key: string, known: readonly string[]): string {
  const activation = config.text(key) ?? "gelu";
  if (!known.includes(activation)) {
    config.unsupported(
      `${key} is ${activation}, llama.cpp computes ${known === GELUS ? "GELU only" : known.join(" and ")}`,
    );
  }
  return activation;
}

/** Refuses widths that heads cannot share. */
export function checkHeads(
  config: Config,
  width: [key: string, value: number],
  heads: [key: string, value: number],
): void {
  if (heads[1] === 0 || width[1] % heads[1] !== 0) {
    config.invalid(`${width[0]} ${width[1]} is not a multiple of ${heads[0]} ${heads[1]}`);
  }
}
