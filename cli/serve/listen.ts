/** Opens the socket, and answers what comes. */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createSocketServer } from "node:net";
import { Failure } from "../failure.ts";
import { pause } from "../pause.ts";
import { Answer } from "./answer.ts";
import type { Asked } from "./asked.ts";
import { Connections } from "./connections.ts";
import { Incoming } from "./incoming.ts";

/** A socket that listens. */
export interface Listener {
  readonly port: number;
  /** Takes no new connections; resolves when the running requests have ended. */
  stop(): Promise<void>;
  /** Ends all connections. */
  abort(): void;
}

type Handle = (asked: Asked) => Promise<Answer | Response>;

/** Milliseconds for which the rest of a refused body is thrown away. */
const LINGER = 2000;

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
  try {
    return await listening(unbracketed(host), port, handle);
  } catch (error) {
    const { message } = error as Error;
    throw new Failure(`Cannot listen on ${host}:${port}: ${message}; choose another with --port`);
  }
}

/**
 * Listens by node:http on both runtimes, since what they have of their own knows too little of a client. `Deno.serve` of Deno
 * 2.9.6 tells of one that has gone only when the answer is written, once a body did not come in one piece with the headers:
 * 2,000 texts would be computed for nobody. `Bun.serve` of Bun 1.4.5 takes one that stops sending for gone, ends a connection
 * on which a second request comes early, and waits at its end for those that sent half a head. It takes 0.1 ms less of a
 * request, of three.
 *
 * On Bun the sockets are node:net's: those that its node:http opens itself do not tell that a client stops sending. On Deno
 * such a connection would end behind each answer.
 */
async function listening(host: string, port: number, handle: Handle): Promise<Listener> {
  const connections = new Connections();
  const server = createServer((incoming, outgoing) => {
    const { socket } = incoming;
    const asked = new Incoming(incoming);
    connections.began(socket, outgoing, asked);
    outgoing.once("close", () => connections.ended(socket, outgoing));
    void answer(asked, incoming, outgoing, handle);
  });
  server.on("connection", (socket) => connections.opened(socket));
  server.requestTimeout = 0; // the handler's own limits hold
  Object.assign(server, { httpAllowHalfOpen: true }); // no types have it, since node's own documentation does not
  const sockets = "Bun" in globalThis
    ? createSocketServer({ allowHalfOpen: true, noDelay: true }, (socket) => void server.emit("connection", socket))
    : server;
  sockets.listen(port, host);
  await once(sockets, "listening");
  return {
    port: (sockets.address() as AddressInfo).port,
    stop: () =>
      new Promise((resolve) => {
        sockets.close(() => resolve());
        connections.close();
      }),
    abort: () => connections.abort(),
  };
}

async function answer(
  asked: Incoming,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  handle: Handle,
): Promise<void> {
  try {
    // A request of HTTP/1.1 must have a Host; Bun's node:http does not look (Bun 1.4.5).
    const isHostless = asked.isModern && !asked.headers.has("host");
    const answer = isHostless ? new Answer(null, { connection: "close" }, 400) : await handle(asked);
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
  if (incoming.socket.readableEnded) sent.abort(); // nothing comes any more
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
