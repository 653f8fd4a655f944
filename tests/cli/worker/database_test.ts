// The way to the database: TLS, restarts, and what a pooler by transaction would allow.
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { join } from "@std/path";
import { Database, rowsOf } from "../../../cli/worker/database.ts";
import { Patience } from "../../../cli/worker/patience.ts";
import { ROOT } from "../../support/child.ts";
import { has, Server } from "../../support/postgres.ts";
import { Bench, runVerb, skip } from "../../support/worker.ts";

const external = process.env["LLAMASAUR_TEST_DATABASE"] ? "these tests start servers of their own" : false;

/** A certificate of an authority of its own, for `localhost`. */
function certificate(folder: string): { ca: string; crt: string; key: string } {
  const path = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): void => {
    const { status, stderr } = spawnSync("openssl", args, { cwd: folder, encoding: "utf8" });
    assertEquals(status, 0, stderr);
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl(
    "req",
    "-x509",
    ...key,
    "-keyout",
    "ca.key",
    "-out",
    "ca.crt",
    "-days",
    "2",
    "-subj",
    "/CN=authority of a test",
  );
  openssl(
    "req",
    ...key,
    "-keyout",
    "server.key",
    "-out",
    "server.csr",
    "-subj",
    "/CN=localhost",
    "-addext",
    "subjectAltName=DNS:localhost",
  );
  openssl(
    "x509",
    "-req",
    "-in",
    "server.csr",
    "-CA",
    "ca.crt",
    "-CAkey",
    "ca.key",
    "-out",
    "server.crt",
    "-days",
    "2",
    "-copy_extensions",
    "copy",
  );
  return { ca: path("ca.crt"), crt: path("server.crt"), key: path("server.key") };
}

/** A proxy with TLS before the test's server. */
class Proxy implements AsyncDisposable {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #said: { text: string };

  private constructor(child: ChildProcess, port: number, said: { text: string }) {
    [this.#child, this.port, this.#said] = [child, port, said];
  }

  static async start(...words: string[]): Promise<Proxy> {
    const child = spawn("python3", [join(ROOT, "tests", "support", "tls_proxy.py"), ...words], {
      stdio: ["pipe", "pipe", "ignore"],
    });
    const said = { text: "" };
    const port = await new Promise<number>((resolve, reject) => {
      child.on("close", (code) => reject(new Error(`the proxy ended with ${code}`)));
      child.stdout!.setEncoding("utf8").on("data", (text: string) => {
        said.text += text;
        resolve(Number(said.text.split("\n")[0]));
      });
    });
    return new Proxy(child, port, said);
  }

  /** How connections came since the last time. */
  get heard(): string[] {
    const [port, ...lines] = this.#said.text.trim().split("\n");
    this.#said.text = `${port}\n`;
    return [...new Set(lines)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#child.on("close", resolve));
    this.#child.kill("SIGKILL");
    await ended;
  }
}

const noTls = skip || external || (has("openssl") && has("python3") ? false : "no openssl or no python3");

test("sslmode require is TLS, verify-full also checks the authority and the name", { skip: noTls }, async () => {
  await using bench = await Bench.make(0);
  const [, socket, name] = /@([^/]*)\/(.*)$/.exec(bench.base.url)!;
  const folder = mkdtempSync(join(tmpdir(), "llamasaur-tls-"));
  try {
    const { ca, crt, key } = certificate(folder);
    await using proxy = await Proxy.start(join(decodeURIComponent(socket!), ".s.PGSQL.5432"), crt, key);
    const answers = async (host: string, query: string): Promise<string[]> => {
      const database = Database.open(`postgres://postgres@${host}:${proxy.port}/${name}${query}`, 1);
      try {
        assertEquals(await rowsOf(database, "select 1 as one"), [{ one: 1 }]);
        return proxy.heard;
      } finally {
        await database.close();
      }
    };
    assertEquals(await answers("127.0.0.1", ""), ["plain"]);
    assertEquals(await answers("127.0.0.1", "?sslmode=disable"), ["plain"]);
    assertEquals(await answers("127.0.0.1", "?sslmode=require"), ["tls"]);
    assertEquals(await answers("localhost", `?sslmode=verify-full&sslrootcert=${ca}`), ["tls"]);
    for (const [host, query] of [["localhost", ""], ["127.0.0.1", `&sslrootcert=${ca}`]] as const) {
      const words = ["--table", "t", "--key", "k", "--text", "x", "--model", "all-minilm-l6-v2"];
      const url = `postgres://postgres:secret@${host}:${proxy.port}/${name}?sslmode=verify-full${query}`;
      const { code, stderr } = await runVerb(["backfill", "--database", url, ...words]);
      assertEquals(code, 1, stderr);
      assertStringIncludes(stderr, `Cannot reach the database ${name} on ${host}: `);
      assert(!stderr.includes("secret"));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("executeSql() of several statements leaves no aborted transaction behind", { skip }, async () => {
  await using bench = await Bench.make(0);
  const database = Database.open(bench.base.url, 1);
  try {
    const code = await database.executeSql("begin; select 1 / 0; commit").catch((error) => error.code);
    assertEquals(code, "22012");
    assertEquals(await rowsOf(database, "select 1 as one"), [{ one: 1 }]);
    assertEquals(await database.transaction((tx) => rowsOf(tx, "select 2 as two")), [{ two: 2 }]);
  } finally {
    await database.close();
  }
});

test("Patience tells a time limit from a database that is away, and gives up on both", async () => {
  for (
    const [code, told, away] of [
      ["57014", /^the database d cancelled a statement \(SQLSTATE 57014\): its statement_timeout/, false],
      ["55P03", /^the database d had no lock for a statement/, false],
      ["08006", /^the database d is away \(SQLSTATE 08006\)/, true],
    ] as const
  ) {
    const said: string[] = [];
    const patience = new Patience("d", 0, new AbortController().signal, (line) => said.push(line));
    const failed = Object.assign(new Error("made by a test"), { code });
    const { message } = await patience.until(() => Promise.reject(failed)).catch((error) => error);
    assertMatch(said.join("\n"), told);
    assertMatch(message, /^Cannot go on: the database d .* --give-up says how long to wait$/);
    assertEquals(patience.away, away);
  }
});

test("PG* and DATABASE_URL say where the database is, --database before them", { skip }, async () => {
  await using bench = await Bench.make(3);
  await bench.backfill();
  const [, user, host, name] = /\/\/([^@]*)@([^/]*)\/(.*)$/.exec(bench.base.url)!;
  const run = (env: Record<string, string>, ...args: string[]) =>
    bench.runProgram("jobs", ["--json", ...args], { env }).then(({ code, stderr }) => code === 0 ? "" : stderr);
  const { runProgram } = await import("../../support/program.ts");
  const without = async (env: Record<string, string>): Promise<number | null> => {
    return (await runProgram(["jobs", "--json"], { env: { DATABASE_URL: "", ...env } })).code;
  };
  assertEquals(await without({ DATABASE_URL: bench.base.url }), 0);
  assertEquals(await run({ DATABASE_URL: "postgres://127.0.0.1:1/none" }), "");
  if (host!.includes("%2F")) {
    const socket = decodeURIComponent(host!);
    assertEquals(await without({ PGHOST: socket, PGUSER: user!, PGDATABASE: name! }), 0);
    assertEquals(await without({ DATABASE_URL: `postgresql://${user}@/${name}?host=${socket}` }), 0);
  }
});

test("a database that restarts loses nothing, and counts as no loss; one that stays away ends the worker", {
  skip: skip || external,
}, async () => {
  const server = await Server.start();
  let stopped = false;
  try {
    await using bench = await Bench.make(400, server.url);
    const { base } = bench;
    await bench.backfill("--shard", "8");
    await base.rows("create table writes (key bigint)");
    await base.rows(
      "create function note() returns trigger language plpgsql as 'begin insert into writes values (new.key); return new; end'",
    );
    await base.rows("create trigger t after insert or update on docs_embeddings for each row execute function note()");
    const working = bench.worker(["--rate", "200"]);
    await bench.until("select count(*) > 20 from docs_embeddings");
    await server.restart("immediate");
    const before = await base.value<number>("select count(*) from docs_embeddings").catch(() => 0);
    await bench.until("select count(*) > $1 from docs_embeddings", before + 20);
    await server.restart("fast");
    await bench.until("select count(*) = 400 from docs_embeddings");
    assertEquals(await base.value("select count(*) - count(distinct key) from writes"), 0);
    await bench.until("select count(*) = 50 from llamasaur.attempts where ended_at is not null");
    // A job whose fetch was answered to nobody is fetched again after 30 s: that is no loss either.
    assertEquals(await base.rows("select distinct ending from llamasaur.attempts"), [{ ending: "done" }]);
    await bench.backfill("--dimensions", "8");
    const { said, code } = await new Promise<{ said: string; code: number | null }>((resolve) => {
      const away = bench.worker(["--give-up", "1500ms"], {
        onStderr: () => {},
        onStart: () => void setTimeout(() => void server.stop().then(() => stopped = true), 3000),
      });
      void away.then(({ stderr, code }) => resolve({ said: stderr, code }));
    });
    assertEquals(code, 1, said);
    assertMatch(said, /is away \((CONN|ECONN|EPIPE|ENOENT|SQLSTATE (57P|08))\S*\); trying again/);
    assertMatch(said, /Cannot go on: the database .* was away for .*; --give-up says how long to wait/);
    void working;
  } finally {
    if (!stopped) await server.stop();
  }
});
