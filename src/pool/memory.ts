/**
 * Plans how much memory a model takes, in bytes: how many lanes and how large passes at load, and what a call will take.
 * Arithmetic on what llama.cpp reports of a context (src/pool/context_sizes.ts); measures nothing itself.
 *
 * The constants were measured by `deno task bench:memory` on Linux x64 with glibc, on Deno and Bun.
 */
import { LlamaError } from "../../ffi/errors.ts";
import type { ContextMemory } from "../../ffi/mod.ts";
import { checkLengths } from "../check.ts";
import { pause, sliceIsOver } from "../slices.ts";
import type { ContextSizes } from "./context_sizes.ts";
import { longestFirst, type PassLimits, Queue, Scheduler } from "./plan.ts";
import type { RowShape } from "./wire.ts";

/** What a loaded model takes in memory: `info.memory`. */
export interface MemoryInfo {
  /** Bytes of the weights, which are read into memory, with the vocabulary and the native library. */
  readonly weights: number;
  /** Bytes of all contexts at most, while no text is longer than a pass; `estimateMemory` tells of longer ones. */
  readonly contexts: number;
  /** The option `memoryLimit`; undefined without one. */
  readonly limit: number | undefined;
}

/** What a call takes in memory at its peak, in bytes: `llama.estimateMemory`. */
export interface MemoryEstimate {
  /** The weights, the vocabulary and the native library. */
  readonly weights: number;
  /** What the contexts come to that compute the texts. */
  readonly contexts: number;
  /** The vectors, with the token ids that they are computed from. */
  readonly outputs: number;
  /** The sum. */
  readonly total: number;
}

const MB = 1024 * 1024;
/** What messages count in, as the command line and the hub do. */
const MEGABYTE = 1e6;

// The library's code and tables, and what llama.cpp keeps of a file besides tensors and vocabulary.
const LIBRARY = 10 * MB;

// llama.cpp's maps of the vocabulary, for each entry, by `tokenizer.ggml.model`: byte-pair encoding has merges besides, and
// Unigram a trie.
const ENTRY: Readonly<Record<string, number>> = { bert: 275, gpt2: 440, t5: 570 };
const OTHER_ENTRY = 240;

// A lane's thread, the lists of a context's graph and scheduler, and what our kernels write in between.
const LANE = 4 * MB;

// The smallest pass that is chosen to stay below a limit. Contexts grow by this many tokens, so that a few tokens more do
// not need a new one.
const STEP = 64;

// A typed array besides its numbers, with the object that holds it.
const ARRAY = 300;

// What JavaScript's heap grows by while results come, before it is collected: so much a text, up to a limit.
const GARBAGE = 8 * 1024;
const MOST_GARBAGE = 12 * MB;

/** What a load asks for; it gets less where a limit leaves no room. */
export interface WantedMemory {
  /** Lanes. */
  readonly contexts: number;
  readonly pass: PassLimits;
  /** The option `memoryLimit`: bytes of weights and contexts. */
  readonly limit: number | undefined;
}

/** What a model takes besides its contexts. */
export interface ModelMemory {
  /** Stands for the size of a context that cannot be made. */
  readonly unmeasured: ContextMemory;
  /** Bytes of the weights and all that goes with them, by the buffers' size. */
  readonly weightsOf: (size: Pick<ContextMemory, "weights">) => number;
}

/** How many lanes there are, how large their passes, and what that takes. */
export interface MemoryPlan {
  readonly contexts: number;
  readonly pass: PassLimits;
  readonly sizes: Pick<ContextSizes, "of">;
  readonly info: MemoryInfo;
}

/**
 * Decides how many lanes there are and how large their passes: all that is wanted, or within a limit first as many lanes
 * and then as large passes as there is room for.
 *
 * @param sizes What contexts take; without a limit only `info` depends on it.
 * @param model What the model takes without a context.
 * @throws {LlamaError} `out-of-memory` when the limit is less than the weights and the smallest context.
 */
export async function planMemory(
  { contexts, pass, limit }: WantedMemory,
  sizes: Pick<ContextSizes, "of">,
  { unmeasured, weightsOf }: ModelMemory,
): Promise<MemoryPlan> {
  const measure = async (pass: PassLimits): Promise<{ pass: PassLimits; weights: number; bytes: number }> => {
    const capacity = capacityFor(0, pass);
    const size = await sizes.of(capacity).catch((error) => {
      if (limit !== undefined) throw error;
      return unmeasured; // the error comes when a pass needs a context
    });
    return { pass, weights: weightsOf(size), bytes: contextBytes(size, capacity, capacity, pass.maxItems) };
  };
  const choices = [await measure(pass)];
  for (let less = limit === undefined ? undefined : smallerPass(pass); less; less = smallerPass(less)) {
    choices.push(await measure(less));
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
    { memoryLimit: limit },
  );
}

/** The part of an engine that decides what a call takes. */
export interface EstimatedEngine {
  readonly memory: MemoryPlan;
  readonly info: { readonly maxTokens: number };
  readonly row: RowShape;
}

/**
 * Estimates what one call takes at its peak.
 *
 * @param given Tokens of each of its texts, or pairs of texts; they are checked here.
 * @throws {TypeError | RangeError} when a length is no integer from 0.
 */
export async function estimateMemory(
  { memory: { contexts, pass, sizes, info }, info: { maxTokens }, row }: EstimatedEngine,
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
    const bytes = contextBytes(await sizes.of(capacity), capacity, largest, pass.maxItems);
    // A context without room beside the others waits for theirs.
    if (sum > 0 && weights + sum + bytes > limit) break;
    sum += bytes;
  }
  const outputs = outputsBytes(lengths, row);
  return { weights, contexts: sum, outputs, total: weights + sum + outputs };
}

/** A model's part, from what its file says. */
export interface Weights {
  /** The tensors' buffers. */
  readonly tensors: number;
  readonly vocabularySize: number;
  /** The file's `tokenizer.ggml.model`. */
  readonly tokenizer: string;
  /** The second copy of the token embeddings that pairs of two segments need; 0 without one. */
  readonly segments: number;
}

/** Bytes that a loaded model takes. */
export function weightsBytes({ tensors, vocabularySize, tokenizer, segments }: Weights): number {
  return tensors + segments + LIBRARY + vocabularySize * (ENTRY[tokenizer] ?? OTHER_ENTRY);
}

/** Tokens of a context that takes passes of so many. */
export function capacityFor(tokens: number, pass: PassLimits): number {
  return Math.ceil(Math.max(tokens, pass.maxCost) / STEP) * STEP;
}

/** Passes of half the size; undefined for the smallest. */
export function smallerPass({ targetCost, minCost, maxCost, maxItems }: PassLimits): PassLimits | undefined {
  if (maxCost <= STEP) return undefined;
  const most = Math.max(STEP, Math.floor(maxCost / 2));
  const target = Math.min(most, Math.max(STEP, Math.floor(targetCost / 2)));
  return {
    targetCost: target,
    minCost: Math.min(minCost, target),
    maxCost: most,
    maxItems: Math.min(maxItems, Math.floor(most / 4)),
  };
}

/**
 * Bytes that a context takes.
 *
 * @param size What a context of `capacity` tokens and one sequence takes.
 * @param tokens Tokens of its largest pass: a smaller one touches less of the buffers.
 * @param sequences Sequences of its largest pass.
 */
export function contextBytes(size: ContextMemory, capacity: number, tokens: number, sequences: number): number {
  const rows = size.perToken ? Math.max(tokens, sequences) : sequences;
  const compute = size.compute + (sequences - 1) * size.head;
  return Math.ceil(LANE + size.cache + compute * tokens / capacity + size.row * rows);
}

/** Tokens of each pass, in order, when texts of these lengths are given to so many lanes at once. */
export async function passesOf(lengths: ArrayLike<number>, pass: PassLimits, lanes: number): Promise<number[]> {
  const scheduler = new Scheduler<Queue>();
  scheduler.add(new Queue(lengths, longestFirst(lengths)));
  const passes: number[] = [];
  while (scheduler.size > 0) {
    if (sliceIsOver()) await pause();
    passes.push(
      scheduler.take(pass, lanes).reduce((sum, { items }) => items.reduce((sum, i) => sum + lengths[i]!, sum), 0),
    );
  }
  return passes;
}

/** Bytes of the vectors of texts of these lengths, as JavaScript holds them, and of their token ids. */
export function outputsBytes(lengths: ArrayLike<number>, { width, perToken }: RowShape): number {
  let tokens = 0;
  for (let i = 0; i < lengths.length; i++) tokens += lengths[i]!;
  const rows = perToken ? tokens : lengths.length;
  const garbage = Math.min(lengths.length * GARBAGE, MOST_GARBAGE);
  return lengths.length * 2 * ARRAY + 4 * (tokens + rows * width) + garbage;
}

/** Bytes in words. */
export function megabytes(bytes: number): string {
  if (bytes < MEGABYTE) return bytes === 1 ? "1 byte" : `${Math.ceil(bytes)} bytes`;
  return `${Math.ceil(bytes / MEGABYTE)} MB`;
}
