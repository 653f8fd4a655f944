/** Reads rows of CSV, whose first record names the fields. */
import { type CastingContext, type CsvError, parse, type Parser } from "csv-parse";
import { Failure, UsageError } from "../failure.ts";
import { quoted, shown } from "../quote.ts";
import { changed, Digest, digested } from "./bytes.ts";
import type { Input } from "./inputs.ts";
import { joined } from "./lines.ts";
import { badRow, type Reading, type Row, rowOf, type Stretch } from "./rows.ts";
import type { Rows } from "./text_rows.ts";

/**
 * The rows of a CSV file. It is always parsed from its beginning: where a record begins cannot be told from within one.
 * Rows that end at `offset` or before are dropped. What ends a record, its line break, is not of it: at the end of a file it may
 * come later, or the second half of it.
 *
 * @throws {UsageError} where no line names the fields, or none those that are read.
 * @throws {Failure} where what was read has changed, or goes on in the record that was its last.
 */
export async function* csvRows(input: Input, reading: Reading, stretch: Stretch, digest: Digest): Rows {
  const { offset, sha256 } = stretch;
  let rows: Row[] = [];
  let longer: number | undefined;
  let checked = sha256 === undefined;
  const places = new Places();
  const { parser, finish, hasHead } = parserOf(take, input.path, reading, places);
  const failed = new Promise<never>((_, reject) => {
    parser.on("error", (error) => {
      const { message } = error;
      reject(error instanceof UsageError ? error : new Failure(`Cannot read ${shown(input.path)}: ${message}`));
    });
  });
  failed.catch(() => {}); // thrown below
  parser.resume();
  function take(row: Row, start: number): void {
    if (row.end <= offset) return;
    if (start < offset) longer ??= row.line;
    rows.push(row);
  }
  function taken(end: boolean): Row[] {
    const fresh = rows;
    rows = [];
    if (!checked && (fresh.length > 0 || end)) {
      const found = digest.at(offset);
      if (found !== sha256 || digest.size < offset) throw changed(input.path, sha256!, found);
      if (longer !== undefined) {
        throw changed(input.path, `${offset} bytes, of which the last are of the record in line ${longer}`, "longer");
      }
      checked = true;
    } else if (!checked) digest.advance(Math.min(offset, digest.size));
    return fresh;
  }
  for await (const chunk of withoutMark(digested(input, digest), places)) {
    await Promise.race([failed, new Promise<void>((resolve) => parser.write(chunk, () => resolve()))]);
    const fresh = taken(false);
    if (fresh.length > 0) yield fresh;
  }
  await Promise.race([failed, new Promise<void>((resolve) => parser.end(() => resolve()))]);
  finish(digest.size - places.begin);
  const fresh = taken(true);
  if (!hasHead()) {
    throw new UsageError(`Cannot read ${shown(input.path)}: it is empty, and the first line of CSV names its fields`);
  }
  if (fresh.length > 0) yield fresh;
}

/**
 * Looks at the names of a file's fields, and reads no further than it must.
 *
 * @throws {UsageError} as the rows would.
 */
export async function checkHead(input: Input, reading: Reading): Promise<void> {
  const rows = csvRows(input, reading, { offset: 0, line: 0 }, new Digest());
  await rows.next();
  await rows.return();
}

/** The bytes behind the mark that some files begin with, told to `places`. */
async function* withoutMark(chunks: AsyncIterable<Uint8Array>, places: Places): AsyncGenerator<Uint8Array> {
  let first: Uint8Array | undefined = new Uint8Array();
  for await (const chunk of chunks) {
    if (first === undefined) {
      places.add(chunk);
      yield chunk;
      continue;
    }
    first = joined([first, chunk], first.length + chunk.length);
    if (first.length < MARK.length) continue;
    places.begin = MARK.every((byte, i) => first![i] === byte) ? MARK.length : 0;
    const rest = first.subarray(places.begin);
    first = undefined;
    places.add(rest);
    yield rest;
  }
  if (first === undefined) return;
  places.add(first);
  yield first;
}

const MARK = [0xef, 0xbb, 0xbf];

/** Where records stand. csv-parse counts a line too many for CRLF within quotes, and none that is empty. */
class Places {
  /** Bytes before the first record. */
  begin = 0;
  #chunks: Uint8Array[] = [];
  #at = 0; // in the first chunk
  #passed = 0;
  #line = 1;
  #last = 0;

  /** Takes bytes before they are parsed. */
  add(chunk: Uint8Array): void {
    if (chunk.length > 0) this.#chunks.push(chunk);
  }

  /** Where the next record begins, behind so many bytes and the line breaks that follow: empty lines are no records. */
  next(end: number): { readonly line: number; readonly start: number } {
    for (; this.#chunks.length > 0; this.#passed++) {
      const byte = this.#chunks[0]![this.#at]!;
      const breaks = byte === LF || byte === CR;
      if (!breaks && this.#passed >= end) break;
      if (breaks && (byte === CR || this.#last !== CR)) this.#line++;
      this.#last = byte;
      if (++this.#at < this.#chunks[0]!.length) continue;
      this.#chunks.shift();
      this.#at = 0;
    }
    return { line: this.#line, start: this.#passed };
  }
}

const [LF, CR] = [10, 13];

/** What csv-parse finds wrong, without the words of the file that its messages have. */
const WRONG: Readonly<Record<string, string>> = {
  INVALID_OPENING_QUOTE: "a quote stands within a field that does not begin with one",
  CSV_INVALID_CLOSING_QUOTE: "a quote that closes a field is not its end",
  CSV_QUOTE_NOT_CLOSED: "a quote is not closed",
  CSV_RECORD_INCONSISTENT_FIELDS_LENGTH: "its fields are not as many as those of the first line",
};

/**
 * csv-parse, told to hand over records as it meets them. It reads bytes as Latin-1, and fields are made UTF-8 here: it would put
 * U+FFFD where they are not. Of a record that it finds wrong it tells each thing that is, where it meets it, and not where the
 * record ends: that is seen when the next one begins, or the file ends. Each kind of line break ends a record wherever it
 * stands outside quotes: csv-parse by itself would take the first one of a file for the only kind, and a file that was cut
 * within CRLF, or to which another program appended, would be read otherwise than it is meant.
 *
 * @param take Told of a row, and of the byte where it begins.
 */
function parserOf(
  take: (row: Row, start: number) => void,
  file: string,
  reading: Reading,
  places: Places,
): { readonly parser: Parser; readonly finish: (size: number) => void; readonly hasHead: () => boolean } {
  let names: readonly string[] | undefined;
  let record = { line: 1, start: 0 };
  let end = 0; // of the last field
  let isAhead = false; // whether a record was begun by what is wrong in its first field, which is still to come
  let wrong: string | undefined;
  /** Ends the record that is wrong, if there is one. */
  function finish(size: number): void {
    if (wrong === undefined) return;
    const place = { line: record.line, end: size + places.begin };
    take(badRow("malformed", `is no row of this CSV: ${wrong}`, place), record.start + places.begin);
    wrong = undefined;
  }
  function begin(): void {
    finish(end);
    record = places.next(end);
  }
  const parser = parse({
    encoding: "latin1",
    record_delimiter: ["\r\n", "\n", "\r"],
    skip_empty_lines: true,
    skip_records_with_error: true,
    cast: (field, { bytes, index }) => {
      if (index === 0 && !isAhead) begin();
      [isAhead, end] = [false, bytes];
      return field;
    },
    on_record: (texts: readonly string[]) => {
      const place = { line: record.line, end: end + places.begin };
      const fields = texts.map(decodedField).filter((field) => field !== undefined);
      const whole = fields.length === texts.length;
      if (names) {
        const row = Object.fromEntries(names.map((name, i) => [name, fields[i]]));
        const made = whole ? rowOf(row, file, reading, place) : badRow("not-utf8", "is not UTF-8", place);
        take(made, record.start + places.begin);
      } else if (whole) names = checkFields(fields, file, reading);
      else throw new Error("the line that names its fields is not UTF-8");
      return null;
    },
    on_skip: (error: CsvError | undefined) => {
      const { index } = error as unknown as Pick<CastingContext, "index">;
      const why = WRONG[error!.code] ?? error!.code;
      if (!names) throw new Error(`the line that names its fields is no row of CSV: ${why}`);
      if (index === 0 && !isAhead) {
        begin();
        isAhead = true;
      }
      wrong ??= why;
    },
  });
  return { parser, finish, hasHead: () => names !== undefined };
}

/**
 * The names of the fields.
 *
 * @throws {UsageError} where one of those that are read is not there, or more than once: nobody knows which is meant.
 */
function checkFields(names: readonly string[], file: string, { field, id, keep }: Reading): readonly string[] {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const name of [field, ...(id === undefined ? [] : [id]), ...(keep === "all" ? names : keep)]) {
    const count = counts.get(name) ?? 0;
    if (count === 1) continue;
    const told = count > 1
      ? `${count} fields ${quoted(name)}`
      : `no field ${quoted(name)}, only ${names.map((one) => quoted(one)).join(", ")}`;
    throw new UsageError(`Cannot read ${shown(file)}: its first line has ${told}`);
  }
  return names;
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A field of which each character stands for a byte; undefined where they are not UTF-8. */
function decodedField(field: string): string | undefined {
  // deno-lint-ignore no-control-regex -- most fields are ASCII, which stays what it is
  if (/^[\x00-\x7f]*$/.test(field)) return field;
  try {
    return decoder.decode(Uint8Array.from(field, (char) => char.charCodeAt(0)));
  } catch {
    return undefined;
  }
}
