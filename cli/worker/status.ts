/** Tells how far generations are: jobs, rows, rate and what is left, each of one snapshot. */
import { checkRights, findTable, type Right, toRead } from "./catalogue.ts";
import { type Db, rowsOf } from "./database.ts";
import { type Generation, RowSql } from "./generation.ts";
import { deadQueue } from "./queue.ts";
import { QUEUE_SCHEMA } from "./schema.ts";

/** Minutes that the rate is of. */
const WINDOW = 5;

/** How far a generation is. */
export interface Status {
  readonly source: string;
  readonly target: string;
  readonly fingerprint: string;
  readonly model: string;
  readonly paused: boolean;
  /**
   * Jobs in pg-boss's table: not its own count, which lags; `givenUp` are those that `retry` sends back. `done` is of our own
   * table, for pg-boss deletes what ended a week ago.
   */
  readonly jobs: { readonly waiting: number; readonly active: number; readonly done: number; readonly givenUp: number };
  /** Jobs that took more than three workers or refusals, and were halved. */
  readonly halved: number;
  /** Rows of the source: done + failed + missing. Undefined where they were not to be counted. */
  readonly rows?: { readonly source: number; readonly done: number; readonly failed: number; readonly missing: number };
  /** The table that is not there any more, where rows were to be counted. */
  readonly gone?: string;
  /** Rows a second, of the last minutes. */
  readonly rate: number;
  /** Rows that were planned and are under open jobs. */
  readonly planned: number;
  /** Seconds that they take at that rate; null where nobody knows. */
  readonly eta: number | null;
}

/** Reads how far a generation is; within a snapshot. */
export async function statusOf(db: Db, generation: Generation, withRows: boolean): Promise<Status> {
  const { source, target, fingerprint, model, paused, queue, id } = generation;
  const states = await rowsOf<{ name: string; state: string; count: number }>(
    db,
    `select name, state::text, count(*) from ${QUEUE_SCHEMA}.job where name in ($1, $2) group by 1, 2`,
    ...[queue, deadQueue(queue)],
  );
  const jobsIn = (name: string, ...wanted: string[]): number => {
    return states.filter((one) => one.name === name && wanted.includes(one.state)).reduce(
      (sum, { count }) => sum + count,
      0,
    );
  };
  const [own] = await rowsOf<{ planned: number; done: number; halved: number; rate: number }>(
    db,
    `select coalesce(sum(j.rows) filter (where j.ended_at is null), 0) as planned,
       count(*) filter (where j.ending = 'done') as done, count(*) filter (where j.ending = 'halved') as halved,
       coalesce((select sum(r.written) / greatest(1, extract(epoch from now() - min(a.started_at)))
         from llamasaur.jobs r join llamasaur.attempts a on a.job = r.id and a.ending = 'done'
         where r.generation = $1 and r.ended_at > now() - interval '${WINDOW} minutes'), 0)::float8 as rate
     from llamasaur.jobs j where j.generation = $1`,
    id,
  );
  const { planned, done, halved, rate } = own!;
  return {
    ...{ source, target, fingerprint, model, paused },
    jobs: {
      waiting: jobsIn(queue, "created", "retry"),
      active: jobsIn(queue, "active"),
      done,
      givenUp: jobsIn(queue, "failed") + jobsIn(deadQueue(queue), "created", "retry", "active", "failed"),
    },
    halved,
    ...(withRows && await rowsOrGone(db, generation)),
    ...{ rate, planned, eta: planned === 0 ? 0 : rate > 0 ? planned / rate : null },
  };
}

/** The rows, or which table is not there: a snapshot in which a statement failed could tell nothing more. */
async function rowsOrGone(db: Db, generation: Generation): Promise<Pick<Status, "rows" | "gone">> {
  const rights: Right[] = [];
  for (const word of [generation.source, generation.target]) {
    const table = await findTable(db, word);
    if (table === undefined) return { gone: word };
    rights.push(...toRead(table));
  }
  await checkRights(db, rights);
  return { rows: await countRows(db, generation) };
}

/** Counts the rows of the source by what became of them: one scan. */
async function countRows(db: Db, generation: Generation): Promise<NonNullable<Status["rows"]>> {
  const sql = new RowSql(generation);
  const same = sql.targetKey.map((column, i) => `t.${column} = ${sql.columns[i]}`).join(" and ");
  const [found] = await rowsOf<{ source: number; done: number; failed: number }>(
    db,
    `select count(*) as source, count(t.chunk) as done,
       count(*) filter (where t.chunk is null and f.code is not null) as failed
     from ${generation.source} s
     left join ${generation.target} t
       on ${same} and t.chunk = 0 and t.fingerprint = $1 and t.text_sha256 = ${sql.hash}
     left join llamasaur.failures f
       on f.generation = $2 and f.key = ${sql.keyText} and f.text_sha256 is not distinct from ${sql.hash}
     where ${sql.columns.map((column) => `${column} is not null`).join(" and ")}`,
    ...[generation.fingerprint, generation.id],
  );
  const { source, done, failed } = found!;
  return { source, done, failed, missing: source - done - failed };
}
