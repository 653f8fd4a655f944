/** Reads rows of text formats: lines, JSONL, whole files. */
import { changed, type Digest, digested } from "./bytes.ts";
import type { Input } from "./inputs.ts";
import { parseJson } from "./json.ts";
import { type Line, linesOf } from "./lines.ts";
import { badRow, NOTHING, type Place, type Reading, type Row, rowOf, type Stretch } from "./rows.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** What a reader gives: rows, a chunk's together, and where the last of them left off. */
export type Rows = AsyncGenerator<Row[], void, undefined>;

/** The rows of lines of text, or of JSON. */
export async function* lineRows(input: Input, reading: Reading, stretch: Stretch, digest: Digest): Rows {
  const { offset, line, open, from = 0, to } = stretch;
  const chunks = await behind(digested(input, digest), stretch, input, digest);
  const read = input.format === "jsonl" ? jsonRow : textRow;
  for await (const lines of linesOf(chunks, offset, open ? line - 1 : line, to)) {
    const rows: Row[] = [];
    for (const one of lines) {
      if (open && one.start === offset) {
        if (one.bytes.length > 0) {
          throw changed(input.path, `${offset} bytes, of which the last are line ${line}`, "longer");
        }
        continue; // the line break that was not there yet
      }
      const row = one.start >= from ? read(one, input.path, reading) : undefined;
      if (row) rows.push(row);
    }
    if (rows.length > 0) yield rows;
    else if (lines.at(-1)!.end <= from) digest.advance(lines.at(-1)!.end);
  }
}

/** The only row of a file that is a text. */
export async function* fileRow(input: Input, { offset, sha256 }: Stretch, digest: Digest): Rows {
  const chunks = await Array.fromAsync(digested(input, digest));
  if (offset > 0) { // it was read before
    const found = digest.at(digest.size);
    if (sha256 !== undefined && found !== sha256) throw changed(input.path, sha256, found);
    return;
  }
  const bytes = new Uint8Array(digest.size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  // A file without bytes ends where it begins, and is a row all the same.
  const row = textRow({ bytes, start: 0, end: Math.max(1, at), number: 1, open: false }, input.path);
  yield [row.id === `${input.path}:1` ? { ...row, id: input.path } : row];
}

/** The rows of texts that were given as such. */
export async function* givenRows({ path, texts = [] }: Input, { offset }: Stretch): Rows {
  const rows = texts.slice(offset).map((text, i): Row => {
    const line = offset + i + 1;
    const place = { line, end: line, id: `${path}:${line}`, kept: NOTHING };
    if (text.isWellFormed()) return { ...place, text, problem: undefined };
    return { ...place, text: undefined, problem: { code: "lone-surrogate", message: "has a lone surrogate" } };
  });
  if (rows.length > 0) yield await Promise.resolve(rows);
}

/**
 * The bytes behind the first `offset` ones, which pass unread.
 *
 * @throws {Failure} where these are no longer what they were.
 */
async function behind(
  chunks: AsyncGenerator<Uint8Array, void, undefined>,
  { offset, sha256 }: Stretch,
  { path }: Input,
  digest: Digest,
): Promise<AsyncIterable<Uint8Array>> {
  let rest: Uint8Array | undefined;
  try {
    while (digest.size < offset) {
      const { value, done } = await chunks.next();
      if (done) throw changed(path, `${offset} bytes`, `${digest.size}`);
      digest.advance(Math.min(digest.size, offset));
      if (digest.size > offset) rest = value.subarray(value.length - (digest.size - offset));
    }
    const found = offset > 0 ? digest.at(offset) : sha256;
    if (sha256 !== undefined && found !== sha256) throw changed(path, sha256, found!);
  } catch (error) {
    await chunks.return();
    throw error;
  }
  return (async function* () {
    try {
      if (rest) yield rest;
      yield* chunks;
    } finally {
      await chunks.return(); // closes the file, also where nobody asked for more than the rest
    }
  })();
}

function textRow(line: Line, file: string): Row {
  const place = placeOf(line);
  const text = decoded(line);
  if (text === undefined) return badRow("not-utf8", "is not UTF-8", place);
  const { end, open } = place;
  return { line: line.number, end, open, id: `${file}:${line.number}`, text, kept: NOTHING, problem: undefined };
}

/** Nothing for a line that is blank: it is no row. */
function jsonRow(line: Line, file: string, reading: Reading): Row | undefined {
  const place = placeOf(line);
  const text = decoded(line);
  if (text === undefined) return badRow("not-utf8", "is not UTF-8", place);
  if (text.trim() === "") return undefined;
  let record: unknown;
  try {
    record = parseJson(text);
  } catch { // the runtimes say it in words of their own, and the errors file must not depend on them
    return badRow("malformed", "is no JSON", place);
  }
  if (typeof record !== "object" || record === null || Array.isArray(record)) {
    return badRow("malformed", "is no JSON object", place);
  }
  return rowOf(record as Record<string, unknown>, file, reading, place);
}

function placeOf({ number, end, open }: Line): Place {
  return { line: number, end, open: open || undefined };
}

/** The text of a line, without the mark that some files begin with; undefined where it is not UTF-8. */
function decoded({ bytes, start }: Line): string | undefined {
  const marked = start === 0 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  try {
    return decoder.decode(marked ? bytes.subarray(3) : bytes);
  } catch {
    return undefined;
  }
}
