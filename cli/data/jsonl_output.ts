/** Writes rows with their vectors as lines of JSON. */
import type { Column } from "./columns.ts";
import { widthOf, writeFloats } from "./floats.ts";
import { base64, jsonOf } from "./json.ts";
import type { Encoder, OutputRow } from "./output.ts";

/** Names that a line of JSON has of its own. */
export const JSONL_NAMES = ["id", "embedding", "tokens", "truncated", "fingerprint"] as const;

/** Rows encoded at once: some milliseconds, in which the lanes that wait for this thread compute nothing. */
const SLICE = 32;

const encoder = new TextEncoder();
const UTF8_WIDEST = 3; // bytes of a UTF-16 unit

/**
 * An encoder of JSONL.
 *
 * @param columns The id's and the kept ones.
 * @param encoding Whether a vector is a list of numbers, or the bytes of its float32, little-endian, in base64.
 */
export function jsonlEncoder(columns: readonly Column[], fingerprint: string, encoding: "float" | "base64"): Encoder {
  const kept = columns.slice(1).map(({ name }) => [name, `${JSON.stringify(name)}:`] as const);
  let bytes = new Uint8Array(1 << 16); // used again: as garbage it would be several times the group before it is collected
  function group(rows: readonly OutputRow[]): { bytes: Uint8Array[] } {
    let at = 0;
    const ensure = (more: number): void => {
      if (at + more <= bytes.length) return;
      const larger = new Uint8Array(Math.max(2 * bytes.length, at + more));
      larger.set(bytes.subarray(0, at));
      bytes = larger;
    };
    const write = (text: string): void => {
      ensure(UTF8_WIDEST * text.length);
      let i = 0;
      for (; i < text.length && text.charCodeAt(i) < ASCII; i++) bytes[at++] = text.charCodeAt(i); // makes no objects
      if (i === text.length) return;
      text = text.slice(i);
      at += encoder.encodeInto(text, bytes.subarray(at)).written;
    };
    for (const row of rows) {
      const fields = kept.map(([name, key]) => row.kept[name] === undefined ? "" : `${key}${jsonOf(row.kept[name])},`);
      write(`{"id":${jsonOf(row.id)},${fields.join("")}"embedding":`);
      if (encoding === "base64") write(JSON.stringify(base64(littleEndian(row.embedding))));
      else {
        ensure(widthOf(row.embedding.length) + 2);
        bytes[at++] = OPEN;
        at = writeFloats(row.embedding, bytes, at);
        bytes[at++] = CLOSE;
      }
      write(`,"tokens":${row.tokens},"truncated":${row.truncated},"fingerprint":"${fingerprint}"}\n`);
    }
    return { bytes: [bytes.subarray(0, at)] };
  }
  return { slice: SLICE, group, end: () => new Uint8Array() };
}

const [OPEN, CLOSE, ASCII] = [91, 93, 128];

/** The bytes of numbers; every platform of this package is little-endian. */
function littleEndian(vector: Float32Array): Uint8Array {
  return new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength);
}
