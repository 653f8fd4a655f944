/** Keeps connections to PostgreSQL: lends each to one caller at a time, and throws away what the server or the network closed. */
import postgres, { type Options, type PostgresType, type Sql } from "postgres";

/** What the driver takes. */
export type ConnectionOptions = Options<Record<string, PostgresType>>;

const LAST_WORD = 100; // ms in which the driver may say why a connection is gone

/**
 * A driver of one connection. It is never used again once the connection is gone: the driver (postgres 3.4.9) keeps a timer
 * and bytes of the old socket, so that the next statement may never be sent; and a statement sent to what is gone ends the
 * process.
 */
class Connection {
  readonly sql: Sql;
  readonly #gone = Promise.withResolvers<never>();
  #usable = true;

  constructor(options: ConnectionOptions) {
    this.#gone.promise.catch(() => {});
    this.sql = postgres({
      ...options,
      max: 1,
      max_lifetime: null, // the driver would wait for ever for another connection
      fetch_types: false, // of that question's failure nobody hears; database.ts has the types
      onclose: () => this.#lose(),
    } as ConnectionOptions) as unknown as Sql;
  }

  get usable(): boolean {
    return this.#usable;
  }

  /** Runs statements; ends with the connection if it goes away meanwhile. */
  async run<Result>(work: (sql: Sql) => Promise<Result>): Promise<Result> {
    return await Promise.race([work(this.sql), this.#gone.promise]);
  }

  /** @throws what a closed connection is, before a statement is sent to it. */
  check(): void {
    if (!this.#usable) throw closed();
  }

  async end(seconds: number): Promise<void> {
    this.#usable = false;
    await this.sql.end({ timeout: seconds });
  }

  #lose(): void {
    this.#usable = false;
    setTimeout(() => this.#gone.reject(closed()), LAST_WORD);
  }
}

function closed(): Error {
  return Object.assign(new Error("The connection to the database was closed"), { code: "CONNECTION_CLOSED" });
}

/** At most so many connections, each made when it is needed. */
export class Connections {
  readonly #options: ConnectionOptions;
  readonly #most: number;
  readonly #free: Connection[] = [];
  readonly #lent = new Set<Connection>();
  readonly #waiting: (() => void)[] = [];

  constructor(options: ConnectionOptions, most: number) {
    [this.#options, this.#most] = [options, most];
  }

  /**
   * Lends a connection for some statements.
   *
   * @param work Gets the connection's driver, and what throws once the connection is gone: to be called before each statement
   * but the first.
   */
  async use<Result>(work: (sql: Sql, check: () => void) => Promise<Result>): Promise<Result> {
    while (this.#lent.size >= this.#most) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    const connection = this.#take();
    this.#lent.add(connection);
    try {
      return await connection.run((sql) => work(sql, () => connection.check()));
    } finally {
      this.#lent.delete(connection);
      if (connection.usable) this.#free.push(connection);
      else void connection.end(0);
      this.#waiting.shift()?.();
    }
  }

  /** Ends all connections; statements under way have so many seconds. */
  async end(seconds: number): Promise<void> {
    await Promise.all([...this.#free, ...this.#lent].map((connection) => connection.end(seconds)));
  }

  #take(): Connection {
    for (let free = this.#free.pop(); free; free = this.#free.pop()) {
      if (free.usable) return free;
      void free.end(0);
    }
    return new Connection(this.#options);
  }
}
