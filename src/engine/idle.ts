/** Finds the options of a load that do nothing for the model, the library or the processor at hand. */
import type { LoadOptions } from "../options.ts";
import type { Decision } from "./decide.ts";

/** An option that may do nothing. */
interface Idle {
  readonly when: (options: LoadOptions, decision: Decision) => boolean;
  /** As in "<option> has no effect: <why>". */
  readonly option: keyof LoadOptions;
  readonly why: string;
}

const IDLE: readonly Idle[] = [
  {
    when: ({ gpuLayers = 0 }, { gpu }) => gpuLayers > 0 && !gpu,
    option: "gpuLayers",
    why:
      "this model is computed on the CPU; listDevices() names the devices of the library, and build it with --metal, " +
      "--cuda or --vulkan for a GPU",
  },
  {
    when: ({ kernels }, decision) => kernels === true && decision.kernels.length === 0,
    option: "kernels",
    why: "on a GPU, with more than one thread a context, and on processors without AVX2 llama.cpp computes everything",
  },
  {
    when: ({ template }, { profile }) => template !== undefined && profile.reranker === "cosine",
    option: "template",
    why: "rerank compares the vectors of this model, and joins no pairs",
  },
  {
    when: ({ answers }, { profile }) => answers !== undefined && profile.reranker !== "yes-no",
    option: "answers",
    why: "this model is not asked; only a causal model without pooling and head is",
  },
];

/** Says of each option that does nothing why. */
export function withoutEffect(options: LoadOptions, decision: Decision): string[] {
  return IDLE.filter(({ when }) => when(options, decision)).map(({ option, why }) => `${option} has no effect: ${why}`);
}
