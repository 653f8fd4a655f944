/** What a model may take is decided at load: how many lanes, and how large their passes. What it will take is told later. */
import type { ContextMemory } from "../../ffi/mod.ts";
import { LlamaError } from "../../ffi/errors.ts";
import { checkLengths } from "../check.ts";
import type { ContextSizes } from "./context_sizes.ts";
import {
  capacityFor,
  contextBytes,
  megabytes,
  type MemoryEstimate,
  type MemoryInfo,
  outputsBytes,
  passesOf,
  smallerPass,
} from "./memory.ts";
import type { Pooling } from "../options.ts";
import type { Limits } from "./plan.ts";

/** What is wanted, if there is memory for it. */
export interface Wanted {
  /** Lanes. */
  readonly contexts: number;
  readonly pass: Limits;
  /** The option: bytes of weights and contexts. */
  readonly limit: number | undefined;
}

/** What a model's memory comes to besides its contexts. */
export interface ModelMemory {
  /** What is known of a context that cannot be made. */
  readonly unmeasured: ContextMemory;
  /** Bytes of the weights and all that goes with them, by the buffers' size. */
  readonly weightsOf: (size: Pick<ContextMemory, "weights">) => number;
}

/** What was decided. */
export interface MemoryPlan {
  readonly contexts: number;
  readonly pass: Limits;
  readonly sizes: Pick<ContextSizes, "of">;
  readonly info: MemoryInfo;
}

/**
 * Decides how many lanes there are and how large their passes: all that is wanted, or within a limit first as many lanes
 * and then as large passes as there is room for.
 *
 * @param sizes What contexts take; without a limit nothing but `info` depends on it.
 * @param model What is known of it without a context.
 * @throws {LlamaError} `out-of-memory` when the limit is less than the weights and the smallest context.
 */
export async function planMemory(
  { contexts, pass, limit }: Wanted,
  sizes: Pick<ContextSizes, "of">,
  { unmeasured, weightsOf }: ModelMemory,
): Promise<MemoryPlan> {
  const full = async (pass: Limits): Promise<{ pass: Limits; weights: number; bytes: number }> => {
    const capacity = capacityFor(0, pass);
    const size = await sizes.of(capacity).catch((error) => {
      if (limit !== undefined) throw error;
      return unmeasured; // that it cannot have a context is told when it needs one
    });
    return { pass, weights: weightsOf(size), bytes: contextBytes(size, capacity, capacity, pass.count) };
  };
  const choices = [await full(pass)];
  for (let less = limit === undefined ? undefined : smallerPass(pass); less; less = smallerPass(less)) {
    choices.push(await full(less));
  }
  for (let lanes = contexts; lanes > 0; lanes--) {
    for (const { pass, weights, bytes } of choices) {
      const info = Object.freeze({ weights, contexts: lanes * bytes, limit });
      if (weights + lanes * bytes <= (limit ?? Infinity)) return { contexts: lanes, pass, sizes, info };
    }
  }
  const { weights, bytes } = choices.at(-1)!;
  throw new LlamaError(
    "out-of-memory",
    `Cannot load within memoryLimit, ${megabytes(limit!)}: the weights take ${
      megabytes(weights)
    } and the smallest context ` +
      `${megabytes(bytes)}; raise it to ${weights + bytes}, or take weights of a smaller type (quantize)`,
  );
}

/** What calls work with, as far as it takes memory. */
export interface Memory {
  readonly memory: MemoryPlan;
  readonly info: {
    readonly pooling: Pooling;
    readonly reranker: "cross-encoder" | "yes-no" | "cosine";
    readonly maxTokens: number;
  };
  /** Numbers of one row. */
  readonly width: number;
}

/**
 * What one call will take.
 *
 * @param given Tokens of its texts, or pairs of texts: they are checked here.
 */
export async function estimateMemory(
  { memory: { contexts, pass, sizes, info }, info: { pooling, reranker, maxTokens }, width }: Memory,
  given: number | ArrayLike<number>,
): Promise<MemoryEstimate> {
  const lengths = await checkLengths("lengths", given, maxTokens);
  const passes = await passesOf(lengths, pass, contexts);
  const { weights, limit = Infinity } = info;
  const later = passes.slice(contexts).reduce((most, tokens) => Math.max(most, tokens), 0);
  let sum = 0;
  for (const tokens of passes.slice(0, contexts)) {
    const largest = Math.max(tokens, later);
    const capacity = capacityFor(largest, pass);
    const bytes = contextBytes(await sizes.of(capacity), capacity, largest, pass.count);
    // Contexts for which there is no room beside others wait for them.
    if (sum > 0 && weights + sum + bytes > limit) break;
    sum += bytes;
  }
  const outputs = outputsBytes(lengths, width, pooling === "none" && reranker === "cosine");
  return { weights, contexts: sum, outputs, total: weights + sum + outputs };
}
