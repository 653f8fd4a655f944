/**
 * Writes what a job made: one short transaction that first completes the job in pg-boss, fenced to the attempt. A worker
 * whose claim is gone completes nothing and rolls back, so what is written is written once.
 */
import { affected, type Claim, end, type Ending } from "./claim.ts";
import type { Computed, ComputedRow, FailedRow } from "./compute.ts";
import { BinaryRows } from "./copy.ts";
import { type Database, type Db, isRefusal, rowsOf, type Transaction } from "./database.ts";
import { type Generation, type Key, RowSql } from "./generation.ts";
import { reach } from "./points.ts";
import { addJobs, type Boss, type NewJob } from "./queue.ts";

/**
 * Where vectors arrive, by COPY in binary: beside `unnest` of texts that takes a fourth of both processors' time, and leaves no
 * megabyte of text a job to the garbage collector (`deno task bench:worker`).
 */
const ARRIVED = "llamasaur_arrived";
/** Bytes that a row takes beside its vector, about. */
const ROOM = 256;

/** Thrown to roll back: the job is another worker's. */
const GONE = Symbol();

/** What ends a job. */
export interface Outcome extends Computed {
  readonly ending: Extract<Ending, "done" | "halved">;
  /** Jobs that take its place, or the rest of it. */
  readonly jobs: readonly NewJob[];
}

/**
 * Ends a job.
 *
 * @returns Whether it was still this worker's.
 */
export async function write(db: Database, boss: Boss, claim: Claim, outcome: Outcome): Promise<boolean> {
  const { generation, attempt } = claim;
  const { rows, failures, jobs, ending } = outcome;
  try {
    await db.transaction(async (tx) => {
      const completed = await boss.complete(generation.queue, attempt, null, { db: tx });
      if (affected(completed) !== 1) throw GONE;
      await reach("completed");
      if (rows.length > 0) await writeVectors(tx, generation, rows);
      if (failures.length > 0) await writeFailures(tx, generation, failures);
      await rowsOf(
        tx,
        "update llamasaur.jobs set ended_at = now(), ending = $2, written = $3 where id = $1",
        ...[claim.job, ending, rows.length],
      );
      await end(tx, claim, ending);
      await addJobs(boss, tx, generation, jobs);
      await reach("written");
    });
  } catch (error) {
    if (error === GONE) return false;
    throw error;
  }
  await reach("committed");
  return true;
}

/** Replaces the vectors of rows, and takes their failures away. A chunk of the same text stays as it is. */
async function writeVectors(tx: Transaction, generation: Generation, rows: readonly ComputedRow[]): Promise<void> {
  const { target, key, keyTypes, type, fingerprint } = generation;
  const { targetKey } = new RowSql(generation);
  const columns = key.map((_, i) => `k${i}`);
  await rowsOf(
    tx,
    `create temporary table ${ARRIVED} (${columns.map((one) => `${one} text`)}, chunk int, hash text,
       embedding ${type.replace(/halfvec$/, "vector")}, tokens int, truncated bool, s int, e int) on commit drop`,
  );
  await tx.copy(`copy pg_temp.${ARRIVED} from stdin (format binary)`, binaryOf(rows, key.length));
  await rowsOf(
    tx,
    `insert into ${target} as t (${targetKey}, chunk, fingerprint, text_sha256, embedding, tokens, truncated, start, "end")
     select ${
      columns.map((column, i) => `${column}::${keyTypes[i]}`)
    }, chunk, $1, decode(hash, 'hex'), embedding::${type},
       tokens, truncated, s, e from pg_temp.${ARRIVED}
     on conflict (${targetKey}, chunk, fingerprint) do update set text_sha256 = excluded.text_sha256,
       embedding = excluded.embedding, tokens = excluded.tokens, truncated = excluded.truncated, start = excluded.start,
       "end" = excluded."end", embedded_at = now()
     where t.text_sha256 is distinct from excluded.text_sha256`,
    fingerprint,
  );
  await deleteChunks(tx, generation, rows.map(({ key, chunks }) => ({ key, from: chunks.length })));
  await rowsOf(
    tx,
    `delete from llamasaur.failures f using jsonb_array_elements($2::jsonb) u
     where f.generation = $1 and f.key = array(select jsonb_array_elements_text(u))`,
    ...[generation.id, JSON.stringify(rows.map(({ key }) => key))],
  );
}

/** The chunks of rows, in the order of the table that they arrive in. */
function binaryOf(rows: readonly ComputedRow[], columns: number): Uint8Array {
  const count = rows.reduce((sum, { chunks }) => sum + chunks.length, 0);
  const size = rows[0]?.chunks[0]?.embedding.byteLength ?? 0;
  const binary = new BinaryRows(count * (size + ROOM));
  for (const { key, hash, chunks } of rows) {
    for (const [index, { embedding, tokens, truncated, start, end }] of chunks.entries()) {
      binary.row(columns + 7);
      for (const value of key) binary.text(value);
      binary.integer(index);
      binary.text(hash);
      binary.vector(embedding);
      binary.integer(tokens);
      binary.boolean(truncated);
      binary.integer(start);
      binary.integer(end);
    }
  }
  return binary.end();
}

/** Deletes the chunks of rows that are past their last. */
async function deleteChunks(
  db: Db,
  generation: Generation,
  rows: readonly { readonly key: Key; readonly from: number }[],
): Promise<void> {
  const { target, key, keyTypes, fingerprint } = generation;
  const { targetKey } = new RowSql(generation);
  const k = key.length;
  await rowsOf(
    db,
    `delete from ${target} t using unnest(${key.map((_, i) => `$${i + 1}::text[]`)}, $${k + 1}::int[])
       as u(${key.map((_, i) => `k${i}`)}, least)
     where ${targetKey.map((column, i) => `t.${column} = u.k${i}::${keyTypes[i]}`).join(" and ")}
       and t.fingerprint = $${k + 2} and t.chunk >= u.least`,
    ...key.map((_, i) => rows.map((row) => row.key[i])),
    rows.map(({ from }) => from),
    fingerprint,
  );
}

/** Keeps why rows have no vectors, and takes away those of an earlier text. */
async function writeFailures(db: Db, generation: Generation, failures: readonly FailedRow[]): Promise<void> {
  await rowsOf(db, "savepoint vectors");
  try {
    await deleteChunks(db, generation, failures.map(({ key }) => ({ key, from: 0 })));
  } catch (error) {
    // A row alone whose vector was refused: where to delete the old one is refused, too, that stays.
    if (!isRefusal(error) || failures.some(({ code }) => code !== "refused")) throw error;
    await rowsOf(db, "rollback to savepoint vectors");
  }
  await rowsOf(
    db,
    `insert into llamasaur.failures as f (generation, key, fingerprint, chunk, text_sha256, code, message, attempts)
     select $1, array(select jsonb_array_elements_text(u.key)), $2, u.chunk, decode(u.hash, 'hex'), u.code, u.message, 1
     from jsonb_to_recordset($3::jsonb) u(key jsonb, chunk int, hash text, code text, message text)
     on conflict (generation, key) do update set chunk = excluded.chunk, text_sha256 = excluded.text_sha256,
       code = excluded.code, message = excluded.message, attempts = f.attempts + 1, last_at = now()`,
    ...[generation.id, generation.fingerprint, JSON.stringify(failures)],
  );
}
