// The transaction that writes, called as a worker calls it.
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import process from "node:process";
import { PgBoss } from "pg-boss";
import { claim, note } from "../../../cli/worker/claim.ts";
import { compute, type ComputedRow, type FailedRow } from "../../../cli/worker/compute.ts";
import { Database, isPassing } from "../../../cli/worker/database.ts";
import { generations } from "../../../cli/worker/generation.ts";
import { watchPoints } from "../../../cli/worker/points.ts";
import { halved, isToHalve } from "../../../cli/worker/halve.ts";
import { startBoss } from "../../../cli/worker/queue.ts";
import { rowsOfJob } from "../../../cli/worker/rows.ts";
import { write } from "../../../cli/worker/write.ts";
import { Server } from "../../support/postgres.ts";
import { slow } from "../../support/slow.ts";
import { Bench, skip } from "../../support/worker.ts";

const external = process.env["LLAMASAUR_TEST_DATABASE"] ? "this test starts a server of its own" : false;

/** Works on jobs by hand. */
class Hand implements AsyncDisposable {
  readonly #database: Database;
  readonly #boss: Awaited<ReturnType<typeof startBoss>>;
  private constructor(database: Database, boss: Awaited<ReturnType<typeof startBoss>>) {
    [this.#database, this.#boss] = [database, boss];
  }

  static async over({ base }: Bench): Promise<Hand> {
    const database = Database.open(base.url);
    return new Hand(database, await startBoss(database, true));
  }

  /** Takes a job, and gives its rows. */
  async take() {
    const [generation] = await generations(this.#database);
    const claimed = (await claim(this.#database, this.#boss, generation!))!;
    await note(this.#database, claimed, "hand", 30);
    return { claimed, ...await rowsOfJob(this.#database, claimed) };
  }

  /** Notes an attempt. */
  async note(claimed: Awaited<ReturnType<Hand["take"]>>["claimed"]): Promise<boolean> {
    return await note(this.#database, claimed, "hand", 30);
  }

  /** Ends a job. */
  async write(claimed: Awaited<ReturnType<Hand["take"]>>["claimed"], rows: ComputedRow[], failures: FailedRow[] = []) {
    return await write(this.#database, this.#boss, claimed, { rows, failures, jobs: [], ending: "done" });
  }

  /** Halves a job. */
  async halve(claimed: Awaited<ReturnType<Hand["take"]>>["claimed"]): Promise<boolean> {
    return await write(this.#database, this.#boss, claimed, await halved(this.#database, claimed));
  }

  /** Makes a job another's. */
  async lose({ generation, attempt }: Awaited<ReturnType<Hand["take"]>>["claimed"]): Promise<void> {
    await this.#boss.fail(generation.queue, attempt);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#boss.stop({ close: false });
    await this.#database.close();
  }
}

function chunks(count: number, size: number): ComputedRow["chunks"] {
  return Array.from({ length: count }, (_, i) => {
    return { embedding: new Float32Array(size).fill(i / 8), tokens: 3, truncated: false, start: i, end: i + 2 };
  });
}

test("write() replaces the chunks of a row as a whole, and a failure of one chunk leaves none", { skip }, async () => {
  await using bench = await Bench.make(2);
  const { base } = bench;
  const told = async () =>
    await base.value(
      `select string_agg(key || '/' || chunk || '/' || start, ' ' order by key, chunk) from docs_embeddings`,
    );
  await bench.backfill();
  await using hand = await Hand.over(bench);
  const row = (source: { key: readonly string[]; hash: string | null }, count: number): ComputedRow => {
    return { key: source.key, hash: source.hash!, chunks: chunks(count, 64) };
  };
  const first = await hand.take();
  assertEquals(await hand.write(first.claimed, [row(first.rows[0]!, 5), row(first.rows[1]!, 2)]), true);
  assertEquals(await told(), "1/0/0 1/1/1 1/2/2 1/3/3 1/4/4 2/0/0 2/1/1");
  await base.rows("update docs set body = 'shorter' where id = 1");
  await bench.backfill();
  const second = await hand.take();
  assertEquals(second.rows.map(({ key }) => key), [["1"]]);
  await hand.write(second.claimed, [row(second.rows[0]!, 3)]);
  assertEquals(await told(), "1/0/0 1/1/1 1/2/2 2/0/0 2/1/1");
  await base.rows("update docs set body = 'one part of it is bad' where id = 1");
  await bench.backfill();
  const third = await hand.take();
  const { key, hash } = third.rows[0]!;
  await hand.write(third.claimed, [], [{ key, hash, chunk: 2, code: "non-finite", message: "its chunk 2 gave NaN" }]);
  assertEquals(await told(), "2/0/0 2/1/1");
  assertEquals(await base.rows("select key, chunk, code, attempts from llamasaur.failures"), [
    { key: ["1"], chunk: 2, code: "non-finite", attempts: 1 },
  ]);
});

test("write() writes nothing when the job is another's, and nothing of a transaction that the database refuses", {
  skip,
}, async () => {
  await using bench = await Bench.make(3);
  const { base } = bench;
  await bench.backfill();
  await using hand = await Hand.over(bench);
  const { claimed, rows } = await hand.take();
  await hand.lose(claimed);
  const made = rows.map(({ key, hash }) => ({ key, hash: hash!, chunks: chunks(1, 64) }));
  const other = await hand.take();
  assertEquals([claimed.attempt.retryCount, other.claimed.attempt.retryCount, other.claimed.losses], [0, 1, 1]);
  assertEquals(await hand.note(claimed), false); // nor is an attempt noted that is none
  assertEquals(await hand.write(claimed, made), false);
  assertEquals(await base.value("select count(*) from docs_embeddings"), 0);
  await base.rows("alter table docs_embeddings add constraint two check (key <> 2)");
  const refused = await hand.write(other.claimed, made).catch((error) => error.code);
  assertEquals(refused, "23514");
  assertEquals(await base.rows("select state::text, (select count(*) from docs_embeddings) from llamasaur_queue.job"), [
    { state: "active", count: 0 },
  ]);
  await base.rows("alter table docs_embeddings drop constraint two");
  assertEquals(await hand.write(other.claimed, made), true);
  assertEquals(await hand.write(other.claimed, made), false);
});

test("a job that ended three workers is halved down to the one text, which is then a failure", { skip }, async () => {
  await using bench = await Bench.make(4);
  const { base } = bench;
  await bench.backfill();
  await using hand = await Hand.over(bench);
  const deaths: number[] = [];
  const open = "select exists (select from llamasaur.jobs where ended_at is null)";
  while (await base.value<boolean>(open)) {
    const { claimed, rows } = await hand.take();
    if (isToHalve(claimed)) {
      deaths.push(claimed.losses);
      await hand.halve(claimed);
    } else if (rows.some(({ key }) => key[0] === "3")) await hand.lose(claimed); // its worker dies: the attempt stays open
    else await hand.write(claimed, rows.map(({ key, hash }) => ({ key, hash: hash!, chunks: chunks(1, 64) })));
  }
  assertEquals(deaths, [3, 3, 3]); // of 4, 2 rows and of the one
  assertEquals(await base.rows("select key, code, message from llamasaur.failures"), [
    { key: ["3"], code: "crash", message: "3 workers ended while they had it alone" },
  ]);
  assertEquals(await base.value("select count(*) from docs_embeddings where key <> 3"), 3);
});

test("an attempt that was open when the server restarted is no loss", { skip: skip || external }, async () => {
  const server = await Server.start();
  try {
    await using bench = await Bench.make(3, { at: server.url });
    await bench.backfill();
    await using before = await Hand.over(bench);
    const { claimed } = await before.take();
    await before.lose(claimed);
    const { claimed: again } = await before.take();
    assertEquals(again.losses, 1);
    await server.restart("fast");
    await using after = await Hand.over(bench);
    await after.lose(again);
    assertEquals((await after.take()).claimed.losses, 0);
  } finally {
    await server.stop();
  }
});

test("a worker that pauses between completing and committing holds up the next for ten seconds, and writes nothing", {
  skip: skip || !slow,
}, async () => {
  await using bench = await Bench.make(1);
  await bench.backfill();
  await using hand = await Hand.over(bench);
  const { claimed, rows } = await hand.take();
  let paused: Promise<void> | undefined;
  watchPoints(async (point) => {
    if (point !== "completed") return;
    paused = bench.until("select not exists (select from pg_stat_activity where state = 'idle in transaction')");
    await paused;
  });
  try {
    const made = rows.map(({ key, hash }) => ({ key, hash: hash!, chunks: chunks(1, 64) }));
    const start = performance.now();
    const error = await hand.write(claimed, made).catch((reason) => reason);
    assertEquals(isPassing(error), true, `${error}`); // so it is tried again, and the fence decides
    await paused;
    const seconds = (performance.now() - start) / 1000;
    assertEquals(seconds > 9 && seconds < 20, true, `${seconds} s`);
    assertEquals(await bench.base.value("select count(*) from docs_embeddings"), 0);
  } finally {
    watchPoints(() => {});
  }
});

test("without the fence a worker that was paused writes a second time", { skip }, async () => {
  await using bench = await Bench.make(3);
  const { base } = bench;
  await bench.backfill();
  await base.rows("create table writes (key bigint)");
  await base.rows(
    "create function note() returns trigger language plpgsql as 'begin insert into writes values (new.key); return new; end'",
  );
  await base.rows("create trigger t before insert on docs_embeddings for each row execute function note()");
  await using hand = await Hand.over(bench);
  const paused = await hand.take();
  await hand.lose(paused.claimed);
  const other = await hand.take();
  const made = paused.rows.map(({ key, hash }) => ({ key, hash: hash!, chunks: chunks(1, 64) }));
  await hand.write(other.claimed, made);
  assertEquals([await hand.write(paused.claimed, made), await base.value("select count(*) from writes")], [false, 3]);
  const { complete } = PgBoss.prototype;
  PgBoss.prototype.complete = async function (this: PgBoss, name, attempt, data, options) {
    return { ...await complete.call(this, name, (attempt as { id: string }).id, data, options), affected: 1 };
  };
  try {
    assertEquals([await hand.write(paused.claimed, made), await base.value("select count(*) from writes")], [true, 6]);
  } finally {
    PgBoss.prototype.complete = complete;
  }
});

test("compute() finds by halving the texts whose vectors are not finite", async () => {
  const calls: number[] = [];
  const embedder = {
    info: { maxTokens: 10 },
    countTokens: (texts: readonly string[]) => Promise.resolve(texts.map((text) => text.length)),
    embedDetailed: (texts: readonly string[]) => {
      calls.push(texts.length);
      if (texts.some((text) => text === "nan")) {
        throw Object.assign(new Error("made by a test"), { code: "non-finite" });
      }
      return Promise.resolve(texts.map(() => ({ embedding: new Float32Array(2), tokens: 1, truncated: false })));
    },
  } as unknown as Parameters<typeof compute>[0];
  const texts = ["a", "nan", "b", null, "", "much too long a text", "c😀"];
  const rows = texts.map((text, i) => ({ key: [String(i)], text, hash: text === null ? null : `0${i}` }));
  const made = await compute(embedder, { truncate: "error" }, rows, new AbortController().signal);
  assertEquals(made.rows.map(({ key, chunks }) => [key[0], chunks[0]!.end]), [["0", 1], ["2", 1], ["6", 2]]);
  assertEquals(made.failures.map(({ key, code }) => `${key} ${code}`), [
    "3 empty",
    "4 empty",
    "5 too-long",
    "1 non-finite",
  ]);
  assertEquals(calls, [4, 2, 1, 1, 2]);
});
