/** Profiles a model: what its file says, what the catalogue knows besides, and what the options override. */
import type { Model } from "../../ffi/mod.ts";
import { LlamaError } from "../../ffi/errors.ts";
import type { CatalogueEntry } from "../models/catalogue.ts";
import { printable } from "../check.ts";
import type { LoadOptions, Pooling } from "../options.ts";
import { type Template, YES_NO_TEMPLATE } from "../text/templates.ts";
import type { Exactness, Reranker } from "./info.ts";
import { exactnessOf } from "./exactness.ts";

/** What the catalogue knows of a model and its file may not say. */
export type CatalogueFacts =
  & Partial<Pick<CatalogueEntry, "maxTokens" | "prompts" | "pooling" | "template" | "answers">>
  & { readonly matryoshka?: boolean | undefined };

/** How a model is used. */
export interface Profile {
  readonly pooling: Pooling;
  readonly maxTokens: number;
  readonly reranker: Reranker;
  /** Whether a token attends only to those before it. */
  readonly causal: boolean;
  /** What of the original is known to be there, what is lacking, and what is open. */
  readonly exactness: Exactness;
  /** What goes before a query and before a document, if it is known. */
  readonly prompts: CatalogueEntry["prompts"] | undefined;
  /** Text with `{query}` and `{document}` for a pair. */
  readonly template: Template | undefined;
  /** The answers for and against, or the one for, of a causal model that ranks. */
  readonly answers: readonly string[] | undefined;
}

/**
 * Profiles a model.
 *
 * @param known What the catalogue knows of it.
 * @throws {LlamaError} `model-invalid` when the file's pooling has no name, `model-unsupported` when the vocabulary is
 * of another kind than the file says, or when pooling `rank` was asked for and there is no classification head.
 * @throws {RangeError} when attention "causal" was asked for where tokens always see the whole text, or `contextSize` is more than the model has positions for.
 */
export function profileOf(model: Model, options: LoadOptions, known: CatalogueFacts | undefined): Profile {
  checkVocabulary(model);
  checkAttention(model, options);
  const pooling = poolingOf(model, options, known);
  const causal = isCausal(model);
  const reranker = rerankerOf(model, options, pooling, causal);
  const template = options.template ?? model.meta("tokenizer.chat_template.rerank") ?? known?.template;
  const answers = options.answers ?? known?.answers;
  const { numbers } = model;
  const exactness = exactnessOf(printable(model.meta("general.name") ?? "The model"), {
    architecture: model.meta("general.architecture") ?? "",
    meta: (key) => model.meta(key),
    hasTensor: (name) => model.hasTensor(name),
    addBos: numbers.addBos === 1,
    addEos: numbers.addEos === 1,
    pooling,
    reranker,
    causal,
    causalSaid: model.causalBy !== "nobody",
    asksItsOwn: asksItsOwn(model, template, answers),
    hasTemplate: template !== undefined,
    options,
  });
  const own = { query: model.meta("llamasaur.prompt.query"), document: model.meta("llamasaur.prompt.document") };
  const named = own.query !== undefined || own.document !== undefined;
  return {
    pooling,
    maxTokens: maxTokensOf(model, options.contextSize, known?.maxTokens),
    reranker,
    causal,
    exactness,
    prompts: named ? { query: own.query ?? "", document: own.document ?? "" } : known?.prompts,
    template: template ?? (reranker === "yes-no" ? YES_NO_TEMPLATE : undefined),
    answers: reranker === "yes-no" ? (answers ?? YES_NO_ANSWERS) as readonly string[] : undefined,
  };
}

/** Whether a token attends only to those before it, so that the last one's logits can answer a question. */
function isCausal({ numbers }: Model): boolean {
  return numbers.causal === 1 && numbers.hasDecoder === 1 && numbers.hasEncoder === 0;
}

function checkVocabulary(model: Model): void {
  if (model.meta("tokenizer.ggml.model") !== "bert" || model.meta(":sentence_piece") !== "true") return;
  throw new LlamaError(
    "model-unsupported",
    'Cannot load: the file says that its vocabulary is WordPiece\'s (tokenizer.ggml.model "bert"), but it is ' +
      "SentencePiece's, as that of multilingual-e5-small, so every token would be wrong; convert the original checkpoint " +
      "with convert(), which takes BERT, RoBERTa and XLM-RoBERTa, but no CamemBERT",
  );
}

function checkAttention(model: Model, { attention }: LoadOptions): void {
  if (attention !== "causal" || model.causalBy !== "architecture") return;
  throw new RangeError(
    `Cannot load with attention "causal": the tokens of ${
      model.meta("general.architecture")
    } always see the whole text; ` +
      "leave the option out",
  );
}

const YES_NO_ANSWERS = ["yes", "no"];
// Files of Qwen3-Reranker without head and template are known by their name alone.
const QWEN3_RERANKER = /qwen3.?reranker/i;

/** Whether a causal model that ranks is asked with its own template, for its own answers. */
function asksItsOwn(model: Model, template: Template | undefined, answers: readonly unknown[] | undefined): boolean {
  if (template !== undefined && answers !== undefined) return true;
  if (answers !== undefined || model.meta("general.architecture") !== "qwen3") return false;
  // llama.cpp's converter writes a template for Qwen3-Reranker alone (conversion/qwen.py).
  if (template !== undefined) return template === model.meta("tokenizer.chat_template.rerank");
  return QWEN3_RERANKER.test(model.meta("general.name") ?? "");
}

function hasHead(model: Model): boolean {
  return model.hasTensor("cls.weight") || model.hasTensor("cls.output.weight");
}

function poolingOf(model: Model, { pooling }: LoadOptions, known: CatalogueFacts | undefined): Pooling {
  if (pooling !== undefined) return pooling;
  if (model.numbers.pooling < -1) {
    throw new LlamaError(
      "model-invalid",
      "Cannot load: the file asks for a pooling that llama.cpp does not know; pass pooling",
    );
  }
  if (model.pooling !== undefined) return model.pooling;
  if (known?.pooling && (known.pooling !== "rank" || hasHead(model))) return known.pooling;
  // llama.cpp's converter names no pooling for classifiers, such as bge-reranker and gte-reranker-modernbert, nor for
  // llama-embed, of which all take the mean (LlamaBidirectionalModel of llama-nemotron-embed and llama-embed-nemotron).
  if (model.hasTensor("cls.output.weight")) return "rank";
  return model.meta("general.architecture") === "llama-embed" ? "mean" : "none";
}

function rerankerOf(model: Model, options: LoadOptions, pooling: Pooling, causal: boolean): Reranker {
  if (pooling === "rank") {
    if (hasHead(model)) return "cross-encoder";
    // A converter may leave out a reranker's head; the language model's own is still in the file.
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
