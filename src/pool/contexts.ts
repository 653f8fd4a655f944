/** Makes the lanes' contexts: when there is work, as large as it needs, and within the memory limit. */
import { LlamaError } from "../../ffi/errors.ts";
import type { ContextOptions, Lane, Model } from "../../ffi/mod.ts";
import { Budget } from "./budget.ts";
import { capacityFor, contextBytes, megabytes } from "./memory.ts";
import type { ContextSizes } from "./context_sizes.ts";
import type { PassLimits } from "./plan.ts";

/** A lane and the size of its context. */
export interface ContextHolder {
  readonly lane: Lane;
  /** Tokens that the lane's context takes in one pass; 0 without a context. */
  capacity: number;
}

/** What contexts are made for. */
export interface ContextsSettings extends Omit<ContextOptions, "tokens" | "sequences"> {
  /** What one pass holds. */
  readonly pass: PassLimits;
  readonly memory: MemorySettings;
}

/** How much memory contexts may take. */
export interface MemorySettings {
  readonly sizes: Pick<ContextSizes, "of">;
  /** Bytes of the weights. */
  readonly weights: number;
  /** Bytes of weights and contexts. */
  readonly limit?: number | undefined;
}

const REMEDY = "set a smaller contextSize, take weights of a smaller type (quantize)";

/** Makes contexts, and larger ones in their place. */
export class Contexts {
  readonly #model: Model;
  readonly #settings: ContextsSettings;
  readonly #budget: Budget<ContextHolder> | undefined;
  readonly #onWait: () => void;

  /** @param onWait Called when a lane waits for memory that others hold: the contexts of idle lanes should be released. */
  constructor(model: Model, settings: ContextsSettings, onWait: () => void) {
    this.#model = model;
    this.#settings = settings;
    const { limit, weights } = settings.memory;
    this.#budget = limit === undefined ? undefined : new Budget(limit - weights);
    this.#onWait = onWait;
  }

  /** Makes the lane's context, or a larger one: contexts are as large as the longest pass so far. */
  async ensure(holder: ContextHolder, tokens: number): Promise<void> {
    if (this.isContended(holder)) await this.release(holder);
    if (tokens <= holder.capacity) return;
    const { pass, threads, pooling, kernels, answers } = this.#settings;
    const capacity = capacityFor(tokens, pass);
    await this.#reserve(holder, capacity, tokens);
    holder.capacity = 0;
    const options = { tokens: capacity, sequences: pass.maxItems, threads, pooling, kernels, answers };
    await holder.lane.initContext(this.#model, options).catch((error) => this.rethrow(error, capacity));
    holder.capacity = capacity;
  }

  /** Whether another lane waits for the memory of a lane's context. */
  isContended(holder: ContextHolder): boolean {
    return this.#budget !== undefined && this.#budget.contended && this.#budget.holds(holder);
  }

  /** Frees a lane's context. */
  async release(holder: ContextHolder): Promise<true> {
    await free(holder);
    this.#budget?.release(holder);
    return true;
  }

  /** Lets all lanes go on that wait for memory. */
  close(): void {
    this.#budget?.close();
  }

  /** Throws an error again; an `out-of-memory` one with the sizes of context and weights. */
  async rethrow(error: unknown, capacity: number): Promise<never> {
    if (!(error instanceof LlamaError && error.code === "out-of-memory")) throw error;
    const bytes = await this.#bytes(capacity).catch(() => undefined);
    const { weights } = this.#settings.memory;
    const numbers = bytes === undefined ? "" : `. A context of ${capacity} tokens takes ${megabytes(bytes)}`;
    throw new LlamaError(
      error.code,
      `${error.message}${numbers}, beside ${megabytes(weights)} of weights: ${REMEDY}, or fewer contexts`,
      { cause: error },
    );
  }

  async #reserve(holder: ContextHolder, capacity: number, tokens: number): Promise<void> {
    const budget = this.#budget;
    if (!budget) return;
    const { limit = 0, weights } = this.#settings.memory;
    const bytes = await this.#bytes(capacity);
    if (bytes > limit - weights) {
      throw new LlamaError(
        "out-of-memory",
        `Cannot compute a pass of ${tokens} tokens: its context takes ${megabytes(bytes)} beside ${
          megabytes(weights)
        } ` +
          `of weights, more than memoryLimit, ${megabytes(limit)}: ${REMEDY}, or raise memoryLimit`,
        { memoryLimit: limit },
      );
    }
    await free(holder);
    const acquired = budget.acquire(holder, bytes);
    if (budget.contended) this.#onWait();
    await acquired;
  }

  async #bytes(capacity: number): Promise<number> {
    const { pass, memory } = this.#settings;
    return contextBytes(await memory.sizes.of(capacity), capacity, capacity, pass.maxItems);
  }
}

async function free(holder: ContextHolder): Promise<void> {
  if (holder.capacity === 0) return;
  holder.capacity = 0;
  await holder.lane.freeContext().catch(() => {}); // the lane was closed, which frees it
}
