/**
 * What a model will take, in bytes: arithmetic on what llama.cpp says of a context (src/pool/context_sizes.ts).
 *
 * The constants were measured by `deno task bench:memory` on Linux x64 with glibc, on Deno and Bun.
 */
import type { ContextMemory } from "../../ffi/mod.ts";
import { type Limits, Line, longestFirst, Turns } from "./plan.ts";
import { Slices } from "../slices.ts";

/** What `info.memory` tells. */
export interface MemoryInfo {
  /** Bytes of the weights, which are read into memory, with the vocabulary and the native library. */
  readonly weights: number;
  /** Bytes of all contexts at most, while no text is longer than a pass; `estimateMemory` tells of longer ones. */
  readonly contexts: number;
  /** The option `memoryLimit`; undefined without one. */
  readonly limit: number | undefined;
}

/** What `llama.estimateMemory` tells, in bytes. */
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

// The library's code and tables, and what llama.cpp keeps of a file besides tensors and vocabulary.
const LIBRARY = 10 * MB;

// Of the vocabulary's maps in llama.cpp, for each entry, by `tokenizer.ggml.model`: byte pairs have merges besides, and
// Unigram a trie.
const ENTRY: Readonly<Record<string, number>> = { bert: 275, gpt2: 440, t5: 570 };
const OTHER_ENTRY = 240;

// A lane's thread, the lists of a context's graph and scheduler, and what our kernels write in between.
const LANE = 4 * MB;

// Passes are made no smaller than this to stay below a limit. Contexts are made in steps, so that one is not made anew for a few tokens more.
const STEP = 64;

// What a typed array takes besides its numbers, with the object that holds it.
const ARRAY = 300;

// What JavaScript's heap grows by while results come, before it is collected: so much a text, up to a limit.
const GARBAGE = 8 * 1024;
const MOST_GARBAGE = 12 * MB;

/** A model's part, from what its file says. */
export interface Weights {
  /** The tensors' buffers. */
  readonly tensors: number;
  readonly vocabularySize: number;
  /** The file's `tokenizer.ggml.model`. */
  readonly tokenizer: string;
  /** A second copy of the token embeddings, which pairs of two segments are made of; 0 if there is none. */
  readonly segments: number;
}

/** Bytes that a model takes once it is loaded. */
export function weightsBytes({ tensors, vocabularySize, tokenizer, segments }: Weights): number {
  return tensors + segments + LIBRARY + vocabularySize * (ENTRY[tokenizer] ?? OTHER_ENTRY);
}

/** Tokens that a context is made for which is to take a pass. */
export function capacityFor(tokens: number, pass: Limits): number {
  return Math.ceil(Math.max(tokens, pass.weight) / STEP) * STEP;
}

/** Passes of half the size; undefined where they are as small as they get. */
export function smallerPass(pass: Limits): Limits | undefined {
  if (pass.weight <= STEP) return undefined;
  const weight = Math.max(STEP, Math.floor(pass.weight / 2));
  const best = Math.min(weight, Math.max(STEP, Math.floor(pass.best / 2)));
  return { best, least: Math.min(pass.least, best), weight, count: Math.min(pass.count, Math.floor(weight / 4)) };
}

/**
 * Bytes that a context takes in memory.
 *
 * @param size What a context of `capacity` tokens and one sequence takes.
 * @param tokens Tokens of its largest pass: less of the buffers is touched by a smaller one.
 * @param sequences Sequences that it is made for.
 */
export function contextBytes(size: ContextMemory, capacity: number, tokens: number, sequences: number): number {
  const rows = size.perToken ? Math.max(tokens, sequences) : sequences;
  const compute = size.compute + (sequences - 1) * size.head;
  return LANE + size.cache + compute * tokens / capacity + size.row * rows;
}

/** The parabola through what contexts of three sizes take, each twice as large as the one before, at a larger one. */
export function extrapolate(
  tokens: number,
  sizes: readonly [ContextMemory, ContextMemory, ContextMemory],
  last: number,
): ContextMemory {
  const x = tokens / last; // the three are at 1/4, 1/2 and 1
  const at = (get: (size: ContextMemory) => number): number => {
    const [a, b, c] = sizes.map(get) as [number, number, number];
    return a * (x - 0.5) * (x - 1) / 0.1875 - b * (x - 0.25) * (x - 1) / 0.125 + c * (x - 0.25) * (x - 0.5) / 0.375;
  };
  return { ...sizes[2], cache: at(({ cache }) => cache), compute: at(({ compute }) => compute) };
}

/** Tokens of the passes that texts of these lengths make on so many lanes, given at once, in their order. */
export async function passesOf(lengths: ArrayLike<number>, pass: Limits, lanes: number): Promise<number[]> {
  const turns = new Turns<Line>();
  turns.add(new Line(lengths, longestFirst(lengths)));
  const passes: number[] = [];
  const slices = new Slices();
  while (turns.size > 0) {
    if (slices.due) await slices.pause();
    passes.push(
      turns.take(pass, lanes).reduce((sum, { items }) => items.reduce((sum, i) => sum + lengths[i]!, sum), 0),
    );
  }
  return passes;
}

/**
 * Bytes of the vectors of texts, as JavaScript holds them, and of their token ids.
 *
 * @param width Numbers of a row.
 * @param perToken Whether there is a row for each token.
 */
export function outputsBytes(lengths: ArrayLike<number>, width: number, perToken: boolean): number {
  let tokens = 0;
  for (let i = 0; i < lengths.length; i++) tokens += lengths[i]!;
  const rows = perToken ? tokens : lengths.length;
  const garbage = Math.min(lengths.length * GARBAGE, MOST_GARBAGE);
  return lengths.length * 2 * ARRAY + 4 * (tokens + rows * width) + garbage;
}

/** Bytes in words. */
export function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / MB)} MB`;
}
