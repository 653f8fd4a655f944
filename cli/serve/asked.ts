/** Takes a request in one form, whatever has it: a `Request`, or node:http. */
import { bytesBelow, bytesOfStream } from "./bytes.ts";

/** A request, as the handler reads it. */
export interface Asked {
  readonly method: string;
  /** The whole URL, or a path alone where there is no Host. */
  readonly url: string;
  /** By their names in small letters. */
  readonly headers: Pick<Headers, "get" | "has">;
  /**
   * Reads the body.
   *
   * @param most Bytes that it may have.
   * @param end Aborted when nothing is to be waited for any more.
   * @throws {Problem} when it has more, ends too early, or `end` came first.
   */
  bytes(most: number, end: AbortSignal): Promise<Uint8Array>;
  /**
   * Tells once that the client has gone, at once if it went before.
   *
   * @returns What ends the listening.
   */
  onGone(gone: () => void): () => void;
}

/** A `Request` as one that is asked. */
export function askedOf(request: Request): Asked {
  return {
    method: request.method,
    url: request.url,
    headers: request.headers,
    // With a length there is nothing to count: the body is read in one piece, which takes no stream.
    bytes: (most, end) =>
      request.headers.has("content-length")
        ? bytesBelow(most, request.arrayBuffer().then((all) => new Uint8Array(all)), end)
        : bytesOfStream(request.body, most, end),
    onGone: (gone) => {
      const { signal } = request;
      signal.addEventListener("abort", gone, { once: true });
      if (signal.aborted) gone();
      return () => signal.removeEventListener("abort", gone);
    },
  };
}
