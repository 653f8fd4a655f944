/** Measures what contexts take in memory: makes a context of each size once and asks llama.cpp what it reserved. */
import { LlamaError } from "../../ffi/errors.ts";
import { type ContextMemory, type ContextOptions, Lane, type Model, type Native } from "../../ffi/mod.ts";

/** Makes a context of so many tokens and returns what it takes. */
export type Measure = (tokens: number) => Promise<ContextMemory>;

// The largest context that is made only to be measured: llama.cpp writes all keys and values of a new one to memory.
const LARGEST = 2048;

/** What contexts take, by their tokens. */
export class ContextSizes {
  readonly #measure: Measure;
  readonly #known = new Map<number, Promise<ContextMemory>>();

  constructor(measure: Measure) {
    this.#measure = measure;
  }

  /** What a context for so many tokens takes. */
  async of(tokens: number): Promise<ContextMemory> {
    if (tokens <= LARGEST) return await this.#at(tokens);
    const [a, b, c] = [await this.#at(LARGEST / 4), await this.#at(LARGEST / 2), await this.#at(LARGEST)];
    return extrapolate(tokens, [a, b, c], LARGEST);
  }

  /**
   * Makes a lane's first context and remembers what it takes, so that no other is made to measure that size.
   *
   * @returns Tokens of its largest pass; 0 if there was no memory for it: the error comes when a pass needs one.
   * @throws {LlamaError} `model-invalid` when llama.cpp cannot compute what the file describes.
   */
  async makeFirst(lane: Lane, model: Model, options: ContextOptions): Promise<number> {
    try {
      await lane.initContext(model, options);
    } catch (error) {
      if (error instanceof LlamaError && error.code === "out-of-memory") return 0;
      throw ofTheFile(error);
    }
    const size = lane.contextMemory();
    const compute = size.compute - (options.sequences - 1) * size.head;
    if (!skipsHead(size)) this.#known.set(options.tokens, Promise.resolve({ ...size, compute }));
    return options.tokens;
  }

  #at(tokens: number): Promise<ContextMemory> {
    let size = this.#known.get(tokens);
    if (!size) {
      size = this.#measure(tokens);
      this.#known.set(tokens, size);
      size.catch(() => this.#known.delete(tokens)); // there may be memory for it later
    }
    return size;
  }
}

/**
 * Measures on a lane of its own: a context of one sequence, since llama.cpp writes the outputs of all sequences to memory; and
 * with last-token pooling where the pass ends before the head, since llama.cpp would reserve room for the logits of all tokens.
 */
export function measureOn(
  native: Native,
  model: Model,
  options: Omit<ContextOptions, "tokens" | "sequences">,
): Measure {
  const measure = async (tokens: number, pooling: ContextOptions["pooling"]): Promise<ContextMemory> => {
    const lane = new Lane(native);
    try {
      await lane.initContext(model, { ...options, pooling, tokens, sequences: 1 }).catch((error) => {
        throw ofTheFile(error);
      });
      return lane.contextMemory();
    } finally {
      lane.close();
    }
  };
  return async (tokens) => {
    const size = await measure(tokens, options.pooling);
    return skipsHead(size) && options.pooling !== "last" ? await measure(tokens, "last") : size;
  };
}

/** A first context that fails, other than for memory, is the file's fault: its options were looked at before. */
function ofTheFile(error: unknown): unknown {
  if (!(error instanceof LlamaError && error.code === "context-lost")) return error;
  return new LlamaError("model-invalid", error.message, { cause: error });
}

/** Whether a pass ends before the head, so that the room for logits is never touched (ffi/cpp/wraps/linux.cpp). */
function skipsHead({ row }: ContextMemory): boolean {
  return row === 0;
}

/**
 * What a larger context takes: the parabola through three measured ones.
 *
 * @param sizes What contexts of `last` / 4, `last` / 2 and `last` tokens take.
 */
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
