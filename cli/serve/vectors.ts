/** Writes vectors as JSON, in slices where they are many, so that the event loop stays free. */
import { Buffer } from "node:buffer";
import { widthOf, writeFloats } from "../data/floats.ts";
import type { Answer } from "./answer.ts";
import type { Embedded } from "./embedding.ts";
import { SLICE, sliced } from "./slices.ts";

/** How a vector is written: as numbers, or as base64 of its little-endian float32. */
export type Encoding = "float" | "base64";

const TEXT = 8 * 1024; // UTF-16 units that are written at once
const encoder = new TextEncoder();

/** Bytes that are written one after another, into memory that is used again: garbage of 20 KB a vector was collected late. */
class Writer {
  #bytes = new Uint8Array(64 * 1024);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  text(text: string): void {
    this.#reserve(text.length * 3);
    this.#size += encoder.encodeInto(text, this.#bytes.subarray(this.#size)).written;
  }

  /** A vector as JSON's numbers. */
  numbers(vector: Float32Array): void {
    this.#reserve(widthOf(vector.length) + 2);
    this.#bytes[this.#size] = 91; // [
    this.#size = writeFloats(vector, this.#bytes, this.#size + 1);
    this.#bytes[this.#size++] = 93;
  }

  /** What was written, as a copy; then it is empty. */
  take(): Uint8Array<ArrayBuffer> {
    const taken = this.#bytes.slice(0, this.#size);
    this.#size = 0;
    return taken;
  }

  #reserve(more: number): void {
    if (this.#size + more <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#size + more, 2 * this.#bytes.length));
    larger.set(this.#bytes.subarray(0, this.#size));
    this.#bytes = larger;
  }
}

const writer = new Writer();

/**
 * Makes the answer of a list of vectors.
 *
 * @param parts What stands before the list, around each vector by its index, and behind the list.
 */
export function vectorsAnswer(
  { count, vectorOf }: Pick<Embedded, "count" | "vectorOf">,
  encoding: Encoding,
  parts: {
    readonly before: string;
    readonly open: (index: number) => string;
    readonly close: string;
    readonly after: string;
  },
  headers: Record<string, string>,
): Answer {
  let next = 0;
  const write = () => {
    let text = next === 0 ? parts.before : ""; // what is text is written together: there may be a million short vectors
    while (next < count && writer.size + text.length < SLICE) {
      text += (next > 0 ? "," : "") + parts.open(next);
      const vector = vectorOf(next);
      if (encoding === "base64") text += `"${bytesOf(vector).toString("base64")}"`;
      if (encoding === "float" || text.length > TEXT) {
        writer.text(text);
        text = "";
      }
      if (encoding === "float") writer.numbers(vector);
      text += parts.close;
      next++;
    }
    if (next === count) text += parts.after;
    writer.text(text);
    return { bytes: writer.take(), done: next === count };
  };
  return sliced(write, headers);
}

/** The float32 of a vector as they are in memory: little-endian on every machine that there is. */
function bytesOf(vector: Float32Array): Buffer {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);
}
