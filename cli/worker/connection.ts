/** Keeps one connection to PostgreSQL: asks it statements, and finds out when nobody is there to answer. */
import { Socket } from "node:net";
import postgres, { type Options, type PostgresType, type Sql } from "postgres";
import { pause } from "../pause.ts";

/** What the driver takes. */
export type ConnectionOptions = Options<Record<string, PostgresType>>;

/** Where a server listens: a name or address with its port, or the folder of a socket. */
export interface Place {
  readonly host: string;
  readonly port: number;
}

/** What the server does for a connection, as another connection sees it; `unknown` behind some poolers. */
export type Doing = "something" | "nothing" | "unknown" | "nobody answers";

const LAST_WORD = 100; // ms in which the driver may say why a connection is gone

/**
 * A driver of one connection. It is never used again once the connection is gone: the driver (postgres 3.4.9) keeps a timer
 * and bytes of the old socket, so that the next statement may never be sent; and a statement sent to what is gone ends the
 * process.
 */
export class Connection {
  /** What it is called in `pg_stat_activity`. */
  readonly name: string = `llamasaur ${crypto.randomUUID().slice(0, 8)}`;
  readonly #sql: Sql;
  readonly #gone = Promise.withResolvers<never>();
  readonly #silence: number;
  /** Milliseconds in which a connection must be there. */
  readonly #patience: number;
  readonly #doing: (name: string) => Promise<Doing>;
  #socket: Socket | undefined;
  #usable = true;
  #answered = false;

  /**
   * Makes a driver; the connection comes with the first statement.
   *
   * @param silence Milliseconds without an answer after which it is asked what the server does.
   * @param doing Tells what the server does for the connection of this name.
   */
  constructor(options: ConnectionOptions, place: Place, silence: number, doing: (name: string) => Promise<Doing>) {
    [this.#silence, this.#doing, this.#patience] = [silence, doing, 1000 * Number(options.connect_timeout)];
    this.#gone.promise.catch(() => {});
    this.#sql = postgres({
      ...options,
      host: [place.host],
      port: [place.port],
      max: 1,
      max_lifetime: null, // the driver would wait for ever for another connection
      fetch_types: false, // of that question's failure nobody hears; database.ts has the types
      connection: { application_name: this.name },
      socket: () => this.#connect(place),
      onclose: () => this.#lose(closed(), LAST_WORD),
    } as unknown as ConnectionOptions) as unknown as Sql;
  }

  get usable(): boolean {
    return this.#usable;
  }

  /** Runs a statement. Ends when the connection goes away, or when the server is silent and works on nothing. */
  async ask<Result>(send: (sql: Sql) => Promise<Result>): Promise<Result> {
    if (!this.#usable) throw closed();
    const ended = new AbortController();
    void this.#watch(ended.signal);
    try {
      const result = await Promise.race([send(this.#sql), this.#gone.promise]);
      this.#answered = true;
      return result;
    } finally {
      ended.abort();
    }
  }

  async end(seconds: number): Promise<void> {
    this.#usable = false;
    await this.#sql.end({ timeout: seconds });
    this.#socket?.destroy(); // the driver waits for ever for the farewell of whom it cannot reach
  }

  /** A peer that vanished says nothing, and the system asks for it for a quarter of an hour. */
  async #watch(ended: AbortSignal): Promise<void> {
    let wait = this.#answered ? 0 : this.#patience; // the driver sees to it that a connection comes in time
    for (let idle = 0;; wait = 0) {
      const heard = this.#socket?.bytesRead;
      await pause(wait + this.#silence, ended);
      if (ended.aborted) return;
      if (heard !== undefined && heard !== this.#socket?.bytesRead) continue; // a long answer
      const doing = await this.#doing(this.name);
      if (ended.aborted) return;
      idle = doing === "nothing" ? idle + 1 : 0;
      if (doing === "nobody answers" || idle === 2) return this.#lose(silent(), 0); // the first answer may have been under way
    }
  }

  #connect({ host, port }: Place): Promise<Socket> {
    const socket = new Socket();
    this.#socket = Object.assign(socket, { host, port }); // the driver takes the name for TLS from there
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => socket.destroy(silent()), this.#patience);
      const fail = (error: Error): void => {
        clearTimeout(timer);
        reject(error);
      };
      socket.once("error", fail);
      socket.once("close", () => this.#lose(closed(), LAST_WORD)); // of one that closes at once the driver does not hear
      socket.once("connect", () => {
        clearTimeout(timer);
        socket.off("error", fail);
        resolve(socket);
      });
      if (host.startsWith("/")) socket.connect(`${host}/.s.PGSQL.${port}`);
      else socket.connect(port, host);
    });
  }

  #lose(error: Error, wait: number): void {
    this.#usable = false;
    setTimeout(() => {
      this.#gone.reject(error);
      this.#socket?.destroy();
    }, wait);
  }
}

function closed(): Error {
  return Object.assign(new Error("The connection to the database was closed"), { code: "CONNECTION_CLOSED" });
}

function silent(): Error {
  return Object.assign(new Error("The database does not answer"), { code: "ETIMEDOUT" });
}
