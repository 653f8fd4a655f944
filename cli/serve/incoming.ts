/** Reads a request of node:http as one that is asked. */
import type { IncomingMessage } from "node:http";
import type { Asked } from "./asked.ts";
import { closing, cutOff, Pieces } from "./bytes.ts";

/** A request of node:http. A `Request` would be made with a stream, a signal and headers that are checked again. */
export class Incoming implements Asked {
  readonly headers: Asked["headers"] = {
    get: (name) => this.#headers.get(name) ?? null,
    has: (name) => this.#headers.has(name),
  };
  readonly #incoming: IncomingMessage;
  readonly #headers = new Map<string, string>();
  #isGone = false;
  #isCut = false;
  #onGone: (() => void) | undefined;
  #onCut: (() => void) | undefined;

  constructor(incoming: IncomingMessage) {
    this.#incoming = incoming;
    const { rawHeaders } = incoming;
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
      const [name, value] = [rawHeaders[i]!.toLowerCase(), rawHeaders[i + 1]!];
      const before = this.#headers.get(name);
      this.#headers.set(name, before === undefined ? value : `${before}, ${value}`);
    }
  }

  get method(): string {
    return this.#incoming.method ?? "GET";
  }

  get url(): string {
    const { url = "/" } = this.#incoming;
    // A path may begin with two slashes, which new URL() with a base would take for a host.
    return url.startsWith("/") ? `http://${this.#headers.get("host") ?? "localhost"}${url}` : url;
  }

  /** Whether its client speaks HTTP/1.1. */
  get isModern(): boolean {
    return this.#incoming.httpVersion !== "1.0";
  }

  bytes(most: number, end: AbortSignal): Promise<Uint8Array> {
    const incoming = this.#incoming;
    const pieces = new Pieces(most);
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    // Of a known length nothing is waited for behind the last byte: "end" comes some turns later.
    const length = Number(this.#headers.get("content-length") ?? NaN);
    const take = (piece: Uint8Array): void => {
      try {
        pieces.add(piece);
        if (pieces.size === length) done();
      } catch (error) {
        incoming.pause();
        settle(() => reject(error));
      }
    };
    const settle = (how: () => void): void => {
      end.removeEventListener("abort", stop);
      incoming.off("data", take).off("end", done).off("close", cut);
      this.#onCut = undefined;
      how();
    };
    const done = (): void => settle(() => resolve(pieces.all()));
    const stop = (): void => settle(() => reject(closing()));
    const cut = (): void => settle(() => reject(cutOff()));
    end.addEventListener("abort", stop);
    incoming.on("data", take).on("end", done).on("close", cut).on("error", cut); // of an error somebody must hear
    this.#onCut = cut;
    if (end.aborted) stop();
    else if (incoming.destroyed || this.#isCut) cut();
    return promise;
  }

  onGone(gone: () => void): () => void {
    this.#onGone = gone;
    if (this.#isGone) gone();
    return () => this.#onGone = undefined;
  }

  /** The client sends no more: a body that is not whole will never be. */
  stopped(): void {
    if (this.#incoming.complete) return;
    this.#isCut = true;
    this.#onCut?.();
  }

  /** The client has gone. */
  gone(): void {
    this.#isGone = true;
    this.#onGone?.();
  }
}
