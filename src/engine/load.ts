/** Loads a model and starts its lanes. */
import process from "node:process";
import {
  buildCommand,
  cores,
  devices,
  features,
  kernels,
  Lane,
  LLAMA_VERSION,
  type Model,
  type Native,
  open,
  SPECIAL,
} from "../../ffi/mod.ts";
import { LlamaError } from "../../ffi/errors.ts";
import { printable, show } from "../check.ts";
import type { EmbedOptions, LoadOptions } from "../options.ts";
import { ContextSizes, measureOn } from "../pool/context_sizes.ts";
import { capacityFor, type MemoryPlan, type ModelMemory, planMemory, weightsBytes } from "../pool/memory.ts";
import { Pool } from "../pool/pool.ts";
import { normalizerOf } from "../text/normalizer.ts";
import { boundaryOf } from "../text/parts.ts";
import { decide, type Decision, mayUseKernels } from "./decide.ts";
import { fastestWeights } from "./fastest.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { describe, type LlamaInfo } from "./info.ts";
import { Warnings } from "../warnings.ts";
import { withoutEffect } from "./idle.ts";
import type { CatalogueFacts, Profile } from "./profile.ts";

/** What the calls of a `Llama` work with. */
export interface Engine extends Pick<Decision, "head" | "pair" | "row" | "sharesPrefix"> {
  readonly model: Model;
  readonly pool: Pool;
  readonly info: LlamaInfo;
  /** The template for pairs, which goes before `pair`. */
  readonly template: Profile["template"];
  /** What goes before a query and before a document, if it is known. */
  readonly prompts: Profile["prompts"];
  readonly memory: MemoryPlan;
  /** Changes when the vectors of calls with these options would. */
  readonly fingerprint: (options: EmbedOptions) => string;
  readonly warnings: Warnings;
  /** Whether its vectors may be cut to fewer dimensions, if that is known. */
  readonly matryoshka: boolean | undefined;
}

/** Opens the library, loads the model and starts its lanes. */
export async function loadEngine(path: string, options: LoadOptions, known?: CatalogueFacts): Promise<Engine> {
  const { signal, onProgress, onLog, gpuLayers = -1, checkTensors = false, addBos, addEos, addSep, attention } =
    options;
  signal?.throwIfAborted();
  const native = await open(options.library);
  const device = deviceIndex(options.device, native);
  const lane = new Lane(native, onLog);
  try {
    const placed = { gpuLayers: device.cpu ? 0 : gpuLayers, device: device.index };
    const causal = attention && attention === "causal";
    const repack = !mayUseKernels(options); // a GPU keeps it all the same
    const settings = { ...placed, checkTensors, addBos, addEos, addSep, causal, repack };
    const loading = lane.loadModel(path, settings, { signal, onProgress });
    loading.catch(() => {}); // should the next line throw, that is the error
    // Asked while the lane loads: with them come all functions of the library (ffi/open.ts).
    const machine = { cores: cores(native), kernels: kernels(native) };
    const model = await loading;
    try {
      const decision = decide(model, machine, options, known);
      const warnings = new Warnings(path, onLog);
      for (const message of [...withoutEffect(options, decision), ...decision.profile.exactness.lacks]) {
        warnings.warn(message, message);
      }
      const engine = {
        ...await start(native, model, lane, options, decision),
        warnings,
        matryoshka: known?.matryoshka,
      };
      signal?.throwIfAborted(); // in onLog, since the weights were there
      return engine;
    } catch (error) {
      model.close();
      throw error;
    }
  } catch (error) {
    lane.close();
    throw error;
  }
}

/** Makes what was decided: the first lane's context, the memory plan and the pool. */
async function start(
  native: Native,
  model: Model,
  lane: Lane,
  { memoryLimit, onLog }: LoadOptions,
  decision: Decision,
): Promise<Omit<Engine, "warnings" | "matryoshka">> {
  const { profile, gpu, threads, pass, row, head, answers, pair, sharesPrefix } = decision;
  const { pooling, maxTokens, reranker, exactness, prompts, template } = profile;
  const ownKernels = decision.kernels.length > 0;
  const fingerprint = (asked: EmbedOptions): string =>
    fingerprintOf({ model, pooling, maxTokens, prompts, version: LLAMA_VERSION, kernels: ownKernels }, asked);
  const context = {
    threads,
    pooling,
    kernels: ownKernels,
    answers: answers && await answerTokens(lane, model, answers),
  };
  const sizes = new ContextSizes(measureOn(native, model, context));
  const first = { ...context, tokens: capacityFor(0, pass), sequences: pass.maxItems };
  const [capacity, normalize] = await Promise.all([
    memoryLimit === undefined ? sizes.makeFirst(lane, model, first) : 0,
    normalizerOf(model), // some milliseconds of JavaScript, while the lane makes the context
  ]);
  const memory = await planMemory(
    { contexts: decision.contexts, pass, limit: memoryLimit },
    sizes,
    memoryOf(model, reranker === "cross-encoder" && pair.segments),
  );
  const { contexts } = memory;
  const info = describe(model, {
    maxTokens,
    pooling,
    contexts,
    threads,
    memory: memory.info,
    device: gpu ? devices(native)[model.numbers.device]!.name : "CPU",
    kernels: Object.freeze([...decision.kernels]),
    fastestWeights: fastestWeights(decision.kernels, features(native).processor),
    reranker,
    exactness,
    prompts,
    fingerprint: fingerprint({}),
  });
  const pool = new Pool(native, model, { lane, capacity }, {
    ...context,
    contexts,
    row,
    pass: memory.pass,
    memory: { sizes, weights: memory.info.weights, limit: memoryLimit },
    normalize,
    boundary: boundaryOf(model),
    onLog,
  });
  return { model, pool, info, head, pair, row, sharesPrefix, template, prompts, memory, fingerprint };
}

/**
 * What the model takes besides its contexts.
 *
 * @param segments Whether pairs of two segments are computed, which needs a second copy of the token embeddings.
 */
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

/** The tokens of the answers, each of which must be one. */
async function answerTokens(lane: Lane, model: Model, answers: readonly string[]): Promise<number[]> {
  const utf8 = answers.map((answer) => new TextEncoder().encode(answer));
  const lengths = Int32Array.from(utf8, ({ length }) => length);
  const none = Int32Array.from(answers, () => SPECIAL.none);
  const { ids, counts } = await lane.tokenize(
    model,
    new Uint8Array(utf8.flatMap((bytes) => [...bytes])),
    lengths,
    none,
  );
  if (counts.every((count) => count === 1) && new Set(ids).size === answers.length) return Array.from(ids);
  if (new Set(answers).size < answers.length) {
    throw new LlamaError(
      "model-unsupported",
      `Cannot load: the two answers are the same, ${
        printable(JSON.stringify(answers[0]))
      }; pass one, or two that differ`,
    );
  }
  const [list, numbers] = [answers.map((answer) => printable(JSON.stringify(answer))), [...counts]].map((all) =>
    all.join(" and ")
  );
  throw new LlamaError(
    "model-unsupported",
    `Cannot load: ${list} ${
      answers.length > 1 ? "are" : "is"
    } ${numbers} tokens of this model, so it cannot be asked to ` +
      "rank; pass answers that are one token each, or pooling to embed",
  );
}

/** The device of the option: a GPU's index, or the CPU. */
function deviceIndex(name: string | undefined, native: Native): { index: number; cpu: boolean } {
  if (name === undefined) return { index: -1, cpu: false };
  const list = devices(native);
  const index = list.findIndex((device) => device.name.toLowerCase() === name.toLowerCase());
  const found = list[index];
  if (!found) {
    const names = list.map((device) => `"${device.name}"`).join(", ");
    const backends = process.platform === "darwin" ? "--metal" : "--cuda or --vulkan";
    const gpu = list.some(({ kind }) => kind === "gpu") ? "" : `; for a GPU build one: ${buildCommand()} ${backends}`;
    throw new RangeError(`Cannot load on the device ${show(name)}: this library offers ${names || "none"}${gpu}`);
  }
  if (found.kind === "accelerator") {
    throw new LlamaError("model-unsupported", `Cannot load on the device ${show(name)}: it only works beside the CPU`);
  }
  return { index: found.kind === "cpu" ? -1 : index, cpu: found.kind === "cpu" };
}
