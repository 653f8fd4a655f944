// A network that passes nothing on, and tells nobody: statements end, and what comes next goes through.
import { test } from "node:test";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import process from "node:process";
import { Database, isAway, rowsOf } from "../../../cli/worker/database.ts";
import { hasten } from "../../support/haste.ts";
import { slow } from "../../support/slow.ts";
import { Relay } from "../../support/relay.ts";
import { Bench, CLOCKS_SET_ON, skip as none } from "../../support/worker.ts";

const skip = none ||
  (process.env["LLAMASAUR_TEST_DATABASE"] ? "the relay stands before a socket of our own server" : false);

const away = (error: unknown): string => isAway(error) ? "away" : `${error}`;

test(
  "Database ends a statement whose peer vanished, and leaves alone one that the server works on",
  { skip },
  async () => {
    await using bench = await Bench.make(0);
    await using relay = await Relay.start(bench.base.url);
    const database = Database.open(relay.url(bench.base.url, "?tcp_user_timeout=100"), 2);
    const one = (): Promise<unknown> => rowsOf(database, "select 1 as one");
    try {
      assertEquals(await one(), [{ one: 1 }]);
      assertEquals(await rowsOf(database, "select 2 as two from pg_sleep(0.3)"), [{ two: 2 }]);
      relay.mute();
      assertEquals(await one().catch(away), "away");
      assertEquals(await one(), [{ one: 1 }]);
      const within = database.transaction(async (tx) => {
        await rowsOf(tx, "create table half (i int)");
        relay.mute();
        await rowsOf(tx, "insert into half select 1");
      });
      assertEquals(await within.catch(away), "away");
      const copied = database.transaction(async (tx) => {
        await rowsOf(tx, "create temporary table arrived (t text) on commit drop");
        relay.mute();
        await tx.copy("copy pg_temp.arrived from stdin", new Uint8Array(1 << 20).fill(10));
      });
      assertEquals(await copied.catch(away), "away");
      assertEquals(await rowsOf(database, "select to_regclass('half') as half"), [{ half: null }]);
    } finally {
      await database.close();
    }
  },
);

test("Database ends a statement where nobody answers, on a new connection either", { skip }, async () => {
  await using bench = await Bench.make(0);
  await using relay = await Relay.start(bench.base.url);
  const database = Database.open(relay.url(bench.base.url, "?tcp_user_timeout=100&connect_timeout=1"), 2);
  const one = (): Promise<unknown> => rowsOf(database, "select 1 as one");
  /** On a busy machine a connection may take longer than its second. */
  const patiently = async (): Promise<unknown> => {
    for (;;) {
      const answer = await one().catch(away);
      if (answer !== "away") return answer;
    }
  };
  try {
    assertEquals(await patiently(), [{ one: 1 }]);
    relay.passes = false;
    relay.mute();
    assertEquals([await one().catch(away), await one().catch(away)], ["away", "away"]);
    relay.passes = true;
    assertEquals(await patiently(), [{ one: 1 }]);
  } finally {
    await database.close();
  }
});

/** A worker whose database is behind the relay, and is given little time. */
function work(bench: Bench, relay: Relay, ...args: string[]): ReturnType<Bench["run"]> {
  const url = relay.url(bench.base.url, "?tcp_user_timeout=200&connect_timeout=1");
  return bench.run("worker", ["--database", url, "--model", bench.model, ...args]);
}

test("a worker whose connections go silent connects anew", { skip }, async () => {
  await using bench = await Bench.make(30);
  const { base } = bench;
  await using relay = await Relay.start(base.url);
  using _haste = hasten(10);
  await base.rows("create table writes (key bigint)");
  await bench.backfill("--shard", "5");
  await base.rows(
    "create function note() returns trigger language plpgsql as 'begin insert into writes values (new.key); return new; end'",
  );
  await base.rows("create trigger t before insert on docs_embeddings for each row execute function note()");
  const working = work(bench, relay, "--stop-when-empty", "--rate", "30");
  await bench.until("select count(*) >= 5 from docs_embeddings");
  relay.mute();
  // A job whose fetch was answered to nobody is sent back by its heartbeat, and a transaction that was cut off ends after ten
  // seconds: the clocks are set on.
  await bench.until(
    `with ${CLOCKS_SET_ON}, cut as (
       select bool_or(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database()
         and state <> 'idle' and wait_event = 'ClientRead' and state_change < clock_timestamp() - interval '1 second'
     ) select count(*) = 30 from docs_embeddings, cut`,
  );
  const { code, stderr } = await working;
  assertEquals(code, 0, stderr);
  assertMatch(stderr, /is away \((ETIMEDOUT|CONNECTION_\w+)\); trying again\n(.*\n)*the database is back after /);
  assertEquals(await base.value("select count(*) - count(distinct key) from writes"), 0);
});

test("a worker gives up where nobody answers", { skip: skip || !slow }, async () => {
  await using bench = await Bench.make(60);
  await using relay = await Relay.start(bench.base.url);
  using _haste = hasten(10);
  await bench.backfill("--shard", "5");
  const waiting = work(bench, relay, "--give-up", "1s", "--rate", "5");
  await bench.until("select count(*) > 0 from docs_embeddings");
  relay.passes = false;
  relay.mute();
  const { code, stderr } = await waiting;
  assertEquals(code, 1, stderr);
  assertStringIncludes(stderr, "--give-up says how long to wait");
});
