/** Runs jobs on a lane: a native thread with one job at a time, and the context that lives on it. */
import { LlamaError, type LlamaErrorCode, ModelNotFoundError, statusError } from "./errors.ts";
import { LONGEST_REASON, printable } from "./host/printable.ts";
import { Model } from "./model.ts";
import type { Native } from "./native.ts";
import {
  byName,
  CONTEXT_MEMORY,
  CONTEXT_OPTIONS,
  type Handle,
  inOrder,
  LOG_LEVEL,
  MODEL_OPTIONS,
  POOLING,
  type PoolingName,
  STATUS,
} from "./symbols.ts";

// Scratch of one native call at a time, decoded before the next. A buffer for each pass was 72 KB of garbage, which let the
// memory of a process grow by 40 MB before it was collected.
const words = new Uint8Array(8192);
const lines = new Uint8Array(65536);

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

/** The sequences of one pass; the arrays have a number for each sequence, but `tokens`. */
export interface Pass {
  /** Ids of all sequences, back to back. */
  readonly tokens: Int32Array;
  /** How many tokens each sequence has. */
  readonly lengths: Int32Array;
  /** Where each sequence's segment B begins; its length if it has none. @default {lengths} */
  readonly segmentB?: Int32Array;
  /**
   * How many of its first tokens other sequences begin with, too, so that they can be computed once for all.
   *
   * @default {zeros}
   */
  readonly prefixLengths?: Int32Array;
}

/** What a model is loaded with. */
export interface ModelOptions {
  /** Layers to keep on the GPU; negative means all, 0 none. */
  readonly gpuLayers: number;
  readonly checkTensors: boolean;
  /** Whether to refuse what llama.cpp could die of; only tests of what lies behind it say no. @default {true} */
  readonly checkHeader?: boolean;
  /** Index of the GPU; -1 means the first. */
  readonly device: number;
  /** Whether texts get BOS, EOS and SEP; undefined means as the file says. */
  readonly addBos?: boolean | undefined;
  readonly addEos?: boolean | undefined;
  readonly addSep?: boolean | undefined;
  /** Whether a token attends only to those before it; undefined means as the file says. */
  readonly causal?: boolean | undefined;
  /** Whether llama.cpp may put weights into an order of its own, which our kernels cannot read. @default {true} */
  readonly repack?: boolean;
}

/** What a context is made with. */
export interface ContextOptions {
  /** Tokens of one pass, and so of the longest sequence. */
  readonly tokens: number;
  /** Sequences of one pass. */
  readonly sequences: number;
  readonly threads: number;
  readonly pooling: PoolingName | undefined;
  /** Tokens whose logits a pass gives for each sequence, in place of embeddings. */
  readonly answers?: readonly number[] | undefined;
  /** Whether to compute with our own kernels, where there are some. */
  readonly kernels: boolean;
}

/** What a context takes, in bytes, on all devices together. */
export interface ContextMemory {
  /** The buffers of the model, which all its contexts share. */
  readonly weights: number;
  /** The KV cache: all of it is written when the context is made. */
  readonly cache: number;
  /** What a full pass is computed in; less of it is touched by a smaller one. */
  readonly compute: number;
  /** A row of the outputs: logits, and an embedding if it is that which is wanted. */
  readonly row: number;
  /** Whether there is such a row for every token of a pass, or for every sequence. */
  readonly perToken: boolean;
  /** In the latter case, what computing one takes; the one of the first sequence is in `compute`. */
  readonly head: number;
}

const LEVELS = ["debug", "info", "warn", "error"] as const;
const AS_IN_FILE = -1;

/** One job of a lane, and what is done for its owner while it runs. */
interface Job<Result> {
  /** Starts it; a result other than OK is a refusal. */
  readonly start: () => number;
  /** Reads what it left on the lane. */
  readonly read: () => Result;
  /** What it does, as in "Cannot <action>". */
  readonly action: string;
  /** The kind of its failures, where the status alone does not tell. */
  readonly code?: LlamaErrorCode;
  readonly signal?: AbortSignal | undefined;
  /** Called with 0..1 while the job runs. */
  readonly onProgress?: ((fraction: number) => void) | undefined;
  /** The model's path, for the error when it is not there. */
  readonly model?: string;
  /** Whether an abort rejects at once: a vocabulary is read for long moments in which nobody looks at the abort flag. */
  readonly leaves?: boolean;
}

type Watch = Pick<Job<unknown>, "signal" | "onProgress">;

/** A native thread; see shim.h. Its methods start jobs: never two at a time. */
export class Lane {
  readonly #native: Native;
  #pointer: Handle | undefined;
  readonly #number: number;
  readonly #onLog: ((line: LogLine) => void) | undefined;
  #running = false;
  #closed = false;
  #failed = false;

  /** @param onLog Receives llama.cpp's lines of level info and above; without it they are dropped. */
  constructor(native: Native, onLog?: (line: LogLine) => void) {
    this.#native = native;
    this.#onLog = onLog;
    const { handle, number } = native.jobs.newLane(onLog ? LOG_LEVEL.info : LOG_LEVEL.none);
    this.#pointer = handle;
    this.#number = number;
  }

  /** Loads a model. When it is aborted, the lane can only be closed: the load stops behind it, as soon as it can. */
  async loadModel(path: string, settings: ModelOptions, watch: Watch): Promise<Model> {
    const f = this.#native.functions;
    const { gpuLayers, checkTensors, checkHeader = true, device, addBos, addEos, addSep, causal, repack = true } =
      settings;
    const options = Int32Array.from(inOrder(MODEL_OPTIONS, {
      gpuLayers,
      checkTensors: Number(checkTensors),
      checkHeader: Number(checkHeader),
      device,
      addBos: Number(addBos ?? AS_IN_FILE),
      addEos: Number(addEos ?? AS_IN_FILE),
      addSep: Number(addSep ?? AS_IN_FILE),
      causal: Number(causal ?? AS_IN_FILE),
      repack: Number(repack),
    }));
    const action = `load the model ${printable(path, undefined, LONGEST_REASON)}`;
    const model = await this.#run({
      start: () => f.saur_model_load(this.#handle, cString(path), options, options.length),
      read: () => f.saur_model_take(this.#handle),
      action,
      code: "model-invalid",
      model: path,
      leaves: true,
      ...watch,
    });
    if (model === null) throw statusError(STATUS.OUT_OF_MEMORY, action, "");
    return new Model(this.#native, model);
  }

  /**
   * Tokenises texts given as UTF-8, back to back.
   *
   * @param special Which special tokens each text gets or keeps: see `SPECIAL`.
   */
  async tokenize(model: Model, utf8: Uint8Array, lengths: Int32Array, special: Int32Array): Promise<Tokens> {
    const f = this.#native.functions;
    return await this.#run({
      start: () => f.saur_vocab_tokenize(this.#handle, model.handle, utf8, lengths, special, lengths.length),
      read: () => {
        const counts = new Int32Array(lengths.length);
        const ids = new Int32Array(f.saur_vocab_counts(this.#handle, counts, counts.length));
        if (ids.length > 0) f.saur_vocab_tokens(this.#handle, ids, ids.length);
        return { ids, counts };
      },
      action: "tokenise",
    });
  }

  /** Makes this lane's context, in place of the one it has. */
  async initContext(
    model: Model,
    { tokens, sequences, threads, pooling, kernels, answers = [] }: ContextOptions,
  ): Promise<void> {
    const f = this.#native.functions;
    const options = Int32Array.from(inOrder(CONTEXT_OPTIONS, {
      tokens,
      sequences,
      threads,
      pooling: POOLING[pooling ?? "unspecified"],
      kernels: Number(kernels),
    }));
    const wanted = Int32Array.from(answers);
    await this.#run({
      start: () => f.saur_context_init(this.#handle, model.handle, options, options.length, wanted, wanted.length),
      read: nothing,
      action: `make a context of ${tokens} tokens, ${sequences} sequences and ${threads} threads`,
    });
  }

  /** What this lane's context takes. */
  contextMemory(): ContextMemory {
    const out = new Float64Array(CONTEXT_MEMORY.length);
    const status = this.#native.functions.saur_context_memory(this.#handle, out, out.length);
    if (status !== STATUS.OK) throw statusError(status, "read what a context takes", "");
    const numbers = byName(CONTEXT_MEMORY, out);
    return { ...numbers, perToken: numbers.perToken === 1 };
  }

  /** Frees this lane's context. */
  async freeContext(): Promise<void> {
    await this.#run({
      start: () => this.#native.functions.saur_context_free(this.#handle),
      read: nothing,
      action: "free a context",
    });
  }

  /**
   * Runs one pass.
   *
   * @param out Receives the rows: sequences × dimensions (tokens × dimensions with pooling none), or sequences × answers.
   */
  async encode(pass: Pass, out: Float32Array): Promise<void> {
    const { tokens, lengths, segmentB = lengths, prefixLengths = new Int32Array(lengths.length) } = pass;
    const f = this.#native.functions;
    const numbers = await this.#run({
      start: () =>
        f.saur_batch_encode(this.#handle, tokens, tokens.length, lengths, segmentB, prefixLengths, lengths.length),
      read: () => f.saur_pooling_embeddings(this.#handle, out, out.length),
      action: `encode ${lengths.length} sequences of ${tokens.length} tokens`,
    });
    if (numbers !== out.length) throw statusError(STATUS.NO_OUTPUT, "read the embeddings", "");
  }

  /** Quantises a GGUF file into another, by type name such as `q8_0`; `threads` 0 means all cores. */
  async quantize(input: string, output: string, type: string, threads: number, watch: Watch): Promise<void> {
    const [from, to, name] = [cString(input), cString(output), cString(type)];
    await this.#run({
      start: () => this.#native.functions.saur_model_quantize(this.#handle, from, to, name, threads),
      read: nothing,
      action: `quantize ${printable(input, undefined, LONGEST_REASON)} to ${type}`,
      code: "model-invalid",
      ...watch,
    });
  }

  /** Whether the last job failed, and not because it was aborted: its context may be unusable then. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Asks the running job to stop; it ends as aborted. Without one, nothing happens. */
  abort(): void {
    if (this.#pointer !== undefined) this.#native.functions.saur_lane_abort(this.#pointer, 1);
  }

  /**
   * Frees the thread and its context. A job that runs is asked to stop and its end is waited for, since its result is
   * still read from the lane; a later job is refused. Idempotent.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#running) this.abort();
    else this.#free();
  }

  /** The native pointer; throws once it was freed. */
  get #handle(): Handle {
    if (this.#pointer === undefined) throw new LlamaError("closed", "Cannot use a lane after close()");
    return this.#pointer;
  }

  #free(): void {
    const handle = this.#handle;
    this.#pointer = undefined;
    this.#native.functions.saur_lane_free(handle);
  }

  async #run<Result>(job: Job<Result>): Promise<Result> {
    job.signal?.throwIfAborted();
    if (this.#closed) throw statusError(STATUS.BUSY, job.action, "", "closed");
    this.#running = true;
    try {
      return await this.#finish(job);
    } finally {
      this.#running = false;
      if (this.#closed) this.#free();
    }
  }

  async #finish<Result>(
    { start, read, action, code, signal, onProgress, model, leaves }: Job<Result>,
  ): Promise<Result> {
    const f = this.#native.functions;
    const left = Promise.withResolvers<typeof STATUS.ABORTED>();
    const abort = (): void => {
      this.abort();
      if (leaves) left.resolve(STATUS.ABORTED);
    };
    signal?.addEventListener("abort", abort, { once: true });
    let thrown: { readonly error: unknown } | undefined;
    const report = (): void => {
      try {
        onProgress?.(f.saur_lane_progress(this.#handle) / 1000);
      } catch (error) {
        thrown ??= { error }; // out of a timer it would end the process
        abort();
      }
    };
    const timer = onProgress && setInterval(report, 50);
    const ended = this.#native.jobs.run(this.#number, start);
    const refusal = await Promise.race([ended, left.promise]).finally(() => {
      clearInterval(timer);
      signal?.removeEventListener("abort", abort);
    });
    if (thrown) throw thrown.error;
    signal?.throwIfAborted(); // also where the job was faster: what it made goes with the lane
    words[0] = 0; // no reason, where the job was refused
    const status = refusal !== STATUS.OK ? refusal : f.saur_lane_result(this.#handle, words, words.length);
    const reason = status === STATUS.OK ? "" : new TextDecoder().decode(words.subarray(0, words.indexOf(0)));
    this.#failed = status !== STATUS.OK && status !== STATUS.ABORTED;
    this.#drainLog();
    if (status === STATUS.OK) {
      onProgress?.(1); // may throw: what is read here would be lost
      signal?.throwIfAborted(); // by the log's reader or by that of the progress: what the job made goes with the lane
      return read();
    }
    if (status === STATUS.NOT_FOUND && model !== undefined) {
      throw new ModelNotFoundError(`Cannot ${action}: there is no such file`, model);
    }
    throw statusError(status, action, reason, code);
  }

  #drainLog(): void {
    if (!this.#onLog) return;
    for (let n = 0; (n = this.#native.functions.saur_log_drain(this.#handle, lines, lines.length)) > 0;) {
      for (const record of new TextDecoder().decode(lines.subarray(0, n - 1)).split("\0")) {
        const message = record.slice(1).trimEnd();
        if (message) this.#onLog({ level: levelOf(LEVELS[Number(record[0])], message), message });
      }
    }
  }
}

/**
 * Warnings of llama.cpp that concern nobody here: of a pooling that the file leaves to us, of tokens that end a generation (in every
 * BERT EOS is [SEP]) or a line of it, and of contexts, whose size is ours: a pass holds many sequences, each of which is checked.
 */
const NOISE = [
  /model default pooling_type is \[-?\d+\], but \[\d+\] was specified/,
  /special_eo[st]_id is not in special_eog_ids/,
  /model vocab missing newline token/,
  /n_ctx_seq \(\d+\) [<>] n_ctx_train \(\d+\)/,
];

function levelOf(level: LogLine["level"] = "info", message: string): LogLine["level"] {
  return level === "warn" && NOISE.some((noise) => noise.test(message)) ? "info" : level;
}

function nothing(): void {}

function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}
