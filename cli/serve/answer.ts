/** Writes answers: JSON with vectors, in slices where it is large, so that the event loop stays free. */
import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers/promises";
import { widthOf, writeFloats } from "../data/floats.ts";
import type { Embedded } from "./embedding.ts";

/** How a vector is written: as numbers, or as base64 of its little-endian float32. */
export type Encoding = "float" | "base64";

const SLICE = 256 * 1024; // bytes
const BYTES_NUMBER = 12; // of a number in JSON, about
const BYTES_BASE64 = 16 / 3;
const encoder = new TextEncoder();
const scratch = { bytes: new Uint8Array(0) };

/**
 * Makes the answer of a list of vectors.
 *
 * @param parts What stands before the list, around each vector by its index, and behind the list.
 */
export function vectorsResponse(
  { count, vectorOf }: Pick<Embedded, "count" | "vectorOf">,
  encoding: Encoding,
  parts: {
    readonly before: string;
    readonly open: (index: number) => string;
    readonly close: string;
    readonly after: string;
  },
  headers: Record<string, string>,
): Response {
  const write = (from: number): { bytes: Uint8Array<ArrayBuffer>; next: number } => {
    const pieces: Uint8Array[] = [];
    let text = from === 0 ? parts.before : ""; // what is text is encoded together: there may be a million short vectors
    let size = 0;
    let next = from;
    while (next < count && size < SLICE) {
      text += (next > 0 ? "," : "") + parts.open(next);
      const vector = vectorOf(next);
      if (encoding === "base64") {
        text += `"${bytesOf(vector).toString("base64")}"`;
      } else {
        pieces.push(encoder.encode(text), numbersOf(vector));
        text = "";
      }
      size += vector.length * (encoding === "base64" ? BYTES_BASE64 : BYTES_NUMBER);
      text += parts.close;
      next++;
    }
    if (next === count) text += parts.after;
    pieces.push(encoder.encode(text));
    return { bytes: new Uint8Array(Buffer.concat(pieces)), next };
  };
  return sliced(write, count, headers);
}

/** An answer that is written slice by slice: at once if there is only one, else as the client takes it. */
function sliced(
  write: (from: number) => { readonly bytes: Uint8Array<ArrayBuffer>; readonly next: number },
  count: number,
  headers: Record<string, string>,
): Response {
  const all = { "content-type": "application/json", ...headers };
  let { bytes, next } = write(0);
  if (next === count) return new Response(bytes, { headers: all });
  let first = true;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (!first) {
        await setImmediate(); // others have their turn between two slices
        ({ bytes, next } = write(next));
      }
      first = false;
      controller.enqueue(bytes);
      if (next === count) controller.close();
    },
  });
  return new Response(body, { headers: all });
}

/** The float32 of a vector as they are in memory: little-endian on every machine that there is. */
function bytesOf(vector: Float32Array): Buffer {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);
}

/** A vector as JSON's numbers. */
function numbersOf(vector: Float32Array): Uint8Array {
  const width = widthOf(vector.length) + 2;
  if (scratch.bytes.length < width) scratch.bytes = new Uint8Array(width);
  const { bytes } = scratch;
  bytes[0] = 91; // [
  const end = writeFloats(vector, bytes, 1);
  bytes[end] = 93;
  return bytes.slice(0, end + 1);
}
