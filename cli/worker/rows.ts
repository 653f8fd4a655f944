/** Reads the rows of a job that still have no vectors. */
import { UsageError } from "../failure.ts";
import { commandLine } from "../program.ts";
import { type Db, isRefusal, rowsOf, told } from "./database.ts";
import { type Key, RowSql } from "./generation.ts";
import type { Claim } from "./claim.ts";

/** A row of the source. */
export interface SourceRow {
  readonly key: Key;
  readonly text: string | null;
  /** sha256 of the text, as hexadecimal digits; null of null. */
  readonly hash: string | null;
}

/** The rows of a job. */
export interface JobRows {
  readonly rows: readonly SourceRow[];
  /** Where the rows begin that came into the job's range after it was planned, and are more than it was to have. */
  readonly next: Key | undefined;
}

/**
 * Reads the rows of a job.
 *
 * @param part `keys` leaves the texts out.
 * @throws {UsageError} when the database refuses it: no other worker could read them, and no halving helps.
 */
export async function rowsOfJob(db: Db, claim: Claim, part: "all" | "keys" = "all"): Promise<JobRows> {
  const { generation, low, high, where, rows: most } = claim;
  const sql = new RowSql(generation);
  const rows = await rowsOf<SourceRow>(
    db,
    `select ${sql.keyText} as key, ${part === "all" ? sql.text : "''"} as text, encode(${sql.hash}, 'hex') as hash
     from ${generation.source} s
     where ${sql.compare(">=", "$1::text[]")} and ${sql.compare("<=", "$2::text[]")}
       and not (${sql.isDone("$3")} or ${sql.isFailed("$4")}) ${where ? `and (${where}\n)` : ""}
     order by ${sql.columns} limit $5`,
    ...[low, high, generation.fingerprint, generation.id, most + 1],
  ).catch((error) => {
    throw isRefusal(error) ? unreadable(claim, error) : error;
  });
  return { rows: rows.slice(0, most), next: rows[most]?.key };
}

function unreadable({ generation: { source }, where }: Claim, error: unknown): UsageError {
  const remedy = where === undefined
    ? "docs/worker.md lists the rights that are needed"
    : `the --where of its backfill is SQL, and may be what is wrong: ${commandLine(["jobs", "cancel"])} ends the jobs`;
  return new UsageError(
    `Cannot read the rows of a job of ${source}: the database refused it (${told(error)}); ${remedy}`,
    {
      cause: error,
    },
  );
}
