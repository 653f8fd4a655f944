// A PostgreSQL server for tests: that of LLAMASAUR_TEST_DATABASE, else one of scripts/postgres.sh, which ends with this process.
// Each test has a database of its own.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Database, rowsOf } from "../../cli/worker/database.ts";
import { startBoss } from "../../cli/worker/queue.ts";
import { makeSchema } from "../../cli/worker/schema.ts";
import { ROOT } from "./child.ts";

const SCRIPT = join(ROOT, "scripts", "postgres.sh");
const given = process.env["LLAMASAUR_TEST_DATABASE"];

/** Why a user cache has no server, if so: the script says which program it would have brought there. */
export function noServerIn(cache: string): string | false {
  const script = readFileSync(SCRIPT, "utf8");
  const [version = "", programs = ""] = ["version", "programs"].map((name) => {
    return new RegExp(`^${name}=(\\S+)`, "m").exec(script)![1]!;
  });
  return existsSync(join(cache, "llamasaur", "postgres", `pgserver-${version}`, programs, "postgres"))
    ? false
    : "no PostgreSQL: bash scripts/postgres.sh get, or LLAMASAUR_TEST_DATABASE";
}

/** Why there is no database, if so. */
export const noDatabase: string | false = given
  ? false
  : noServerIn(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"));

/** A server. */
export class Server {
  readonly url: string;
  readonly #child: ChildProcess | undefined;
  #heard: string;
  #told: (() => void) | undefined;

  private constructor(url: string, child: ChildProcess | undefined, heard: string) {
    [this.url, this.#child, this.#heard] = [url, child, heard];
    child?.stdout?.on("data", (text: string) => {
      this.#heard += text;
      this.#told?.();
    });
  }

  /** Starts a server; settings as lines of postgresql.conf. */
  static async start(...settings: string[]): Promise<Server> {
    const child = spawn("bash", [SCRIPT, "run", ...settings], { stdio: ["pipe", "pipe", "inherit"] });
    child.stdout.setEncoding("utf8");
    let heard = "";
    await new Promise<void>((resolve, reject) => {
      child.once("close", (code) => reject(new Error(`postgres.sh ended with ${code}`)));
      child.stdout.on("data", function first(text: string) {
        heard += text;
        if (!heard.includes("\n")) return;
        child.stdout.off("data", first);
        resolve();
      });
    });
    child.removeAllListeners("close");
    const lone = child as unknown as { unref(): void; stdout: { unref?(): void }; stdin: { unref?(): void } };
    lone.unref(); // it ends when this process does: its stdin ends then
    lone.stdout.unref?.();
    lone.stdin.unref?.();
    return new Server(heard.split("\n")[0]!, child, "");
  }

  /** Restarts it. */
  async restart(mode: "fast" | "immediate"): Promise<void> {
    this.#heard = "";
    this.#child!.stdin!.write(`${mode}\n`);
    await awake(async () => {
      while (!this.#heard.includes("\n")) await new Promise<void>((resolve) => this.#told = resolve);
    });
    if (!this.#heard.startsWith("restarted")) throw new Error(`the server did not restart: ${this.#heard}`);
  }

  /** Ends it. */
  stop(): Promise<void> {
    return awake(() =>
      new Promise((resolve) => {
        this.#child!.once("close", () => resolve());
        this.#child!.stdin!.end();
      })
    );
  }
}

/** Keeps this process up while something is waited for that does not. */
async function awake(wait: () => Promise<void>): Promise<void> {
  const timer = setInterval(() => {}, 1000);
  await wait();
  clearInterval(timer);
}

/** What the files of tests of a thread share; Bun has them all in one, and each its own modules. */
interface Shared {
  started?: Promise<string>;
  template?: Promise<string>;
}

const shared = ((globalThis as Record<symbol, unknown>)[Symbol.for("llamasaur.postgres")] ??= {}) as Shared;

/** The address of the server that all tests of this process share. */
function server(): Promise<string> {
  return shared.started ??= given ? Promise.resolve(given) : startShared();
}

/**
 * Starts the shared server, or finds it: Deno runs each file of tests in a thread of its own, and what a thread started ends
 * with it. So the server's stdin is a program that ends with the process.
 */
async function startShared(): Promise<string> {
  const born = readFileSync("/proc/self/stat", "utf8").replace(/^.*\) /, "").split(" ")[19];
  const file = join(tmpdir(), `llamasaur-pg-${process.pid}-${born}.url`);
  try {
    writeFileSync(file, "", { flag: "wx" });
    const line = 'tail --pid="$0" -f /dev/null | bash "$1" run > "$2"; rm -f "$2"';
    const child = spawn("bash", ["-c", line, `${process.pid}`, SCRIPT, file], {
      detached: true,
      stdio: ["ignore", "ignore", "inherit"],
    });
    child.unref();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error; // another thread was first
  }
  for (let i = 0; i < 1200; i++) {
    const url = readFileSync(file, "utf8").split("\n");
    if (url.length > 1) return url[0]!;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("postgres.sh started no server within a minute");
}

/** The database that others are copies of; whoever needs it first makes it. */
function templateAt(at: string): Promise<string> {
  return shared.template ??= makeTemplate(at);
}

async function makeTemplate(at: string): Promise<string> {
  const name = "llamasaur_template";
  await using administrator = owned(Database.open(at, 1));
  const made = await rowsOf(administrator.database, `create database ${name}`).then(() => true, (error) => {
    if (error.code === "42P04") return false; // another thread was first
    throw error;
  });
  if (made) {
    await using template = owned(Database.open(at.replace(/\/[^/?]*(\?|$)/, `/${name}$1`), 1));
    await rowsOf(template.database, "create extension vector");
    await template.database.transaction(makeSchema);
    await (await startBoss(template.database, true)).stop({ close: false, graceful: false });
    await rowsOf(administrator.database, `alter database ${name} is_template true`);
  }
  const ready =
    "select datistemplate and not exists (select from pg_stat_activity where datname = $1) as yes from pg_database where datname = $1";
  for (let i = 0; i < 1200; i++) {
    const [found] = await rowsOf<{ yes: boolean }>(administrator.database, ready, name);
    if (found!.yes) return name;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("the template is not ready after a minute");
}

/** A database of a test. */
export class TestDatabase implements AsyncDisposable {
  readonly url: string;
  readonly db: Database;
  readonly #name: string;
  readonly #at: string;

  private constructor(at: string, name: string) {
    [this.#at, this.#name] = [at, name];
    this.url = at.replace(/\/[^/?]*(\?|$)/, `/${name}$1`);
    this.db = Database.open(this.url, 3);
  }

  /**
   * Makes a database with pgvector in it.
   *
   * @param at The server's address; undefined for the shared one.
   * @param isPlanned Whether it may have the schemas of `backfill` already, which take that longest to make.
   */
  static async make(at?: string, isPlanned = false): Promise<TestDatabase> {
    const name = `llamasaur_${crypto.randomUUID().replaceAll("-", "").slice(0, 12)}`;
    const made = new TestDatabase(at ?? await server(), name);
    await using administrator = owned(Database.open(made.#at, 1));
    // A template would stay on somebody's own server.
    const template = isPlanned && !at && !given ? await templateAt(made.#at) : undefined;
    await rowsOf(administrator.database, `create database ${name} ${template ? `template ${template}` : ""}`);
    if (template === undefined) await rowsOf(made.db, "create extension if not exists vector");
    return made;
  }

  /** The rows of a statement. */
  async rows<Row = Record<string, unknown>>(text: string, ...values: unknown[]): Promise<Row[]> {
    return await rowsOf<Row>(this.db, text, ...values);
  }

  /** The one value of a statement. */
  async value<Value = unknown>(text: string, ...values: unknown[]): Promise<Value> {
    const [row] = await this.rows(text, ...values);
    return Object.values(row!)[0] as Value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.db.close();
    await using administrator = owned(Database.open(this.#at, 1));
    await rowsOf(administrator.database, `drop database if exists ${this.#name} with (force)`).catch(() => {});
  }
}

/** Why the statements of a server cannot be read, if so: that of LLAMASAUR_TEST_DATABASE logs where it likes. */
export const noLog: string | false = given ? "LLAMASAUR_TEST_DATABASE keeps its log to itself" : false;

/** Has the server log what new connections to a database ask. */
export async function logStatements(base: TestDatabase): Promise<void> {
  const database = await base.value<string>("select quote_ident(current_database())");
  for (const [name, value] of [["log_statement", "'all'"], ["log_min_messages", "log"]]) {
    await base.rows(`alter database ${database} set ${name} = ${value}`);
  }
}

/** What was asked since then. */
export function loggedStatements({ url }: TestDatabase): string[] {
  const socket = decodeURIComponent(/@([^/]*)\//.exec(url)![1]!);
  const lines = readFileSync(join(socket, "server.log"), "utf8").split("\n");
  return lines.filter((line) => /LOG: +(statement|execute \S+): /.test(line));
}

function owned(database: Database): AsyncDisposable & { readonly database: Database } {
  return { database, [Symbol.asyncDispose]: () => database.close() };
}

/** Whether a program is here. */
export function has(program: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;
}
