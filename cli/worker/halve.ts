/** Halves a job that ends workers, or that the database refuses, down to the one text: that one is then a failure. */
import { type Claim, MOST_TRIES } from "./claim.ts";
import type { FailedRow } from "./compute.ts";
import type { Db } from "./database.ts";
import type { Generation } from "./generation.ts";
import { rowsOfJob } from "./rows.ts";
import type { Outcome } from "./write.ts";

/** Whether a job is to be halved. */
export function isToHalve({ losses, refusals }: Claim): boolean {
  return losses >= MOST_TRIES || refusals >= MOST_TRIES;
}

/** What takes the place of a job: two halves of its rows; of a job of one row its failure. */
export async function halved(db: Db, claim: Claim): Promise<Outcome> {
  const { rows, next } = await rowsOfJob(db, claim, "keys");
  const { where, high, job: parent } = claim;
  const alone = claim.rows === 1;
  const half = Math.ceil(rows.length / 2);
  const parts = alone ? [] : [rows.slice(0, half), rows.slice(half)].filter((part) => part.length > 0);
  const jobs = parts.map((part) => {
    return { low: part[0]!.key, high: part.at(-1)!.key, rows: part.length, where, parent };
  });
  if (next) jobs.push({ low: next, high, rows: claim.rows, where, parent });
  const failures = alone ? rows.map(({ key, hash }) => ({ key, hash, chunk: undefined, ...reason(claim) })) : [];
  return { rows: [], failures, jobs, ending: "halved" };
}

function reason({ losses, refusals }: Claim): Pick<FailedRow, "code" | "message"> {
  return losses >= MOST_TRIES
    ? { code: "crash", message: `${losses} workers ended while they had it alone` }
    : { code: "refused", message: `the database refused its vector ${refusals} times, written alone` };
}

/** The rest of a job whose range has more rows than it was planned with. */
export function remainder({ high, rows, where }: Claim, next: Generation["key"] | undefined): Outcome["jobs"] {
  return next ? [{ low: next, high, rows, where }] : [];
}
