/** Decides the columns of a job's output, and looks at the head of every input before a model is loaded. */
import { count } from "../progress.ts";
import { quoted } from "../quote.ts";
import { until } from "../pause.ts";
import type { Session } from "../session.ts";
import { checkKeepable, checkNames, checkWritable, type Column, columnsOf } from "../data/columns.ts";
import { type Input, isStream } from "../data/inputs.ts";
import { JSONL_NAMES } from "../data/jsonl_output.ts";
import type { Reading, Row } from "../data/rows.ts";
import type { Source } from "../data/source.ts";
import type { Settings } from "./settings.ts";

/** Rows that decide the types of kept columns. */
const TYPING_ROWS = 10_000;
const JSON_TYPE = { type: "json" } as const;

/**
 * Looks that files whose head names their fields have those that are read, and that what is kept of Parquet can be kept.
 *
 * @throws {UsageError} naming the first file that has not. A pipe can be read once only: its head is seen when its turn comes.
 */
export async function checkHeads(inputs: readonly Input[], reading: Reading, signal: AbortSignal): Promise<void> {
  for (const input of inputs) {
    signal.throwIfAborted();
    if (isStream(input)) continue;
    if (input.format === "csv") await (await import("../data/csv_rows.ts")).checkHead(input, reading);
    if (input.format === "parquet") {
      const { ParquetFile } = await import("../data/parquet_rows.ts");
      await using file = await ParquetFile.open(input.path);
      file.wanted(reading);
      for (const name of keptOf(reading, file.names)) checkKeepable(name, file.elementsOf(name));
    }
  }
}

/** The fields of a file that come into the output. */
function keptOf({ id, keep }: Reading, names: readonly string[]): string[] {
  const kept = keep === "all" ? names.filter((name) => name !== id) : keep;
  return id === undefined ? [...kept] : [id, ...kept];
}

/** The columns of the output: of a Parquet input's schema, else of the first rows. */
export async function columnsFor(
  { reading, format, groupRows }: Settings,
  source: Source,
  inputs: readonly Input[],
  session: Session,
): Promise<Column[]> {
  const { id, keep } = reading;
  const own = format === "parquet" ? (await import("../data/parquet_output.ts")).PARQUET_NAMES : JSONL_NAMES;
  if (keep !== "all") checkNames(keep, own);
  const [first] = inputs;
  const typed = format === "parquet" || keep === "all";
  let columns: Column[];
  if (first!.format === "parquet" && typed) {
    const { ParquetFile } = await import("../data/parquet_rows.ts");
    await using file = await ParquetFile.open(first!.path);
    const names = keptOf(reading, file.names);
    if (format === "parquet") { for (const name of names) checkWritable(name, file.elementsOf(name)); }
    // A line of JSON takes any value.
    const typeOf = (name: string) => format === "parquet" ? { elements: file.elementsOf(name) } : JSON_TYPE;
    const ofId = id === undefined ? { type: "string" as const } : typeOf(names.shift()!);
    columns = [{ name: "id", ...ofId }, ...names.map((name) => ({ name, ...typeOf(name) }))];
  } else {
    // What the first line of a CSV file lacks is wrong use, and told before the model is loaded: also of stdin.
    const wanted = typed ? TYPING_ROWS : keep.length > 0 ? groupRows : first!.format === "csv" ? 1 : 0;
    const rows = wanted > 0 ? await until(source.peek(wanted), session.signal) : [];
    if (keep !== "all") tellOfUnknown(session, keep, rows);
    const found = typed ? columnsOf(rows, keep) : ["id", ...keep].map((name) => ({ name }));
    columns = format === "parquet" ? found : found.map(({ name }) => ({ name, ...JSON_TYPE }));
  }
  checkNames(columns.slice(1).map(({ name }) => name), own);
  return columns;
}

/** Warns of kept names that no row has: in JSON a field may come later, and a wrong name would be told by nobody. */
function tellOfUnknown(session: Session, keep: readonly string[], rows: readonly Row[]): void {
  const good = rows.filter(({ problem }) => problem === undefined);
  const unknown = good.length === 0 ? [] : keep.filter((name) => good.every(({ kept }) => kept[name] === undefined));
  if (unknown.length === 0) return;
  const first = good.length === 1
    ? "the first row has no field"
    : `none of the first ${count(good.length)} rows has a field`;
  session.warn(`--keep: ${first} ${unknown.map((name) => quoted(name)).join(", ")}`);
}
