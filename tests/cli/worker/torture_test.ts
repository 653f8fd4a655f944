// Workers that are killed, stopped and left without their database write every vector once. The gate has a short cut; with
// LLAMASAUR_SLOW=1 (`deno task slow`) it is a table of 100,000 rows and twenty minutes of kills, and the same without the fence.
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { join } from "@std/path";
import { Llama } from "../../../mod.ts";
import { ROOT } from "../../support/child.ts";
import { type Fate, Fleet, STEPS, STOPS } from "../../support/fleet.ts";
import { Server } from "../../support/postgres.ts";
import { MODEL, noModel, RUNTIME } from "../../support/program.ts";
import { randomIntegers } from "../../support/random.ts";
import { slow } from "../../support/slow.ts";
import { Bench, skip } from "../../support/worker.ts";

const POISON = "the poisonous text";
const BAD = 3;

/** Runs of words of our own pages, short enough for 32 tokens. */
function realTexts(count: number): string[] {
  const pages = readdirSync(join(ROOT, "docs")).filter((name) => name.endsWith(".md")).map((name) =>
    join("docs", name)
  );
  const words = ["README.md", "CHANGELOG.md", ...pages].flatMap((page) =>
    readFileSync(join(ROOT, page), "utf8").split(/\s+/)
  )
    .filter((word) => /^[a-z]{1,12}[.,;:]?$/i.test(word));
  const texts = new Set<string>();
  for (let length = 3; texts.size < count; length++) {
    for (let i = 0; i + length <= words.length && texts.size < count; i++) {
      texts.add(words.slice(i, i + length).join(" "));
    }
    if (length > 12) throw new Error(`the pages have ${texts.size} texts`);
  }
  return [...texts];
}

/** Fills a table with real texts, of which three are bad and one ends who computes it, and watches the writes. */
async function fill(
  { base }: Bench,
  count: number,
  poison: boolean,
  seed: number,
): Promise<Map<number, string | null>> {
  const draw = randomIntegers(seed);
  const texts = new Map<number, string | null>(realTexts(count).map((text, i) => [i + 1, text]));
  const special = new Set([draw(1, Math.ceil(count / 10))]); // the poison, early: it takes 21 deaths of 10 s each
  while (special.size < BAD + 1) special.add(draw(1, count));
  const [first, ...bad] = special;
  for (const [i, id] of bad.entries()) texts.set(id, [null, "", null][i % 3]!);
  if (poison) texts.set(first!, `${texts.get(first!)} ${POISON}`);
  await base.rows("truncate docs");
  const rows = [...texts];
  for (let i = 0; i < rows.length; i += 10_000) {
    const some = rows.slice(i, i + 10_000);
    await base.rows(
      "insert into docs (id, body) select * from unnest($1::bigint[], $2::text[])",
      ...[some.map(([id]) => id), some.map(([, text]) => text)],
    );
  }
  return texts;
}

/** Notes every write of a vector, also one that finds the same vector there and leaves it: that is one too many. */
async function audit({ base }: Bench): Promise<void> {
  await base.rows("create table writes (key bigint, chunk int, fingerprint text)");
  await base.rows(
    `create function note() returns trigger language plpgsql as
     'begin insert into writes values (new.key, new.chunk, new.fingerprint); return new; end'`,
  );
  // Before, for there is no "after" where the same text's vector is there already.
  await base.rows("create trigger audit before insert on docs_embeddings for each row execute function note()");
}

/** What is written more than once, of what is there after all. */
async function twice({ base }: Bench): Promise<number> {
  return await base.value(
    "select count(*) from (select from writes group by key, chunk, fingerprint having count(*) > 1) x",
  );
}

/** Compares every vector: within 1e-6, and of halfvec one step of the type. */
async function compare(bench: Bench, texts: ReadonlyMap<number, string | null>, isHalf: boolean): Promise<number> {
  await using llama = await Llama.load(bench.model);
  const good = [...texts].filter(([, text]) => text && !text.includes(POISON)) as [number, string][];
  let worst = 0;
  for (let i = 0; i < good.length; i += 1000) {
    const some = good.slice(i, i + 1000);
    const expected = await llama.embed(some.map(([, text]) => text));
    const rows = await bench.base.rows<{ key: number; embedding: string }>(
      "select key, embedding::text from docs_embeddings where key = any($1::bigint[])",
      some.map(([key]) => key),
    );
    const found = new Map(rows.map(({ key, embedding }) => [key, JSON.parse(embedding) as number[]]));
    for (const [n, [key]] of some.entries()) {
      const vector = found.get(key);
      assert(vector, `row ${key} has no vector`);
      for (const [j, value] of expected[n]!.entries()) {
        const step = isHalf ? 2 ** (Math.max(-14, Math.floor(Math.log2(Math.abs(value) || 1e-9))) - 10) : 0;
        worst = Math.max(worst, Math.abs(vector[j]! - value) - step);
      }
    }
  }
  assert(worst <= 1e-6, `the largest difference is ${worst}`);
  return worst;
}

/** What must be so at the end, however it came to it. */
async function assertWhole(bench: Bench, texts: ReadonlyMap<number, string | null>): Promise<void> {
  const { base } = bench;
  const good = [...texts].filter(([, text]) => text && !text.includes(POISON)).map(([id]) => id);
  const bad = [...texts].filter(([, text]) => !text || text.includes(POISON)).map(([id, text]) =>
    `${id} ${text ? "crash" : "empty"}`
  );
  assertEquals(await base.value("select count(*) from docs_embeddings"), good.length);
  assertEquals(
    await base.value("select count(*) from docs_embeddings where key = any($1::bigint[])", good),
    good.length,
  );
  const failures = await base.rows<{ line: string }>("select key[1] || ' ' || code as line from llamasaur.failures");
  assertEquals(failures.map(({ line }) => line).sort(), bad.sort());
  assertEquals(await twice(bench), 0);
  assertEquals(await base.value("select count(*) from llamasaur.jobs where ended_at is null"), 0);
  assertEquals(await base.value("select count(*) from llamasaur_queue.job where state < 'completed'"), 0);
}

test("two workers, one kill, one bad row: every vector is written once", { skip }, async () => {
  await using bench = await Bench.make(0);
  const texts = await fill(bench, 240, false, 1);
  await bench.backfill("--shard", "16", "--type", "vector");
  await audit(bench);
  const fleet = new Fleet({
    url: bench.base.url,
    model: bench.model,
    args: ["--stop-when-empty", "--heartbeat", "10s"],
  });
  try {
    const other = RUNTIME === "deno" ? "bun" : "deno";
    void fleet.start({ step: "computed" }, RUNTIME);
    await bench.until("select exists (select from llamasaur.attempts)"); // that one will compute, and die
    void fleet.start({}, other);
    while (!fleet.deaths.has("computed")) await new Promise((resolve) => setTimeout(resolve, 50));
    // Its jobs are another's when its heart was silent for ten seconds: the clock is set on.
    await bench.base.rows(
      `update llamasaur_queue.job set heartbeat_on = heartbeat_on - interval '1 hour'
       where state = 'active' and id in (select claim from llamasaur.attempts
         where worker = (select worker from llamasaur.attempts order by started_at limit 1))`,
    );
    await bench.base.rows(
      "update llamasaur_queue.queue set monitor_claim_on = monitor_claim_on - interval '5 seconds'",
    );
    await fleet.ended();
  } finally {
    await fleet.end();
  }
  assertEquals(fleet.codes, [0], fleet.said);
  await assertWhole(bench, texts);
  await compare(bench, texts, false);
  assert(await bench.base.value<number>("select count(*) from llamasaur.attempts where ended_at is null") >= 1);
  const [{ rows }] = await bench.jobs();
  assertEquals([rows.done, rows.failed, rows.missing, rows.source], [237, 3, 0, 240]);
});

/** The size of a run. */
interface Size {
  readonly rows: number;
  readonly workers: number;
  /** Milliseconds of kills, of the whole, and between two kills on average. */
  readonly kills: number;
  readonly most: number;
  readonly every: number;
}

const FULL: Size = { rows: 100_000, workers: 6, kills: 16 * 60_000, most: 22 * 60_000, every: 2000 };

/** Milliseconds: a heartbeat, and the server's patience with one who is paused in a transaction. */
const SILENCE = 11_000;

/** The size, or a smaller one for a trial: LLAMASAUR_TORTURE="rows,workers,seconds of kills,seconds in all". */
function size(): Size {
  const [rows, workers, kills, most] = (process.env["LLAMASAUR_TORTURE"] ?? "").split(",").map(Number);
  return rows ? { ...FULL, rows, workers: workers!, kills: kills! * 1000, most: most! * 1000 } : FULL;
}

/**
 * What befalls each place: its worker ends in every step, and is stopped where the fence is what keeps; in an order of its own,
 * so that there are others to do a stopped worker's jobs.
 */
function fates(place: number): Fate[] {
  const ends = STEPS.map((_, i): Fate => ({ step: STEPS[(i + place) % STEPS.length]! }));
  const stops = STOPS.map((_, i): Fate => ({ step: STOPS[(i + place) % STOPS.length]!, what: "stop" }));
  return [...ends.slice(0, place), stops[0]!, ...ends.slice(place, place + 3), stops[1]!, ...ends.slice(place + 3)];
}

/** A run of the torture. */
class Rage {
  readonly #bench: Bench;
  readonly #server: Server;
  readonly #fleet: Fleet;
  readonly #draw: ReturnType<typeof randomIntegers>;
  readonly #begin = Date.now();
  readonly #restarts: ("fast" | "immediate")[] = ["fast", "immediate"];
  /** Rows that were done at the last look. */
  done = 0;
  kills = 0;
  /** Milliseconds for which there were kills. */
  raged = 0;

  constructor(bench: Bench, server: Server, fleet: Fleet, seed: number) {
    [this.#bench, this.#server, this.#fleet, this.#draw] = [bench, server, fleet, randomIntegers(seed)];
  }

  get #over(): number {
    return Date.now() - this.#begin;
  }

  /** Whether everything has happened that is to happen, and little is left to do without it. */
  #isCalm(): boolean {
    const { rows, kills } = size();
    if (this.#over > kills) return true;
    return this.#restarts.length === 0 && this.#fleet.undone.length === 0 && this.done > 0.9 * rows;
  }

  /** Lets a fleet work under kills, stops and restarts until nothing is left, or `isEnough` some seconds later. */
  async run(isEnough: () => Promise<boolean>): Promise<void> {
    const { workers, most, every } = size();
    for (let i = 0; i < workers; i++) void this.#fleet.keep(i % 2 === 0 ? "deno" : "bun", fates(i));
    let [nextKill, nextStop, nextLook] = [every, 10_000, 3000];
    while (this.#over < most) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      await this.#fleet.goOn(SILENCE, 3 * SILENCE, (pid) => this.#isDone(pid));
      const calm = this.#isCalm();
      if (!calm) this.raged = this.#over;
      if (!calm && this.#over > nextKill) {
        if (this.#fleet.kill((top) => this.#draw(0, top))) this.kills++;
        nextKill += -Math.log(this.#draw(1, 1000) / 1001) * every;
      }
      if (!calm && this.#over > nextStop) {
        this.#fleet.stop((top) => this.#draw(0, top));
        nextStop += 20_000;
      }
      await this.#mayRestart();
      if (this.#over < nextLook) continue;
      nextLook = this.#over + 3000;
      const { planned } = await this.#look();
      if (await isEnough() || planned === 0 && calm) return;
    }
    const said = this.#fleet.said.slice(-2000);
    throw new Error(`after ${most / 1000} seconds there are still jobs, or fates: ${said}`);
  }

  /** Whether others have done the jobs that a process had. */
  async #isDone(pid: number): Promise<boolean> {
    return await this.#bench.base.value<boolean>(
      `select not exists (select from llamasaur.attempts a join llamasaur.jobs j on j.id = a.job
         where split_part(a.worker, ':', 2) = $1 and a.ended_at is null and j.ended_at is null)`,
      `${pid}`,
    ).catch(() => false);
  }

  /** Restarts the server where a third and two thirds are done, or of the time are over. */
  async #mayRestart(): Promise<void> {
    const { rows, kills } = size();
    const part = Math.max(this.done / rows, this.#over / kills);
    if (part < (3 - this.#restarts.length) / 3 || this.#restarts.length === 0) return;
    await this.#server.restart(this.#restarts.shift()!);
  }

  /** What `jobs status` tells: of one moment, for the rows under open jobs are those that are missing. */
  async #look(): Promise<{ planned: number }> {
    const [{ rows, planned }] = await this.#bench.jobs();
    const { done, failed, missing, source } = rows;
    assertEquals([source, done + failed + missing, missing], [size().rows, size().rows, planned]);
    assert(done >= this.done, `${done} rows are done, and ${this.done} were`);
    this.done = done;
    return { planned };
  }
}

/** What must have happened, or the run shows nothing. */
async function assertRaged({ base }: Bench, fleet: Fleet, { kills, raged }: Rage): Promise<void> {
  console.log(`${kills} kills by chance in ${Math.round(raged / 1000)} s, at`, fleet.deaths, "stopped at", fleet.woken);
  assertEquals(fleet.undone, [], "workers were not ended in every step");
  for (const step of STEPS) assert(fleet.deaths.get(step)! >= size().workers, `too few ended when they had ${step}`);
  for (const step of STOPS) {
    assert(fleet.woken.get(step)! >= size().workers, `too few were stopped when they had ${step}`);
  }
  assert(await base.value<number>("select count(*) from llamasaur.attempts where ending = 'claim gone'") >= 1);
  const halved = await base.value<number>("select count(*) from llamasaur.jobs where ending = 'halved'");
  assert(halved >= 3, `${halved} jobs were halved`);
  assertEquals(fleet.codes.filter((code) => code !== 0), [], fleet.said.slice(-2000));
  assert(!fleet.said.includes(POISON));
}

for (const fenced of [true, false]) {
  const name = fenced
    ? "with the fence every vector is written once"
    : "without the fence some vector is written twice";
  const where = RUNTIME === (fenced ? "deno" : "bun"); // both runtimes are in each
  test(`the torture table: ${name}`, { skip: skip || noModel || !slow || !where, timeout: 30 * 60_000 }, async () => {
    const seed = Number(process.env["LLAMASAUR_SEED"] ?? Date.now() % 1_000_000);
    const type = seed % 2 === 0 ? "vector" : "halfvec";
    console.log(`seed ${seed}, --type ${type}`);
    const server = await Server.start();
    try {
      await using bench = await Bench.make(0, { at: server.url, model: MODEL });
      const texts = await fill(bench, size().rows, true, seed);
      await bench.backfill("--shard", "64", "--type", type);
      await audit(bench);
      const env = { LLAMASAUR_TEST_POISON: POISON, ...(fenced ? {} : { LLAMASAUR_TEST_UNFENCED: "1" }) };
      const fleet = new Fleet({ url: bench.base.url, model: MODEL, env, args: ["--heartbeat", "10s"] });
      const rage = new Rage(bench, server, fleet, seed);
      let doubles = 0;
      try {
        await rage.run(async () => (doubles = await twice(bench)) > 0);
      } finally {
        await fleet.end();
      }
      if (!fenced) {
        console.log(`${doubles} vectors were written twice within ${Math.round(rage.raged / 1000)} s`);
        return assert(doubles > 0, "no vector was written twice: the fence does nothing, or the run is too short");
      }
      await assertWhole(bench, texts);
      const difference = await compare(bench, texts, type === "halfvec");
      console.log(`largest difference ${difference}${type === "halfvec" ? " beside a step of halfvec" : ""}`);
      await assertRaged(bench, fleet, rage);
    } finally {
      await server.stop();
    }
  });
}
