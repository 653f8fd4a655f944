/** What contexts take, as llama.cpp reserves them: each size is made once and asked. */
import { type ContextMemory, type ContextOptions, Lane, type Model, type Native } from "../../ffi/mod.ts";
import { extrapolate } from "./memory.ts";

/** Makes a context of so many tokens and says what it takes. */
export type Measure = (tokens: number) => Promise<ContextMemory>;

// Of a larger one the keys and values would be written to memory for nothing.
const LARGEST = 2048;

/** The sizes of contexts, by tokens. */
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
   * Makes a lane's first context, and learns from it what such a one takes: another is not made for that.
   *
   * @returns Tokens that it takes in one pass; 0 if it cannot be had, which is told when one is needed.
   */
  async make(lane: Lane, model: Model, options: ContextOptions): Promise<number> {
    try {
      await lane.initContext(model, options);
    } catch {
      return 0;
    }
    const size = lane.contextMemory();
    const compute = size.compute - (options.sequences - 1) * size.head;
    if (!endsEarly(size)) this.#known.set(options.tokens, Promise.resolve({ ...size, compute }));
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
 * Measures on a lane of its own. One sequence, since llama.cpp writes the outputs of all it is made for to memory; and one
 * output, where it reserves room to compute the logits of all and none are computed.
 */
export function measureOn(
  native: Native,
  model: Model,
  options: Omit<ContextOptions, "tokens" | "sequences">,
): Measure {
  const measure = async (tokens: number, pooling: ContextOptions["pooling"]): Promise<ContextMemory> => {
    const lane = new Lane(native);
    try {
      await lane.initContext(model, { ...options, pooling, tokens, sequences: 1 });
      return lane.contextMemory();
    } finally {
      lane.close();
    }
  };
  return async (tokens) => {
    const size = await measure(tokens, options.pooling);
    return endsEarly(size) && options.pooling !== "last" ? await measure(tokens, "last") : size;
  };
}

/** Whether a pass ends before the head, and the room for logits is not touched (ffi/cpp/wraps/linux.cpp). */
function endsEarly({ row }: ContextMemory): boolean {
  return row === 0;
}
