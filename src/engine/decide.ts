/** Decides how a loaded model is computed. Pure: starts nothing, measures nothing. */
import type { Model } from "../../ffi/mod.ts";
import type { LoadOptions } from "../options.ts";
import { type Attention, type PassLimits, passLimits } from "../pool/plan.ts";
import type { RowShape } from "../pool/wire.ts";
import type { Head } from "../scores.ts";
import { type PairFormat, pairFormat } from "../text/pairs.ts";
import { type CatalogueFacts, type Profile, profileOf } from "./profile.ts";

/** What decisions depend on besides the model and the options. */
export interface Machine {
  /** Physical cores that the process may use. */
  readonly cores: number;
  /** Operators that our own kernels compute on this processor. */
  readonly kernels: readonly string[];
}

/** What was decided. */
export interface Decision {
  readonly profile: Profile;
  /** Whether a GPU computes. */
  readonly gpu: boolean;
  /** Contexts side by side, if there is memory for them. */
  readonly contexts: number;
  /** Threads of one context. */
  readonly threads: number;
  /** Operators that our own kernels compute; none: llama.cpp computes everything. */
  readonly kernels: readonly string[];
  /** What one pass holds, if there is memory for it. */
  readonly pass: PassLimits;
  /** What a pass returns. */
  readonly row: RowShape;
  /** How a row of a model that scores pairs becomes a score. */
  readonly head: Head;
  /** The answers for and against, or the one for, of a causal model that ranks. */
  readonly answers: readonly string[] | undefined;
  /** How a query and a document are joined where there is no template. */
  readonly pair: PairFormat;
  /** Whether the tokens that all pairs of a call begin with are computed once; see `Sequence.prefixLength`. */
  readonly sharesPrefix: boolean;
}

/** Whether the options leave room for our own kernels: they are for contexts of one thread, on the CPU. */
export function mayUseKernels({ kernels, threads = 1 }: LoadOptions): boolean {
  return kernels !== false && threads === 1;
}

/**
 * Decides how a model is computed.
 *
 * @param known What the catalogue knows of it.
 * @throws As `profileOf`.
 */
export function decide(
  model: Model,
  { cores, kernels }: Machine,
  options: LoadOptions,
  known: CatalogueFacts | undefined,
): Decision {
  const { numbers } = model;
  const gpu = numbers.device >= 0;
  const { threads = 1, contexts = contextsOn(cores, gpu, threads) } = options;
  const profile = profileOf(model, options, known);
  const { pooling, causal } = profile;
  const used = gpu || !mayUseKernels(options) ? [] : kernels;
  const { answers } = profile;
  const lastOnly = answers !== undefined || (numbers.classifiesLastToken === 1 && pooling === "rank");
  // A sequence needs one row of logits, whatever its length, if only its last token is an output.
  const logits = lastOnly || (numbers.exposesHiddenStates === 1 && pooling === "last") ? 1 : numbers.vocabularySize;
  return {
    profile,
    gpu,
    contexts,
    threads,
    kernels: used,
    pass: passLimits({ attention: attentionOf(model, used.length > 0), gpu, logits, lanes: contexts }),
    row: {
      width: answers?.length ?? (pooling === "rank" ? numbers.classes : numbers.dimensions),
      perToken: pooling === "none" && answers === undefined,
    },
    head: {
      labels: answers ? ["yes", "no"].slice(0, answers.length) : model.labels,
      softmax: !answers && (model.meta("general.architecture") ?? "").startsWith("qwen3"),
    },
    answers,
    pair: pairOf(model),
    sharesPrefix: lastOnly && numbers.isCausalDecoder === 1 && causal,
  };
}

/**
 * How many contexts compute side by side: one keeps a GPU busy, one keeps each CPU core busy. In C++ on two cores one
 * context of two threads did 0 to 30 % less than two of one; more cores were not measured (`deno task bench:lanes`).
 *
 * One text alone keeps one core busy. Only a context of one thread has our kernels, and without them a text gets another
 * vector, so a call cannot switch between the two. By processor time two threads of llama.cpp's own would at best, if
 * nothing were lost between them, be as fast for q8_0 as one with the kernels, and 1.3 times as fast for bf16.
 */
function contextsOn(cores: number, gpu: boolean, threads: number): number {
  return gpu ? 1 : Math.max(1, Math.floor(cores / threads));
}

/** How a context computes attention: as ffi/cpp/shim/context.cpp asks llama.cpp to. */
function attentionOf(model: Model, kernels: boolean): Attention {
  if (model.meta(":file_type")?.startsWith("all F32")) return "matrix";
  return kernels ? "sequence" : "flash";
}

function pairOf(model: Model): PairFormat {
  return pairFormat({
    architecture: model.meta("general.architecture") ?? "",
    tokenizer: model.meta("tokenizer.ggml.model") ?? "",
    types: Number(model.meta("tokenizer.ggml.token_type_count") ?? 0),
  }, model.numbers);
}
