/** Starts pg-boss over the database and keeps its queues, with every default that would break a long backfill set otherwise; looks for lost jobs. */
import { PgBoss } from "pg-boss";
import { type Db, isPassing, rowsOf } from "./database.ts";
import type { Generation, Key } from "./generation.ts";
import { QUEUE_SCHEMA } from "./schema.ts";

/** Seconds. */
const DAY = 24 * 60 * 60;
/** A worker that says nothing for so long, in seconds, has lost its job; `worker --heartbeat` says otherwise. */
export const HEARTBEAT = 30;
/** Seconds: no worker's is shorter, for pg-boss takes none that is. */
export const SHORTEST_HEARTBEAT = 10;
/** Seconds between two looks for lost jobs, by whichever worker is first: they would wait for a minute. */
const ROUNDS = 5;

/** What of a queue is not pg-boss's default. */
const QUEUE = {
  retryLimit: 1_000_000, // whether a row is bad is never decided by a number of tries (2)
  retryDelay: 0,
  expireInSeconds: DAY, // and not 15 minutes, which a heartbeat does not extend
  retentionSeconds: 3650 * DAY, // jobs would be deleted after 14 days in the queue
  heartbeatSeconds: HEARTBEAT,
} as const;

/** pg-boss, started. */
export type Boss = PgBoss;

/**
 * Starts pg-boss. Its own timers are off, for they ask the database eight things every five seconds, work or none: workers call
 * `sendBackLost` while there is work.
 *
 * @param makes Whether to make its tables: planning does, a worker need not have the right.
 * @throws what the database was away for while it started, though pg-boss (12.38.0) may go on without an answer: without the
 * list of queues every later call of it throws.
 */
export async function startBoss(db: Db, makes: boolean): Promise<Boss> {
  let missed: unknown;
  const watched: Db = {
    executeSql: async (text, values) => {
      try {
        return await db.executeSql(text, values);
      } catch (error) {
        if (isPassing(error)) missed ??= error;
        throw error;
      }
    },
  };
  const boss = new PgBoss({
    db: watched,
    schema: QUEUE_SCHEMA,
    supervise: false,
    migrate: makes,
    createSchema: makes,
    schedule: false,
    registerInstance: false,
    superviseIntervalSeconds: ROUNDS,
    monitorIntervalSeconds: ROUNDS,
    reindex: false,
    monitorVacuum: false,
  });
  boss.on("error", () => {}); // of what it does by itself, which goes on
  try {
    await boss.start();
    if (missed === undefined) return boss;
  } catch (error) {
    missed = error;
  }
  await boss.stop({ close: false, graceful: false }).catch(() => {}); // its timers
  throw missed;
}

/**
 * Sends back the jobs of workers that are silent, unless some worker did so within five seconds. They come before the others then:
 * behind a long queue they would wait for hours, and one that ends workers is found out first.
 */
export async function sendBackLost(db: Db, boss: Boss): Promise<void> {
  const [found] = await rowsOf<{ due: boolean }>(
    db,
    `select bool_or(coalesce(monitor_claim_on, '-infinity') < now() - interval '${ROUNDS} seconds') as due from ${QUEUE_SCHEMA}.queue`,
  );
  if (!found!.due) return;
  await boss.supervise();
  await rowsOf(db, `update ${QUEUE_SCHEMA}.job set priority = 1 where state = 'retry' and priority = 0`);
}

/** Makes the queue of a generation, and the one of what pg-boss gives up on. */
export async function makeQueue(boss: Boss, queue: string): Promise<void> {
  const { heartbeatSeconds: _, ...dead } = QUEUE;
  await boss.createQueue(deadQueue(queue), dead);
  await boss.createQueue(queue, { ...QUEUE, deadLetter: deadQueue(queue) });
}

/** The queue of what pg-boss gave up on. */
export function deadQueue(queue: string): string {
  return `${queue}.dead`;
}

/** A job to be added: a range of keys. */
export interface NewJob {
  readonly low: Key;
  readonly high: Key;
  readonly rows: number;
  readonly where?: string | undefined;
  /** The job that it was a part of. */
  readonly parent?: string;
}

/** Adds jobs, within a transaction: ours and pg-boss's of the same id. */
export async function addJobs(boss: Boss, db: Db, generation: Generation, jobs: readonly NewJob[]): Promise<void> {
  if (jobs.length === 0) return;
  const all = jobs.map((job) => ({ id: crypto.randomUUID(), ...job }));
  await rowsOf(
    db,
    `insert into llamasaur.jobs (id, generation, low, high, "where", rows, parent)
     select j.id, $2, array(select jsonb_array_elements_text(j.low)), array(select jsonb_array_elements_text(j.high)),
            j."where", j.rows, j.parent
     from jsonb_to_recordset($1::jsonb) j(id uuid, low jsonb, high jsonb, "where" text, rows int, parent uuid)`,
    JSON.stringify(all),
    generation.id,
  );
  await boss.insert(generation.queue, all.map(({ id }) => ({ id, data: { job: id } })), { db });
}
