// Jobs that are lost or refused: how often they are tried, how they are halved, and what stops no fleet.
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { watchPoints } from "../../../cli/worker/points.ts";
import { Llama, LlamaError } from "../../../mod.ts";
import { hasten } from "../../support/haste.ts";
import { Bench, skip } from "../../support/worker.ts";

test("a job that its database refuses three times is halved down to the one row", { skip }, async () => {
  await using bench = await Bench.make(4);
  const { base } = bench;
  await base.rows("update docs set id = 11, body = 'the poem that is refused' where id = 3");
  await bench.backfill();
  await base.rows("alter table docs_embeddings add constraint not_eleven check (key <> 11)");
  const said = await bench.work();
  assertEquals(await bench.failures(), ["11 refused"]);
  assertEquals((await bench.vectors()).size, 3);
  assertEquals(
    await base.rows("select ending, count(*) from llamasaur.attempts where ending <> 'done' group by 1 order by 1"),
    [
      { ending: "halved", count: 3 }, // of 4, 2 rows and of the one
      { ending: "refused", count: 9 },
    ],
  );
  assertStringIncludes(said, 'the database refused a job of 4 rows (SQLSTATE 23514, "not_eleven")');
  assert(!/poem|\b11\b/.test(said.replace(/\S+ texts\/s/, "")), said); // the rate may be 11
  assertMatch(
    await base.value("select message from llamasaur.failures"),
    /^the database refused its vector 3 times, written alone$/,
  );
});

test("a deadlock and a serialisation failure are tried again, and are no refusal", { skip }, async () => {
  await using bench = await Bench.make(10);
  const { base } = bench;
  await bench.backfill();
  await base.rows("create sequence times");
  await base.rows(
    `create function trouble() returns trigger language plpgsql as $$ begin
       case nextval('times')
         when 1 then raise exception using errcode = '40001';
         when 2 then raise exception using errcode = '40P01';
         else return new;
       end case;
     end $$`,
  );
  await base.rows("create trigger t before insert on docs_embeddings for each row execute function trouble()");
  await bench.work();
  assertEquals((await bench.vectors()).size, 10);
  assertEquals(await base.rows("select ending, retry_count from llamasaur.attempts"), [{
    ending: "done",
    retry_count: 0,
  }]);
});

test("a job whose rows cannot be read is given back, and ends the worker with the fix", { skip }, async () => {
  await using bench = await Bench.make(4);
  const { base } = bench;
  await base.rows("update docs set n = 1");
  await bench.backfill("--where", "100 / n > 5");
  await base.rows("update docs set n = 0 where id = 2");
  const { code, stderr } = await bench.run("worker", ["--model", bench.model, "--stop-when-empty"]);
  assertEquals(code, 2, stderr);
  assertStringIncludes(stderr, "the database refused it (SQLSTATE 22012); the --where of its backfill is SQL");
  assertEquals(await base.rows("select ending from llamasaur.attempts"), [{ ending: "given back" }]);
});

test("one row that a trigger refuses with the code of a wrong use stops no worker, and a real wrong use does", {
  skip,
}, async () => {
  await using bench = await Bench.make(2);
  const { base } = bench;
  await bench.backfill();
  const words = ["--model", bench.model, "--stop-when-empty"];
  watchPoints(async (point) => {
    if (point === "computed") await base.rows("alter table docs_embeddings rename tokens to gone");
  });
  const wrong = await bench.run("worker", words).finally(() => watchPoints(() => {}));
  assertEquals(wrong.code, 2, wrong.stderr);
  assertStringIncludes(wrong.stderr, 'its column "tokens" is not there');
  assertEquals(await base.rows("select ending from llamasaur.attempts"), [{ ending: "given back" }]);
  await base.rows("alter table docs_embeddings rename gone to tokens");
  await base.rows(
    `create function refuse() returns trigger language plpgsql as $$ begin
       if to_jsonb(new) ->> 'key' is distinct from '1' then raise exception using errcode = '42501'; end if;
       return new;
     end $$`,
  );
  await base.rows("create trigger t before insert on docs_embeddings for each row execute function refuse()");
  await base.rows("update llamasaur_queue.queue set monitor_claim_on = now() - interval '1 minute'"); // it is time to look for lost jobs
  await base.rows("create trigger t before update on llamasaur_queue.queue for each row execute function refuse()");
  const { code, stderr } = await bench.run("worker", words);
  assertEquals(code, 0, stderr);
  assertEquals([await bench.failures(), (await bench.vectors()).size], [["2 refused"], 1]);
  assertStringIncludes(stderr, "the database refused a job of 2 rows (SQLSTATE 42501)");
  const told = /^cannot look for the jobs of workers that died \(SQLSTATE 42501\): another worker has to; .*rights/gm;
  assertEquals(stderr.match(told)?.length, 1, stderr); // said, and once
  await base.rows("create trigger d before delete on docs_embeddings for each row execute function refuse()");
  await base.rows("update docs set body = null where id = 1");
  await bench.backfill();
  const undeleted = await bench.run("worker", words);
  assertEquals(undeleted.code, 0, undeleted.stderr);
  assertEquals([await bench.failures(), (await bench.vectors()).size], [["1 refused", "2 refused"], 1]);
});

test("a text on which the engine fails ends three workers with its job, three alone, and is then a failure", {
  skip,
}, async () => {
  await using bench = await Bench.make(2);
  const { base } = bench;
  await base.rows("update docs set body = 'the poem that fails' where id = 2");
  await bench.backfill();
  const { embedDetailed } = Llama.prototype;
  Llama.prototype.embedDetailed = function (this: Llama, input: readonly string[], options) {
    if (input.some((text) => text.includes("poem"))) throw new LlamaError("out-of-memory", "made by a test");
    return embedDetailed.call(this, input as string[], options);
  } as typeof embedDetailed;
  const codes: number[] = [];
  let said = "";
  try {
    while (codes.at(-1) !== 0 && codes.length < 9) {
      const { code, stderr } = await bench.run("worker", ["--model", bench.model, "--stop-when-empty"]);
      codes.push(code!);
      said += stderr;
    }
  } finally {
    Llama.prototype.embedDetailed = embedDetailed;
  }
  assertEquals(codes, [1, 1, 1, 1, 1, 1, 0], said);
  assertStringIncludes(said, "a job of 2 rows ended 3 workers: it is halved");
  assertEquals([await bench.failures(), (await bench.vectors()).size], [["2 crash"], 1]);
  assert(!said.includes("poem"));
});

test("a text that kills three workers is a failure", { skip }, async () => {
  await using bench = await Bench.make(1);
  const { base } = bench;
  await bench.backfill();
  const env = { LLAMASAUR_TEST_POISON: "river", LLAMASAUR_TEST_HASTE: "10" };
  using _ = hasten(10);
  for (let i = 0; i < 3; i++) {
    const { signal, stderr } = await bench.worker(["--stop-when-empty"], { env });
    assertEquals(signal, "SIGKILL", stderr);
    assertEquals(await bench.failures(), []);
    // Its heart was silent for an hour.
    await base.rows("update llamasaur_queue.job set heartbeat_on = heartbeat_on - interval '1 hour'");
    await base.rows("update llamasaur_queue.queue set monitor_claim_on = monitor_claim_on - interval '5 seconds'");
  }
  await bench.work();
  assertEquals(await bench.failures(), ["1 crash"]);
  assertEquals(await base.rows("select ending, count(*) from llamasaur.attempts group by 1 order by 1"), [
    { ending: "halved", count: 1 },
    { ending: null, count: 3 },
  ]);
});
