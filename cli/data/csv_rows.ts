/** Reads rows of CSV, whose first record names the fields. */
import { type CsvError, type InfoCallback, parse, type Parser } from "csv-parse";
import { changed, type Digest, digested } from "./bytes.ts";
import type { Input } from "./inputs.ts";
import { badRow, type Reading, type Row, rowOf, type Stretch } from "./rows.ts";
import type { Rows } from "./text_rows.ts";

/**
 * The rows of a CSV file. It is always parsed from its beginning: where a record begins cannot be told from within one.
 * Rows that end at `offset` or before are dropped.
 */
export async function* csvRows(input: Input, reading: Reading, stretch: Stretch, digest: Digest): Rows {
  const { offset, sha256 } = stretch;
  let rows: Row[] = [];
  let checked = sha256 === undefined;
  const parser = parserOf((row) => rows.push(row), input.path, reading);
  const failed = new Promise<never>((_, reject) => parser.on("error", reject));
  failed.catch(() => {}); // thrown below
  parser.resume();
  function taken(end: boolean): Row[] {
    const fresh = rows.filter((row) => row.end > offset);
    rows = [];
    if (!checked && (fresh.length > 0 || end)) {
      const found = digest.at(offset);
      if (found !== sha256 || digest.size < offset) throw changed(input.path, sha256!, found);
      checked = true;
    } else if (!checked) digest.advance(Math.min(offset, digest.size));
    return fresh;
  }
  for await (const chunk of digested(input, digest)) {
    await Promise.race([failed, new Promise<void>((resolve) => parser.write(chunk, () => resolve()))]);
    const fresh = taken(false);
    if (fresh.length > 0) yield fresh;
  }
  await Promise.race([failed, new Promise<void>((resolve) => parser.end(() => resolve()))]);
  const fresh = taken(true);
  if (fresh.length > 0) yield fresh;
}

/** csv-parse, told to hand over records and what it skips in their order, as it meets them. */
function parserOf(take: (row: Row) => void, file: string, reading: Reading): Parser {
  let line = 1; // on which the next record begins
  const placeOf = ({ lines, bytes }: Pick<InfoCallback, "lines" | "bytes">): Pick<Row, "line" | "end"> => {
    const place = { line, end: bytes };
    line = lines + 1;
    return place;
  };
  return parse({
    bom: true,
    columns: (names: string[]) => {
      line = 2;
      return names;
    },
    skip_empty_lines: true,
    skip_records_with_error: true,
    on_record: (record: Record<string, string>, info) => {
      take(rowOf(record, file, reading, placeOf(info)));
      return null;
    },
    on_skip: (error: CsvError | undefined) => {
      const at = error as unknown as Partial<InfoCallback> | undefined;
      const place = placeOf({ lines: at?.lines ?? line, bytes: at?.bytes ?? 0 });
      take(badRow("malformed", `is no row of this CSV: ${error?.message ?? "unknown"}`, place));
    },
  });
}
