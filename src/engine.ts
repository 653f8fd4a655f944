/** A loaded model with its lanes, and what was decided for it at load. */
import { type Device, devices, kernels, Lane, LLAMA_VERSION, type Model, type Native, open } from "../ffi/mod.ts";
import { LlamaError } from "../ffi/errors.ts";
import { normalizeBertInPieces } from "./bert_normalizer.ts";
import type { CatalogueEntry } from "./models/catalogue.ts";
import { describe, type LlamaInfo, maxTokensOf, rerankerOf } from "./info.ts";
import type { LoadOptions } from "./options.ts";
import { type PairFormat, pairFormat } from "./pairs.ts";
import { passLimits } from "./plan.ts";
import { Pool } from "./pool.ts";

/** What the calls of a `Llama` work with. */
export interface Engine {
  readonly model: Model;
  readonly pool: Pool;
  readonly info: LlamaInfo;
  /** How a query and a document are joined for a cross-encoder. */
  readonly pair: PairFormat;
  /** The file's own template for pairs, which goes before that. */
  readonly template: string | undefined;
  /** What goes before a query and before a document, where that is known. */
  readonly prompts: Profile["prompts"] | undefined;
  readonly onLog: LoadOptions["onLog"];
}

/** What the catalogue knows of a model and its file may not. */
export type Profile = Pick<CatalogueEntry, "maxTokens" | "prompts">;

/** Opens the library, loads the model and makes the lanes ready. */
export async function loadEngine(path: string, options: LoadOptions, profile?: Profile): Promise<Engine> {
  const { signal, onProgress, onLog, gpuLayers = -1, checkTensors = false } = options;
  signal?.throwIfAborted();
  const native = await open(options.library);
  const list = devices(native);
  const device = deviceIndex(options.device, list);
  const lane = new Lane(native, onLog);
  try {
    const settings = { gpuLayers: device.cpu ? 0 : gpuLayers, checkTensors, device: device.index };
    const model = await lane.loadModel(path, settings, { signal, onProgress });
    try {
      return startEngine(native, model, lane, list, options, profile);
    } catch (error) {
      model.close();
      throw error;
    }
  } catch (error) {
    lane.close();
    throw error;
  }
}

function startEngine(
  native: Native,
  model: Model,
  lane: Lane,
  list: Device[],
  options: LoadOptions,
  profile?: Profile,
): Engine {
  const onGpu = model.numbers.device >= 0;
  const threads = options.threads ?? 1;
  // A GPU is kept busy by one context; CPU cores by one each.
  const contexts = options.contexts ?? (onGpu ? 1 : Math.max(1, Math.floor(navigator.hardwareConcurrency / threads)));
  if (model.numbers.pooling < -1 && !options.pooling) {
    throw new LlamaError(
      "model-invalid",
      "Cannot load: the file asks for a pooling that llama.cpp does not know; pass pooling",
    );
  }
  const pooling = options.pooling ?? model.pooling ?? "none";
  const maxTokens = maxTokensOf(model, options.contextSize, profile?.maxTokens);
  const { reranker, exact, warning } = rerankerOf(model, pooling);
  if (warning) options.onLog?.({ level: "warn", message: warning });
  const device = onGpu ? list[model.numbers.device]!.name : "CPU";
  const used = options.kernels === false || onGpu || threads > 1 ? [] : kernels(native);
  const decided = { maxTokens, pooling, contexts, threads, device, kernels: Object.freeze(used), reranker, exact };
  const pool = new Pool(native, model, lane, {
    contexts,
    threads,
    pooling,
    kernels: used.length > 0,
    width: pooling === "rank" ? model.numbers.classes : model.numbers.dimensions,
    pass: passLimits(model.numbers.vocabularySize),
    prepare: prepareFor(model),
    onLog: options.onLog,
  });
  return {
    model,
    pool,
    pair: pairOf(model),
    template: model.meta("tokenizer.chat_template.rerank"),
    info: describe(model, decided, LLAMA_VERSION),
    prompts: profile?.prompts,
    onLog: options.onLog,
  };
}

/** The device of the option: a GPU's index, or the CPU. */
function deviceIndex(name: string | undefined, list: readonly Device[]): { index: number; cpu: boolean } {
  if (name === undefined) return { index: -1, cpu: false };
  const index = list.findIndex((device) => device.name.toLowerCase() === name.toLowerCase());
  const found = list[index];
  if (!found) {
    const names = list.map((device) => `"${device.name}"`).join(", ");
    throw new RangeError(`Cannot load on the device "${name}": this library offers ${names || "none"}`);
  }
  if (found.kind === "accelerator") {
    throw new LlamaError("model-unsupported", `Cannot load on the device "${name}": it only works beside the CPU`);
  }
  return { index: found.kind === "cpu" ? -1 : index, cpu: found.kind === "cpu" };
}

function pairOf(model: Model): PairFormat {
  return pairFormat({
    architecture: model.meta("general.architecture") ?? "",
    tokenizer: model.meta("tokenizer.ggml.model") ?? "",
    types: Number(model.meta("tokenizer.ggml.token_type_count") ?? 0),
  }, model.numbers);
}

/** BERT's WordPiece wants its texts normalised; the other tokenizers take them as they are. */
function prepareFor(model: Model): ((text: string) => Promise<string>) | undefined {
  if (model.meta("tokenizer.ggml.model") !== "bert") return undefined;
  const lowercase = model.meta("tokenizer.ggml.normalizer.lowercase") ?? "true";
  const stripAccents = (model.meta("tokenizer.ggml.normalizer.strip_accents") ?? lowercase) === "true";
  return (text) => normalizeBertInPieces(text, stripAccents);
}
