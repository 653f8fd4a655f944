/** Reads and writes JSON without loss: whole numbers beyond 2^53 stay what they are. */
import { Counted } from "./moments.ts";
import type { Value } from "./rows.ts";

/** A digit run that a double may not hold. */
const LONG_NUMBER = /\d{16}/;
const WHOLE = /^-?\d+$/;

/** What JSON says; whole numbers beyond 2^53 become BigInt. */
export function parseJson(text: string): unknown {
  return LONG_NUMBER.test(text) ? JSON.parse(text, exactNumber) : JSON.parse(text);
}

function exactNumber(this: unknown, _key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  const source = context?.source ?? "";
  return WHOLE.test(source) ? BigInt(source) : value;
}

/** JSON as a Parquet file has it: Parquet gets the same bytes again. */
export class JsonText {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** What it says; the text itself where it is no JSON. */
  get value(): Value {
    const text = new TextDecoder().decode(this.bytes);
    try {
      return parseJson(text) as Value;
    } catch {
      return text;
    }
  }
}

/** A value as JSON. */
export function jsonOf(value: Value): string {
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number") return Number.isFinite(value) ? JSON.stringify(value) : "null";
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (value instanceof JsonText || value instanceof Counted) return jsonOf(value.value);
  if (value instanceof Uint8Array) return JSON.stringify(base64(value));
  if (ArrayBuffer.isView(value)) return jsonOf(Array.from(value as unknown as ArrayLike<number>));
  if (Array.isArray(value)) {
    return `[${value.map((one: Value | undefined) => one === undefined ? "null" : jsonOf(one)).join(",")}]`;
  }
  if ("toJSON" in value && typeof value.toJSON === "function") return JSON.stringify(value.toJSON());
  const fields = Object.entries(value).filter(([, one]) => one !== undefined);
  return `{${fields.map(([name, one]) => `${JSON.stringify(name)}:${jsonOf(one as Value)}`).join(",")}}`;
}

const BASE64_STEP = 0x6000; // a multiple of 3, and few enough arguments for String.fromCharCode

/** Bytes in base64. */
export function base64(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += BASE64_STEP) {
    parts.push(btoa(String.fromCharCode(...bytes.subarray(at, at + BASE64_STEP))));
  }
  return parts.join("");
}
