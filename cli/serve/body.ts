/** Reads the body of a request: JSON of a bounded size, in which null counts as absent. */
import { tooLarge } from "./bytes.ts";
import type { Asked } from "./asked.ts";
import { Problem } from "./problem.ts";

const DEEPEST = 64; // levels
const decoder = new TextDecoder("utf-8", { fatal: true });

/** A body that is a JSON object, without what is null. */
export type Body = Readonly<Record<string, unknown>>;

/**
 * Reads a body.
 *
 * @param most Bytes that it may have.
 * @param anyType Whether to take it for JSON whatever its type says: `curl -d` sends a form's, and Ollama takes that.
 * @param end Aborted when nothing is to be waited for any more.
 * @throws {Problem} when it is larger, of another type, no JSON, or no object.
 */
export async function readBody(asked: Asked, most: number, anyType: boolean, end: AbortSignal): Promise<Body> {
  const type = asked.headers.get("content-type");
  if (!anyType && type !== null && !/^application\/([\w.-]+\+)?json\b/i.test(type)) {
    throw new Problem("unsupported_media_type", "Cannot read the body: its content-type must be application/json");
  }
  if (!/^(identity)?$/i.test(asked.headers.get("content-encoding") ?? "")) {
    throw new Problem(
      "unsupported_media_type",
      "Cannot read the body: it is compressed; send it without content-encoding",
    );
  }
  if (Number(asked.headers.get("content-length") ?? 0) > most) throw tooLarge(most);
  const text = decode(await asked.bytes(most, end));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message may quote the text, so it is not passed on.
    throw new Problem(
      "invalid",
      text === "" ? "Cannot read the body: it is empty, send JSON" : "Cannot read the body: it is no JSON",
    );
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Problem("invalid", "Cannot read the body: it must be a JSON object");
  }
  if (isDeep(value)) throw new Problem("invalid", `Cannot read the body: it is nested deeper than ${DEEPEST} levels`);
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== null));
}

/** Whether a value is nested too deep. What is written or checked by recursion would end with the stack, after seconds. */
function isDeep(value: object): boolean {
  let level: object[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth === DEEPEST) return true;
    const next: object[] = [];
    for (const one of level) {
      for (const inner of Object.values(one)) if (typeof inner === "object" && inner !== null) next.push(inner);
    }
    level = next;
  }
  return false;
}

function decode(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new Problem("invalid", "Cannot read the body: it is no UTF-8");
  }
}
