/** Writes rows as `copy … from stdin (format binary)` reads them; vectors as pgvector's own input does. */

/** What each copy begins with: the signature, no flags, no extension (PostgreSQL's manual, COPY, "Binary Format"). */
const HEADER = [...new TextEncoder().encode("PGCOPY\n"), 0xff, 0x0d, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0];

const encoder = new TextEncoder();

/** Rows in COPY's binary format, in a buffer that grows. */
export class BinaryRows {
  #bytes: Uint8Array;
  #view: DataView;
  #end = HEADER.length;

  /** @param room Bytes that there is room for before it grows. */
  constructor(room: number) {
    this.#bytes = new Uint8Array(HEADER.length + room);
    this.#view = new DataView(this.#bytes.buffer);
    this.#bytes.set(HEADER);
  }

  /** Begins a row of so many values. */
  row(values: number): void {
    const at = this.#take(2);
    this.#view.setInt16(at, values);
  }

  text(value: string): void {
    const at = this.#take(4 + 3 * value.length); // UTF-8 has three bytes a code unit at most
    const { written } = encoder.encodeInto(value, this.#bytes.subarray(at + 4));
    this.#view.setInt32(at, written);
    this.#end = at + 4 + written;
  }

  /** An `int`. */
  integer(value: number): void {
    const at = this.#value(4);
    this.#view.setInt32(at, value);
  }

  boolean(value: boolean): void {
    const at = this.#value(1);
    this.#bytes[at] = value ? 1 : 0;
  }

  /** A `vector`: how many numbers, nothing, the numbers (`vector_recv` of pgvector). */
  vector(values: Float32Array): void {
    const at = this.#value(4 + 4 * values.length);
    this.#view.setInt16(at, values.length);
    this.#view.setInt16(at + 2, 0);
    for (let i = 0; i < values.length; i++) this.#view.setFloat32(at + 4 + 4 * i, values[i]!);
  }

  /** The bytes, with COPY's last word. Nothing can be added then. */
  end(): Uint8Array {
    const at = this.#take(2);
    this.#view.setInt16(at, -1);
    return this.#bytes.subarray(0, this.#end);
  }

  /** Room for a value of so many bytes, behind its length. */
  #value(length: number): number {
    const at = this.#take(4 + length);
    this.#view.setInt32(at, length);
    return at + 4;
  }

  #take(length: number): number {
    const at = this.#end;
    this.#end += length;
    if (this.#end > this.#bytes.length) {
      const old = this.#bytes;
      this.#bytes = new Uint8Array(2 * this.#end);
      this.#view = new DataView(this.#bytes.buffer);
      this.#bytes.set(old.subarray(0, at));
    }
    return at;
  }
}
