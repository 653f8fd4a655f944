/** Plans jobs: goes through the source by its key, a page at a time, and cuts the rows without vectors into ranges of keys. */
import { type Db, rowsOf } from "./database.ts";
import { type Generation, type Key, RowSql } from "./generation.ts";
import { addJobs, type Boss, type NewJob } from "./queue.ts";

/** Source rows of a page, about. A job does not reach beyond its page, so that reading a job never goes through the table. */
const PAGE = 10_000;

/** What is planned. */
export interface Plan {
  readonly generation: Generation;
  readonly shard: number;
  /** SQL of the operator. */
  readonly where: string | undefined;
  /** Rows at most. */
  readonly limit: number;
}

/** How far the planning is. */
export interface Planned {
  /** Source rows that were looked at. */
  scanned: number;
  /** Rows that are in new jobs. */
  rows: number;
  jobs: number;
}

/** A row at the edge of a job. */
interface Edge {
  /** Rows that no open job's row is between have the same; null for the page's own line. */
  readonly run: number | null;
  /** The row's number in its run, from 1; of the page the number of its rows. */
  readonly n: number;
  readonly of: number;
  readonly key: Key | null;
}

/** Runs statements in a transaction. */
export type Transact = <Result>(run: (db: Db) => Promise<Result>) => Promise<Result>;

/**
 * Plans, and adds the jobs page by page, each in a transaction of its own: stopped anywhere, the next time goes on.
 *
 * @param boss Undefined for a dry run.
 * @param onPage Hears of each page's jobs.
 */
export async function plan(
  transact: Transact,
  boss: Boss | undefined,
  what: Plan,
  onPage: (planned: Planned, jobs: readonly NewJob[]) => void,
  signal: AbortSignal,
): Promise<Planned> {
  const planned: Planned = { scanned: 0, rows: 0, jobs: 0 };
  const size = what.shard * Math.ceil(PAGE / what.shard);
  let after: Key | null = null;
  do {
    signal.throwIfAborted();
    const { jobs, scanned, last }: Page = await transact(async (tx) => {
      await rowsOf(tx, "set local jit = off"); // compiling a page took twice as long as the page
      // Another that plans the same waits here, and then sees these jobs.
      await rowsOf(tx, "select pg_advisory_xact_lock(hashtextextended('llamasaur', $1))", what.generation.id);
      const page = await nextPage(tx, what, after, size, what.limit - planned.rows);
      if (boss) await addJobs(boss, tx, what.generation, page.jobs);
      return page;
    });
    planned.scanned += scanned;
    planned.jobs += jobs.length;
    for (const { rows } of jobs) planned.rows += rows;
    onPage(planned, jobs);
    after = scanned < size ? null : last;
  } while (after !== null && planned.rows < what.limit);
  return planned;
}

interface Page {
  readonly jobs: readonly NewJob[];
  readonly scanned: number;
  readonly last: Key | null;
}

/** The jobs of the page that begins after a key. */
async function nextPage(
  db: Db,
  { generation, shard, where }: Plan,
  after: Key | null,
  size: number,
  limit: number,
): Promise<Page> {
  const conditions = await rowsOf<{ where: string | null }>(
    db,
    `select distinct "where" from llamasaur.jobs where generation = $1 and ended_at is null order by 1`,
    generation.id,
  );
  const statement = pageSql(generation, where, conditions.map((one) => one.where), after !== null);
  const held = conditions.map((one) => one.where ?? "true");
  const values = [generation.id, generation.fingerprint, size, shard, Math.min(limit, size), held];
  const edges = await rowsOf<Edge>(db, statement, ...values, ...(after === null ? [] : [after]));
  const end = edges.pop()!;
  const jobs: NewJob[] = [];
  let low: Edge | undefined;
  for (const edge of edges) {
    low ??= edge;
    if (edge.n % shard !== 0 && edge.n !== edge.of) continue;
    jobs.push({ low: low.key!, high: edge.key!, rows: edge.n - low.n + 1, where });
    low = undefined;
  }
  return { jobs, scanned: end.n, last: end.key };
}

/**
 * The statement: a page of the source; of it the rows that are asked for, have no vectors of their text, did not fail with
 * it, and are under no open job; of these the edges of the jobs, which lie in runs that no row of an open job interrupts.
 */
function pageSql(
  generation: Generation,
  where: string | undefined,
  conditions: readonly (string | null)[],
  isLater: boolean,
): string {
  const sql = new RowSql(generation);
  const { columns } = sql;
  const keys = columns.map((_, i) => `k${i}`).join(", ");
  const [lows, highs] = ["low", "high"].map((edge) => columns.map((_, i) => `o.${edge}${i}`).join(", "));
  const backwards = columns.map((_, i) => `k${i} desc`).join(", ");
  // The operator's SQL ends with a line, so that a comment in it does, too.
  const asked = (text: string | null | undefined): string => text ? `coalesce((${text}\n), false)` : "true";
  const held = conditions.map((text, i) => `, ${asked(text)} as w${i}`).join("");
  const under = conditions.map((_, i) =>
    `w${i} and exists (select from open o where o.w = ($6::text[])[${i + 1}]
      and (${keys}) >= (${lows}) and (${keys}) <= (${highs}))`
  );
  return `
    with page as materialized (
      select ${columns.map((column, i) => `${column} as k${i}`)}, ${sql.keyText} as key, ${
    asked(where)
  } as asked${held},
        not (${sql.isDone("$2")} or ${sql.isFailed("$1")}) as missing
      from ${generation.source} s
      where ${columns.map((column) => `${column} is not null`).join(" and ")}
        ${isLater ? `and ${sql.compare(">", "$7::text[]")}` : ""}
      order by ${columns} limit $3
    ), open as materialized (
      select ${sql.cast("j.low", "low")}, ${
    sql.cast("j.high", "high")
  }, coalesce(j."where", 'true') as w from llamasaur.jobs j
      where j.generation = $1 and j.ended_at is null and coalesce(j."where", 'true') = any($6::text[])
        and (${sql.cast("j.high")}) >= (select ${keys} from page order by ${keys} limit 1)
        and (${sql.cast("j.low")}) <= (select ${keys} from page order by ${backwards} limit 1)
    ), marked as (
      select p.*, ${under.join(" or ") || "false"} as held from page p
    ), runs as (
      select m.*, count(*) filter (where held) over (order by ${keys}) as run from marked m
    ), found as (
      select r.*, row_number() over (order by ${keys}) as place from runs r where asked and missing and not held
    ), numbered as (
      select run, key, ${keys}, row_number() over (partition by run order by ${keys}) as n, count(*) over (partition by run) as of
      from found where place <= $5
    )
    (select run, n, of, key from numbered where n % $4 in (0, 1 % $4) or n = of order by ${keys})
    union all
    select null, (select count(*) from page), 0, (select key from page order by ${backwards} limit 1)`;
}
