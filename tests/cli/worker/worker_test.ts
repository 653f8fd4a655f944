import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { Llama } from "../../../mod.ts";
import { readGguf } from "../../support/gguf_reader.ts";
import { hasten } from "../../support/haste.ts";
import { countedTexts } from "../../support/jobs.ts";
import { runVerb } from "../../support/run_here.ts";
import { Bench, skip } from "../../support/worker.ts";

function greatest(a: readonly number[], b: Float32Array): number {
  return Math.max(...a.map((value, i) => Math.abs(Math.fround(value) - b[i]!)));
}

test(
  "worker writes each row's vector as embed makes it, and substr gives the text of one with emoji",
  { skip },
  async () => {
    await using bench = await Bench.make(300);
    const { base } = bench;
    await base.rows("update docs set body = 'a 😀 river 👩‍👩‍👧 and \"more\", {x}\\' where id = 8");
    await bench.backfill("--type", "vector", "--shard", "64");
    const said = await bench.work();
    assertMatch(said, /^300 texts in 5 jobs \(/m);
    const texts = (await base.rows<{ body: string }>("select body from docs order by id")).map(({ body }) => body);
    await using llama = await Llama.load(bench.model);
    const expected = await llama.embed(texts);
    const found = await bench.vectors();
    const differences = expected.map((vector, i) => greatest(found.get(i + 1)!, vector));
    assertEquals(Math.max(...differences), 0, `the largest difference is ${Math.max(...differences)}`);
    assertEquals(
      await base.value(
        `select count(*) from docs_embeddings e join docs d on d.id = e.key
       where substr(body, start + 1, "end" - start) = body and "end" = length(body) and start = 0 and chunk = 0
         and text_sha256 = sha256(convert_to(body, 'UTF8')) and not truncated and tokens > 3`,
      ),
      300,
    );
    assertEquals(await base.rows("select state, count(*) from llamasaur_queue.job group by 1"), [
      { state: "completed", count: 5 },
    ]);
    assertEquals(await base.rows("select ending, count(*) from llamasaur.attempts group by 1"), [{
      ending: "done",
      count: 5,
    }]);
  },
);

test(
  "worker computes 10 texts when 10 changed, and a text that became null or empty loses its vector",
  { skip },
  async () => {
    await using bench = await Bench.make(100);
    const { base } = bench;
    await bench.backfill();
    await bench.work();
    await base.rows("update docs set n = 7");
    assertEquals((await bench.backfill()).rows, 0);
    await base.rows("update docs set body = body || ' anew' where id % 10 = 0");
    assertEquals((await bench.backfill()).rows, 10);
    await base.rows("create table written (key bigint)");
    await base.rows(
      "create function note() returns trigger language plpgsql as 'begin insert into written values (new.key); return new; end'",
    );
    await base.rows("create trigger t after insert or update on docs_embeddings for each row execute function note()");
    const { stderr } = await bench.worker(["--stop-when-empty"], {
      env: { LLAMASAUR_TEST_COUNT: bench.file("count") },
    });
    assertMatch(stderr, /^10 texts in 1 jobs/m);
    assertEquals(countedTexts(bench.file("count")), 10);
    assertEquals(await base.value("select count(*) from written"), 10);
    await base.rows("update docs set body = null where id = 1");
    await base.rows("update docs set body = '' where id = 2");
    assertEquals((await bench.backfill()).rows, 2);
    await bench.work();
    assertEquals(await bench.failures(), ["1 empty", "2 empty"]);
    assertEquals((await bench.vectors()).size, 98);
    assertEquals((await bench.backfill()).rows, 0);
    await base.rows("update docs set body = 'back again' where id = 1");
    await bench.backfill();
    await bench.work();
    assertEquals([await bench.failures(), (await bench.vectors()).size], [["2 empty"], 99]);
  },
);

/** The tiny model with a token whose embedding is NaN. */
function withNaN(from: string, to: string, token: string): void {
  const file = readFileSync(from);
  const { metadata, tensors } = readGguf(from);
  const id = (metadata.get("tokenizer.ggml.tokens")!.value as string[]).indexOf(token);
  const { data, shape } = tensors.get("token_embd.weight")!;
  const at = Buffer.from(file).indexOf(data) + id * shape[1]! * 4;
  assert(id > 0 && at > 0);
  file.writeFloatLE(NaN, at);
  writeFileSync(to, file);
}

test("a row that cannot be embedded is a failure with its code, and the others are written", { skip }, async () => {
  await using bench = await Bench.make(256);
  const { base } = bench;
  const model = bench.file("nan.gguf");
  withNaN(bench.model, model, "▁star");
  await base.rows("update docs set body = 'a star' where id = 5");
  await base.rows("update docs set body = repeat('river ', 2000) where id = 6");
  await base.rows("update docs set body = null where id = 7");
  await bench.backfill("--truncate", "error", "--model", model);
  const { code, stderr } = await bench.run("worker", ["--model", model, "--stop-when-empty"]);
  assertEquals(code, 0, stderr);
  assertEquals(await bench.failures(), ["5 non-finite", "6 too-long", "7 empty"]);
  assertEquals((await bench.vectors()).size, 253);
  assertMatch(
    await base.value("select message from llamasaur.failures where code = 'too-long'"),
    /^it has \d+ tokens, and the model takes \d+$/,
  );
  assertMatch(stderr, /^3 rows failed: 1 empty, 1 too-long, 1 non-finite; llamasaur jobs failures lists them$/m);
  assert(!/star|river/.test(stderr));
  assertEquals((await bench.backfill("--truncate", "error", "--model", model)).rows, 0);
});

test("workers take jobs of their own fingerprint, two generations at once", { skip }, async () => {
  await using bench = await Bench.make(20);
  await bench.backfill();
  await bench.backfill("--dimensions", "8", "--into", "small", "--shard", "7");
  const other = bench.file("other.gguf");
  withNaN(bench.model, other, "▁star");
  const { code, stderr } = await bench.run("worker", ["--model", other, "--stop-when-empty"]);
  assertMatch(stderr, /there are no jobs of these models' fingerprints, but of \S+ \(\w+\), \S+ \(\w+\)$/m);
  assertEquals([code, await bench.base.value("select count(*) from llamasaur.attempts")], [0, 0]);
  await bench.work("--model", other);
  assertEquals([(await bench.vectors()).size, (await bench.vectors("small")).get(20)!.length], [20, 8]);
});

test("composite keys of any type are written as they are", { skip }, async () => {
  await using bench = await Bench.make(0);
  await bench.base.rows(`create schema "Types" create table none ()`);
  await bench.base.rows(`create type "Types"."Mood" as enum ('a b', 'c')`);
  await bench.base.rows(
    `create table "D" ("Tenant" text, at timestamptz, u uuid, v numeric(9,3), m "Types"."Mood", ms "Types"."Mood"[], body text,
       primary key ("Tenant", at, u, v, m, ms))`,
  );
  await bench.base.rows(
    `insert into "D" select t, timestamptz '2026-03-29 00:30:00.123456+01' + i * interval '1 hour', gen_random_uuid(), i / 3.0,
       'a b', '{c,"a b"}', 'text ' || i
     from generate_series(1, 9) i, unnest(array['a,b', '{"c"}', 'x\\y', '😀']) t`,
  );
  const database = await bench.base.value<string>("select quote_ident(current_database())");
  await bench.base.rows(`alter database ${database} set datestyle = 'SQL, DMY'`);
  await bench.base.rows(`alter database ${database} set timezone = 'Europe/Berlin'`);
  await bench.base.rows(`alter database ${database} set search_path = public, "Types"`); // of who plans
  const key = "Tenant,at,u,v,m,ms";
  const words = ["--table", "D", "--key", key, "--text", "body", "--into", "D_vectors", "--shard", "5"];
  assertEquals((await bench.backfill(...words)).rows, 36);
  await bench.base.rows(`alter database ${database} reset search_path`);
  await bench.work();
  assertEquals(
    await bench.base.value(`select count(*) from "D" join "D_vectors" e using ("Tenant", at, u, v, m, ms)`),
    36,
  );
  assertEquals((await bench.backfill(...words)).rows, 0);
});

test("keys are the same whatever the session's settings are", { skip }, async () => {
  await using bench = await Bench.make(0);
  const { base } = bench;
  await base.rows(
    "create table spans (at timestamptz, long interval, raw bytea, body text not null, primary key (at, long, raw))",
  );
  await base.rows(
    `insert into spans select t, i, '\\x00ff5c', 'text of ' || t || i from unnest(array['2026-03-29 00:30:00.123456+01',
       '0044-03-15 12:00+00 BC', 'infinity', '-infinity']::timestamptz[]) t,
     unnest(array['-1 mon +2 days -00:00:00.000001', '1 year 25:00:00', '-3 days', '0', 'infinity']::interval[]) i`,
  );
  const words = ["--table", "spans", "--key", "at,long,raw", "--text", "body"];
  assertEquals((await bench.backfill(...words)).rows, 20);
  await base.rows("update spans set body = '' where isfinite(at) and long <> '0'");
  const database = await base.value<string>("select quote_ident(current_database())");
  const settings = ["datestyle = 'SQL, DMY'", "timezone = 'Asia/Kolkata'", "intervalstyle = 'sql_standard'"];
  for (const one of [...settings, "bytea_output = 'escape'"]) await base.rows(`alter database ${database} set ${one}`);
  await bench.work();
  const count = `select count(*) from spans join spans_embeddings using (at, long, raw)`;
  assertEquals([await base.value(count), (await bench.jobs())[0].rows.failed], [12, 8]);
  for (const one of ["timezone", "intervalstyle", "bytea_output"]) {
    await base.rows(`alter database ${database} reset ${one}`);
  }
  assertEquals((await bench.jobs())[0].rows, { source: 20, done: 12, failed: 8, missing: 0 });
  assertEquals((await bench.backfill(...words)).rows, 0);
});

test("a row that comes into the range of a job is done by it, or by a job of the rest", { skip }, async () => {
  await using bench = await Bench.make(20);
  await bench.base.rows("delete from docs where id between 6 and 15");
  await bench.backfill("--shard", "10");
  await bench.base.rows("insert into docs select i, 'new ' || i from generate_series(6, 15) i");
  await bench.work();
  assertEquals((await bench.vectors()).size, 20);
  assertEquals(await bench.base.value("select count(*) from llamasaur.jobs"), 2);
});

test("LLAMASAUR_MODEL names the model of a worker", { skip }, async () => {
  await using bench = await Bench.make(2);
  await bench.backfill();
  const { LLAMASAUR_MODEL: before } = process.env;
  process.env["LLAMASAUR_MODEL"] = bench.model;
  try {
    const { code, stderr } = await bench.run("worker", ["--stop-when-empty"]);
    assertEquals([code, (await bench.vectors()).size], [0, 2], stderr);
  } finally {
    if (before === undefined) delete process.env["LLAMASAUR_MODEL"];
    else process.env["LLAMASAUR_MODEL"] = before;
  }
});

const WRONG = [
  [
    "alter table docs rename to gone",
    "alter table gone rename to docs",
    2,
    'Cannot work on "public"."docs": it is not there any more',
  ],
  ["alter table docs rename body to gone", "alter table docs rename gone to body", 2, 'Cannot take the text "body"'],
  ["alter table docs rename id to gone", "alter table docs rename gone to id", 2, 'Cannot take the key "id"'],
  [
    "alter table docs_embeddings rename to gone",
    "alter table gone rename to docs_embeddings",
    2,
    'Cannot work on "public"."docs_embeddings": it is not there any more',
  ],
  [
    "alter table docs_embeddings alter embedding type halfvec(3)",
    "alter table docs_embeddings alter embedding type halfvec",
    2,
    "its embeddings have 3 dimensions, and the model's have 64",
  ],
  [
    "alter table docs_embeddings rename tokens to gone",
    "alter table docs_embeddings rename gone to tokens",
    2,
    'its column "tokens" is not there',
  ],
  [
    "alter schema llamasaur rename to gone",
    "alter schema gone rename to llamasaur",
    2,
    "this database has no schema llamasaur; llamasaur backfill makes it",
  ],
  [
    "update llamasaur.version set version = 99",
    "update llamasaur.version set version = 1",
    2,
    "the schema llamasaur: it is of version 99",
  ],
  [
    "update pg_extension set extversion = '0.5.0' where extname = 'vector'",
    "update pg_extension set extversion = '0.8.5' where extname = 'vector'",
    3,
    "alter extension vector update;",
  ],
  [
    "update pg_extension set extname = 'gone' where extname = 'vector'",
    "update pg_extension set extname = 'vector' where extname = 'gone'",
    3,
    "\n\n  create extension vector;\n",
  ],
] as const;

test("wrong use ends a worker by exit code 2 or 3 with the fix, before a job is taken", { skip }, async () => {
  await using bench = await Bench.make(3);
  await bench.backfill();
  for (const [wrong, right, code, told] of WRONG) {
    await bench.base.rows(wrong);
    const ended = await bench.run("worker", ["--model", bench.model, "--stop-when-empty"]);
    assertEquals(ended.code, code, `${wrong}: ${ended.stderr}`);
    assertStringIncludes(ended.stderr, told);
    assertEquals(await bench.base.rows("select state, retry_count from llamasaur_queue.job"), [{
      state: "created",
      retry_count: 0,
    }]);
    await bench.base.rows(right);
  }
  await bench.work();
  assertEquals((await bench.vectors()).size, 3);
});

test(
  "a role with the rights that are listed, and no other, works; without one it is told which",
  { skip },
  async () => {
    await using bench = await Bench.make(3);
    const { base } = bench;
    await base.rows('create schema "The extensions"');
    await base.rows('alter extension vector set schema "The extensions"');
    await bench.backfill();
    await base.rows("create schema apart");
    await bench.backfill("--dimensions", "8", "--into", "apart.small");
    // A job of a worker that died: to send that back takes rights, too.
    await base.rows(
      `update llamasaur_queue.job set state = 'active', started_on = now(), heartbeat_on = now() - interval '1 hour'`,
    );
    using _ = hasten(10);
    const role = `r${crypto.randomUUID().slice(0, 8)}`;
    await base.rows(`create role ${role} login password 'secret'`);
    await base.rows(`revoke all on database ${await base.value("select quote_ident(current_database())")} from public`);
    await base.rows(
      `grant connect on database ${await base.value("select quote_ident(current_database())")} to ${role}`,
    );
    await base.rows("revoke all on schema public from public");
    try {
      const url = base.url.replace(/\/\/[^@]*@/, `//${role}:secret@`);
      const run = () => bench.run("worker", ["--database", url, "--model", bench.model, "--stop-when-empty"]);
      let said = "";
      // Who may not read llamasaur.generations is told of all else first, and then of the tables of both generations.
      for (const isLast of [false, false, true]) {
        const { code, stderr } = await run();
        assert(!stderr.includes("cannot look"), stderr);
        assertEquals(code, isLast ? 0 : 2, stderr);
        assertEquals(stderr.includes("llamasaur.generations names them"), said === "", stderr);
        if (isLast) break;
        said += stderr;
        for (const line of stderr.split("\n").filter((one) => one.startsWith("  grant "))) await base.rows(line);
      }
      assertEquals((await bench.vectors()).size, 3, said);
      assert(!said.includes("secret"));
      for (const schema of ["public", "The extensions"]) {
        assertEquals(said.split(`  grant usage on schema "${schema}" to `).length, 2, said);
      }
      assertEquals(await base.value(`select has_table_privilege($1, 'docs', 'update')`, role), false);
      for (const [right, on] of [["select", 'table "public"."docs"'], ["usage", 'schema "public"']]) {
        await base.rows(`revoke ${right} on ${on} from ${role}`);
        const { code, stderr } = await bench.run("jobs", ["--database", url]);
        assertEquals(code, 2, stderr);
        assertStringIncludes(stderr, `  grant ${right} on ${on} to "${role}";`);
        assertEquals((await bench.run("jobs", ["--database", url, "--no-rows"])).code, 0);
      }
    } finally {
      await base.rows(`drop owned by ${role}`);
      await base.rows(`drop role ${role}`);
    }
  },
);

test(
  "a text that changes while it is computed keeps the hash of what was embedded, and backfill sees it",
  { skip },
  async () => {
    await using bench = await Bench.make(5);
    const { base } = bench;
    await bench.backfill("--type", "vector");
    const old = await base.value<string>("select body from docs where id = 2");
    const env = { LLAMASAUR_TEST_STEP: "read:1:wait", LLAMASAUR_TEST_GATE: bench.file("gate") };
    const { promise: read, resolve: hasRead } = Promise.withResolvers<void>();
    const working = bench.worker(["--stop-when-empty"], {
      env,
      onStderr: (text) => text.includes("wait at read\n") && hasRead(),
    });
    await read;
    await base.rows("update docs set body = 'a new text' where id = 2");
    writeFileSync(bench.file("gate"), "");
    assertEquals((await working).code, 0);
    assertEquals(
      await base.value(
        "select text_sha256 = sha256(convert_to($1::text, 'UTF8')) from docs_embeddings where key = 2",
        old,
      ),
      true,
    );
    await using llama = await Llama.load(bench.model);
    const difference = greatest((await bench.vectors()).get(2)!, await llama.embed(old));
    assert(difference < 1e-6, `the largest difference is ${difference}`);
    assertEquals((await bench.backfill("--type", "vector")).rows, 1);
  },
);

test("SIGTERM finishes the job, or gives it back when the grace is over, and is exit code 0", { skip }, async () => {
  await using bench = await Bench.make(10);
  const { base } = bench;
  await bench.backfill("--shard", "5");
  const gate = bench.file("gate");
  const env = { LLAMASAUR_TEST_STEP: "computed:1:wait", LLAMASAUR_TEST_GATE: gate };
  let kill: ((signal: NodeJS.Signals) => void) | undefined;
  const finishing = bench.worker(["--concurrency", "1"], { env, onStart: (given) => kill = given });
  await bench.until("select exists (select from llamasaur.attempts)");
  kill!("SIGTERM");
  await new Promise((resolve) => setTimeout(resolve, 200));
  writeFileSync(gate, "");
  const first = await finishing;
  assertEquals(first.code, 0, first.stderr);
  const done = await base.value<number>("select count(*) from docs_embeddings");
  assert(done >= 5, `${done} vectors`);
  await base.rows("update docs set body = body || ' anew'");
  await base.rows("update llamasaur.jobs set ended_at = now() where ended_at is null");
  await bench.backfill("--shard", "10");
  const giving = bench.worker(["--grace", "100ms", "--rate", "1"], { onStart: (given) => kill = given });
  await bench.until("select count(*) filter (where ended_at is null) > 0 from llamasaur.attempts");
  kill!("SIGINT");
  const second = await giving;
  assertEquals(second.code, 0, second.stderr);
  assertEquals(await base.value("select count(*) from llamasaur.attempts where ended_at is null"), 0);
});

test("worker --port serves numbers and health", { skip }, async () => {
  await using bench = await Bench.make(30);
  await bench.backfill();
  let asked: Promise<[string, number, number]> | undefined;
  const { code, stderr } = await bench.worker(["--port", "0"], {
    onStderr: (text, kill) => {
      const url = /metrics at (\S+)\/metrics/.exec(text)?.[1];
      if (url === undefined || asked) return;
      asked = (async (): Promise<[string, number, number]> => {
        await bench.until("select count(*) = 30 from docs_embeddings");
        let metrics = "";
        while (!/jobs_total\{ending="done"\} 1/.test(metrics)) metrics = await (await fetch(`${url}/metrics`)).text();
        const status = async (path: string) => (await fetch(url + path)).status;
        const told: [string, number, number] = [metrics, await status("/healthz"), await status("/readyz")];
        kill("SIGTERM");
        return told;
      })();
    },
  });
  assertEquals(code, 0, stderr);
  const [metrics, alive, ready] = await asked!;
  assertEquals([alive, ready], [200, 200]);
  assertMatch(metrics, /^llamasaur_worker_texts_total 30$/m);
});

test("worker --rate computes what a second may have at a time", { skip }, async () => {
  await using bench = await Bench.make(5);
  await bench.backfill();
  const env = { LLAMASAUR_TEST_COUNT: bench.file("count") };
  const { code, stderr } = await bench.worker(["--rate", "4", "--stop-when-empty"], { env });
  assertEquals([code, readFileSync(bench.file("count"), "utf8")], [0, "4\n1\n"], stderr);
  assertEquals((await bench.vectors()).size, 5);
});

test(
  "a worker beats, reads the next job meanwhile, and writes nothing of a job that became another's",
  { skip },
  async () => {
    await using bench = await Bench.make(4);
    const { base } = bench;
    await bench.backfill("--shard", "2");
    const gate = bench.file("gate");
    const env = { LLAMASAUR_TEST_STEP: "computed:1:wait", LLAMASAUR_TEST_GATE: gate, LLAMASAUR_TEST_HASTE: "10" };
    const working = bench.worker(["--heartbeat", "10s", "--stop-when-empty"], { env });
    await bench.until("select count(*) = 2 from llamasaur.attempts where ended_at is null"); // one is computed
    const noted = await base.value<Date>("select max(heartbeat_on) from llamasaur_queue.job");
    await bench.until(
      `select count(*) = 2 from llamasaur_queue.job where state = 'active' and heartbeat_seconds = 10
       and heartbeat_on > $1::timestamptz + interval '1 second' / 100`,
      noted,
    );
    const first = "select job from llamasaur.attempts order by started_at limit 1";
    await base.rows(`update llamasaur_queue.job set retry_count = retry_count + 1 where id = (${first})`);
    writeFileSync(gate, "");
    await bench.until("select count(*) = 1 from llamasaur.attempts where ending = 'claim gone'");
    await bench.until("select count(*) = 2 from docs_embeddings"); // of the other job
    await base.rows("update llamasaur_queue.job set heartbeat_on = now() - interval '1 hour' where state = 'active'");
    await base.rows("update llamasaur_queue.queue set monitor_claim_on = now() - interval '1 hour'");
    const { code, stderr } = await working;
    assertEquals([code, (await bench.vectors()).size], [0, 4], stderr);
    assertEquals(await base.rows("select ending, count(*) from llamasaur.attempts group by 1 order by 1"), [
      { ending: "claim gone", count: 1 },
      { ending: "done", count: 2 },
    ]);
  },
);

for (
  const [args, told] of [
    [["--heartbeat", "9s"], 'Cannot take --heartbeat "9s": it must be at least 10s'],
    [["--rate", "0"], "--rate"],
    [["--concurrency", "0"], "--concurrency"],
    [["--port", "70000"], "--port"],
    [["--grace", "soon"], "--grace"],
    [["--give-up", "-1s"], "--give-up"],
    [["docs"], "too many arguments"],
  ] as const
) {
  test(`worker ${args.join(" ")} is wrong use`, async () => {
    const { code, stderr } = await runVerb(["worker", ...args]);
    assertEquals(code, 2, stderr);
    assertStringIncludes(stderr, told);
  });
}
