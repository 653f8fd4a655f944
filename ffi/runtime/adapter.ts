/** What an adapter of a runtime gives: the same for Deno and Bun. */
import type { Functions, Handle, Signature } from "../symbols.ts";

/** A library as a runtime opens it: the functions, and a way to be told that lanes have finished. */
export interface Library<T> {
  readonly functions: T;
  /** Returns `start`, to be called when jobs become pending; `drain` is called at each wake and says if more are. */
  listen(functions: Functions, queue: Handle, drain: () => boolean): () => void;
}

/** The module of a runtime. */
export interface Adapter {
  /** Opens a library with a table, or with a part of it. */
  open<T = Functions>(path: string, table?: Record<string, Signature>): Library<T>;
}
