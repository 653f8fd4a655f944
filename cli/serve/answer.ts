/** Writes answers: JSON with vectors, in slices where it is large, so that the event loop stays free. */
import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers/promises";
import { widthOf, writeFloats } from "../data/floats.ts";

/** How a vector is written: as numbers, or as base64 of its little-endian float32. */
export type Encoding = "float" | "base64";

const SLICE = 256 * 1024; // bytes
const encoder = new TextEncoder();
const scratch = { bytes: new Uint8Array(0) };

/**
 * Makes the answer of a list of vectors.
 *
 * @param parts What stands before the list, around each vector by its index, and behind the list.
 */
export function vectorsResponse(
  vectors: readonly Float32Array[],
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
    const chunks: Uint8Array[] = from === 0 ? [encoder.encode(parts.before)] : [];
    let size = 0;
    let next = from;
    while (next < vectors.length && size < SLICE) {
      const vector = written(vectors[next]!, encoding);
      chunks.push(encoder.encode((next > 0 ? "," : "") + parts.open(next)), vector, encoder.encode(parts.close));
      size += vector.length;
      next++;
    }
    if (next === vectors.length) chunks.push(encoder.encode(parts.after));
    return { bytes: new Uint8Array(Buffer.concat(chunks)), next };
  };
  return sliced(write, vectors.length, headers);
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

/** A vector as JSON. */
function written(vector: Float32Array, encoding: Encoding): Uint8Array {
  if (encoding === "base64") {
    const bytes = Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);
    return encoder.encode(`"${bytes.toString("base64")}"`);
  }
  const width = widthOf(vector.length) + 2;
  if (scratch.bytes.length < width) scratch.bytes = new Uint8Array(width);
  const { bytes } = scratch;
  bytes[0] = 91; // [
  const end = writeFloats(vector, bytes, 1);
  bytes[end] = 93;
  return bytes.slice(0, end + 1);
}
