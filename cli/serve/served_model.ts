/** Keeps a model of the server: loads it when it is wanted, unloads it when it is idle, and knows its names and prompts. */
import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Activity, Llama, LoadOptions } from "@llamasaur/llamasaur";
import { Problem } from "./problem.ts";
import { TokenQueue } from "./queue.ts";

/** What a model is for. */
export type Role = "embed" | "rerank";

/** A model that the server is to have. */
export interface ModelOptions {
  /** A loaded model, or what `Llama.load` takes. The handler closes only what it loaded itself. */
  readonly model: Llama | string | URL;
  readonly role: Role;
  /** The first is shown, the others are aliases. Default: the catalogue's name, else the file's without `.gguf`. */
  readonly names?: readonly string[] | undefined;
  /** What goes before a query, in place of the model's own. */
  readonly queryPrompt?: string | undefined;
  /** What goes before a document, in place of the model's own. */
  readonly documentPrompt?: string | undefined;
  /** Dimensions of a vector where a request names none. */
  readonly dimensions?: number | undefined;
  /** Options of `Llama.load`. */
  readonly load?: LoadOptions | undefined;
}

/** What the models of a server have in common. */
export interface KeepOptions {
  /** Milliseconds without work after which a model is unloaded. Default: never. */
  readonly keepAlive?: number | undefined;
  readonly maxQueueTokens: number;
  /** Hears of loads and unloads. */
  readonly onChange?: ((model: ServedModel, loaded: boolean, milliseconds: number) => void) | undefined;
  /** Hears why a model is not ready, where nobody waits for it; once of each reason. */
  readonly onFailure?: ((model: ServedModel, error: unknown) => void) | undefined;
  /** Hears of passes. */
  readonly onPasses?: ((model: ServedModel, passes: Passes) => void) | undefined;
}

/** Passes that were computed since they were told of the last time. */
export type Passes = Pick<Activity, "passes" | "sequences" | "tokens">;

/** What is known of a model once it was loaded. */
export interface Known {
  readonly info: Llama["info"];
  readonly fingerprint: string;
}

/** A model could not be loaded: whatever was wrong, no request was. */
export class LoadFailure extends Error {
  override readonly name = "LoadFailure";

  /** @param cause What `Llama.load` threw. */
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : "something was thrown that is no error", { cause });
  }
}

/** A model of the server. */
export class ServedModel {
  readonly role: Role;
  readonly names: readonly string[];
  readonly options: ModelOptions;
  readonly queue: TokenQueue;
  /** What loading took the last time, in milliseconds; 0 before. */
  loadTime = 0;
  /** Known from the first load on, also while it is unloaded. */
  known: Known | undefined;
  /** Texts as the model cuts them: tokens a UTF-16 unit, measured. */
  density = 0.3;
  readonly #keep: KeepOptions;
  readonly #fingerprints = new Map<string, string>();
  #llama: Llama | undefined;
  #loading: Promise<Llama> | undefined;
  #unloading: Promise<void> = Promise.resolve();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #users = 0;
  #proven: { readonly size: number; readonly time: number } | undefined;
  #trial: Promise<void> | undefined;
  /** Why the last trial failed, if it did. */
  #reason: string | undefined;
  readonly #end = new AbortController();
  /** What was told of passes so far, of the loaded model. */
  #told: Passes = { passes: 0, sequences: 0, tokens: 0 };
  /** The path of its file, from the first load on. */
  #path: string | undefined;

  constructor(options: ModelOptions, keep: KeepOptions) {
    this.options = options;
    this.role = options.role;
    this.names = options.names?.length ? options.names : [defaultName(options.model)];
    this.#keep = keep;
    this.queue = new TokenQueue(keep.maxQueueTokens);
    if (typeof options.model === "object" && "embed" in options.model) this.#take(options.model);
  }

  get name(): string {
    return this.names[0]!;
  }

  /** The loaded model, for numbers; undefined while it is not loaded. */
  get loaded(): Llama | undefined {
    return this.#llama;
  }

  /** Whether `inputType` has an answer: the model's own prompts, or given ones. */
  prompts(type: "query" | "document"): boolean {
    const given = type === "query" ? this.options.queryPrompt : this.options.documentPrompt;
    return given !== undefined || this.known?.info.prompts !== undefined;
  }

  /** The names in a list: its own, and one for each prompt that it has, for clients that can choose a model alone. */
  get choices(): readonly string[] {
    const types = (["query", "document"] as const).filter((type) => this.role === "embed" && this.prompts(type));
    return [this.name, ...types.map((type) => `${this.name}@${type}`)];
  }

  /** Works with the model; loads it first if need be. Calls during a load share it, and a model with work stays. */
  async use<T>(work: (llama: Llama) => Promise<T>): Promise<T> {
    this.#users++;
    clearTimeout(this.#timer);
    try {
      return await work(await this.#load());
    } finally {
      if (--this.#users === 0) this.#wait();
    }
  }

  /** Tells of the passes that were computed since the last time. */
  passed(): void {
    const now = this.#llama?.activity;
    if (now === undefined || now.passes === this.#told.passes) return;
    const { passes, sequences, tokens } = this.#told;
    this.#told = now;
    this.#keep.onPasses?.(this, {
      passes: now.passes - passes,
      sequences: now.sequences - sequences,
      tokens: now.tokens - tokens,
    });
  }

  /** The fingerprint of vectors with these options. */
  fingerprint(llama: Llama, options: Parameters<Llama["fingerprint"]>[0] & object): string {
    const { signal: _, onProgress: __, ...rest } = options;
    const key = JSON.stringify(rest);
    const found = this.#fingerprints.get(key);
    if (found !== undefined) return found;
    if (this.#fingerprints.size >= 256) this.#fingerprints.clear(); // a client may ask for every number of dimensions
    const made = llama.fingerprint(rest);
    this.#fingerprints.set(key, made);
    return made;
  }

  /**
   * Whether the model can answer: it was loaded and has computed one text, as a request that names nothing has it. While it is not loaded, its file is looked at.
   * The first to ask starts the trial; `wait` waits for it.
   *
   * @throws What `Llama.load` threw.
   */
  async ready(wait: boolean): Promise<boolean> {
    if (this.#proven !== undefined) {
      if (this.#llama !== undefined || this.#isUnchanged()) return true;
      this.#proven = undefined; // its file is another now: that one must be loaded and run, too
    }
    this.#trial ??= this.use(async (llama) => {
      if (this.role === "embed") await llama.embed("ready", { dimensions: this.options.dimensions });
      else await llama.rerank("ready", ["ready"]);
      this.#proven = this.#file() ?? { size: 0, time: 0 };
      this.#reason = undefined;
    }).catch((error) => {
      throw error instanceof LoadFailure ? error.cause : error;
    }).finally(() => this.#trial = undefined);
    if (wait) await this.#trial;
    else this.#trial.catch((error) => this.#failed(error)); // the next one tries again
    return this.#proven !== undefined;
  }

  #failed(error: unknown): void {
    const reason = String(error);
    if (reason === this.#reason || this.#end.signal.aborted) return; // a probe asks every second
    this.#reason = reason;
    this.#keep.onFailure?.(this, error);
  }

  /** Closes what was loaded here. */
  async close(): Promise<void> {
    this.#end.abort(new Problem("unavailable", "Cannot answer: the server is closing"));
    clearTimeout(this.#timer);
    await this.#loading?.catch(() => {});
    await this.#unload();
  }

  async #load(): Promise<Llama> {
    this.#end.signal.throwIfAborted();
    if (this.#llama) return this.#llama;
    this.#loading ??= (async () => {
      await this.#unloading;
      const start = performance.now();
      const [{ Llama }, { resolveModel }] = await Promise.all([
        import("@llamasaur/llamasaur"),
        import("@llamasaur/llamasaur/models"),
      ]);
      const path = resolveModel(this.options.model as string | URL);
      this.#path = path.startsWith("file:") ? fileURLToPath(path) : path;
      const { load } = this.options;
      const signal = load?.signal ? AbortSignal.any([load.signal, this.#end.signal]) : this.#end.signal;
      // Loaded by its name, since the catalogue knows prompts and templates that the file does not have.
      const llama = await Llama.load(this.options.model as string | URL, { ...load, signal });
      this.loadTime = performance.now() - start;
      this.#take(llama);
      this.#keep.onChange?.(this, true, this.loadTime);
      return llama;
    })().catch((error) => {
      throw error instanceof Problem ? error : new LoadFailure(error);
    }).finally(() => this.#loading = undefined);
    return await this.#loading;
  }

  #take(llama: Llama): void {
    this.#llama = llama;
    this.#told = llama.activity;
    if (llama.info.fingerprint !== this.known?.fingerprint) this.#fingerprints.clear(); // the file was another
    this.known = { info: llama.info, fingerprint: llama.info.fingerprint };
  }

  #wait(): void {
    const { keepAlive } = this.#keep;
    if (keepAlive === undefined || this.#isGiven() || this.#end.signal.aborted) return;
    this.#timer = setTimeout(() => {
      if (this.#users === 0) void this.#unload();
    }, keepAlive);
    this.#timer.unref?.();
  }

  #unload(): Promise<void> {
    const llama = this.#llama;
    if (llama === undefined || this.#isGiven()) return this.#unloading;
    this.#llama = undefined;
    this.#unloading = llama.close();
    this.#keep.onChange?.(this, false, 0);
    return this.#unloading;
  }

  #isGiven(): boolean {
    return typeof this.options.model === "object" && "embed" in this.options.model;
  }

  #isUnchanged(): boolean {
    const file = this.#file();
    return file !== undefined && file.size === this.#proven?.size && file.time === this.#proven.time;
  }

  /** Size and time of the model's file, where its path is known. */
  #file(): { readonly size: number; readonly time: number } | undefined {
    if (this.#isGiven()) return { size: 0, time: 0 };
    try {
      const { size, mtimeMs } = statSync(this.#path!);
      return { size, time: mtimeMs };
    } catch {
      return undefined;
    }
  }
}

/** The name of a model that was given none: the catalogue's, else its file's without `.gguf`. */
export function defaultName(model: ModelOptions["model"]): string {
  if (typeof model === "object" && "embed" in model) return "model";
  const file = String(model).replace(/^(hf:.*)@[^/]*$/, "$1").split(/[\\/]/).at(-1)!;
  return file.replace(/\.gguf$/i, "");
}
