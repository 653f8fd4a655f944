/** Talks to PostgreSQL: an address, statements, transactions, in the shape that pg-boss takes; says which errors pass by themselves. */
import { readFileSync } from "node:fs";
import process from "node:process";
import { checkServerIdentity, type ConnectionOptions as TlsOptions } from "node:tls";
import postgres, { type PostgresType, type Sql } from "postgres";
import { EXIT, Failure, UsageError } from "../failure.ts";
import { quoted, shown } from "../quote.ts";
import type { Connection, ConnectionOptions } from "./connection.ts";
import { Connections, type Places } from "./connections.ts";

/** A row as the server gives it, by the names of its columns. */
export type Fields = Readonly<Record<string, unknown>>;

/** What runs statements; pg-boss takes it as its `db`. */
export interface Db {
  // deno-lint-ignore no-explicit-any -- pg-boss's own declaration
  executeSql(text: string, values?: unknown[]): Promise<{ rows: any[]; count?: number }>;
}

/** What runs statements within a transaction. */
export interface Transaction extends Db {
  /** Runs a `copy … from stdin` that reads these bytes. */
  copy(text: string, bytes: Uint8Array): Promise<void>;
}

/** The rows of a statement. */
export async function rowsOf<Row = Fields>(db: Db, text: string, ...values: unknown[]): Promise<Row[]> {
  return (await db.executeSql(text, values)).rows as Row[];
}

/** Quotes a name. */
export function name(word: string): string {
  return `"${word.replaceAll('"', '""')}"`;
}

/**
 * Types as node-postgres sends them, for pg-boss was written for that: a string goes as it is, whatever the type. The
 * driver's own would write JSON of it a second time.
 */
const TYPES: Record<string, PostgresType> = {
  json: { to: 114, from: [114, 3802], serialize: orText(JSON.stringify), parse: JSON.parse },
  boolean: { to: 16, from: [16], serialize: String, parse: (value: string) => value === "t" },
  date: {
    to: 1184,
    from: [1082, 1114, 1184],
    serialize: orText((value: Date) => value.toISOString()),
    parse: (value: string) => new Date(value),
  },
  bigint: { to: 20, from: [20], serialize: String, parse: Number }, // counts; a key is asked for as text
  // Lists of names, texts, uuids; of integers; the driver would ask each connection what lists there are.
  texts: { to: 1009, from: [1003, 1009, 1015, 2951], serialize: String, parse: (list: string) => parseList(list) },
  integers: {
    to: 1007,
    from: [1005, 1007, 1016],
    serialize: String,
    parse: (list: string) => parseList(list).map((one) => one === null ? null : Number(one)),
  },
};

function orText<Value>(write: (value: Value) => string): (value: Value | string) => string {
  return (value) => typeof value === "string" ? value : write(value);
}

/** Milliseconds without an answer after which it is asked whether the server still works on it; `tcp_user_timeout` says otherwise. */
const SILENCE = 15_000;

/**
 * The server keeps a transaction open, and its locks, for about ten seconds where its owner was paused, or cut off between two
 * statements or in one.
 */
const LIMITS = `set local idle_in_transaction_session_timeout = '10s'; set local tcp_keepalives_idle = 5;
  set local tcp_keepalives_interval = 2; set local tcp_keepalives_count = 3`;

/** A database. Nothing rests on the state of a connection: a pooler may give each transaction another. */
export class Database implements Db {
  readonly #connections: Connections;
  /** The server and the database, for messages. */
  readonly place: string;

  private constructor(connections: Connections, place: string) {
    [this.#connections, this.place] = [connections, place];
  }

  /**
   * Opens a database. No connection is made yet.
   *
   * @param url `postgres://user:password@host:port/database?sslmode=…`; undefined means `DATABASE_URL`, else the PG* variables.
   * Of several hosts (`HOST:PORT,HOST:PORT`) it is the first that may be written to, unless `target_session_attrs=any`.
   *
   * @param most Connections at most.
   * @throws {UsageError} when nothing names one, or the address cannot be read.
   */
  static open(url: string | undefined = process.env["DATABASE_URL"] || undefined, most: number = 4): Database {
    if (url === undefined && !NAMING.some((name) => process.env[name])) {
      throw new UsageError(
        "No database is named: give --database postgres://USER:PASSWORD@HOST:PORT/DATABASE, or set DATABASE_URL, or PGHOST and PGDATABASE",
      );
    }
    const address = url === undefined ? {} : addressOf(url);
    const { sslmode = process.env["PGSSLMODE"], sslrootcert = process.env["PGSSLROOTCERT"] } = address;
    const {
      target_session_attrs = process.env["PGTARGETSESSIONATTRS"],
      hosts,
      ports,
      tcp_user_timeout = SILENCE,
      ...rest
    } = address;
    const settled = postgres({ // connects to nothing; it knows the PG* variables
      connect_timeout: 10,
      ...rest,
      ...(hosts && { host: hosts, port: ports }),
      prepare: false, // a prepared statement is a state of the session
      target_session_attrs: "read-write", // and not the variable's
      types: TYPES,
      onnotice: () => {},
    } as unknown as ConnectionOptions).options;
    const { host, port, database } = settled;
    const all = host.map((one, i) => ({ host: one, port: port[i]! })) as unknown as Places["all"];
    const options = { ...settled, target_session_attrs: null, ssl: tlsOf(sslmode, sslrootcert, host) };
    const places = { all, any: anyWillDo(target_session_attrs, all.length) };
    return new Database(
      new Connections(options as unknown as ConnectionOptions, places, most, tcp_user_timeout),
      `${shown(database ?? "")} on ${shown(host.join(","))}${options.ssl ? ` (sslmode ${sslmode})` : ""}`,
    );
  }

  async executeSql(text: string, values: unknown[] = []): Promise<{ rows: Fields[]; count?: number }> {
    return await this.#connections.use(async (connection) => {
      try {
        return await run(connection, text, values);
      } catch (error) {
        // A transaction that the text began is still open there, and whoever had the connection next would be in it.
        if (values.length === 0 && isAnswer(error) && /;\s*\S/.test(text)) await rollBack(connection);
        throw error;
      }
    });
  }

  /** Runs statements in a transaction (READ COMMITTED); rolls back what throws. */
  async transaction<Result>(run: (tx: Transaction) => Promise<Result>): Promise<Result> {
    return await this.#begin("isolation level read committed", run);
  }

  /** Runs statements that read, all of the same moment. */
  async snapshot<Result>(run: (db: Db) => Promise<Result>): Promise<Result> {
    return await this.#begin("isolation level repeatable read read only", run);
  }

  async #begin<Result>(mode: string, work: (tx: Transaction) => Promise<Result>): Promise<Result> {
    return await this.#connections.use(async (connection) => {
      await connection.ask((sql) => sql.unsafe(`begin ${mode}; ${LIMITS}`));
      try {
        const result = await work({
          executeSql: (text, values = []) => run(connection, text, values),
          copy: (text, bytes) => connection.ask((sql) => copy(sql, text, bytes)),
        });
        await connection.ask((sql) => sql.unsafe("commit"));
        return result;
      } catch (error) {
        await rollBack(connection);
        throw error;
      }
    });
  }

  /** Ends the connections; a statement under way has five seconds. */
  async close(): Promise<void> {
    await this.#connections.end(5);
  }
}

/** Ends a transaction whose error is to be told, whatever becomes of this. */
async function rollBack(connection: Connection): Promise<void> {
  try {
    await connection.ask((sql) => sql.unsafe("rollback"));
  } catch {
    // The connection is gone, and with it the transaction.
  }
}

/** Whether the server refused a statement, and the connection goes on. */
function isAnswer(error: unknown): boolean {
  return (error as { readonly severity?: string }).severity === "ERROR";
}

/** Runs a statement; pg-boss wants a list of results where there were several. */
async function run(
  connection: Connection,
  text: string,
  values: unknown[],
): Promise<{ rows: Fields[]; count?: number }> {
  const parameters = values.map((value) => Array.isArray(value) ? listText(value) : value);
  const result: Fields[] & { count?: number; command?: string } = await connection.ask((sql) =>
    sql.unsafe(text, parameters as never[])
  );
  if (result.command !== undefined || result.length === 0) return { rows: [...result], count: result.count ?? 0 };
  const several = (result as unknown as Fields[][]).map((one) => ({ rows: [...one] }));
  return several as unknown as { rows: Fields[] };
}

/** Runs a `copy … from stdin`. */
async function copy(sql: Sql, text: string, bytes: Uint8Array): Promise<void> {
  const query = sql.unsafe(text);
  const stream = await query.writable();
  await new Promise<void>((resolve, reject) => {
    // What the server refuses behind the last byte the driver (postgres 3.4.9) tells the query alone, which is settled by then.
    Object.assign(query, { reject });
    stream.on("error", reject).on("finish", resolve);
    stream.end(bytes);
  });
}

/** A list as the server reads it. The driver would guess the type from the first element. */
function listText(list: readonly unknown[]): string {
  const elements = list.map((element) => {
    if (element === null || element === undefined) return "NULL";
    return Array.isArray(element) ? listText(element) : `"${String(element).replaceAll(/["\\]/g, "\\$&")}"`;
  });
  return `{${elements.join(",")}}`;
}

/** The elements of a list of one dimension, as the server writes it: `{a,"b, \"c\"",NULL}`. */
export function parseList(list: string): (string | null)[] {
  return [...list.matchAll(/"((?:[^"\\]|\\.)*)"|[^{},]+/gs)].map(([bare, inQuotes]) =>
    inQuotes !== undefined ? inQuotes.replaceAll(/\\(.)/gs, "$1") : bare === "NULL" ? null : bare
  );
}

interface Address {
  readonly hosts?: readonly string[];
  readonly ports?: readonly number[];
  readonly database?: string;
  readonly username?: string;
  readonly password?: string;
  readonly connect_timeout?: number;
  readonly tcp_user_timeout?: number;
  readonly sslmode?: string;
  readonly sslrootcert?: string;
  readonly target_session_attrs?: string;
}

/** The PG* variables that tell which database is meant. */
const NAMING = ["PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGUSERNAME"];

/** What an address may say behind its `?`. */
const SETTINGS = [
  ...["sslmode", "sslrootcert", "host", "port", "target_session_attrs"],
  ...["connect_timeout", "tcp_user_timeout"],
];

const WANTED =
  "it must be postgres://USER:PASSWORD@HOST:PORT/DATABASE, with sslmode, sslrootcert, host, port, target_session_attrs, connect_timeout or tcp_user_timeout behind a ?";

/** Reads an address. No message has it: there may be a password in it. */
function addressOf(url: string): Address {
  const [, user, password, hosts, path, query] =
    /^postgres(?:ql)?:\/\/(?:([^:@/?]*)(?::([^@/]*))?@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/.exec(url) ?? [];
  if (hosts === undefined) throw new UsageError(`Cannot read the address of the database: ${WANTED}`);
  if (`${hosts}${path}${query}`.includes("@")) { // a part of the password would pass for a host, and be told
    throw new UsageError(
      "Cannot read the address of the database: there is an @ behind the one before the host; in a user, a password or a " +
        "path write %40 for @, %2F for / and %3F for ?",
    );
  }
  const more = Object.fromEntries(new URLSearchParams(query));
  const unknown = Object.keys(more).find((key) => !SETTINGS.includes(key));
  if (unknown !== undefined) {
    throw new UsageError(`Cannot take ${quoted(unknown)} in the address of the database: ${WANTED}`);
  }
  const { host, port = "5432", connect_timeout, tcp_user_timeout, sslmode, sslrootcert, target_session_attrs } = more;
  const ports = port.split(","); // one for all, or one for each
  const named = (host ?? hosts).split(",").filter((one) => one !== "").map((one, i) => {
    const [, name = "", own] = host === undefined ? /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(one) ?? [] : ["", one];
    return { name: decoded(name).replace(/^\[(.*)\]$/, "$1"), port: Number(own ?? ports[i] ?? ports[0]) };
  });
  return {
    ...(named.length > 0 && { hosts: named.map(({ name }) => name), ports: named.map(({ port }) => port) }),
    ...(path && { database: decoded(path) }),
    ...(user && { username: decoded(user) }),
    ...(password !== undefined && { password: decoded(password) }),
    ...(connect_timeout !== undefined && { connect_timeout: timeOf(more, "connect_timeout", "seconds") }),
    ...(tcp_user_timeout !== undefined && { tcp_user_timeout: timeOf(more, "tcp_user_timeout", "milliseconds") }),
    ...(sslmode !== undefined && { sslmode }),
    ...(sslrootcert !== undefined && { sslrootcert }),
    ...(target_session_attrs !== undefined && { target_session_attrs }),
  };
}

function timeOf(settings: Readonly<Record<string, string>>, setting: string, unit: string): number {
  const given = settings[setting]!;
  if (/^\d{1,7}$/.test(given) && Number(given) > 0) return Number(given);
  throw new UsageError(
    `Cannot take ${setting} ${quoted(given)} of the database's address: it must be a number of ${unit}`,
  );
}

/** Whether a server that only reads will do. */
function anyWillDo(attributes: string | undefined, servers: number): boolean {
  if (attributes === undefined) return servers === 1; // whether it may be written to, the first write tells
  if (attributes === "any" || attributes === "read-write") return attributes === "any";
  throw new UsageError(
    `Cannot take target_session_attrs ${quoted(attributes)}: it must be read-write, or any; vectors are written`,
  );
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new UsageError("Cannot read the address of the database: a % in it does not begin two hexadecimal digits");
  }
}

function tlsOf(
  mode: string | undefined,
  root: string | undefined,
  hosts: readonly string[],
): boolean | "require" | TlsOptions {
  if (mode === undefined || mode === "disable") return false;
  if (mode === "require") return "require";
  if (mode !== "verify-full") {
    throw new UsageError(`Cannot take sslmode ${quoted(mode)}: it must be disable, require or verify-full`);
  }
  // The driver tells TLS no name where the host is an address: a certificate for "localhost" would do then.
  const verified: TlsOptions = {
    checkServerIdentity: (_, certificate) => {
      const wrong = hosts.map((one) => checkServerIdentity(one, certificate));
      return wrong.includes(undefined) ? undefined : wrong[0];
    },
  };
  if (root === undefined || root === "system") return verified;
  try {
    return { ...verified, ca: readFileSync(root, "utf8") };
  } catch (error) {
    throw new UsageError(`Cannot read sslrootcert ${shown(root)}: ${(error as NodeJS.ErrnoException).code}`);
  }
}

/** What the server or the driver calls an error. */
export function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === "string" ? code : "";
}

/** Whether an error is of PostgreSQL or of the way to it, and not of ours. */
export function isOfDatabase(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error.name === "PostgresError" || isPassing(error) || NO_TRUST.test(codeOf(error));
}

/**
 * Codes of a database that is away: the way to it is broken (08, the driver's and the system's names), it is restarting or
 * full (57P, 53), it reads only since a failover (25006), a transaction was idle for too long (25P03).
 */
const AWAY = /^(08|53|57P0|25006|25P03|CONN|CONNECTION_|ECONN|EPIPE|ENOENT|ETIMEDOUT|EHOST|ENET|ENOTFOUND|EAI_AGAIN)/;

/** Codes of a statement that is to be tried again: a deadlock, a serialisation failure, a lock that was not had, a time limit. */
const AGAIN = /^(40|55P03|57014)/;

/** Codes of a login that the server refuses: the password, the user, the database's name. */
const NO_ENTRY = /^(28|3D)/;

/** Codes of a server that is not the one that was meant, or speaks no TLS. */
const NO_TRUST = /^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO)/;

/** Whether an error says that the database is away. */
export function isAway(error: unknown): boolean {
  return AWAY.test(codeOf(error));
}

/** Whether an error of the database goes away by itself. */
export function isPassing(error: unknown): boolean {
  return isAway(error) || AGAIN.test(codeOf(error));
}

/** Whether the server let us in, refused a statement, and would refuse it again. */
export function isRefusal(error: unknown): boolean {
  return isOfDatabase(error) && outside("", error) === undefined;
}

/** What is told of an error of the database: never its words, for these may quote a row. */
export function told(error: unknown): string {
  const code = codeOf(error);
  const constraint = (error as { readonly constraint_name?: string }).constraint_name;
  const what = /^(?=.*\d)[0-9A-Z]{5}$/.test(code) ? `SQLSTATE ${code}` : code || (error as Error).name;
  return constraint ? `${what}, ${quoted(constraint)}` : what;
}

/** What an error that passes is, as the end of a sentence about the database. */
export function passing(error: unknown): string {
  if (isAway(error)) return `is away (${told(error)})`;
  return codeOf(error) === "57014"
    ? `cancelled a statement (${told(error)}): its statement_timeout may be too short, or somebody did`
    : `had no lock for a statement (${told(error)})`;
}

/** The failure for a database that is away, does not let us in, or has no time for a statement; undefined for any other error. */
export function outside(place: string, error: unknown): Error | undefined {
  const where = "--database, DATABASE_URL or the PG* variables say where it is";
  if (isAway(error) || NO_TRUST.test(codeOf(error))) {
    return new Failure(`Cannot reach the database ${place}: ${told(error)}; ${where}`, EXIT.failed, { cause: error });
  }
  if (isPassing(error)) {
    return new Failure(`Cannot go on: the database ${place} ${passing(error)}; run it again`, EXIT.failed, {
      cause: error,
    });
  }
  const refused = /^3D/.test(codeOf(error)) ? "there is none of this name" : "it does not let this user in";
  if (!NO_ENTRY.test(codeOf(error))) return undefined;
  return new UsageError(`Cannot reach the database ${place}: ${refused} (${told(error)}); ${where}, and as whom`, {
    cause: error,
  });
}
