/**
 * Writes what a job made: one short transaction that first completes the job in pg-boss, fenced to the attempt. A worker
 * whose claim is gone completes nothing and rolls back, so what is written is written once.
 */
import { widthOf, writeFloats } from "../data/floats.ts";
import { affected, type Claim, end, type Ending } from "./claim.ts";
import type { Computed, ComputedRow, FailedRow } from "./compute.ts";
import { type Database, type Db, rowsOf } from "./database.ts";
import { type Generation, type Key, RowSql } from "./generation.ts";
import { reach } from "./points.ts";
import { addJobs, type Boss, type NewJob } from "./queue.ts";

/** How long the server waits for a worker that was paused in the middle: as long as its row locks hold others up. */
const PATIENCE = "10s";
/** Rows of a statement. */
const ROWS = 256;

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
      await rowsOf(tx, `set local idle_in_transaction_session_timeout = '${PATIENCE}'`);
      const completed = await boss.complete(generation.queue, attempt, null, { db: tx });
      if (affected(completed) !== 1) throw GONE;
      await reach("completed");
      for (let i = 0; i < rows.length; i += ROWS) await writeVectors(tx, generation, rows.slice(i, i + ROWS));
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
async function writeVectors(db: Db, generation: Generation, rows: readonly ComputedRow[]): Promise<void> {
  const { target, key, keyTypes, type, fingerprint } = generation;
  const { targetKey } = new RowSql(generation);
  const chunks = rows.flatMap(({ key, hash, chunks }) =>
    chunks.map((chunk, index) => ({ key, hash, index, ...chunk }))
  );
  const k = key.length;
  const columns = targetKey.map((_, i) => `k${i}`);
  await rowsOf(
    db,
    `insert into ${target} as t (${targetKey}, chunk, fingerprint, text_sha256, embedding, tokens, truncated, start, "end")
     select ${columns.map((column, i) => `${column}::${keyTypes[i]}`)}, chunk, $${k + 1}, decode(hash, 'hex'),
       embedding::${type}, tokens, truncated, s, e
     from unnest(${columns.map((_, i) => `$${i + 1}::text[]`)}, $${k + 2}::int[], $${k + 3}::text[],
       string_to_array($${k + 4}::text, ';'), $${k + 5}::int[], $${k + 6}::bool[], $${k + 7}::int[], $${k + 8}::int[])
       as u(${columns}, chunk, hash, embedding, tokens, truncated, s, e)
     on conflict (${targetKey}, chunk, fingerprint) do update set text_sha256 = excluded.text_sha256,
       embedding = excluded.embedding, tokens = excluded.tokens, truncated = excluded.truncated, start = excluded.start,
       "end" = excluded."end", embedded_at = now()
     where t.text_sha256 is distinct from excluded.text_sha256`,
    ...key.map((_, i) => chunks.map((chunk) => chunk.key[i])),
    fingerprint,
    ...[chunks.map(({ index }) => index), chunks.map(({ hash }) => hash), vectorsAsText(chunks)],
    ...[chunks.map(({ tokens }) => tokens), chunks.map(({ truncated }) => truncated)],
    ...[chunks.map(({ start }) => start), chunks.map(({ end }) => end)],
  );
  await deleteChunks(db, generation, rows.map(({ key, chunks }) => ({ key, from: chunks.length })));
  await rowsOf(
    db,
    `delete from llamasaur.failures f using jsonb_array_elements($2::jsonb) u
     where f.generation = $1 and f.key = array(select jsonb_array_elements_text(u))`,
    ...[generation.id, JSON.stringify(rows.map(({ key }) => key))],
  );
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
  await deleteChunks(db, generation, failures.map(({ key }) => ({ key, from: 0 })));
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

/**
 * Vectors as pgvector reads them, in the fewest digits that give the same float32, with semicolons between: the server cuts such a
 * text faster than it reads a list, and then `unnest` is no slower than COPY into a temporary table (`deno task bench:worker`).
 */
function vectorsAsText(chunks: readonly { readonly embedding: Float32Array }[]): string {
  const decoder = new TextDecoder();
  const scratch = new Uint8Array(widthOf(chunks[0]?.embedding.length ?? 0));
  return chunks.map(({ embedding }) => {
    return `[${decoder.decode(scratch.subarray(0, writeFloats(embedding, scratch, 0)))}]`;
  }).join(";");
}
