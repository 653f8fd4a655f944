/** A loaded model's handle and what its file says of itself. */
import { LlamaError, statusError } from "./errors.ts";
import type { Native } from "./native.ts";
import { byName, CAUSAL_BY, type Handle, MODEL_INFO, POOLING, type PoolingName } from "./symbols.ts";

/** The numbers of `saur_model_info`, by name. */
export type ModelNumbers = { readonly [K in (typeof MODEL_INFO)[number]]: number };

const POOLINGS: readonly PoolingName[] = ["none", "mean", "cls", "last", "rank"];

/** A loaded model. The weights go when it and every context made from it are closed. */
export class Model {
  readonly #native: Native;
  #handle: Handle | undefined;
  /** What the model says of itself, in numbers. */
  readonly numbers: ModelNumbers;

  /** Only ffi/lane.ts makes one. */
  constructor(native: Native, handle: Handle) {
    this.#native = native;
    this.#handle = handle;
    const values = new Float64Array(MODEL_INFO.length);
    native.functions.saur_model_info(handle, values, values.length);
    this.numbers = byName(MODEL_INFO, values);
  }

  /**
   * The native pointer; only for ffi/. Whoever needs the model asks here, and learns here that it was freed.
   *
   * @throws {LlamaError} `closed` after `close()`.
   */
  get handle(): Handle {
    if (this.#handle === undefined) throw new LlamaError("closed", "Cannot call a model after close()");
    return this.#handle;
  }

  /** A scalar of the file's metadata as text, or undefined; `:file_type` and `:description` are llama.cpp's words. A list has a value as `:list:KEY`. */
  meta(key: string): string | undefined {
    const name = new TextEncoder().encode(`${key}\0`);
    let out = new Uint8Array(256);
    const n = this.#native.functions.saur_model_meta(this.handle, name, out, out.length);
    if (n < 0) return undefined;
    if (n >= out.length) {
      out = new Uint8Array(n + 1);
      this.#native.functions.saur_model_meta(this.handle, name, out, out.length);
    }
    return new TextDecoder().decode(out.subarray(0, n));
  }

  /** The pooling that the file asks for, or undefined. */
  get pooling(): PoolingName | undefined {
    return POOLINGS.find((name) => POOLING[name] === this.numbers.pooling);
  }

  /** Who says whether a token attends only to those before it (`numbers.causal`). */
  get causalBy(): keyof typeof CAUSAL_BY {
    const names = Object.keys(CAUSAL_BY) as (keyof typeof CAUSAL_BY)[];
    return names.find((name) => CAUSAL_BY[name] === this.numbers.causalBy) ?? "nobody";
  }

  /** The names of the classification head's outputs, if the file has any. */
  get labels(): string[] {
    const out = new Uint8Array(1024);
    const labels: string[] = [];
    for (let i = 0; i < this.numbers.classes; i++) {
      const n = this.#native.functions.saur_model_label(this.handle, i, out, out.length);
      if (n < 0) return [];
      labels.push(new TextDecoder().decode(out.subarray(0, Math.min(n, out.length - 1))));
    }
    return labels;
  }

  /** Whether the file has a tensor of a name. Reads the file's header. */
  hasTensor(name: string): boolean {
    return this.#native.functions.saur_model_has_tensor(this.handle, new TextEncoder().encode(`${name}\0`)) === 1;
  }

  /**
   * The vocabulary's text of each id, as the file has it.
   *
   * @param ids Each is in the vocabulary.
   */
  pieces(ids: Int32Array): string[] {
    const f = this.#native.functions;
    const lengths = new Int32Array(ids.length);
    let utf8 = new Uint8Array(16 * ids.length + 64); // a piece has 6 bytes on average
    let bytes = f.saur_vocab_pieces(this.handle, ids, ids.length, lengths, utf8, utf8.length);
    if (bytes > utf8.length) {
      utf8 = new Uint8Array(bytes);
      bytes = f.saur_vocab_pieces(this.handle, ids, ids.length, lengths, utf8, utf8.length);
    }
    if (bytes < 0) throw statusError(bytes, "get the pieces of tokens", "");
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // a piece may begin with U+FEFF
    let at = 0;
    return Array.from(lengths, (length) => decoder.decode(utf8.subarray(at, at += length)));
  }

  /** Lets go of the weights; later uses throw. Idempotent. */
  close(): void {
    const handle = this.#handle;
    this.#handle = undefined;
    if (handle !== undefined) this.#native.functions.saur_model_free(handle);
  }
}
