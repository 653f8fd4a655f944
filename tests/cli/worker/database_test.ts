// The way to the database: TLS, several hosts, restarts, time limits.
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import process from "node:process";
import { join } from "@std/path";
import { Database, type Db, rowsOf } from "../../../cli/worker/database.ts";
import { Patience } from "../../../cli/worker/patience.ts";
import { ROOT } from "../../support/child.ts";
import { has, Server } from "../../support/postgres.ts";
import { MODEL, runProgram } from "../../support/program.ts";
import { runVerb } from "../../support/run_here.ts";
import { Bench, CLOCKS_SET_ON, skip } from "../../support/worker.ts";

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
      for (const verb of [["backfill", ...words], ["worker", "--model", MODEL], ["jobs"]]) {
        const { code, stderr } = await runVerb([...verb, "--database", url]);
        assertEquals(code, 1, stderr);
        assertMatch(
          stderr,
          /^error: Cannot reach the database \S+ on \S+ \(sslmode verify-full\): [A-Z_]+; --database/,
        );
        assertStringIncludes(stderr, ` ${name} on ${host} (`);
        assert(!stderr.includes("secret"));
      }
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
    const limit = "idle_in_transaction_session_timeout";
    const limitIn = (tx: Db) => rowsOf(tx, `show ${limit}`);
    assertEquals(await database.transaction(limitIn), [{ [limit]: "10s" }]); // who is paused in one holds nobody up for longer
    assertEquals(await limitIn(database), [{ [limit]: "0" }]);
  } finally {
    await database.close();
  }
});

/** A message of PostgreSQL's protocol. */
function message(type: string, body: string): Buffer {
  const bytes = Buffer.from(`${type}....${body}`);
  bytes.writeUInt32BE(bytes.length - 1, 1);
  return bytes;
}

/** A row of one text, with its column's name. */
function oneRow(name: string, value: string): Buffer {
  const described = `\0\x01${name}\0` + "\0\0\0\0\0\0" + "\0\0\0\x19" + "\0\0" + "\0\0\0\0" + "\0\0";
  return Buffer.concat([
    message("T", described),
    message("D", `\0\x01\0\0\0${String.fromCharCode(value.length)}${value}`),
  ]);
}

/** A server that greets, and answers every statement with no rows, or with these. */
async function fakeServer(rows: Buffer = Buffer.alloc(0)): Promise<{ port: number; sockets: Socket[]; close(): void }> {
  const sockets: Socket[] = [];
  const ready = message("Z", "I");
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.once("data", () => {
      socket.write(Buffer.concat([message("R", "\0\0\0\0"), ready]));
      socket.on("data", () => socket.write(Buffer.concat([rows, message("C", "SELECT 0\0"), ready])));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { port: (server.address() as AddressInfo).port, sockets, close: () => server.close() };
}

test("of several hosts it is the first that may be written to, and of a failed one the next", async () => {
  const [standby, primary] = await Promise.all(
    ["on", "off"].map((value) => fakeServer(oneRow("transaction_read_only", value))),
  );
  const answers = async (ports: readonly number[], settings = ""): Promise<string> => {
    const hosts = ports.map((port) => `127.0.0.1:${port}`).join(",");
    const database = Database.open(`postgres://me@${hosts}/x${settings}`, 1);
    try {
      const [row] = await rowsOf(database, "show transaction_read_only");
      return `${row!["transaction_read_only"]}`;
    } catch (error) {
      return (error as { readonly code: string }).code;
    } finally {
      await database.close();
    }
  };
  try {
    assertEquals(await answers([standby!.port, primary!.port]), "off");
    assertEquals(await answers([primary!.port, standby!.port]), "off");
    assertEquals(await answers([1, standby!.port, primary!.port]), "off"); // nobody is at the first
    assertEquals(await answers([standby!.port, primary!.port], "?target_session_attrs=any"), "on");
    assertEquals(await answers([standby!.port]), "on"); // the first write would tell
    assertEquals(await answers([standby!.port], "?target_session_attrs=read-write"), "25006");
    assertEquals(await answers([standby!.port, standby!.port]), "25006"); // away, until one is promoted
  } finally {
    standby!.close();
    primary!.close();
  }
});

test("a connection that breaks before a statement is sent is not waited for again", async () => {
  const { port, sockets, close } = await fakeServer();
  const database = Database.open(`postgres://me@127.0.0.1:${port}/x`, 1);
  const { setImmediate } = globalThis;
  try {
    await rowsOf(database, "select 1");
    // The driver sends in an immediate. This one does not come, and the connection breaks meanwhile.
    globalThis.setImmediate = ((run: () => void, ...more: unknown[]) => {
      return run.name === "nextWrite" ? setImmediate(() => {}) : setImmediate(run, ...more as []);
    }) as typeof setImmediate;
    const broken = rowsOf(database, "select 2").catch((error) => error.code);
    await new Promise((resolve) => setTimeout(resolve, 50)); // it is begun
    sockets[0]!.destroy();
    assertMatch(await broken, /^(CONN|ECONN|EPIPE)/);
    globalThis.setImmediate = setImmediate;
    const start = performance.now();
    assertEquals(await rowsOf(database, "select 3").catch((error) => error.code), []);
    assert(performance.now() - start < 9000, "it waited for its connection until connect_timeout");
  } finally {
    globalThis.setImmediate = setImmediate;
    await database.close();
    close();
  }
});

test("a connection that is closed at once, or while it is greeted, is an error at once", async () => {
  for (const greets of [false, true]) {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      if (greets) socket.once("data", () => socket.destroy());
      else socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const database = Database.open(`postgres://me@127.0.0.1:${port}/x?connect_timeout=100`, 1);
    try {
      for (let i = 0; i < 3; i++) {
        assertMatch(await rowsOf(database, "select 1").catch((error) => error.code), /^(CONN|ECONN|EPIPE)/);
      }
    } finally {
      await database.close();
      server.close();
    }
  }
});

test("a connection that breaks between two statements is no more than an error, alone or in a transaction", async () => {
  const { port, sockets, close } = await fakeServer();
  const database = Database.open(`postgres://me@127.0.0.1:${port}/x`, 1);
  const breaks = async (): Promise<void> => {
    sockets.at(-1)!.destroy();
    await new Promise((resolve) => setTimeout(resolve, 50)); // the driver has heard of it
  };
  const code = (error: { code: string }): string => error.code;
  try {
    for (const mode of ["transaction", "snapshot"] as const) {
      const between = database[mode](async (db) => {
        await breaks();
        return await rowsOf(db, "select 1");
      });
      assertMatch(`${await between.catch(code)}`, /^CONN/);
      const after = database[mode](async (db) => {
        await rowsOf(db, "select 2");
        await breaks();
      });
      assertMatch(`${await after.catch(code)}`, /^CONN/);
      assertEquals(await database[mode]((db) => rowsOf(db, "select 3")), []);
    }
    await database.executeSql("select 4; select 5");
    await breaks();
    await database.executeSql("select 4; select 5").catch(code);
    assertEquals(await rowsOf(database, "select 6"), []);
  } finally {
    await database.close();
    close();
  }
});

test("Patience tells a time limit from a database that is away, and gives up on both", async () => {
  for (
    const [code, told, away] of [
      ["57014", /^the database d cancelled a statement \(SQLSTATE 57014\): its statement_timeout/, false],
      ["55P03", /^the database d had no lock for a statement/, false],
      ["08006", /^the database d is away \(SQLSTATE 08006\)/, true],
      ["25006", /^the database d is away \(SQLSTATE 25006\)/, true], // a failover made it a standby
      ["EPIPE", /^the database d is away \(EPIPE\)/, true],
    ] as const
  ) {
    const said: string[] = [];
    const patience = new Patience("d", 0, new AbortController().signal, (line) => said.push(line));
    const name = code === "EPIPE" ? "Error" : "PostgresError";
    const failed = Object.assign(new Error("made by a test"), { code, name });
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
    bench.runProgram("jobs", ["--json", ...args], { env }).then(({ code }) => code);
  const without = async (env: Record<string, string>): Promise<number | null> => {
    return (await runProgram(["jobs", "--json"], { env: { DATABASE_URL: "", ...env } })).code;
  };
  const socket = decodeURIComponent(host!);
  const codes = await Promise.all([
    without({ DATABASE_URL: bench.base.url }),
    run({ DATABASE_URL: "postgres://127.0.0.1:1/none" }),
    ...(host!.includes("%2F")
      ? [
        without({ PGHOST: socket, PGUSER: user!, PGDATABASE: name! }),
        without({ DATABASE_URL: `postgresql://${user}@/${name}?host=${socket}` }),
      ]
      : []),
  ]);
  assertEquals([...new Set(codes)], [0]);
});

test("a verb for which nothing names a database says so at once", async () => {
  const PG = ["PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGUSERNAME"].map((name) => [name, ""]);
  const env = { DATABASE_URL: "", ...Object.fromEntries(PG) };
  const verbs = [["jobs"], ["worker", "--model", MODEL], [
    ...["backfill", "--table", "docs", "--key", "id", "--text", "body", "--model", MODEL],
  ]];
  for (const { code, stderr } of await Promise.all(verbs.map((verb) => runProgram(verb, { env })))) {
    assertEquals(code, 2, stderr);
    assertStringIncludes(stderr, "No database is named: give --database postgres://");
  }
});

test("a database or a user that is not there is wrong use, of every verb", { skip }, async () => {
  await using bench = await Bench.make(1);
  await bench.backfill();
  const GOOD = ["--table", "docs", "--key", "id", "--text", "body"];
  const nobody = bench.base.url.replace(/\/\/[^@]*@/, "//nobody:secret@");
  for (
    const [url, told] of [
      [
        bench.base.url.replace(/[^/]*$/, "none"),
        /^error: Cannot reach the database none on .*: there is none of this name/,
      ],
      [nobody, /^error: Cannot reach the database .*: it does not let this user in \(SQLSTATE 28/],
    ] as const
  ) {
    for (const [verb, ...args] of [["backfill", ...GOOD], ["worker"], ["jobs"], ["jobs", "retry"]]) {
      const model = verb === "jobs" ? [] : ["--model", bench.model];
      const { code, stderr } = await runVerb([verb!, "--database", url, ...args, ...model]);
      assertEquals(code, 2, stderr);
      assertMatch(stderr, told);
      assert(!stderr.includes("secret"));
    }
  }
});

test("a database that restarts loses nothing, and counts as no loss; one that stays away ends the worker", {
  skip: skip || external,
}, async () => {
  const server = await Server.start();
  let stopped = false;
  try {
    await using bench = await Bench.make(240, { at: server.url });
    const { base } = bench;
    await bench.backfill("--shard", "8");
    await base.rows("create table writes (key bigint)");
    await base.rows(
      "create function note() returns trigger language plpgsql as 'begin insert into writes values (new.key); return new; end'",
    );
    await base.rows("create trigger t after insert or update on docs_embeddings for each row execute function note()");
    let kill: ((signal: NodeJS.Signals) => void) | undefined;
    const working = bench.worker(["--rate", "200"], {
      env: { LLAMASAUR_TEST_HASTE: "10" },
      onStart: (given) => kill = given,
    });
    await bench.until("select count(*) > 20 from docs_embeddings");
    await server.restart("immediate");
    const before = await base.value<number>("select count(*) from docs_embeddings").catch(() => 0);
    await bench.until("select count(*) > $1 from docs_embeddings", before + 20);
    await server.restart("fast");
    // A job whose fetch was answered to nobody is sent back by its heartbeat: the clock is set on.
    await bench.until(
      `with ${CLOCKS_SET_ON} select count(*) = 240 from docs_embeddings`,
    );
    assertEquals(await base.value("select count(*) - count(distinct key) from writes"), 0);
    await bench.until("select count(*) = 30 from llamasaur.attempts where ended_at is not null");
    assertEquals(await base.rows("select distinct ending from llamasaur.attempts"), [{ ending: "done" }]);
    kill!("SIGTERM");
    const { code, stderr } = await working;
    assertEquals(code, 0, stderr);
    let health: Promise<number> | undefined;
    const away = await bench.worker(["--give-up", "500ms", "--port", "0"], {
      onStderr: (text) => {
        const url = /metrics at (\S+)\/metrics/.exec(text)?.[1];
        if (url && !stopped) void server.stop();
        stopped ||= url !== undefined;
        if (text.includes("trying again")) health ??= fetch(`${url}/readyz`).then(({ status }) => status);
      },
    });
    assertEquals([away.code, await health], [1, 503], away.stderr);
    assertMatch(away.stderr, /is away \((CONN|ECONN|ENOENT|EPIPE|SQLSTATE (57P|08))\S*\); trying again/);
    assertMatch(away.stderr, /Cannot go on: the database .* was away for .*; --give-up says how long to wait/);
  } finally {
    if (!stopped) await server.stop();
  }
});
