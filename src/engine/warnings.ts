/** Warns of what a model's file lacks, each time with the remedy. */
import type { LoadOptions, Pooling } from "../options.ts";
import type { Reranker } from "./info.ts";

/** What warnings depend on. */
export interface Facts {
  /** llama.cpp's name of the architecture. */
  readonly architecture: string;
  /** The file's `tokenizer.ggml.model`. */
  readonly tokenizer: string | undefined;
  /** The file's `tokenizer.ggml.pre`. */
  readonly preTokenizer: string | undefined;
  /** Whether texts get BOS and EOS. */
  readonly addBos: boolean;
  readonly addEos: boolean;
  readonly hasTensor: (name: string) => boolean;
  readonly causal: boolean;
  readonly pooling: Pooling;
  readonly reranker: Reranker;
  readonly options: Pick<LoadOptions, "pooling" | "addBos" | "addEos">;
}

/** One thing that a file can lack. */
interface Warning {
  readonly when: (facts: Facts) => boolean;
  /** What it lacks and what follows from that, as in "<model> <what>". */
  readonly what: string;
  readonly remedy: string;
  /** Whether results differ from the original's; then `info.exact` is false. */
  readonly changesResult: boolean;
}

const WARNINGS: readonly Warning[] = [
  {
    when: ({ reranker, architecture, hasTensor }) =>
      reranker === "cross-encoder" && architecture === "bert" && !hasTensor("cls.weight"),
    what: "lacks the pooler (cls.weight) that BERT's head was trained with, so its scores are not the original's",
    remedy: "convert the original checkpoint with convert()",
    changesResult: true,
  },
  {
    when: ({ architecture, tokenizer, addBos, addEos, options }) =>
      architecture === "bert" && tokenizer !== "bert" && !(addBos && addEos) &&
      options.addBos === undefined && options.addEos === undefined,
    what: "lacks tokenizer.ggml.add_bos_token or add_eos_token, and RoBERTa and XLM-R were trained with <s> and </s> " +
      "around a text",
    remedy: "pass addBos: true and addEos: true",
    changesResult: true,
  },
  {
    when: ({ causal, pooling, addEos, options }) =>
      causal && pooling === "last" && !addEos && options.addEos === undefined,
    what:
      "lacks tokenizer.ggml.add_eos_token, and embedders that take the last token's vector were trained with EOS there",
    remedy: "pass addEos: true, or false if this one was not",
    changesResult: true,
  },
  {
    when: ({ architecture, hasTensor }) => architecture === "gemma-embedding" && !hasTensor("dense_2.weight"),
    what: "lacks the dense head (dense_2, dense_3) that EmbeddingGemma's vectors go through",
    remedy: "take a file that was converted with --sentence-transformers-dense-modules",
    changesResult: true,
  },
  {
    when: ({ architecture }) => architecture === "jina-bert-v3",
    what:
      "was trained to be used with one of its LoRA adapters, which are files of their own and are not applied here, " +
      "so its vectors are the bare model's, not those of a task",
    remedy: "take another model",
    changesResult: true,
  },
  {
    when: ({ architecture }) => architecture === "nomic-bert-moe",
    what:
      "has experts whose bias llama.cpp's converter leaves out, so its vectors are near the original's, not equal to them",
    remedy: "take nomic-embed-text-v1.5 for equal ones",
    changesResult: true,
  },
  {
    when: ({ architecture, reranker }) => architecture === "modern-bert" && reranker === "cross-encoder",
    what: "does not say whether its head takes the mean of the tokens or the first one (classifier_pooling)",
    remedy:
      'llama.cpp takes the mean, as gte-reranker-modernbert does; do not use a checkpoint with "cls", whose scores ' +
      "would be wrong",
    changesResult: false,
  },
  {
    when: ({ tokenizer, preTokenizer = "default" }) => tokenizer === "gpt2" && preTokenizer === "default",
    what: "lacks tokenizer.ggml.pre, which names how a text is split before byte-pair encoding",
    remedy: "convert the original again",
    changesResult: true,
  },
  {
    when: ({ pooling, reranker, options }) =>
      pooling === "none" && reranker === "cosine" && options.pooling === undefined,
    what: "names no pooling, so that embed gives a vector for each token",
    remedy: "pass pooling",
    changesResult: false,
  },
];

/** What is wrong with a file. */
export interface Warned {
  readonly messages: readonly string[];
  /** Whether nothing that changes a result is lacking. */
  readonly exact: boolean;
}

/**
 * Finds what a file lacks.
 *
 * @param name The model's name, for messages.
 */
export function warningsOf(name: string, facts: Facts): Warned {
  const found = WARNINGS.filter(({ when }) => when(facts));
  return {
    messages: found.map(({ what, remedy }) => `${name} ${what}: ${remedy}`),
    exact: !found.some(({ changesResult }) => changesResult),
  };
}
