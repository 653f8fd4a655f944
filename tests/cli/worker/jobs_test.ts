import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { writeFileSync } from "node:fs";
import { Bench, skip } from "../../support/worker.ts";

test("jobs status counts jobs and rows of one moment, and --no-rows leaves the scan out", { skip }, async () => {
  await using bench = await Bench.make(50);
  const { base } = bench;
  await base.rows("update docs set body = null where id = 3");
  await bench.backfill("--shard", "10", "--limit", "40");
  const [before] = await bench.jobs();
  assertEquals([before.jobs, before.rows, before.planned, before.eta], [
    { waiting: 4, active: 0, done: 0, givenUp: 0 },
    { source: 50, done: 0, failed: 0, missing: 50 },
    40,
    null,
  ]);
  await bench.work();
  const [after] = await bench.jobs("status");
  assertEquals([after.jobs, after.rows, after.planned, after.eta], [
    { waiting: 0, active: 0, done: 4, givenUp: 0 },
    { source: 50, done: 39, failed: 1, missing: 10 },
    0,
    0,
  ]);
  assert(after.rate > 0);
  await base.rows("delete from llamasaur_queue.job where state = 'completed'"); // as pg-boss does after a week
  await base.rows("update llamasaur.jobs set ending = 'halved' where id = (select id from llamasaur.jobs limit 1)");
  const [later] = await bench.jobs("--no-rows");
  assertEquals([later.jobs.done, later.halved], [3, 1]);
  await base.rows("update llamasaur.jobs set ending = 'done'");
  await base.rows("update docs set body = body || '!' where id <= 5");
  assertEquals((await bench.jobs("status"))[0].rows, { source: 50, done: 35, failed: 1, missing: 14 });
  assertEquals((await bench.jobs("--no-rows"))[0].rows, undefined);
  const { stdout } = await bench.run("jobs", []);
  assertMatch(stdout, /^"public"\."docs" into "public"\."docs_embeddings", fingerprint \w{16}, model /);
  assertStringIncludes(
    stdout,
    "\n  jobs: 0 waiting, 0 active, 4 done\n  rows: 35 done, 1 failed, 14 missing of 50 (72 %)\n",
  );
});

test("jobs failures lists them, retry takes them out and enqueues them, --key one", { skip }, async () => {
  await using bench = await Bench.make(20);
  const { base } = bench;
  await base.rows("update docs set body = '' where id in (4, 9, 16)");
  await bench.backfill();
  await bench.work();
  const { stdout } = await bench.run("jobs", ["failures"]);
  assertEquals(stdout, "16\tempty: it has no text\n4\tempty: it has no text\n9\tempty: it has no text\n");
  const last = await bench.jobs("failures");
  assertEquals([last.key, last.code, last.attempts, last.target], [["9"], "empty", 1, '"public"."docs_embeddings"']);
  for (
    const [keys, told] of [[["3"], "this row has not failed"], [["9", "3"], "1 of these 2 rows have not"]] as const
  ) {
    const { code, stderr } = await bench.run("jobs", ["retry", ...keys.flatMap((key) => ["--key", key])]);
    assertEquals(code, 1, stderr);
    assertStringIncludes(stderr, told);
    assertEquals(await base.value("select count(*) from llamasaur.failures"), 3);
  }
  assertEquals(await bench.jobs("retry", "--key", "9"), { enqueued: 1 });
  await bench.work();
  assertEquals(await base.value("select attempts from llamasaur.failures where key = array['9']"), 1);
  assertEquals(await base.value("select count(*) from llamasaur.failures"), 3);
  await base.rows("create function later() returns trigger language plpgsql as 'begin return new; end'");
  assertEquals(await bench.jobs("retry"), { enqueued: 3 });
  assertEquals(await base.value("select count(*) from llamasaur.failures"), 0);
  assertEquals((await bench.backfill()).rows, 0); // they are under open jobs
});

test("jobs retry sends back what pg-boss gave up on", { skip }, async () => {
  await using bench = await Bench.make(5);
  const { base } = bench;
  await bench.backfill();
  await base.rows("update llamasaur_queue.job set retry_limit = 0");
  const { code } = await bench.worker([], { env: { LLAMASAUR_TEST_STEP: "noted:1:kill" } });
  assertEquals(code, null);
  const queue = await base.value<string>("select queue from llamasaur.generations");
  const { Database } = await import("../../../cli/worker/database.ts");
  const { startBoss } = await import("../../../cli/worker/queue.ts");
  const own = Database.open(base.url);
  const boss = await startBoss(own, true);
  const [{ id, retryCount } = { id: "", retryCount: 0 }] = await base.rows<{ id: string; retryCount: number }>(
    `select id, retry_count as "retryCount" from llamasaur_queue.job where name = $1`,
    queue,
  );
  await boss.fail(queue, { id, retryCount });
  await boss.stop({ close: false });
  await own.close();
  assertEquals((await bench.jobs())[0].jobs, { waiting: 0, active: 0, done: 0, givenUp: 2 });
  assertEquals(await bench.jobs("retry"), { enqueued: 1 });
  assertEquals(await bench.jobs("cancel"), { cancelled: 1 }); // by our id, for pg-boss gave it another one
  assertEquals(await base.value("select count(*) from llamasaur_queue.job where state < 'completed'"), 0);
  await bench.work();
  assertEquals(await base.value("select count(*) from docs_embeddings"), 0);
  await bench.backfill();
  await bench.work();
  assertEquals(await base.value("select count(*) from docs_embeddings"), 5);
});

test("jobs pause keeps workers from a generation until resume, and cancel ends its jobs", { skip }, async () => {
  await using bench = await Bench.make(20);
  const { base } = bench;
  await bench.backfill("--shard", "5");
  await bench.backfill("--dimensions", "8", "--into", "small");
  await bench.jobs("pause", "--into", "docs_embeddings");
  await bench.work();
  await bench.jobs("pause");
  const { stderr } = await bench.run("worker", ["--model", bench.model, "--stop-when-empty"]);
  assertStringIncludes(stderr, "the jobs of these models are paused: llamasaur jobs resume lets them go on\n");
  assertEquals(await base.rows("select (select count(*) from docs_embeddings) a, (select count(*) from small) b"), [{
    a: 0,
    b: 20,
  }]);
  await bench.jobs("resume");
  assertEquals(await bench.jobs("cancel", "--into", "docs_embeddings"), { cancelled: 4 });
  await bench.work();
  assertEquals(await base.value("select count(*) from docs_embeddings"), 0);
  assertEquals((await bench.backfill()).rows, 20);
});

test("jobs retry --key is read for each generation before anything is changed", { skip }, async () => {
  await using bench = await Bench.make(3);
  const { base } = bench;
  await base.rows("update docs set body = '' where id = 2");
  await base.rows("create table pairs (a int, b text, body text, primary key (a, b))");
  await bench.backfill();
  await bench.backfill("--table", "pairs", "--key", "a,b", "--text", "body");
  await bench.work();
  for (const key of ["2", "[2", '["2"]']) {
    const { code, stderr } = await bench.run("jobs", ["retry", "--key", key]);
    assertEquals(code, 2, stderr);
    assertStringIncludes(stderr, 'Cannot read --key: for "public"."pairs_embeddings" it must have 2 values (a, b)');
    assertEquals(await base.value("select count(*) from llamasaur.failures"), 1);
  }
  assertEquals(await bench.jobs("retry", "--key", "2", "--into", "docs_embeddings"), { enqueued: 1 });
});

test(
  "a generation whose tables are gone stops no worker once it has no jobs, and jobs tells of it",
  { skip },
  async () => {
    await using bench = await Bench.make(3);
    const { base } = bench;
    await bench.backfill();
    await bench.work();
    await bench.backfill("--into", "other", "--dimensions", "8");
    await base.rows("drop table docs_embeddings");
    await bench.work();
    assertEquals(await base.value("select count(*) from other"), 3);
    const [gone] = await bench.jobs("--into", "docs_embeddings");
    assertEquals([gone.rows, gone.gone, gone.jobs.done], [undefined, '"public"."docs_embeddings"', 1]);
    const { stdout } = await bench.run("jobs", []);
    assertStringIncludes(stdout, '  rows: not counted, "public"."docs_embeddings" is not there any more\n');
    assertStringIncludes(stdout, "  rows: 3 done");
  },
);

test("jobs cancel waits for a worker that writes, and what that ended stays so", { skip }, async () => {
  await using bench = await Bench.make(10);
  const { base } = bench;
  await bench.backfill();
  const env = { LLAMASAUR_TEST_STEP: "completed:1:wait", LLAMASAUR_TEST_GATE: bench.file("gate") };
  const working = bench.worker(["--stop-when-empty"], { env });
  await bench.until(
    "select exists (select from pg_stat_activity where state = 'idle in transaction' and datname = current_database())",
  );
  const cancelling = bench.jobs("cancel");
  await bench.until(
    "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database())",
  );
  writeFileSync(bench.file("gate"), "");
  assertEquals([await cancelling, (await working).code], [{ cancelled: 0 }, 0]);
  assertEquals(await base.rows("select ending from llamasaur.jobs"), [{ ending: "done" }]);
});

test("jobs that are asked for wrongly are exit code 2", { skip }, async () => {
  await using bench = await Bench.make(1);
  await bench.backfill();
  for (
    const [args, told] of [
      [["explode"], 'Cannot run jobs "explode": it must be one of status, failures'],
      [["status", "--key", "1"], "Cannot take --key with status"],
      [["--into", "none"], 'Cannot take --into "none"'],
      [["--fingerprint", "none"], "Cannot find a generation"],
    ] as const
  ) {
    const { code, stderr } = await bench.run("jobs", args);
    assertEquals(code, 2, stderr);
    assertStringIncludes(stderr, told);
  }
});
