/** Writes long answers slice by slice, as the client takes them, so that the event loop stays free. */
import { setImmediate } from "node:timers/promises";
import { Answer } from "./answer.ts";

/** What a slice holds about: bytes, or UTF-16 units where they are not bytes yet. */
export const SLICE: number = 256 * 1024;
const encoder = new TextEncoder();

interface Slice {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Whether it is the last one. */
  readonly done: boolean;
}

/** An answer of JSON in slices: it is written at once if there is only one. */
export function sliced(write: () => Slice, headers: Record<string, string>): Answer {
  const all = { "content-type": "application/json", ...headers };
  let slice = write();
  if (slice.done) return new Answer(slice.bytes, all);
  let first = true;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (!first) {
        await setImmediate(); // others have their turn between two slices
        slice = write();
      }
      first = false;
      controller.enqueue(slice.bytes);
      if (slice.done) controller.close();
    },
  });
  return new Answer(body, all);
}

/** An answer of JSON that comes in pieces of text. */
export function piecewise(pieces: Iterable<string>, headers: Record<string, string>): Answer {
  const rest = pieces[Symbol.iterator]();
  return sliced(() => {
    let text = "";
    while (text.length < SLICE) {
      const { value, done } = rest.next();
      if (done) return { bytes: encoder.encode(text), done };
      text += value;
    }
    return { bytes: encoder.encode(text), done: false };
  }, headers);
}

/** A list as JSON, piece by piece. */
export function* listed(items: Iterable<unknown>): Generator<string> {
  let before = "[";
  for (const item of items) {
    yield before + JSON.stringify(item);
    before = ",";
  }
  yield before === "[" ? "[]" : "]";
}
