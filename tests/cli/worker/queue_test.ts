// What workers ask of the queue: nothing without work but whether there is some, and lost jobs back every five seconds.
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { claim, note } from "../../../cli/worker/claim.ts";
import { Database } from "../../../cli/worker/database.ts";
import { generations } from "../../../cli/worker/generation.ts";
import { sendBackLost, startBoss } from "../../../cli/worker/queue.ts";
import { loggedStatements, logStatements, noLog } from "../../support/postgres.ts";
import { Bench, skip } from "../../support/worker.ts";

const SECONDS = 4;

test("a worker without work asks the database at most once a second", { skip: skip || noLog }, async () => {
  await using bench = await Bench.make(3);
  await bench.backfill();
  await logStatements(bench.base);
  let asked: Promise<string[]> | undefined;
  const { code, stderr } = await bench.worker(["--port", "0"], {
    onStderr: (_, kill) => {
      asked ??= (async () => {
        await bench.until("select count(*) = 3 from docs_embeddings");
        await bench.until("select count(*) = 0 from llamasaur.jobs where ended_at is null");
        await new Promise((resolve) => setTimeout(resolve, 3000)); // the last look for lost jobs is over
        const before = loggedStatements(bench.base).length;
        await new Promise((resolve) => setTimeout(resolve, 1000 * SECONDS));
        const logged = loggedStatements(bench.base).slice(before);
        kill("SIGTERM");
        return logged;
      })();
    },
  });
  assertEquals(code, 0, stderr);
  const logged = await asked!;
  assert(logged.length >= 1 && logged.length <= SECONDS, `${logged.length} in ${SECONDS} s:\n${logged.join("\n")}`);
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
