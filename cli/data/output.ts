/** Names what an output is made of, whatever its format. */
import type { Value } from "./rows.ts";

/** A row of an output. */
export interface OutputRow {
  readonly id: Value;
  readonly kept: Readonly<Record<string, Value | undefined>>;
  readonly embedding: Float32Array;
  readonly tokens: number;
  readonly truncated: boolean;
}

/** Makes bytes of rows: of a group, or of the end of a file. The same rows give the same bytes, on every runtime. */
export interface Encoder {
  /** Rows that are encoded at once, where a group may be encoded in slices one behind the other; else it goes whole. */
  readonly slice?: number;
  /**
   * A group of rows.
   *
   * @param offset Where in the file it begins.
   * @returns Its bytes, each of which hold until the next is taken, and what the end of the file must know of it.
   */
  group(rows: readonly OutputRow[], offset: number): { readonly bytes: Iterable<Uint8Array>; readonly note?: string };
  /**
   * What ends a file.
   *
   * @param notes Of all its groups.
   */
  end(notes: readonly string[], offset: number): Uint8Array;
}
