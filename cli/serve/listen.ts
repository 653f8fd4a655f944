/** Opens the socket on whichever runtime this is. */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Failure } from "../failure.ts";
import { pause } from "../pause.ts";
import { Answer } from "./answer.ts";
import { type Asked, askedOf } from "./asked.ts";
import { closing, cutOff, Pieces } from "./bytes.ts";

/** A socket that listens. */
export interface Listener {
  readonly port: number;
  /** Takes no new connections; resolves when the running requests have ended. */
  stop(): Promise<void>;
  /** Ends all connections. */
  abort(): void;
}

type Handle = (asked: Asked) => Promise<Answer | Response>;

interface BunServer {
  readonly port: number;
  /** Requests whose answer the client has not taken whole. */
  readonly pendingRequests: number;
  stop(closeActive?: boolean): Promise<void>;
}
interface Runtime {
  readonly Bun?: { serve(options: object): BunServer };
}

/** Milliseconds for which the rest of a refused body is thrown away. */
const LINGER = 2000;
/** Looks at a server without requests, and milliseconds between two, after which the connections that are left are closed. */
const LOOKS = 5;
const LOOK = 20;
const ANY_SIZE = 2 ** 40; // the handler has a limit of its own, with a message

/** The address of a server; an IPv6 address may come with brackets or without. */
export function originOf(host: string, port: number): string {
  const name = unbracketed(host);
  return `http://${name.includes(":") ? `[${name}]` : name}:${port}`;
}

function unbracketed(host: string): string {
  return host.replace(/^\[(.*)\]$/, "$1");
}

/** Listens. */
export async function listen(host: string, port: number, handle: Handle): Promise<Listener> {
  const { Bun } = globalThis as unknown as Runtime;
  try {
    return Bun ? onBun(Bun, unbracketed(host), port, handle) : await onNode(unbracketed(host), port, handle);
  } catch (error) {
    const { message } = error as Error;
    throw new Failure(`Cannot listen on ${host}:${port}: ${message}; choose another with --port`);
  }
}

function onBun({ serve }: NonNullable<Runtime["Bun"]>, hostname: string, port: number, handle: Handle): Listener {
  const fetch = async (request: Request): Promise<Response> => {
    const answer = await handle(askedOf(request));
    return answer instanceof Response ? answer : answer.response();
  };
  // A text may take longer than the ten seconds after which Bun ends a silent connection.
  // Bun's own page for an error would show lines of this program.
  const error = (): Response => new Response(null, { status: 500 });
  // Without `development` Bun shares a port: with a second server, half of the requests would go to the first one.
  const more = { development: false, reusePort: false, idleTimeout: 0, maxRequestBodySize: ANY_SIZE };
  const server = serve({ hostname, port, fetch, error, ...more });
  return { port: server.port, stop: () => stopOnBun(server), abort: () => void server.stop(true) };
}

/** Stops a server of Bun 1.4.5, whose `stop` waits for a client that has sent half a head for as long as that client likes. */
async function stopOnBun(server: BunServer): Promise<void> {
  let isStopped = false;
  const stop = server.stop().then(() => isStopped = true);
  for (let idle = 0; !isStopped && idle < LOOKS; idle = server.pendingRequests === 0 ? idle + 1 : 0) {
    await Promise.race([stop, pause(LOOK)]);
  }
  await server.stop(true);
}

/**
 * Listens by node:http, on Deno. `Deno.serve` of Deno 2.9.6 tells of a client that has gone only when the answer is written,
 * once a body did not come in one piece with the headers: 2,000 texts would be computed for nobody. Here it is 3 ms.
 */
async function onNode(host: string, port: number, handle: Handle): Promise<Listener> {
  const connections = new Connections();
  const server = createServer((incoming, outgoing) => {
    connections.began(incoming.socket);
    const asked = new Incoming(incoming);
    outgoing.once("close", () => {
      connections.ended(incoming.socket);
      if (!outgoing.writableFinished) asked.gone();
    });
    void answer(asked, incoming, outgoing, handle);
  });
  server.on("connection", (socket) => connections.opened(socket));
  server.requestTimeout = 0; // the handler's own limits hold
  server.listen(port, host);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        connections.close();
      }),
    abort: () => server.closeAllConnections(),
  };
}

/** The open connections. `closeIdleConnections` of node:http leaves those open on which nothing was asked yet. */
class Connections {
  /** How many requests run on each. */
  readonly #running = new Map<Socket, number>();
  #closing = false;

  opened(socket: Socket): void {
    this.#running.set(socket, 0);
    socket.once("close", () => this.#running.delete(socket));
    if (this.#closing) socket.destroy();
  }

  began(socket: Socket): void {
    this.#running.set(socket, (this.#running.get(socket) ?? 0) + 1);
  }

  ended(socket: Socket): void {
    const running = this.#running.get(socket);
    if (running === undefined) return; // it is closed
    this.#running.set(socket, running - 1);
    if (this.#closing && running === 1) socket.end();
  }

  /** Closes those on which no request runs, and the others when theirs have ended. */
  close(): void {
    this.#closing = true;
    for (const [socket, running] of this.#running) {
      if (running === 0) socket.destroy();
    }
  }
}

async function answer(
  asked: Asked,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  handle: Handle,
): Promise<void> {
  try {
    const answer = await handle(asked);
    const given = answer instanceof Response ? Answer.of(answer) : answer;
    if (!incoming.complete) return await answerUnread(incoming, outgoing, given);
    await send(given, outgoing);
  } catch {
    // A handler that is not ours may reject; ours never does.
    if (!outgoing.headersSent) outgoing.writeHead(400);
    outgoing.end();
  }
}

/** Writes an answer: one of a single piece with its length, a longer one as the client takes it. */
async function send({ status, headers, body }: Answer, outgoing: ServerResponse): Promise<void> {
  if (!(body instanceof ReadableStream)) {
    outgoing.writeHead(status, body === null ? headers : { ...headers, "content-length": Buffer.byteLength(body) });
    outgoing.end(body);
    return;
  }
  const reader = body.getReader();
  let { value } = await reader.read();
  let next = await reader.read();
  if (next.done) {
    outgoing.writeHead(status, { ...headers, "content-length": value?.length ?? 0 });
    outgoing.end(value);
    return;
  }
  outgoing.writeHead(status, headers);
  while (value !== undefined && !outgoing.destroyed) {
    if (!outgoing.write(value)) await drained(outgoing);
    ({ value } = next);
    if (value !== undefined) next = await reader.read();
  }
  if (outgoing.destroyed) await reader.cancel();
  outgoing.end();
}

/**
 * Answers a request whose body is not read to its end, and then closes the connection: what is unread would stand before its
 * next request, which would wait for ever. A connection closed while the client sends is reset, and the answer may be lost:
 * what still comes is thrown away first, for a while.
 */
async function answerUnread(incoming: IncomingMessage, outgoing: ServerResponse, answer: Answer): Promise<void> {
  const body = new Uint8Array(await answer.response().arrayBuffer());
  outgoing.writeHead(answer.status, { ...answer.headers, "content-length": body.length, connection: "close" });
  outgoing.write(body);
  const sent = new AbortController();
  for (const event of ["end", "close"]) incoming.once(event, () => sent.abort());
  outgoing.once("close", () => sent.abort());
  incoming.resume();
  await pause(LINGER, sent.signal);
  outgoing.end();
}

/** Waits until the client has taken what was written, or has gone. */
function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      for (const event of ["drain", "close"]) outgoing.off(event, go);
      resolve();
    };
    for (const event of ["drain", "close"]) outgoing.on(event, go);
  });
}

/** A request of node:http. A `Request` would be made with a stream, a signal and headers that are checked again. */
class Incoming implements Asked {
  readonly headers: Asked["headers"] = {
    get: (name) => this.#headers.get(name) ?? null,
    has: (name) => this.#headers.has(name),
  };
  readonly #incoming: IncomingMessage;
  readonly #headers = new Map<string, string>();
  #isGone = false;
  #onGone: (() => void) | undefined;

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
      how();
    };
    const done = (): void => settle(() => resolve(pieces.all()));
    const stop = (): void => settle(() => reject(closing()));
    const cut = (): void => settle(() => reject(cutOff()));
    end.addEventListener("abort", stop);
    incoming.on("data", take).on("end", done).on("close", cut).on("error", cut); // of an error somebody must hear
    if (end.aborted) stop();
    else if (incoming.destroyed) cut();
    return promise;
  }

  onGone(gone: () => void): () => void {
    this.#onGone = gone;
    if (this.#isGone) gone();
    return () => this.#onGone = undefined;
  }

  /** The client has gone. */
  gone(): void {
    this.#isGone = true;
    this.#onGone?.();
  }
}
