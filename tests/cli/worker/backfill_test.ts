import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { columnsOf, findTable, vectorType } from "../../../cli/worker/catalogue.ts";
import type { Db } from "../../../cli/worker/database.ts";
import { findTarget, makeTarget } from "../../../cli/worker/schema.ts";
import { runVerb } from "../../support/run_here.ts";
import { Bench, skip } from "../../support/worker.ts";

/** The ranges of the open jobs, in the order of their keys. */
async function ranges({ base }: Bench): Promise<string[]> {
  const jobs = await base.rows<{ low: string[]; high: string[]; rows: number }>(
    "select low, high, rows from llamasaur.jobs where ended_at is null order by low[1]::bigint, low",
  );
  return jobs.map(({ low, high, rows }) => `${low}-${high}:${rows}`);
}

test("backfill enqueues rows in ranges of keys, and again nothing, whatever --shard is", { skip }, async () => {
  await using bench = await Bench.make(250);
  assertEquals(await bench.backfill("--shard", "100", "--limit", "120").then(({ rows }) => rows), 120);
  assertEquals(await ranges(bench), ["1-100:100", "101-120:20"]);
  const { scanned, rows, jobs } = await bench.backfill("--shard", "64");
  assertEquals([scanned, rows, jobs], [250, 130, 3]);
  assertEquals(await ranges(bench), ["1-100:100", "101-120:20", "121-184:64", "185-248:64", "249-250:2"]);
  await bench.base.rows("update docs set n = n + 1");
  for (const shard of ["64", "10", "1000"]) assertEquals((await bench.backfill("--shard", shard)).rows, 0);
  const jobsOfQueue = await bench.base.rows(
    `select j.state, j.retry_limit > 1000 as patient, j.expire_seconds, j.keep_until > now() + interval '5 years' as kept,
            j.dead_letter is not null as dead, j.data = jsonb_build_object('job', l.id) as named
     from llamasaur_queue.job j join llamasaur.jobs l on l.id = j.id group by 1, 2, 3, 4, 5, 6`,
  );
  assertEquals(jobsOfQueue, [
    { state: "created", patient: true, expire_seconds: 86400, kept: true, dead: true, named: true },
  ]);
});

test("backfill --where enqueues what it asks for, and then the rest is not under open jobs", { skip }, async () => {
  await using bench = await Bench.make(30);
  const where = "n % 2 = 0 and id <= 20 -- a comment";
  await bench.base.rows("update docs set n = id / 10");
  assertEquals((await bench.backfill("--where", where)).rows, 10); // 1-9 and 20
  assertEquals((await bench.backfill("--where", where, "--shard", "3")).rows, 0);
  assertEquals((await bench.backfill()).rows, 20);
  assertEquals(await ranges(bench), ["1-20:10", "10-19:10", "21-30:10"]);
  assertEquals((await bench.backfill()).rows, 0);
});

test(
  "backfill goes through more than a page, and leaves alone what has its vector or its failure",
  { skip },
  async () => {
    await using bench = await Bench.make(25_000);
    assertEquals((await bench.backfill("--limit", "1")).rows, 1);
    await bench.base.rows("delete from llamasaur.jobs");
    const settle = (hash: string, ids: string): string =>
      `insert into docs_embeddings select docs.id, 0, g.fingerprint, ${hash}, '[1]', 1, false, 0, 1 from docs,
       llamasaur.generations g where docs.id ${ids}`;
    await bench.base.rows(settle("sha256(convert_to(body, 'UTF8'))", "<= 5000"));
    await bench.base.rows(settle("sha256('another text')", "between 5001 and 5010"));
    await bench.base.rows(
      `insert into llamasaur.failures (generation, key, fingerprint, text_sha256, code, message, attempts)
     select g.id, array[d.id::text], g.fingerprint, sha256(convert_to(body, 'UTF8')), 'x', 'x', 1 from docs d,
       llamasaur.generations g where d.id > 24000`,
    );
    assertEquals(await bench.backfill(), { scanned: 25_000, rows: 19_000, jobs: 75 }); // of three pages: 21 + 40 + 14
  },
);

test("backfill keeps composite keys as columns, and any name and type of a key", { skip }, async () => {
  await using bench = await Bench.make(0);
  await bench.base.rows(
    `create table "My ""Docs" ("Tenant" text, at timestamptz, "a body" varchar(99), primary key ("Tenant", at))`,
  );
  await bench.base.rows(
    `insert into "My ""Docs" select t, timestamptz '2026-01-01 00:00:00.123+02' + i * interval '1 hour', 'text ' || i
     from generate_series(1, 5) i, unnest(array['a,b', '{"c"}']) t`,
  );
  const words = ["--table", 'My "Docs', "--key", "Tenant,AT", "--text", "a body", "--into", "Vectors", "--shard", "4"];
  assertEquals(await bench.backfill(...words), { scanned: 10, rows: 10, jobs: 3 });
  assertEquals(await bench.backfill(...words), { scanned: 10, rows: 0, jobs: 0 });
  const jobs = await bench.base.rows<{ low: string[] }>("select low from llamasaur.jobs order by low[1], low[2]");
  assertEquals(jobs.map(({ low }) => low[0]), ["a,b", "a,b", '{"c"}']);
  assertEquals(jobs[0]!.low[1]!, "2025-12-31T23:00:00.123 UTC");
  const columns = await bench.base.rows<{ line: string }>(
    `select attname || ' ' || format_type(atttypid, atttypmod) as line from pg_attribute
     where attrelid = '"Vectors"'::regclass and attnum > 0 order by attnum`,
  );
  assertEquals(columns.map(({ line }) => line), [
    "Tenant text",
    "at timestamp with time zone",
    "chunk integer",
    "fingerprint text",
    "text_sha256 bytea",
    "embedding halfvec",
    "tokens integer",
    "truncated boolean",
    "start integer",
    "end integer",
    "embedded_at timestamp with time zone",
  ]);
});

test("backfill names the table of the vectors for its source, however that is written", { skip }, async () => {
  await using bench = await Bench.make(0);
  const { base } = bench;
  await base.rows(`create schema "My Schema"`);
  await base.rows(`create table "My Schema"."Do""cs.x" (id int primary key, body text)`);
  await base.rows(`insert into "My Schema"."Do""cs.x" values (1, 'a text')`);
  const words = ["--key", "id", "--text", "body"];
  const told: number[] = [];
  for (const table of ['My Schema.Do"cs.x', '"My Schema"."Do""cs.x"']) {
    told.push((await bench.backfill("--table", table, ...words)).rows);
  }
  assertEquals(told, [1, 0]);
  assertEquals(await base.value("select target from llamasaur.generations"), '"My Schema"."Do""cs.x_embeddings"');
  const long = "x".repeat(60);
  await base.rows(`create table ${long} (id int primary key, body text)`);
  const all = ["--table", long, ...words, "--model", bench.model];
  const { code, stderr } = await bench.run("backfill", all);
  assertEquals(code, 2, stderr);
  assertStringIncludes(stderr, `Cannot make the table "${long}_embeddings": PostgreSQL takes 63 bytes of a name`);
  assertEquals((await bench.run("backfill", [...all, "--into", "shorter"])).code, 0);
});

test("backfill --dry-run tells rows, tokens, hours and the scan, and leaves nothing behind", { skip }, async () => {
  await using bench = await Bench.make(300, { bare: true });
  const told = await bench.backfill("--dry-run") as unknown as Record<string, number>;
  assertEquals([told["scanned"], told["rows"], told["jobs"]], [300, 300, 2]);
  assert(told["tokens"]! > 300 && told["rate"]! > 0 && told["hours"]! > 0, JSON.stringify(told));
  assertEquals(await bench.base.value("select to_regclass('docs_embeddings')"), null);
  assertEquals(await bench.base.value("select count(*) from pg_namespace where nspname ~ '^llamasaur'"), 0);
  const { stdout } = await bench.run("backfill", [
    ...["--table", "docs", "--key", "id", "--text", "body", "--model", bench.model, "--dry-run", "--limit", "10"],
  ]);
  assertMatch(
    stdout,
    /^10 of 300 rows would be enqueued, in 1 jobs\nabout [\d,]+ tokens, by a sample of 10 texts\n[\d.]+ hours .*\na scan /,
  );
  const whole = await bench.run("backfill", [
    ...[
      "--table",
      "docs",
      "--key",
      "id",
      "--text",
      "body",
      "--model",
      bench.model,
      "--dry-run",
      "--where",
      "id > 7 --",
    ],
  ]);
  assertMatch(whole.stdout, /^293 of 300 rows .*, in 2 jobs\nabout [\d,]+ tokens, by a sample of 165 texts\n/); // 128 and the 37 of the last
});

test(
  "a second generation has a queue of its own, and another source of the same fingerprint is refused",
  { skip },
  async () => {
    await using bench = await Bench.make(10);
    await bench.base.rows("create table other (like docs including all)");
    await bench.backfill();
    assertEquals((await bench.backfill("--dimensions", "4")).rows, 10);
    assertEquals(await bench.base.value("select count(distinct queue) from llamasaur.generations"), 2);
    const args = [
      "--table",
      "other",
      "--key",
      "id",
      "--text",
      "body",
      "--into",
      "docs_embeddings",
      "--model",
      bench.model,
    ];
    const { code, stderr } = await bench.run("backfill", args);
    assertEquals(code, 2);
    assertStringIncludes(stderr, 'whose source is "public"."docs"; give another --into');
  },
);

const GOOD = { table: "docs", key: "id", text: "body" };

const WRONG = [
  [{ table: "none" }, 2, 'Cannot take --table "none": there is none of this name'],
  [{ key: "no" }, 2, 'Cannot take --key "no": "public"."docs" has no such column; it has "id", "body", "n"'],
  [{ text: "n" }, 2, 'Cannot take --text "n": it is integer and no text'],
  [{ key: "n" }, 2, "has no unique index over it; give the primary key"],
  [{ table: "pairs", key: "b,a" }, 2, 'the index of "public"."pairs" has another order; give --key "a,b"'],
  [{ key: "maybe" }, 2, 'alter table "public"."docs" alter column "maybe" set not null'],
  [{ into: "docs" }, 2, "Cannot write the vectors into the table itself"],
  [{ into: "none.x" }, 2, 'there is no schema "none"'],
  [{ into: "sized" }, 2, "have 7 dimensions, and the model's have"],
  [{ into: "narrow" }, 2, 'its column "tokens" is not there, and integer is needed'],
  [{ into: "of_vectors" }, 2, "are of the type vector; give --type vector"],
  [{ into: "unkeyed" }, 2, "has no unique index on (key, chunk, fingerprint)"],
  [{ dimensions: "9999" }, 2, "9999"],
  [{ chunk: "200" }, 2, "Cannot take --chunk: this version has no chunker"],
  [{ "input-type": "query" }, 2, "prompts"],
  [{ model: "none/none.gguf" }, 3, "none/none.gguf"],
] as const;

test(
  "backfill tells of wrong use by exit code 2, of what is not there by 3, before anything is made",
  { skip },
  async () => {
    await using bench = await Bench.make(3, { bare: true });
    const { base } = bench;
    await base.rows("alter table docs add maybe int unique");
    await base.rows("create table pairs (a int, b int, body text, primary key (a, b))");
    const columns = (type: string): string =>
      `(key bigint, chunk int, fingerprint text, text_sha256 bytea, embedding ${type}, tokens int, truncated bool,
      start int, "end" int, embedded_at timestamptz, primary key (key, chunk, fingerprint))`;
    await base.rows(`create table sized ${columns("halfvec(7)")}`);
    await base.rows(`create table of_vectors ${columns("vector")}`);
    await base.rows(`create table narrow ${columns("halfvec").replace("tokens int,", "")}`);
    await base.rows(`create table unkeyed ${columns("halfvec").replace(/, primary key.*\)$/, ")")}`);
    for (const [given, code, told] of WRONG) {
      const all = { ...GOOD, model: bench.model, ...given };
      const ended = await bench.run("backfill", Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]));
      assertEquals([ended.code, ended.stdout], [code, ""], `${JSON.stringify(given)}: ${ended.stderr}`);
      assertStringIncludes(ended.stderr, told);
    }
    assertEquals(await base.value("select to_regclass('docs_embeddings')"), null);
  },
);

test("backfill that ended between its two schemas, or a restore without pg-boss's, is mended by backfill", {
  skip,
}, async () => {
  await using bench = await Bench.make(3);
  const { base } = bench;
  await bench.backfill("--limit", "1");
  await base.rows("drop schema llamasaur_queue cascade");
  for (const words of [["worker", "--model", bench.model, "--stop-when-empty"], ["jobs"]]) {
    const { code, stderr } = await bench.run(words[0]!, words.slice(1));
    assertEquals(code, 2, stderr);
    assertStringIncludes(stderr, "this database has no schema llamasaur_queue; llamasaur backfill makes it");
  }
  assertEquals((await bench.backfill()).rows, 3); // the open job went with its queue
  await bench.work();
  assertEquals((await bench.vectors()).size, 3);
});

test("makeTarget() waits for another that makes the same table, and then finds it", { skip }, async () => {
  await using bench = await Bench.make(1);
  const { db } = bench.base;
  const source = (await findTable(db, "docs"))!;
  const key = [(await columnsOf(db, source)).get("id")!];
  const type = await vectorType(db, "halfvec");
  const make = async (tx: Db): Promise<void> => {
    await makeTarget(tx, await findTarget(tx, "twice", source), key, type, 8);
  };
  let second: Promise<void> | undefined;
  await db.transaction(async (tx) => {
    await make(tx);
    second = db.transaction(make);
    await bench.until(
      "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database())",
    );
  });
  await second;
  assertEquals(await bench.base.value("select count(*) from twice"), 0);
});

test("backfill --where that is no SQL is exit code 2, and enqueues nothing", { skip }, async () => {
  await using bench = await Bench.make(3);
  const words = Object.entries({ ...GOOD, model: bench.model, where: "nonsense = 1" });
  const { code, stderr } = await bench.run("backfill", words.flatMap(([name, value]) => [`--${name}`, value]));
  assertEquals(code, 2);
  assertStringIncludes(stderr, "the database refused a statement (SQLSTATE 42703); --where is SQL");
  assertEquals(await bench.base.value("select count(*) from llamasaur.jobs"), 0);
});

test("backfill refuses vectors that no index takes", { skip }, async () => {
  const { checkSize } = await import("../../../cli/worker/catalogue.ts");
  for (const [type, most] of [["halfvec", 4000], ["vector", 2000]] as const) {
    checkSize(most, type);
    let told = "";
    try {
      checkSize(most + 1, type);
    } catch (error) {
      told = (error as Error).message;
    }
    assertStringIncludes(told, `Cannot store ${most + 1} dimensions as ${type}: an index takes ${most} at most; give `);
  }
});

test(
  "a database without pgvector, or with one that has no halfvec, is exit code 3 with the line to run",
  { skip },
  async () => {
    await using bench = await Bench.make(3);
    const words = ["--table", "docs", "--key", "id", "--text", "body", "--model", bench.model];
    await bench.base.rows("update pg_extension set extversion = '0.6.2' where extname = 'vector'");
    const old = await bench.run("backfill", words);
    assertEquals(old.code, 3, old.stderr);
    assertStringIncludes(
      old.stderr,
      "pgvector is 0.6.2, and halfvec came with 0.7. With a newer one installed, run:\n\n  alter extension vector update;\n",
    );
    await bench.base.rows("drop extension vector");
    const none = await bench.run("backfill", words);
    assertEquals(none.code, 3, none.stderr);
    assertStringIncludes(none.stderr, "\n\n  create extension vector;\n");
  },
);

test("rights that are lacking are listed as the lines that give them, and these are enough", { skip }, async () => {
  await using bench = await Bench.make(3, { bare: true });
  const { base } = bench;
  const role = `r${crypto.randomUUID().slice(0, 8)}`;
  await base.rows(`create role ${role} login password 'pass word'`);
  try {
    await base.rows("create schema extensions");
    await base.rows("alter extension vector set schema extensions");
    const url = base.url.replace(/\/\/[^@]*@/, `//${role}:pass%20word@`);
    const run = () =>
      bench.run("backfill", [
        ...["--database", url, "--table", "docs", "--key", "id", "--text", "body", "--model", bench.model],
      ]);
    const lacking = await run();
    assertEquals(lacking.code, 2, lacking.stderr);
    const lines = lacking.stderr.split("\n").filter((line) => line.startsWith("  grant "));
    assertEquals(lines.length, 4, lacking.stderr); // the source, the schema of the target, the database, that of pgvector
    for (const line of lines) await base.rows(line);
    const { code, stderr } = await run();
    assertEquals(code, 0, stderr);
    assert(!`${stderr}${lacking.stderr}`.includes("pass word"));
  } finally {
    await base.rows(`drop owned by ${role}`);
    await base.rows(`drop role ${role}`);
  }
});

for (
  const [url, told] of [
    ["mysql://me:secret@host/x", "Cannot read the address of the database: it must be postgres://"],
    [
      "postgres://me:secret@host/x?sslmode=maybe",
      'Cannot take sslmode "maybe": it must be disable, require or verify-full',
    ],
    [
      "postgres://me:secret@a,b/x?target_session_attrs=standby",
      'Cannot take target_session_attrs "standby": it must be read-write, or any',
    ],
    ["postgres://me:secret@host/x?tcp_user_timeout=soon", 'Cannot take tcp_user_timeout "soon"'],
    ["postgres://me:secret@host/x?nonsense=1", 'Cannot take "nonsense" in the address'],
    ["postgres://me:secret@host/x?sslmode=verify-full&sslrootcert=/none", "Cannot read sslrootcert /none: ENOENT"],
    ["postgres://me:se@secret@host/x", "Cannot read the address of the database: there is an @ behind the one before"],
    ["postgres://me:se/secret@host/x", "write %40 for @, %2F for / and %3F for ?"],
    ["postgres://me:s@e?secret@host/x", "write %40 for @, %2F for / and %3F for ?"],
    ["postgres://me:secret@127.0.0.1:1/x", "Cannot reach the database x on 127.0.0.1: ECONNREFUSED"],
  ] as const
) {
  test(`backfill --database ${url} is told without the password`, { skip }, async () => {
    const words = [
      "backfill",
      "--database",
      url,
      "--table",
      "t",
      "--key",
      "k",
      "--text",
      "x",
      "--model",
      "all-minilm-l6-v2",
    ];
    const { code, stderr } = await runVerb(words);
    assertEquals(code, url.includes(":1/") ? 1 : 2, stderr);
    assertStringIncludes(stderr, told);
    assert(!stderr.includes("secret"), stderr);
  });
}
