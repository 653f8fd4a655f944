// What workers ask of the queue: nothing without work but whether there is some, and lost jobs back every five seconds.
import { test } from "node:test";
import { setImmediate } from "node:timers";
import { assert, assertEquals } from "@std/assert";
import { claim, note } from "../../../cli/worker/claim.ts";
import { Database, type Db } from "../../../cli/worker/database.ts";
import { generations } from "../../../cli/worker/generation.ts";
import { Measures } from "../../../cli/worker/measures.ts";
import { sendBackLost, startBoss } from "../../../cli/worker/queue.ts";
import { type Outlook, Serving } from "../../../cli/worker/serving.ts";
import { loggedStatements, logStatements, noLog } from "../../support/postgres.ts";
import { Bench, skip } from "../../support/worker.ts";

const HASTE = 10;

test("a worker without work asks the database at most once a second", { skip: skip || noLog }, async () => {
  await using bench = await Bench.make(3);
  await bench.backfill();
  await logStatements(bench.base);
  const logged = (): string[] => loggedStatements(bench.base);
  /** Waits for a look at the jobs that comes after so many statements. @returns How many statements there are then. */
  async function looked(after: number): Promise<number> {
    for (;;) {
      const all = logged();
      if (all.findLastIndex((line) => /select g\.id,/.test(line)) >= after) return all.length;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  let asked: Promise<[asked: string[], seconds: number]> | undefined;
  const { code, stderr } = await bench.worker(["--port", "0"], {
    env: { LLAMASAUR_TEST_HASTE: `${HASTE}` },
    onStderr: (_, kill) => {
      asked ??= (async (): Promise<[string[], number]> => {
        await bench.until("select count(*) = 0 from llamasaur.jobs where ended_at is null");
        await looked(await looked(logged().length)); // it has seen that nothing is left, and looks for lost jobs no more
        const [before, start] = [logged().length, performance.now()];
        for (let i = 0, all = before; i < 4; i++) all = await looked(all);
        const told: [string[], number] = [logged().slice(before), HASTE * (performance.now() - start) / 1000];
        kill("SIGTERM");
        return told;
      })();
    },
  });
  assertEquals(code, 0, stderr);
  const [all, seconds] = await asked!;
  assert(all.length <= seconds, `${all.length} in ${seconds} s:\n${all.join("\n")}`);
});

test("sendBackLost() sends a silent worker's job back, once in five seconds", { skip }, async () => {
  await using bench = await Bench.make(40);
  const { base } = bench;
  await bench.backfill("--shard", "1", "--limit", "2");
  const database = Database.open(base.url);
  const boss = await startBoss(database, false);
  const states = async () =>
    (await base.rows<{ state: string }>("select state::text from llamasaur_queue.job order by 1"))
      .map(({ state }) => state);
  const silent = () =>
    base.rows("update llamasaur_queue.job set heartbeat_on = now() - interval '11 seconds' where state = 'active'");
  try {
    const [generation] = await generations(database);
    for (let i = 0; i < 2; i++) {
      const claimed = (await claim(database, boss, generation!))!;
      await note(database, claimed, "silent", 10);
    }
    await sendBackLost(database, boss);
    assertEquals(await states(), ["active", "active"]); // they are heard
    await silent();
    await sendBackLost(database, boss);
    assertEquals(await states(), ["active", "active"]); // somebody looked a moment ago
    await base.rows("update llamasaur_queue.queue set monitor_claim_on = monitor_claim_on - interval '5 seconds'");
    await sendBackLost(database, boss);
    assertEquals(await states(), ["retry", "retry"]);
    await bench.backfill("--shard", "1"); // 38 more jobs, of an older time: those that were lost come first
    await base.rows(
      "update llamasaur_queue.job set created_on = created_on - interval '1 hour' where state = 'created'",
    );
    const again = (await claim(database, boss, generation!))!;
    assertEquals([again.losses, again.attempt.retryCount, again.isSuspect], [1, 1, true]);
  } finally {
    await boss.stop({ close: false });
    await database.close();
  }
});

test(
  "startBoss() starts, or throws what the database was away for, whichever statement that was",
  { skip },
  async () => {
    await using bench = await Bench.make(1);
    await bench.backfill();
    const [generation] = await generations(bench.base.db);
    for (let lost = 1;; lost++) {
      let [asked, isStarting] = [0, true];
      const db: Db = {
        executeSql: (text, values) => {
          return isStarting && ++asked === lost
            ? Promise.reject(Object.assign(new Error("made by a test"), { code: "08006" }))
            : bench.base.db.executeSql(text, values);
        },
      };
      const boss = await startBoss(db, false).catch((error) => error);
      isStarting = false;
      if (asked >= lost) {
        assertEquals(boss.code, "08006", `statement ${lost}: ${boss}`);
        continue;
      }
      assertEquals((await boss.fetch(generation!.queue)).length, 1);
      await boss.stop({ close: false });
      assert(lost > 2, `it asked ${asked} statements`);
      break;
    }
  },
);

test("a worker does not sleep when a job ends while it looks for the next", { skip }, async () => {
  await using bench = await Bench.make(3);
  await bench.backfill();
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const { look } = Serving.prototype;
  const counted = Measures.prototype.ended;
  const { setTimeout, setInterval } = globalThis;
  const { random } = Math;
  const IDLE = 1500; // two seconds, less a quarter
  const waits: number[] = [];
  const beats: number[] = [];
  Serving.prototype.look = async function (db): Promise<Outlook> {
    const outlook = await look.call(this, db);
    if (outlook.open && !outlook.ready) await ended.then(() => new Promise((resolve) => setImmediate(resolve)));
    return outlook;
  };
  Measures.prototype.ended = function (outcome) {
    counted.call(this, outcome);
    end();
  };
  Math.random = () => 0;
  globalThis.setTimeout = ((run: () => void, wait: number, ...more: unknown[]) => {
    waits.push(wait);
    return setTimeout(run, wait, ...more as []);
  }) as typeof setTimeout;
  globalThis.setInterval = ((run: () => void, wait: number, ...more: unknown[]) => {
    beats.push(wait);
    return setInterval(run, wait, ...more as []);
  }) as typeof setInterval;
  try {
    await bench.work("--heartbeat", "45s");
    assertEquals([await bench.base.value("select count(*) from docs_embeddings"), waits.includes(IDLE)], [3, false]);
    // Until it is noted that it beats so slowly, a job may be lost as fast as the shortest heartbeat says.
    assertEquals(beats.filter((wait) => wait === 10_000 / 3 || wait === 15_000), [10_000 / 3, 15_000]);
  } finally {
    Object.assign(globalThis, { setTimeout, setInterval });
    Math.random = random;
    Serving.prototype.look = look;
    Measures.prototype.ended = counted;
  }
});
