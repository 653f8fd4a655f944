/** Lends each connection to PostgreSQL to one caller at a time; throws away what the server or the network closed. */
import { pause } from "../pause.ts";
import { Connection, type ConnectionOptions, type Doing, type Place } from "./connection.ts";

/** Milliseconds in which a server that is there tells what it does. */
const ANSWER = 15_000;

/** Where the database is. */
export interface Places {
  /** Several where the database moves from one to another. */
  readonly all: readonly [Place, ...Place[]];
  /** Whether one that only reads will do. */
  readonly any: boolean;
}

/** Whether the server works for a connection of this name, and does not wait for it; poolers give connections names of their own. */
const DOING = `select coalesce(bool_or(state not like 'idle%' and wait_event_type is distinct from 'Client')
    filter (where application_name = $1), false) as busy,
  coalesce(bool_or(pid = pg_backend_pid()) filter (where application_name = $2), false) as known from pg_stat_activity`;

/** At most so many connections, each made when it is needed. */
export class Connections {
  readonly #options: ConnectionOptions;
  readonly #places: Places;
  readonly #most: number;
  readonly #silence: number;
  readonly #free: Connection[] = [];
  readonly #all = new Set<Connection>();
  readonly #waiting: (() => void)[] = [];
  #lent = 0;
  /** The place that was good the last time. */
  #place = 0;

  /**
   * @param most Connections at most.
   * @param silence Milliseconds without an answer after which it is asked what the server does.
   */
  constructor(options: ConnectionOptions, places: Places, most: number, silence: number) {
    [this.#options, this.#places, this.#most, this.#silence] = [options, places, most, silence];
  }

  /** Lends a connection for some statements. */
  async use<Result>(work: (connection: Connection) => Promise<Result>): Promise<Result> {
    while (this.#lent >= this.#most) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#lent++;
    let connection: Connection | undefined;
    try {
      connection = this.#taken() ?? await this.#open();
      return await work(connection);
    } finally {
      this.#lent--;
      if (connection?.usable) this.#free.push(connection);
      else if (connection) this.#drop(connection);
      this.#waiting.shift()?.();
    }
  }

  /** Ends all connections; statements under way have so many seconds. */
  async end(seconds: number): Promise<void> {
    await Promise.all([...this.#all].map((connection) => connection.end(seconds)));
  }

  #taken(): Connection | undefined {
    for (let free = this.#free.pop(); free; free = this.#free.pop()) {
      if (free.usable) return free;
      this.#drop(free);
    }
    return undefined;
  }

  /** A new connection: of several places to the first that is there and may be written to. */
  async #open(): Promise<Connection> {
    const { all, any } = this.#places;
    if (all.length === 1 && any) return this.#made(all[0]);
    let reason: unknown;
    for (let i = 0; i < all.length; i++) {
      const place = (this.#place + i) % all.length;
      const connection = this.#made(all[place]!);
      try {
        const [row] = await connection.ask((sql) => sql.unsafe("show transaction_read_only"));
        if (any || row!["transaction_read_only"] === "off") {
          this.#place = place;
          return connection;
        }
        reason = Object.assign(new Error("The database only reads"), { code: "25006" });
      } catch (error) {
        reason = error;
      }
      this.#drop(connection);
    }
    throw reason;
  }

  #made(place: Place, doing = (name: string): Promise<Doing> => this.#doing(name)): Connection {
    const connection = new Connection(this.#options, place, this.#silence, doing);
    this.#all.add(connection);
    return connection;
  }

  #drop(connection: Connection): void {
    this.#all.delete(connection);
    void connection.end(0);
  }

  /** Asks on another connection what the server does for one. */
  async #doing(name: string): Promise<Doing> {
    const other = this.#made(this.#places.all[this.#place]!, () => Promise.resolve("unknown")); // nobody asks about this one
    const late = new AbortController();
    try {
      return await Promise.race([
        other.ask((sql) => sql.unsafe(DOING, [name, other.name])).then(([row]): Doing => {
          return row!["known"] ? row!["busy"] ? "something" : "nothing" : "unknown";
        }),
        pause(ANSWER, late.signal).then((): Doing => "nobody answers"),
      ]);
    } catch (error) {
      // It says no, and so it is there: too many connections, it starts up.
      return (error as Error).name === "PostgresError" ? "unknown" : "nobody answers";
    } finally {
      late.abort();
      this.#drop(other);
    }
  }
}
