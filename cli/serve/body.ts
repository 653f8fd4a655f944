/** Reads the body of a request: JSON of a bounded size, in which null counts as absent. */
import { joined } from "../data/lines.ts";
import { Problem } from "./problem.ts";

const DEEPEST = 64; // levels

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
export async function readBody(request: Request, most: number, anyType: boolean, end: AbortSignal): Promise<Body> {
  const type = request.headers.get("content-type");
  if (!anyType && type !== null && !/^application\/([\w.-]+\+)?json\b/i.test(type)) {
    throw new Problem("unsupported_media_type", "Cannot read the body: its content-type must be application/json");
  }
  const text = decode(await readBytes(request, most, end));
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
    level = level.flatMap((one) => Object.values(one).filter((inner) => typeof inner === "object" && inner !== null));
  }
  return false;
}

async function readBytes(request: Request, most: number, end: AbortSignal): Promise<Uint8Array> {
  const length = Number(request.headers.get("content-length") ?? 0);
  if (length > most) throw tooLarge(most);
  if (request.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = (request.body as ReadableStream<Uint8Array>).getReader();
  const cancel = (): void => void reader.cancel().catch(() => {});
  end.addEventListener("abort", cancel, { once: true });
  if (end.aborted) cancel();
  try {
    while (true) {
      const { done, value } = await reader.read().catch(() => {
        throw new Problem("invalid", "Cannot read the body: the connection ended before it did");
      });
      if (end.aborted) throw new Problem("unavailable", "Cannot read the body: the server is closing");
      if (done) return joined(chunks, size);
      size += value.length;
      if (size > most) {
        cancel();
        throw tooLarge(most);
      }
      chunks.push(value);
    }
  } finally {
    end.removeEventListener("abort", cancel);
  }
}

function tooLarge(most: number): Problem {
  return new Problem(
    "payload_too_large",
    `Cannot read the body: it has more than ${most} bytes; send less at once, or raise --max-body`,
  );
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Problem("invalid", "Cannot read the body: it is no UTF-8");
  }
}
