// The torture's table: case, planned, ran, failures, seed and start time.
import type { Counts } from "../../scripts/junit.ts";
import type { Platform } from "./case.ts";

/** A case on one platform, over all of its rounds. */
export interface Row {
  readonly name: string;
  readonly platform: Platform;
  readonly planned: number;
  readonly ran: number;
  readonly failures: readonly string[];
  readonly seeds: readonly number[];
  readonly start: Date;
  readonly seconds: number;
  readonly skip?: string | undefined;
}

/** How many things are wrong with a row: its failures, and runs that were planned and not made. */
export function faults({ planned, ran, failures, skip }: Row): number {
  return skip ? 0 : failures.length + (planned === ran ? 0 : 1);
}

/** Each row as a test. */
export function countsOf(rows: readonly Row[]): Counts {
  const skipped = rows.filter(({ skip }) => skip).length;
  const failed = rows.filter((row) => faults(row) > 0).length;
  return { passed: rows.length - failed - skipped, failed, skipped };
}

/** The rows as a Markdown table. */
export function table(rows: readonly Row[]): string {
  const lines = rows.map((row) =>
    row.skip ? `| ${row.name} | ${row.platform} | skipped: ${row.skip} | | | | | |` : [
      "",
      row.name,
      row.platform,
      row.planned,
      row.ran,
      faults(row),
      row.seeds.length > 3 ? `${row.seeds[0]} and ${row.seeds.length - 1} more` : row.seeds.join(" "),
      row.start.toISOString().slice(0, 19).replace("T", " "),
      row.seconds.toFixed(0),
      "",
    ].join(" | ").trim()
  );
  return [
    "| case | on | planned | ran | failures | seed | started (UTC) | s |",
    "| --- | --- | ---: | ---: | ---: | ---: | --- | ---: |",
    ...lines,
  ].join("\n");
}
