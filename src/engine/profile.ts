/** Profiles a model: what its file says, what the catalogue knows besides, and what the options override. */
import type { Model } from "../../ffi/mod.ts";
import { LlamaError } from "../../ffi/errors.ts";
import type { CatalogueEntry } from "../models/catalogue.ts";
import type { LoadOptions, Pooling } from "../options.ts";
import { YES_NO_TEMPLATE } from "../text/templates.ts";
import type { Reranker } from "./info.ts";
import { warningsOf } from "./warnings.ts";

/** What the catalogue knows of a model and its file may not say. */
export type CatalogueFacts = Pick<CatalogueEntry, "maxTokens" | "prompts"> & Partial<Pick<CatalogueEntry, "pooling">>;

/** How a model is used. */
export interface Profile {
  readonly pooling: Pooling;
  readonly maxTokens: number;
  readonly reranker: Reranker;
  /** Whether a token attends only to those before it. */
  readonly causal: boolean;
  /** Whether the file holds everything that changes a result. */
  readonly exact: boolean;
  /** What goes before a query and before a document, if it is known. */
  readonly prompts: CatalogueEntry["prompts"] | undefined;
  /** Text with `{query}` and `{document}` for a pair. */
  readonly template: string | undefined;
  /** What the file lacks, each with the remedy. */
  readonly warnings: readonly string[];
}

// llama.cpp's names of the architectures with bidirectional attention whose files need not say so.
const BIDIRECTIONAL = new Set([
  ...["bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "modern-bert", "neo-bert", "eurobert"],
  ...["gemma-embedding", "t5encoder", "dream", "llada", "llada-moe", "rnd1"],
]);

/**
 * Profiles a model.
 *
 * @param known What the catalogue knows of it.
 * @throws {LlamaError} `model-invalid` when the file's pooling has no name, `model-unsupported` when pooling `rank` was
 * asked for and there is no classification head.
 * @throws {RangeError} when `contextSize` is more than the model has positions for.
 */
export function profileOf(model: Model, options: LoadOptions, known: CatalogueFacts | undefined): Profile {
  const pooling = poolingOf(model, options, known);
  const causal = isCausal(model);
  const reranker = rerankerOf(model, options, pooling, causal);
  const { messages, exact } = warningsOf(model.meta("general.name") ?? "The model", {
    architecture: model.meta("general.architecture") ?? "",
    tokenizer: model.meta("tokenizer.ggml.model"),
    preTokenizer: model.meta("tokenizer.ggml.pre"),
    addBos: model.numbers.addBos === 1,
    addEos: model.numbers.addEos === 1,
    hasTensor: (name) => model.hasTensor(name),
    causal,
    pooling,
    reranker,
    options,
  });
  const own = { query: model.meta("llamasaur.prompt.query"), document: model.meta("llamasaur.prompt.document") };
  const named = own.query !== undefined || own.document !== undefined;
  return {
    pooling,
    maxTokens: maxTokensOf(model, options.contextSize, known?.maxTokens),
    reranker,
    causal,
    exact,
    prompts: named ? { query: own.query ?? "", document: own.document ?? "" } : known?.prompts,
    template: options.template ?? model.meta("tokenizer.chat_template.rerank") ??
      (reranker === "yes-no" ? YES_NO_TEMPLATE : undefined),
    warnings: messages,
  };
}

/** Whether a token attends only to those before it. */
export function isCausal(model: Model): boolean {
  const architecture = model.meta("general.architecture") ?? "";
  const said = model.meta(`${architecture}.attention.causal`);
  if (said !== undefined) return said === "true";
  return !BIDIRECTIONAL.has(architecture) && model.numbers.hasDecoder === 1 && model.numbers.hasEncoder === 0;
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
  // llama.cpp's converter names no pooling for classifiers, such as bge-reranker and gte-reranker-modernbert.
  return model.hasTensor("cls.output.weight") ? "rank" : "none";
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
