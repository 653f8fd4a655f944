/** How a model is to be used: what its file says, what the catalogue knows besides, and what the options override. */
import type { Model } from "../../ffi/mod.ts";
import { LlamaError } from "../../ffi/errors.ts";
import type { CatalogueEntry } from "../models/catalogue.ts";
import type { LoadOptions, Pooling } from "../options.ts";
import { YES_NO_TEMPLATE } from "../text/templates.ts";

/** What the catalogue knows of a model and its file may not. */
export type Known = Pick<CatalogueEntry, "maxTokens" | "prompts"> & Partial<Pick<CatalogueEntry, "pooling">>;

/** How `rerank` scores: by a classification head, by the logits of two answers of a causal model, or by cosine. */
export type Reranker = "cross-encoder" | "yes-no" | "cosine";

/** What was decided for a model at load. */
export interface Profile {
  readonly pooling: Pooling;
  readonly maxTokens: number;
  readonly reranker: Reranker;
  /** Whether the file holds all that changes the result. */
  readonly exact: boolean;
  /** What goes before a query and before a document, where that is known. */
  readonly prompts: CatalogueEntry["prompts"] | undefined;
  /** Text with `{query}` and `{document}` that a pair is put in. */
  readonly template: string | undefined;
  /** What the file lacks, each with the remedy. */
  readonly warnings: readonly string[];
}

// llama.cpp's names of the architectures whose tokens see the whole text though their files need not say so.
const NOT_CAUSAL = new Set([
  ...["bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "modern-bert", "neo-bert", "eurobert"],
  ...["gemma-embedding", "t5encoder", "dream", "llada", "llada-moe", "rnd1"],
]);

/**
 * Decides how a model is used.
 *
 * @param known What the catalogue knows of it.
 * @throws {LlamaError} `model-invalid` when the file's pooling has no name, `model-unsupported` when pooling `rank` was
 * asked for and there is no classification head.
 * @throws {RangeError} when `contextSize` is more than the model has positions for.
 */
export function profileOf(model: Model, options: LoadOptions, known: Known | undefined): Profile {
  const pooling = poolingOf(model, options, known);
  const causal = isCausal(model);
  const reranker = rerankerOf(model, options, pooling, causal);
  const lacks = whatItLacks(model, options, pooling, reranker, causal);
  const own = { query: model.meta("llamasaur.prompt.query"), document: model.meta("llamasaur.prompt.document") };
  const named = own.query !== undefined || own.document !== undefined;
  return {
    pooling,
    maxTokens: maxTokensOf(model, options.contextSize, known?.maxTokens),
    reranker,
    exact: !lacks.some(({ changes }) => changes),
    prompts: named ? { query: own.query ?? "", document: own.document ?? "" } : known?.prompts,
    template: options.template ?? model.meta("tokenizer.chat_template.rerank") ??
      (reranker === "yes-no" ? YES_NO_TEMPLATE : undefined),
    warnings: lacks.map(({ what }) => `${model.meta("general.name") ?? "The model"} ${what}`),
  };
}

/** Whether a token sees only those before it. */
export function isCausal(model: Model): boolean {
  const architecture = model.meta("general.architecture") ?? "";
  const said = model.meta(`${architecture}.attention.causal`);
  if (said !== undefined) return said === "true";
  return !NOT_CAUSAL.has(architecture) && model.numbers.hasDecoder === 1 && model.numbers.hasEncoder === 0;
}

function hasHead(model: Model): boolean {
  return model.hasTensor("cls.weight") || model.hasTensor("cls.output.weight");
}

function poolingOf(model: Model, { pooling }: LoadOptions, known: Known | undefined): Pooling {
  if (pooling !== undefined) return pooling;
  if (model.numbers.pooling < -1) {
    throw new LlamaError(
      "model-invalid",
      "Cannot load: the file asks for a pooling that llama.cpp does not know; pass pooling",
    );
  }
  if (model.pooling !== undefined) return model.pooling;
  if (known?.pooling && (known.pooling !== "rank" || hasHead(model))) return known.pooling;
  // llama.cpp's converter names no pooling for classifiers, such as bge-reranker and gte-reranker-modernbert.
  return model.hasTensor("cls.output.weight") ? "rank" : "none";
}

function rerankerOf(model: Model, options: LoadOptions, pooling: Pooling, causal: boolean): Reranker {
  if (pooling === "rank") {
    if (hasHead(model)) return "cross-encoder";
    // A reranker's file whose converter left out the head still has the language model's own.
    if (causal && options.pooling === undefined) return "yes-no";
    throw new LlamaError(
      "model-unsupported",
      'Cannot load with pooling "rank": the file has no classification head; load it without that option to rank by cosine',
    );
  }
  return causal && pooling === "none" && options.pooling === undefined ? "yes-no" : "cosine";
}

/**
 * Tokens of one text: the option, else the catalogue's, else what sentence-transformers cuts at (our converter writes
 * it), else the file's.
 */
function maxTokensOf(model: Model, contextSize: number | undefined, known: number | undefined): number {
  const { contextLength } = model.numbers;
  if (contextSize !== undefined && contextSize > contextLength) {
    throw new RangeError(
      `Cannot load with contextSize ${contextSize}: the model has positions for ${contextLength} tokens`,
    );
  }
  const trained = known ?? Number(model.meta("llamasaur.max_seq_length") ?? contextLength);
  return contextSize ?? (Number.isInteger(trained) && trained > 0 ? Math.min(trained, contextLength) : contextLength);
}

interface Lack {
  readonly what: string;
  /** Whether results differ from the original's. */
  readonly changes: boolean;
}

function whatItLacks(
  model: Model,
  options: LoadOptions,
  pooling: Pooling,
  reranker: Reranker,
  causal: boolean,
): Lack[] {
  const architecture = model.meta("general.architecture") ?? "";
  const tokenizer = model.meta("tokenizer.ggml.model");
  const { addBos, addEos } = model.numbers;
  const lacks: Lack[] = [];
  const add = (what: string, changes = true): void => void lacks.push({ what, changes });
  if (reranker === "cross-encoder" && architecture === "bert" && !model.hasTensor("cls.weight")) {
    add(
      "lacks the pooler (cls.weight) that BERT's head was trained with, so its scores are not the original's: " +
        "convert the original checkpoint with convert()",
    );
  }
  if (architecture === "bert" && tokenizer !== "bert" && !(addBos && addEos)) {
    if (options.addBos === undefined && options.addEos === undefined) {
      add(
        "lacks tokenizer.ggml.add_bos_token or add_eos_token, and RoBERTa and XLM-R were trained with <s> and </s> " +
          "around a text: pass addBos: true and addEos: true",
      );
    }
  }
  if (causal && pooling === "last" && !addEos && options.addEos === undefined) {
    add(
      "lacks tokenizer.ggml.add_eos_token, and embedders that take the last token's vector were trained with EOS there: " +
        "pass addEos: true, or false if this one was not",
    );
  }
  if (architecture === "gemma-embedding" && !model.hasTensor("dense_2.weight")) {
    add(
      "lacks the dense head (dense_2, dense_3) that EmbeddingGemma's vectors go through: take a file that was converted " +
        "with --sentence-transformers-dense-modules",
    );
  }
  if (architecture === "jina-bert-v3") {
    add(
      "was trained to be used with one of its LoRA adapters, which are files of their own and are not applied here: " +
        "its vectors are the bare model's, not those of a task; take another model",
    );
  }
  if (architecture === "nomic-bert-moe") {
    add(
      "has experts whose bias llama.cpp's converter leaves out, so its vectors are near the original's, not equal: take " +
        "nomic-embed-text-v1.5 for those",
    );
  }
  if (architecture === "modern-bert" && reranker === "cross-encoder") {
    add(
      "does not say whether its head takes the mean of the tokens or the first one (classifier_pooling); llama.cpp takes " +
        'the mean, as gte-reranker-modernbert does: scores of a checkpoint with "cls" are wrong',
      false,
    );
  }
  const split = model.meta("tokenizer.ggml.pre") ?? "default";
  if (tokenizer === "gpt2" && split === "default") {
    add(
      "lacks tokenizer.ggml.pre, which tells how a text is split before byte-pair encoding: convert the original again",
    );
  }
  if (pooling === "none" && options.pooling === undefined && reranker === "cosine") {
    add("names no pooling, so that embed gives a vector a token: pass pooling", false);
  }
  return lacks;
}
