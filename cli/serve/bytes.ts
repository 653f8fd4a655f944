/** Reads the bytes of a body, up to a limit and until the server ends. */
import { joined } from "../data/lines.ts";
import { Problem } from "./problem.ts";

/** The pieces of a body that comes, of a bounded size. */
export class Pieces {
  readonly #most: number;
  readonly #pieces: Uint8Array[] = [];
  #size = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** @throws {Problem} when there are more bytes than the body may have. */
  add(piece: Uint8Array): void {
    this.#size += piece.length;
    if (this.#size > this.#most) throw tooLarge(this.#most);
    this.#pieces.push(piece);
  }

  get size(): number {
    return this.#size;
  }

  all(): Uint8Array {
    return joined(this.#pieces, this.#size);
  }
}

/** The bytes of a body that is read in one piece. */
export async function bytesBelow(most: number, whole: Promise<Uint8Array>, end: AbortSignal): Promise<Uint8Array> {
  const ended = Promise.withResolvers<never>();
  const stop = (): void => ended.reject(closing());
  end.addEventListener("abort", stop, { once: true });
  if (end.aborted) stop();
  try {
    const bytes = await Promise.race([whole.catch(() => Promise.reject(cutOff())), ended.promise]);
    if (bytes.length > most) throw tooLarge(most);
    return bytes;
  } finally {
    end.removeEventListener("abort", stop);
  }
}

/** The bytes of a body that comes as a stream. */
export async function bytesOfStream(
  body: ReadableStream<Uint8Array> | null,
  most: number,
  end: AbortSignal,
): Promise<Uint8Array> {
  if (body === null) return new Uint8Array();
  const pieces = new Pieces(most);
  const reader = body.getReader();
  const cancel = (): void => void reader.cancel().catch(() => {});
  end.addEventListener("abort", cancel, { once: true });
  if (end.aborted) cancel();
  try {
    while (true) {
      const { done, value } = await reader.read().catch(() => {
        throw cutOff();
      });
      if (end.aborted) throw closing();
      if (done) return pieces.all();
      pieces.add(value);
    }
  } catch (error) {
    cancel();
    throw error;
  } finally {
    end.removeEventListener("abort", cancel);
  }
}

/** There are more bytes than a body may have. */
export function tooLarge(most: number): Problem {
  return new Problem(
    "payload_too_large",
    `Cannot read the body: it has more than ${most} bytes; send less at once, or raise --max-body`,
  );
}

/** The connection ended before the body did. */
export function cutOff(): Problem {
  return new Problem("invalid", "Cannot read the body: the connection ended before it did");
}

/** The server ends before the body did. */
export function closing(): Problem {
  return new Problem("unavailable", "Cannot read the body: the server is closing");
}
