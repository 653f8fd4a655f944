/** Tells what a backfill would be, and leaves nothing behind: rows, tokens by a sample, hours at this machine's rate, the scan. */
import type { Llama } from "@llamasaur/llamasaur";
import { count, duration } from "../progress.ts";
import type { Session } from "../session.ts";
import { type Database, type Db, rowsOf } from "./database.ts";
import { type Generation, RowSql } from "./generation.ts";
import { plan, type Planned } from "./plan.ts";
import type { NewJob } from "./queue.ts";
import type { BackfillOptions } from "./settings.ts";

/** Texts that are measured. */
const SAMPLE = 256;

/** Thrown to roll back. */
const NOTHING_STAYS = Symbol();

/** What a scan found. */
interface Scan extends Planned {
  readonly texts: readonly string[];
  readonly seconds: number;
  readonly bytes: number;
}

/**
 * Tells of a backfill.
 *
 * @param keep Makes the generation and the tables that it needs: for the length of a transaction that is rolled back.
 */
export async function estimate(
  database: Database,
  llama: Llama,
  keep: (db: Db) => Promise<Generation>,
  options: BackfillOptions,
  session: Session,
): Promise<void> {
  let scan: Scan | undefined;
  await database.transaction(async (tx) => {
    scan = await scanned(tx, await keep(tx), options, session);
    throw NOTHING_STAYS;
  }).catch((reason) => {
    if (reason !== NOTHING_STAYS) throw reason;
  });
  session.clear(true);
  const { texts, rows, scanned: all, seconds, bytes, jobs } = scan!;
  const { tokens, rate } = await measure(llama, texts, options, session);
  const total = Math.round(tokens * rows);
  const hours = rate > 0 ? rows / rate / 3600 : 0;
  await session.write(
    options.json
      ? `${JSON.stringify({ scanned: all, rows, jobs, tokens: total, rate, hours, scan: { seconds, bytes } })}\n`
      : `${count(rows)} of ${count(all)} rows would be enqueued, in ${count(jobs)} jobs\n` +
        `about ${count(total)} tokens, by a sample of ${count(texts.length)} texts\n` +
        `${hours.toFixed(2)} hours for one worker like this (${count(rate)} texts/s)\n` +
        `a scan of the table takes ${duration(seconds)} and reads ${count(bytes / 1e6)} MB\n`,
  );
}

async function scanned(
  db: Db,
  generation: Generation,
  { where, limit = Infinity, shard }: BackfillOptions,
  session: Session,
): Promise<Scan> {
  const start = performance.now();
  const sampled: NewJob[] = [];
  let seen = 0;
  const planned = await plan((run) => run(db), undefined, { generation, shard, where, limit }, ({ scanned }, jobs) => {
    session.progress("rows", { done: scanned, total: undefined });
    for (const job of jobs) { // each with the same chance: reservoir sampling, algorithm R
      const place = seen++ < SAMPLE ? sampled.length : Math.floor(Math.random() * seen);
      if (place < SAMPLE) sampled[place] = job;
    }
  }, session.signal);
  const seconds = (performance.now() - start) / 1000;
  const texts = await textsOf(db, generation, where, sampled);
  const [size] = await rowsOf<{ bytes: number }>(
    db,
    "select coalesce(pg_table_size(to_regclass($1)), 0) as bytes",
    generation.source,
  );
  return { ...planned, texts, seconds, bytes: size!.bytes };
}

/** The first texts of jobs, of each as many. */
async function textsOf(
  db: Db,
  generation: Generation,
  where: string | undefined,
  jobs: readonly NewJob[],
): Promise<string[]> {
  const sql = new RowSql(generation);
  const edge = (name: string): string => `array(select jsonb_array_elements_text(j.value -> '${name}'))`;
  const found = await rowsOf<{ text: string }>(
    db,
    `select f.text from jsonb_array_elements($1::jsonb) j cross join lateral (
       select ${sql.text} as text from ${generation.source} s
       where ${sql.compare(">=", edge("low"))} and ${sql.compare("<=", edge("high"))} and ${sql.text} <> ''
         ${where ? `and (${where}\n)` : ""}
       order by ${sql.columns} limit $2) f limit $3`,
    ...[
      JSON.stringify(jobs.map(({ low, high }) => ({ low, high }))),
      Math.ceil(SAMPLE / Math.max(1, jobs.length)),
      SAMPLE,
    ],
  );
  return found.map(({ text }) => text);
}

/** Tokens of a text, and texts a second. */
async function measure(
  llama: Llama,
  texts: readonly string[],
  { inputType, dimensions }: BackfillOptions,
  { signal }: Session,
): Promise<{ tokens: number; rate: number }> {
  if (texts.length === 0) return { tokens: 0, rate: 0 };
  await llama.embed(texts.slice(0, 8), { signal }); // the first call makes the context warm
  const start = performance.now();
  const embedded = await llama.embedDetailed(texts, { inputType, dimensions, signal });
  const rate = texts.length / ((performance.now() - start) / 1000);
  return { tokens: embedded.reduce((sum, { tokens }) => sum + tokens, 0) / texts.length, rate };
}
