/** A loaded model with its lanes, and what was decided for it at load. */
import {
  cores,
  type Device,
  devices,
  kernels,
  Lane,
  LLAMA_VERSION,
  type Model,
  type Native,
  open,
  SPECIAL,
} from "../../ffi/mod.ts";
import { LlamaError } from "../../ffi/errors.ts";
import { ContextSizes, measureOn } from "../pool/context_sizes.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { describe, type LlamaInfo } from "./info.ts";
import { capacityFor, weightsBytes } from "../pool/memory.ts";
import { type MemoryPlan, type ModelMemory, planMemory } from "../pool/memory_plan.ts";
import { normalizerOf } from "../text/normalizer.ts";
import type { EmbedOptions, LoadOptions } from "../options.ts";
import { type PairFormat, pairFormat } from "../text/pairs.ts";
import { type Attention, passLimits } from "../pool/plan.ts";
import { Pool } from "../pool/pool.ts";
import { isCausal, type Known, type Profile, profileOf } from "./profile.ts";
import type { Head } from "../scores.ts";

/** What the calls of a `Llama` work with. */
export interface Engine {
  readonly model: Model;
  readonly pool: Pool;
  readonly info: LlamaInfo;
  /** How a query and a document are joined for a cross-encoder. */
  readonly pair: PairFormat;
  /** The template for pairs, which goes before that. */
  readonly template: string | undefined;
  /** What a model that scores pairs gives for one. */
  readonly head: Head;
  /** Whether what the pairs of a call begin with is computed once; see `Sequence.prefixLength`. */
  readonly shares: boolean;
  /** What goes before a query and before a document, where that is known. */
  readonly prompts: Profile["prompts"];
  readonly memory: MemoryPlan;
  /** Numbers of one row: dimensions, labels of a classification head, or answers. */
  readonly width: number;
  /** Changes when the vectors of calls with these options would. */
  readonly fingerprint: (options: EmbedOptions) => string;
  readonly onLog: LoadOptions["onLog"];
}

/** Opens the library, loads the model and makes the lanes ready. */
export async function loadEngine(path: string, options: LoadOptions, known?: Known): Promise<Engine> {
  const { signal, onProgress, onLog, gpuLayers = -1, checkTensors = false, addBos, addEos, addSep } = options;
  signal?.throwIfAborted();
  const native = await open(options.library);
  const list = devices(native);
  const device = deviceIndex(options.device, list);
  const lane = new Lane(native, onLog);
  try {
    const placed = { gpuLayers: device.cpu ? 0 : gpuLayers, device: device.index };
    const settings = { ...placed, checkTensors, addBos, addEos, addSep };
    const model = await lane.loadModel(path, settings, { signal, onProgress });
    try {
      return await startEngine(native, model, lane, list, options, known);
    } catch (error) {
      model.close();
      throw error;
    }
  } catch (error) {
    lane.close();
    throw error;
  }
}

async function startEngine(
  native: Native,
  model: Model,
  lane: Lane,
  list: Device[],
  options: LoadOptions,
  known: Known | undefined,
): Promise<Engine> {
  const onGpu = model.numbers.device >= 0;
  const { onLog, threads = 1 } = options;
  const wanted = options.contexts ?? contextsOf(native, onGpu, threads);
  const profile = profileOf(model, options, known);
  const { pooling, maxTokens, reranker, exact, prompts, template } = profile;
  for (const message of profile.warnings) onLog?.({ level: "warn", message });
  const answers = reranker === "yes-no" ? options.answers ?? ["yes", "no"] : undefined;
  const tokens = answers && await answerTokens(lane, model, answers);
  const used = options.kernels === false || onGpu || threads > 1 ? [] : kernels(native);
  const fingerprint = (asked: EmbedOptions): string =>
    fingerprintOf({ model, pooling, maxTokens, prompts, version: LLAMA_VERSION, kernels: used.length > 0 }, asked);
  const context = { threads, pooling, kernels: used.length > 0, answers: tokens };
  const pair = pairOf(model);
  const { isCausalDecoder, exposesHiddenStates, classifiesLastToken, vocabularySize } = model.numbers;
  const scores = tokens !== undefined || (classifiesLastToken === 1 && pooling === "rank");
  // Of each sequence one row of logits has room, whatever its length, where only its last token is an output.
  const logits = scores || (exposesHiddenStates && pooling === "last") ? 1 : vocabularySize;
  const pass = passLimits({ attention: attentionOf(model, used.length > 0), gpu: onGpu, logits, lanes: wanted });
  const sizes = new ContextSizes(measureOn(native, model, context));
  const limit = options.memoryLimit;
  const first = { ...context, tokens: capacityFor(0, pass), sequences: pass.count };
  const capacity = limit === undefined ? await sizes.make(lane, model, first) : 0;
  const memory = await planMemory(
    { contexts: wanted, pass, limit },
    sizes,
    memoryOf(model, reranker === "cross-encoder" && pair.segments),
  );
  const { contexts } = memory;
  const device = onGpu ? list[model.numbers.device]!.name : "CPU";
  const info = describe(model, {
    maxTokens,
    pooling,
    contexts,
    threads,
    memory: memory.info,
    device,
    kernels: Object.freeze(used),
    reranker,
    exact,
    fingerprint: fingerprint({}),
  });
  const width = tokens?.length ?? (pooling === "rank" ? model.numbers.classes : model.numbers.dimensions);
  const pool = new Pool(native, model, { lane, capacity }, {
    ...context,
    contexts,
    width,
    pass: memory.pass,
    memory: { sizes, weights: memory.info.weights, limit },
    prepare: normalizerOf(model),
    onLog,
  });
  return {
    model,
    pool,
    pair,
    template,
    head: { labels: answers ? ["yes", "no"] : info.labels, softmax: !answers && info.architecture.startsWith("qwen3") },
    shares: scores && isCausalDecoder === 1 && isCausal(model),
    info,
    prompts,
    memory,
    width,
    fingerprint,
    onLog,
  };
}

function memoryOf(model: Model, segments: boolean): ModelMemory {
  const { bytes, parameters, vocabularySize, dimensions } = model.numbers;
  const tokenizer = model.meta("tokenizer.ggml.model") ?? "";
  const rows = segments ? bytes * vocabularySize * dimensions / parameters : 0;
  return {
    unmeasured: {
      weights: bytes,
      cache: 0,
      compute: 0,
      row: 4 * (vocabularySize + dimensions),
      perToken: true,
      head: 0,
    },
    weightsOf: ({ weights }) => weightsBytes({ tensors: weights, vocabularySize, tokenizer, segments: rows }),
  };
}

/**
 * How many contexts compute side by side: a GPU is kept busy by one, CPU cores by one each. In C++ on two cores one
 * context of two threads did 0 to 30 % less than two of one; nobody has measured more cores (`deno task bench:lanes`).
 *
 * One text alone keeps one core busy. Only a context of one thread has our kernels, and without them a text gets another
 * vector, so there is no switching between the two for one call. By processor time two threads of llama.cpp's own would
 * at best, if nothing were lost between them, be as fast for q8_0 as one with the kernels, and 1.3 times so for bf16.
 */
function contextsOf(native: Native, onGpu: boolean, threads: number): number {
  return onGpu ? 1 : Math.max(1, Math.floor(cores(native) / threads));
}

/** How a context will compute attention: as ffi/cpp/shim/context.cpp asks llama.cpp to. */
function attentionOf(model: Model, kernels: boolean): Attention {
  if (model.meta(":file_type") === "all F32") return "matrix";
  return kernels ? "sequence" : "flash";
}

/** The tokens of the two answers, each of which must be one. */
async function answerTokens(lane: Lane, model: Model, answers: readonly [string, string]): Promise<number[]> {
  const utf8 = answers.map((answer) => new TextEncoder().encode(answer));
  const lengths = Int32Array.from(utf8, ({ length }) => length);
  const none = Int32Array.of(SPECIAL.none, SPECIAL.none);
  const { ids, counts } = await lane.tokenize(
    model,
    new Uint8Array(utf8.flatMap((bytes) => [...bytes])),
    lengths,
    none,
  );
  if (counts.every((count) => count === 1) && ids[0] !== ids[1]) return Array.from(ids);
  const [yes, no] = answers.map((answer) => JSON.stringify(answer));
  throw new LlamaError(
    "model-unsupported",
    `Cannot load: ${yes} and ${no} are ${
      counts.join(" and ")
    } tokens of this model, so it cannot be asked to rank; pass ` +
      "answers that are one token each, or pooling to embed",
  );
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
