/** A lane: a native thread with one job at a time, and the context that lives on it. */
import { type LlamaErrorCode, ModelNotFoundError, STATUS, statusError } from "./errors.ts";
import { Model } from "./model.ts";
import type { Native } from "./mod.ts";
import { type Handle, POOLING } from "./symbols.ts";

/** A line of llama.cpp's log. */
export interface LogLine {
  /** How grave it is. */
  readonly level: "debug" | "info" | "warn" | "error";
  /** The line, without its line break. */
  readonly message: string;
}

/** Token ids of several texts, back to back, and how many each has. */
export interface Tokens {
  readonly ids: Int32Array;
  readonly counts: Int32Array;
}

/**
 * What tokenising does about special tokens: `add` puts those around a text that the model wants and takes what is
 * written in it as plain text, `none` only the latter, `parse` reads those that are written in it (for templates only).
 */
export const SPECIAL = { none: 0, add: 1, parse: 2 } as const;

/** What a model is loaded with. */
export interface ModelOptions {
  /** Layers to keep on the GPU; negative means all, 0 none. */
  readonly gpuLayers: number;
  readonly checkTensors: boolean;
  /** Index of the GPU; -1 means the first. */
  readonly device: number;
}

/** What a context is made with. */
export interface ContextOptions {
  /** Tokens of one pass, and so of the longest sequence. */
  readonly tokens: number;
  /** Sequences of one pass. */
  readonly sequences: number;
  readonly threads: number;
  readonly pooling: (typeof POOLING)[number] | undefined;
  /** Whether to compute with our own kernels, where there are some. */
  readonly kernels: boolean;
}

const LEVELS = ["debug", "info", "warn", "error"] as const;
const NO_LOG = 4;
const GET_A_MODEL = "In a checkout, scripts/download_models.sh gets models; elsewhere download() of ./models does";

/** What a lane does for its owner while a job runs. */
interface Watch {
  readonly signal?: AbortSignal | undefined;
  /** Called with 0..1 while the job runs. */
  readonly onProgress?: ((fraction: number) => void) | undefined;
  /** The model's path, for the error when it is not there. */
  readonly model?: string;
}

/** A native thread; see shim.h. Its methods start jobs: never two at a time. */
export class Lane {
  readonly #native: Native;
  readonly #handle: Handle;
  readonly #number: number;
  readonly #onLog: ((line: LogLine) => void) | undefined;

  /** @param onLog Receives llama.cpp's lines of level info and above; without it they are dropped. */
  constructor(native: Native, onLog?: (line: LogLine) => void) {
    this.#native = native;
    this.#onLog = onLog;
    const { handle, number } = native.jobs.newLane(onLog ? LEVELS.indexOf("info") : NO_LOG);
    this.#handle = handle;
    this.#number = number;
  }

  /** Loads a model. */
  async loadModel(path: string, { gpuLayers, checkTensors, device }: ModelOptions, watch: Watch): Promise<Model> {
    const f = this.#native.functions;
    const options = Int32Array.of(gpuLayers, Number(checkTensors), device);
    await this.#run(
      () => f.saur_model_load(this.#handle, cString(path), options, options.length),
      `load the model ${path}`,
      { ...watch, model: path },
      "model-invalid",
    );
    const model = f.saur_model_take(this.#handle);
    if (model === null) throw statusError(STATUS.OUT_OF_MEMORY, `load the model ${path}`, "");
    return new Model(this.#native, model);
  }

  /**
   * Tokenises texts given as UTF-8, back to back.
   *
   * @param special Which special tokens each text gets or keeps: see `SPECIAL`.
   */
  async tokenize(model: Model, utf8: Uint8Array, lengths: Int32Array, special: Int32Array): Promise<Tokens> {
    const f = this.#native.functions;
    await this.#run(
      () => f.saur_vocab_tokenize(this.#handle, model.handle, utf8, lengths, special, lengths.length),
      "tokenise",
    );
    const counts = new Int32Array(lengths.length);
    const ids = new Int32Array(f.saur_vocab_counts(this.#handle, counts, counts.length));
    if (ids.length > 0) f.saur_vocab_tokens(this.#handle, ids, ids.length);
    return { ids, counts };
  }

  /** Makes this lane's context, in place of the one it has. */
  async initContext(model: Model, { tokens, sequences, threads, pooling, kernels }: ContextOptions): Promise<void> {
    const kind = pooling === undefined ? -1 : POOLING.indexOf(pooling);
    const options = Int32Array.of(tokens, sequences, threads, kind, Number(kernels));
    await this.#run(
      () => this.#native.functions.saur_context_init(this.#handle, model.handle, options, options.length),
      `make a context of ${tokens} tokens, ${sequences} sequences and ${threads} threads`,
    );
  }

  /**
   * Runs one pass.
   *
   * @param tokens Ids of all sequences, back to back.
   * @param lengths How many tokens each sequence has.
   * @param seconds Where each sequence's segment B begins; its length if it has none.
   * @param out Receives the rows: sequences × dimensions (tokens × dimensions with pooling none).
   */
  async encode(tokens: Int32Array, lengths: Int32Array, seconds: Int32Array, out: Float32Array): Promise<void> {
    const f = this.#native.functions;
    await this.#run(
      () => f.saur_batch_encode(this.#handle, tokens, tokens.length, lengths, seconds, lengths.length),
      `encode ${lengths.length} sequences of ${tokens.length} tokens`,
    );
    if (f.saur_pooling_embeddings(this.#handle, out, out.length) !== out.length) {
      throw statusError(STATUS.NO_OUTPUT, "read the embeddings", "");
    }
  }

  /** Quantises a GGUF file into another, by type name such as `q8_0`; `threads` 0 means all cores. */
  async quantize(input: string, output: string, type: string, threads: number, watch: Watch): Promise<void> {
    await this.#run(
      () =>
        this.#native.functions.saur_model_quantize(
          this.#handle,
          cString(input),
          cString(output),
          cString(type),
          threads,
        ),
      `quantize ${input} to ${type}`,
      watch,
      "model-invalid",
    );
  }

  /** Asks the running job to stop; it ends as aborted. */
  abort(): void {
    this.#native.functions.saur_lane_abort(this.#handle, 1);
  }

  /** Frees the thread and its context, after the job that runs. The lane must not be used again. */
  close(): void {
    this.#native.functions.saur_lane_free(this.#handle);
  }

  async #run(start: () => number, action: string, watch: Watch = {}, code?: LlamaErrorCode): Promise<void> {
    const { signal, onProgress } = watch;
    signal?.throwIfAborted();
    const f = this.#native.functions;
    const abort = (): void => this.abort();
    signal?.addEventListener("abort", abort, { once: true });
    const timer = onProgress && setInterval(() => onProgress(f.saur_lane_progress(this.#handle) / 1000), 50);
    const refusal = await this.#native.jobs.run(this.#number, start);
    clearInterval(timer);
    signal?.removeEventListener("abort", abort);
    const words = new Uint8Array(8192);
    const status = refusal !== STATUS.OK ? refusal : f.saur_lane_result(this.#handle, words, words.length);
    this.#drainLog();
    if (status === STATUS.OK) {
      onProgress?.(1);
      return;
    }
    if (status === STATUS.ABORTED) signal?.throwIfAborted();
    if (status === STATUS.NOT_FOUND) {
      throw new ModelNotFoundError(`Cannot ${action}: there is no such file. ${GET_A_MODEL}`, watch.model ?? "");
    }
    throw statusError(status, action, new TextDecoder().decode(words.subarray(0, words.indexOf(0))), code);
  }

  #drainLog(): void {
    if (!this.#onLog) return;
    const buffer = new Uint8Array(65536);
    for (let n = 0; (n = this.#native.functions.saur_log_drain(this.#handle, buffer, buffer.length)) > 0;) {
      for (const record of new TextDecoder().decode(buffer.subarray(0, n - 1)).split("\0")) {
        const message = record.slice(1).trimEnd();
        if (message) this.#onLog({ level: LEVELS[Number(record[0])] ?? "info", message });
      }
    }
  }
}

function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}
