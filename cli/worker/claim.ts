/** Claims jobs: fetches one, knows what became of it before, keeps it by a heartbeat, gives it back; notes and ends attempts. */
import { type Database, type Db, rowsOf } from "./database.ts";
import type { Generation, Key } from "./generation.ts";
import { reach } from "./points.ts";
import type { Boss } from "./queue.ts";
import { QUEUE_SCHEMA } from "./schema.ts";

/** A job is halved after so many losses, or refusals by the database. */
export const MOST_TRIES = 3;

/**
 * How an attempt ended. One that did not is a loss: its worker died. But of those from before the server's start nobody
 * knows: their workers may live, and have given up on a database that was away.
 */
export type Ending = "done" | "halved" | "given back" | "refused" | "claim gone" | "void";

/** A job that this worker has, until another is given it. */
export interface Claim {
  readonly generation: Generation;
  /** Our job. */
  readonly job: string;
  readonly low: Key;
  readonly high: Key;
  readonly rows: number;
  readonly where: string | undefined;
  /** pg-boss's job, and which time it was fetched: the fence. */
  readonly attempt: { readonly id: string; readonly retryCount: number };
  /** Workers that died on it. */
  readonly losses: number;
  /** Times that the database refused it. */
  readonly refusals: number;
  /** Whether it, or what it is a half of, ended a worker or was refused: such a job is worked on alone. */
  readonly isSuspect: boolean;
}

/**
 * Fetches a job of a generation.
 *
 * @returns Undefined if there is none, or one that is no job of ours any more.
 */
export async function claim(db: Db, boss: Boss, generation: Generation): Promise<Claim | undefined> {
  const [fetched] = await boss.fetch<{ readonly job: string }>(generation.queue);
  if (fetched === undefined) return undefined;
  await reach("fetched");
  const attempt = { id: fetched.id, retryCount: fetched.retryCount };
  const [found] = await rowsOf<Omit<Claim, "generation" | "attempt" | "isSuspect"> & { parent: string | null }>(
    db,
    `select j.id as job, j.low, j.high, j.rows, coalesce(j."where", '') as "where", j.parent,
       count(a.job) filter (where a.ended_at is null and a.started_at > pg_postmaster_start_time()) as losses,
       count(a.job) filter (where a.ending = 'refused') as refusals
     from llamasaur.jobs j left join llamasaur.attempts a on a.job = j.id
     where j.id = $1 and j.ended_at is null group by j.id`,
    fetched.data.job,
  );
  if (found === undefined) { // cancelled, or of a generation that was taken away
    await boss.complete(generation.queue, attempt);
    return undefined;
  }
  const { parent, where, losses, refusals } = found;
  const isSuspect = losses > 0 || refusals > 0 || parent !== null;
  return { ...found, where: where || undefined, generation, attempt, isSuspect };
}

/**
 * Notes that an attempt begins, and how long its worker may be silent.
 *
 * @returns Whether the job is still this worker's; nothing is noted of one that is not.
 */
export async function note(
  db: Db,
  { job, generation, attempt }: Claim,
  worker: string,
  heartbeat: number,
): Promise<boolean> {
  const [beaten] = await rowsOf(
    db,
    `with beat as (
       update ${QUEUE_SCHEMA}.job set heartbeat_seconds = $5, heartbeat_on = now()
       where name = $6 and id = $2 and retry_count = $3 and state = 'active' returning id, retry_count
     ), noted as (
       insert into llamasaur.attempts (job, claim, retry_count, worker)
       select $1::uuid, id, retry_count, $4::text from beat on conflict do nothing
     )
     select from beat`,
    ...[job, attempt.id, attempt.retryCount, worker, heartbeat, generation.queue],
  );
  if (beaten === undefined) return false;
  await reach("noted");
  return true;
}

/** Ends an attempt. */
export async function end(db: Db, { job, attempt }: Claim, ending: Ending): Promise<void> {
  await rowsOf(
    db,
    `update llamasaur.attempts set ended_at = now(), ending = $4
     where job = $1 and claim = $2 and retry_count = $3 and ended_at is null`,
    ...[job, attempt.id, attempt.retryCount, ending],
  );
}

/** Gives a job back, for any worker to take at once. */
export async function giveBack(db: Database, boss: Boss, claim: Claim, ending: Ending): Promise<void> {
  await db.transaction(async (tx) => {
    await boss.fail(claim.generation.queue, claim.attempt, null, { db: tx });
    await end(tx, claim, ending);
  });
}

/** Says that this worker lives. @returns Whether the job is still its own. */
export async function touch(boss: Boss, { generation, attempt }: Claim): Promise<boolean> {
  return affected(await boss.touch(generation.queue, attempt)) === 1;
}

/** How many jobs a command of pg-boss was for. */
export function affected(response: object): number {
  return (response as { readonly affected: number }).affected;
}
