/** What a lane's context is made with, and what it takes. */
import type { POOLING } from "./symbols.ts";

/** What a context is made with. */
export interface ContextOptions {
  /** Tokens of one pass, and so of the longest sequence. */
  readonly tokens: number;
  /** Sequences of one pass. */
  readonly sequences: number;
  readonly threads: number;
  readonly pooling: (typeof POOLING)[number] | undefined;
  /** Tokens whose logits a pass gives for each sequence, in place of embeddings. */
  readonly answers?: readonly number[] | undefined;
  /** Whether to compute with our own kernels, where there are some. */
  readonly kernels: boolean;
}

/** What a context takes, in bytes, on all devices together. */
export interface ContextMemory {
  /** The buffers of the model, which all its contexts share. */
  readonly weights: number;
  /** Keys and values, all of them written when the context is made. */
  readonly memory: number;
  /** What a full pass is computed in; less of it is touched by a smaller one. */
  readonly compute: number;
  /** A row of the outputs: logits, and an embedding if it is that which is wanted. */
  readonly row: number;
  /** Whether there is such a row for every token of a pass, or for every sequence. */
  readonly perToken: boolean;
  /** In the latter case, what computing one takes; the one of the first sequence is in `compute`. */
  readonly head: number;
}
