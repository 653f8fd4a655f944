/** Tells of jobs and failures, and retries, pauses, resumes and cancels them. */
import { EXIT, Failure, UsageError } from "../failure.ts";
import { count, duration } from "../progress.ts";
import { quoted } from "../quote.ts";
import type { Session } from "../session.ts";
import { commandLine } from "../program.ts";
import { findTable } from "./catalogue.ts";
import { Database, type Db, isOfDatabase, name, outside, rowsOf, told } from "./database.ts";
import { type Generation, generations, type Key } from "./generation.ts";
import { Patience } from "./patience.ts";
import { addJobs, type Boss, deadQueue, startBoss } from "./queue.ts";
import { QUEUE_SCHEMA } from "./schema.ts";
import { checkMade } from "./serving.ts";
import type { JobsOptions } from "./settings.ts";
import { type Status, statusOf } from "./status.ts";

/** Rows or jobs of a transaction. */
const BATCH = 1000;
/** Milliseconds for which a deed is tried again: a worker had a lock. */
const PATIENCE = 30_000;

/** Does what is asked. */
export async function jobs(action: string, options: JobsOptions, session: Session): Promise<void> {
  const database = Database.open(options.database);
  try {
    await checkMade(database);
    const chosen = await choose(database, options);
    if (action === "status") await tellStatus(database, chosen, options, session);
    else if (action === "failures") await tellFailures(database, chosen, options, session);
    else if (action === "retry") {
      const keys = keysOf(chosen, options); // all of them, before anything is changed
      await checkFailed(database, keys, options);
      const deed = (tools: Tools, one: Generation) => retry(tools, one, keys.get(one));
      await tellOf("enqueued", await withBoss(database, chosen, session, deed), options, session);
    } else if (action === "cancel") {
      await tellOf("cancelled", await withBoss(database, chosen, session, cancel), options, session);
    } else await pause(database, chosen, action === "pause", session);
  } catch (error) {
    if (!isOfDatabase(error)) throw error;
    throw outside(database.place, error) ??
      new Failure(`Cannot go on: the database refused a statement (${told(error)})`, EXIT.failed, { cause: error });
  } finally {
    await database.close();
  }
}

/** The generations that are meant: of a table, of a fingerprint, else all. */
async function choose(db: Db, { into, fingerprint }: JobsOptions): Promise<Generation[]> {
  const table = into === undefined ? undefined : await findTable(db, into);
  // Of a table that is gone there is still its name, which has a schema before it unless one was typed.
  const [first = "", ...more] = into?.split(".") ?? [];
  const word = table?.sql ?? [first, ...more.length > 0 ? [more.join(".")] : []].map(name).join(".");
  const found = await generations(
    db,
    `($1::text is null or right('.' || target, length($1) + 1) = '.' || $1) and ($2::text is null or fingerprint = $2)`,
    ...[into === undefined ? null : word, fingerprint ?? null],
  );
  if (found.length > 0) return found;
  if (into !== undefined && table === undefined) {
    throw new UsageError(`Cannot take --into ${quoted(into)}: there is no such table`);
  }
  throw new UsageError(
    `Cannot find a generation: ${commandLine(["backfill"])} makes one, --into and --fingerprint choose among them`,
  );
}

async function tellStatus(
  database: Database,
  chosen: readonly Generation[],
  options: JobsOptions,
  session: Session,
): Promise<void> {
  // Of one moment: a job that ends meanwhile is neither counted twice nor lost.
  const all = await database.snapshot(async (db) => {
    const found: Status[] = [];
    for (const generation of chosen) found.push(await statusOf(db, generation, options.rows));
    return found;
  });
  if (options.json) return await session.json(all);
  await session.write(all.map(textOf).join("\n"));
}

function textOf(
  { source, target, fingerprint, model, paused, jobs, halved, rows, gone, rate, planned, eta }: Status,
): string {
  const part = rows && rows.source > 0 ? ` (${Math.floor(100 * (rows.done + rows.failed) / rows.source)} %)` : "";
  const lines = [
    `${source} into ${target}, fingerprint ${fingerprint}, model ${model}${paused ? ", paused" : ""}`,
    `  jobs: ${count(jobs.waiting)} waiting, ${count(jobs.active)} active, ${count(jobs.done)} done` +
    (halved > 0 ? `, ${count(halved)} halved` : "") + (jobs.givenUp > 0 ? `, ${count(jobs.givenUp)} given up` : ""),
    ...(rows
      ? [
        `  rows: ${count(rows.done)} done, ${count(rows.failed)} failed, ${count(rows.missing)} missing of ${
          count(rows.source)
        }${part}`,
      ]
      : []),
    ...(gone ? [`  rows: not counted, ${gone} is not there any more`] : []),
    `  ${count(rate)} rows/s, ${count(planned)} planned rows left` + (eta ? `, ${duration(eta)}` : ""),
  ];
  return `${lines.join("\n")}\n`;
}

async function tellFailures(
  db: Database,
  chosen: readonly Generation[],
  { json }: JobsOptions,
  session: Session,
): Promise<void> {
  for (const { id, target } of chosen) {
    let after: Key = [];
    for (;;) {
      const rows: { key: string[] }[] = await rowsOf(
        db,
        `select key, fingerprint, chunk, code, message, attempts, last_at from llamasaur.failures
         where generation = $1 and key > $2::text[] order by key limit ${BATCH}`,
        ...[id, after],
      );
      for (const row of rows as (typeof rows[0] & { code: string; message: string; chunk: number | null })[]) {
        const { key, code, message, chunk } = row;
        if (json) await session.json({ target, ...row });
        else await session.write(`${key.join(",")}\t${chunk === null ? "" : `chunk ${chunk}, `}${code}: ${message}\n`);
      }
      if (rows.length < BATCH) break;
      after = rows.at(-1)!.key;
    }
  }
}

/** What a deed is done with. */
interface Tools {
  readonly database: Database;
  readonly boss: Boss;
  readonly patience: Patience;
}

async function withBoss(
  database: Database,
  chosen: readonly Generation[],
  session: Session,
  deed: (tools: Tools, generation: Generation) => Promise<number>,
): Promise<number> {
  const boss = await startBoss(database, true);
  const patience = new Patience(database.place, PATIENCE, session.signal, (line) => session.say(line));
  try {
    let sum = 0;
    for (const generation of chosen) sum += await deed({ database, boss, patience }, generation);
    return sum;
  } finally {
    await boss.stop({ close: false, graceful: false });
  }
}

async function tellOf(done: string, sum: number, { json }: JobsOptions, session: Session): Promise<void> {
  session.say(
    done === "enqueued" ? `${count(sum)} rows and jobs are enqueued again` : `${count(sum)} jobs are cancelled`,
  );
  if (json) await session.json({ [done]: sum });
}

/** Takes rows out of the failures, and enqueues each in a job of its own; sends back what pg-boss gave up on. */
async function retry(
  { database, boss, patience }: Tools,
  generation: Generation,
  keys: readonly Key[] | undefined,
): Promise<number> {
  let sum = 0;
  for (let found = BATCH; found === BATCH;) {
    found = await patience.until(() =>
      database.transaction(async (tx) => {
        const rows = await rowsOf<{ key: Key }>(
          tx,
          `delete from llamasaur.failures where generation = $1 and key in (
             select key from llamasaur.failures where generation = $1 and ($2::jsonb is null or to_jsonb(key) in
               (select jsonb_array_elements($2::jsonb))) order by key limit ${BATCH} for update)
           returning key`,
          ...[generation.id, keys === undefined ? null : JSON.stringify(keys)],
        );
        await addJobs(boss, tx, generation, rows.map(({ key }) => ({ low: key, high: key, rows: 1 })));
        return rows.length;
      })
    );
    sum += found;
  }
  if (keys === undefined) sum += await boss.redrive(deadQueue(generation.queue), { limit: 1_000_000 });
  return sum;
}

/** The keys that were typed, as each generation has them. */
function keysOf(chosen: readonly Generation[], { key }: JobsOptions): ReadonlyMap<Generation, readonly Key[]> {
  return new Map(key && chosen.map((generation) => [generation, key.map((one) => keyOf(generation, one))]));
}

/**
 * Looks that each key that was typed has failed in some generation.
 *
 * @throws {Failure} saying how many have not. Keys are in no message.
 */
async function checkFailed(
  db: Db,
  keys: ReadonlyMap<Generation, readonly Key[]>,
  { key: given = [] }: JobsOptions,
): Promise<void> {
  const lacking = new Set(given.keys());
  for (const [{ id }, typed] of keys) {
    const rows = await rowsOf<{ key: Key }>(
      db,
      `select key from llamasaur.failures where generation = $1
         and to_jsonb(key) in (select jsonb_array_elements($2::jsonb))`,
      ...[id, JSON.stringify(typed)],
    );
    const failed = new Set(rows.map(({ key }) => JSON.stringify(key)));
    for (const [i, one] of typed.entries()) if (failed.has(JSON.stringify(one))) lacking.delete(i);
  }
  if (lacking.size === 0) return;
  const told = given.length === 1 ? "this row has" : `${lacking.size} of these ${given.length} rows have`;
  throw new Failure(
    `Cannot retry by --key: ${told} not failed, and nothing was enqueued; ${
      commandLine(["jobs", "failures"])
    } lists those that have`,
  );
}

/** A key as it was typed: its value; of a key of several columns a list in JSON, or values with commas. */
function keyOf({ key, target }: Generation, given: string): Key {
  if (key.length === 1) return [given];
  const parts = given.startsWith("[") ? listOf(given) : given.split(",");
  if (Array.isArray(parts) && parts.length === key.length) return parts.map(String);
  throw new UsageError(
    `Cannot read --key: for ${target} it must have ${key.length} values (${
      key.join(", ")
    }) with commas, or be a list in JSON; --into says which table is meant`,
  );
}

function listOf(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/**
 * Ends open jobs. What a worker has under way it then finds to be no longer its own, and writes nothing. pg-boss's row of a
 * job is locked before ours, as by a worker that writes.
 */
async function cancel({ database, boss, patience }: Tools, generation: Generation): Promise<number> {
  let sum = 0;
  for (let found = BATCH; found === BATCH;) {
    const ended = await patience.until(() =>
      database.transaction(async (tx) => {
        const open = await rowsOf<{ id: string }>(
          tx,
          `select id from llamasaur.jobs where generation = $1 and ended_at is null limit ${BATCH}`,
          generation.id,
        );
        found = open.length;
        if (found === 0) return [];
        const ids = open.map(({ id }) => id);
        for (const queue of [generation.queue, deadQueue(generation.queue)]) {
          // Not by our id alone: what pg-boss gave up on and `retry` sent back has another one there.
          const rows = await rowsOf<{ id: string }>(
            tx,
            `select id from ${QUEUE_SCHEMA}.job where name = $1 and state < 'completed' and data ->> 'job' = any($2::text[])`,
            ...[queue, ids],
          );
          if (rows.length > 0) await boss.cancel(queue, rows.map(({ id }) => id), { db: tx });
        }
        return await rowsOf(
          tx,
          `update llamasaur.jobs set ended_at = now(), ending = 'cancelled'
           where id = any($1::uuid[]) and ended_at is null returning id`,
          ids,
        );
      })
    );
    sum += ended.length;
  }
  return sum;
}

async function pause(db: Db, chosen: readonly Generation[], isPaused: boolean, session: Session): Promise<void> {
  await rowsOf(
    db,
    `update llamasaur.generations set paused_at = ${
      isPaused ? "coalesce(paused_at, now())" : "null"
    } where id = any($1::int[])`,
    chosen.map(({ id }) => id),
  );
  session.say(`${count(chosen.length)} generations are ${isPaused ? "paused; jobs under way end" : "resumed"}`);
}
