/** Opens the socket on whichever runtime this is. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Failure } from "../failure.ts";
import { pause } from "../pause.ts";

/** A socket that listens. */
export interface Listener {
  readonly port: number;
  /** Takes no new connections; resolves when the running requests have ended. */
  stop(): Promise<void>;
  /** Ends all connections. */
  abort(): void;
}

type Fetch = (request: Request) => Promise<Response>;

interface BunServer {
  readonly port: number;
  stop(closeActive?: boolean): Promise<void>;
}
interface Runtime {
  readonly Bun?: { serve(options: object): BunServer };
}

/** Milliseconds for which the rest of a refused body is thrown away. */
const LINGER = 2000;
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
export async function listen(host: string, port: number, fetch: Fetch): Promise<Listener> {
  const { Bun } = globalThis as unknown as Runtime;
  try {
    return Bun ? onBun(Bun, unbracketed(host), port, fetch) : await onNode(unbracketed(host), port, fetch);
  } catch (error) {
    const { message } = error as Error;
    throw new Failure(`Cannot listen on ${host}:${port}: ${message}; choose another with --port`);
  }
}

function onBun({ serve }: NonNullable<Runtime["Bun"]>, hostname: string, port: number, handle: Fetch): Listener {
  // HTTP/1.0 needs no Host: Bun gives a path alone then.
  const fetch: Fetch = async (request) => {
    if (URL.canParse(request.url)) return await handle(request);
    const url = URL.parse(request.url, "http://localhost");
    return url ? await handle(new Request(url, request)) : new Response(null, { status: 400 });
  };
  // A text may take longer than the ten seconds after which Bun ends a silent connection.
  // Bun's own page for an error would show lines of this program.
  const error = (): Response => new Response(null, { status: 500 });
  const more = { development: false, idleTimeout: 0, maxRequestBodySize: ANY_SIZE };
  const server = serve({ hostname, port, fetch, error, ...more });
  return { port: server.port, stop: () => server.stop(), abort: () => void server.stop(true) };
}

/**
 * Listens by node:http, on Deno. `Deno.serve` of Deno 2.9.6 tells of a client that has gone only when the answer is written,
 * once a body did not come in one piece with the headers: 2,000 texts would be computed for nobody. Here it is 3 ms.
 */
async function onNode(host: string, port: number, fetch: Fetch): Promise<Listener> {
  const connections = new Connections();
  const server = createServer((incoming, outgoing) => {
    connections.began(incoming.socket);
    outgoing.once("close", () => connections.ended(incoming.socket));
    void answer(incoming, outgoing, fetch);
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

async function answer(incoming: IncomingMessage, outgoing: ServerResponse, fetch: Fetch): Promise<void> {
  const gone = new AbortController();
  outgoing.on("close", () => {
    if (!outgoing.writableFinished) gone.abort();
  });
  try {
    const response = await fetch(requestOf(incoming, gone.signal));
    if (!incoming.complete) return await answerUnread(incoming, outgoing, response);
    await send(response, outgoing, incoming.method === "HEAD");
  } catch {
    // What no Request can be made of: a Host or a path that is no URL. The handler itself never rejects.
    if (!outgoing.headersSent) outgoing.writeHead(400);
    outgoing.end();
  }
}

/** Writes an answer: one of a single piece with its length, a longer one as the client takes it. */
async function send({ status, headers, body }: Response, outgoing: ServerResponse, isHead: boolean): Promise<void> {
  const told = Object.fromEntries(headers);
  if (body === null || isHead) {
    outgoing.writeHead(status, told);
    outgoing.end();
    return;
  }
  const reader: ReadableStreamDefaultReader<Uint8Array> = body.getReader();
  let { value } = await reader.read();
  let next = await reader.read();
  if (next.done) {
    outgoing.writeHead(status, { ...told, "content-length": value?.length ?? 0 });
    outgoing.end(value);
    return;
  }
  outgoing.writeHead(status, told);
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
async function answerUnread(incoming: IncomingMessage, outgoing: ServerResponse, response: Response): Promise<void> {
  const body = new Uint8Array(await response.arrayBuffer());
  const headers = { ...Object.fromEntries(response.headers), "content-length": body.length, connection: "close" };
  outgoing.writeHead(response.status, headers);
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

/** The body as a web stream. `Readable.toWeb` would destroy the socket where it is cancelled, with the answer not yet sent. */
function bodyOf(incoming: IncomingMessage): ReadableStream<Uint8Array> {
  const chunks: AsyncIterator<Uint8Array> = incoming.iterator({ destroyOnReturn: false });
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await chunks.return?.();
    },
  }, { highWaterMark: 0 });
}

function requestOf(incoming: IncomingMessage, signal: AbortSignal): Request {
  const { method = "GET", url = "/", headers, rawHeaders } = incoming;
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) pairs.push([rawHeaders[i]!, rawHeaders[i + 1]!]);
  const bodiless = method === "GET" || method === "HEAD";
  // A path may begin with two slashes, which new URL() with a base would take for a host.
  const address = url.startsWith("/") ? `http://${headers.host ?? "localhost"}${url}` : url;
  return new Request(address, {
    method,
    headers: pairs,
    signal,
    ...(!bodiless && { body: bodyOf(incoming), duplex: "half" }),
  } as RequestInit);
}
