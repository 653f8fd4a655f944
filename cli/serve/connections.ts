/** Keeps the open connections of node:http, and finds out which of their clients are still there. */
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { pause } from "../pause.ts";
import type { Incoming } from "./incoming.ts";

/** Milliseconds between two questions whether a client is there: at first, and at most. */
const [SOON, SELDOM] = [10, 1000];

/** The requests of a connection by their answers, in the order in which they came. */
type Running = Map<ServerResponse, Incoming>;

/** The open connections. `closeIdleConnections` of node:http leaves those open on which nothing was asked yet. */
export class Connections {
  readonly #open = new Map<Socket, Running>();
  #closing = false;

  opened(socket: Socket): void {
    const running: Running = new Map();
    this.#open.set(socket, running);
    socket.once("end", () => void askWhetherThere(socket, running));
    socket.once("close", () => {
      this.#open.delete(socket);
      for (const asked of running.values()) asked.gone();
    });
    if (this.#closing) socket.destroy();
  }

  began(socket: Socket, outgoing: ServerResponse, asked: Incoming): void {
    this.#open.get(socket)?.set(outgoing, asked);
  }

  ended(socket: Socket, outgoing: ServerResponse): void {
    const running = this.#open.get(socket);
    running?.delete(outgoing);
    if (this.#closing && running?.size === 0) socket.end();
  }

  /** Closes those on which no request runs, and the others when theirs have ended. */
  close(): void {
    this.#closing = true;
    for (const [socket, running] of this.#open) {
      if (running.size === 0) socket.destroy();
    }
  }

  /** Ends all. */
  abort(): void {
    for (const socket of this.#open.keys()) socket.destroy();
  }
}

/**
 * Asks a client that sends no more whether it is there, until its requests are answered. Both look alike: one that has gone,
 * whose work nobody wants, and one that has closed its sending side alone and waits. The question is "100 Continue": who is
 * there drops it (RFC 9110, 15.2.1), who has gone resets the connection, and the next write then fails. HTTP/1.0 knows no
 * such response: its clients count as gone.
 */
async function askWhetherThere(socket: Socket, running: Running): Promise<void> {
  for (const asked of running.values()) asked.stopped();
  for (let wait = SOON; running.size > 0 && !socket.destroyed; wait = Math.min(2 * wait, SELDOM)) {
    await pause(wait);
    for (const [outgoing, asked] of running) {
      if (!asked.isModern) asked.gone();
      // Only the first one's answer is written: what others say waits behind it. One that has begun asks by its own writes.
      else if (outgoing.socket !== null && !outgoing.headersSent) outgoing.writeContinue();
    }
  }
}
