/** Reads rows of Parquet files, a row group at a time. */
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import {
  type AsyncBuffer,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
} from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { Failure, UsageError } from "../failure.ts";
import { quoted, shown } from "../quote.ts";
import type { Input } from "./inputs.ts";
import { JsonText } from "./json.ts";
import { Day, Moment } from "./moments.ts";
import { withUsualLists } from "./old_lists.ts";
import { type Reading, type Row, rowOf, type Stretch, type Value } from "./rows.ts";
import { shapeOf, textOf } from "./shapes.ts";
import type { Rows } from "./text_rows.ts";

type Elements = FileMetaData["schema"];

/** A Parquet file that is open. */
export class ParquetFile {
  readonly #file: FileHandle;
  readonly #buffer: AsyncBuffer;
  readonly #path: string;
  readonly #metadata: FileMetaData;

  private constructor(file: FileHandle, buffer: AsyncBuffer, path: string, metadata: FileMetaData) {
    [this.#file, this.#buffer, this.#path, this.#metadata] = [file, buffer, path, metadata];
  }

  /** Opens a file and reads what its footer says. */
  static async open(path: string): Promise<ParquetFile> {
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      const buffer = { byteLength: size, slice: (start: number, end: number = size) => read(file, start, end) };
      const metadata = withUsualLists(await parquetMetadataAsync(buffer, { geoparquet: false }));
      return new ParquetFile(file, buffer, path, metadata);
    } catch (error) {
      await file.close();
      throw unreadable(path, error);
    }
  }

  /** The first row of each row group, and the number of rows. */
  get starts(): number[] {
    const starts = [0];
    for (const { num_rows } of this.#metadata.row_groups) starts.push(starts.at(-1)! + Number(num_rows));
    return starts;
  }

  /** Names of the columns. */
  get names(): string[] {
    return parquetSchema(this.#metadata).children.map(({ element }) => element.name);
  }

  /** The sha256 of the footer, which has the place and size of every column of every row group. */
  async footer(): Promise<string> {
    const { byteLength } = this.#buffer;
    const bytes = await this.#buffer.slice(byteLength - 8 - this.#metadata.metadata_length, byteLength);
    return createHash("sha256").update(new Uint8Array(bytes)).digest("hex");
  }

  /** What the schema says of a column: its element, and those below it. */
  elementsOf(name: string): Elements {
    const tree = parquetSchema(this.#metadata).children.find(({ element }) => element.name === name);
    return tree ? flat(tree) : [];
  }

  /**
   * Names of the columns that are read.
   *
   * @throws {UsageError} where there is no such column.
   */
  wanted({ field, id, keep }: Reading): string[] {
    const wanted = [...new Set([field, ...(id === undefined ? [] : [id]), ...(keep === "all" ? this.names : keep)])];
    const lacking = wanted.find((name) => !this.names.includes(name));
    if (lacking === undefined) return wanted;
    const names = this.names.map((name) => quoted(name)).join(", ");
    throw new UsageError(`Cannot read ${shown(this.#path)}: it has no column ${quoted(lacking)}, only ${names}`);
  }

  /** The rows from one to another. */
  async rows(columns: readonly string[], rowStart: number, rowEnd: number): Promise<Record<string, Value>[]> {
    try {
      const rows = await parquetReadObjects({
        file: this.#buffer,
        metadata: this.#metadata,
        columns: [...columns],
        rowStart,
        rowEnd,
        compressors: UNPACKERS,
        utf8: false,
        geoparquet: false,
        parsers: PARSERS,
      });
      for (const name of columns) {
        const { read } = shapeOf(this.elementsOf(name));
        if (!read) continue;
        for (const row of rows) row[name] = row[name] === undefined || row[name] === null ? null : read(row[name]);
      }
      return rows;
    } catch (error) {
      throw unreadable(this.#path, error);
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** The error for a file of which hyparquet makes nothing. Beyond its own words are only the runtime's, of a place outside the bytes. */
function unreadable(path: string, error: unknown): Failure {
  const { message } = error as Error;
  const why = /^(parquet|thrift|the file) /.test(message)
    ? message
    : `it is no Parquet file, or a damaged one (${message})`;
  return new Failure(`Cannot read ${shown(path)}: ${why}`, undefined, { cause: error });
}

/** hyparquet's, of which LZ4's fails at a page without bytes: pyarrow writes one for a column of nulls. */
export const UNPACKERS: Readonly<Record<string, (bytes: Uint8Array, length: number) => Uint8Array>> = Object
  .fromEntries(
    Object.entries(compressors).map(([codec, unpack]) => {
      return [codec, (bytes: Uint8Array, length: number) => length === 0 ? new Uint8Array() : unpack(bytes, length)];
    }),
  );

/**
 * Times as they are, not as a Date, which has milliseconds only; JSON as its text, since `JSON.parse` rounds. Bytes that are no
 * UTF-8 stay bytes, where hyparquet would put U+FFFD.
 */
const PARSERS = {
  stringFromBytes: (bytes: Uint8Array | undefined) => bytes && textOf(bytes),
  jsonFromBytes: (bytes: Uint8Array | undefined) => bytes && new JsonText(bytes),
  timestampFromMilliseconds: (value: bigint) => new Moment(BigInt(value), 3),
  timestampFromMicroseconds: (value: bigint) => new Moment(BigInt(value), 6),
  timestampFromNanoseconds: (value: bigint) => new Moment(BigInt(value), 9),
  dateFromDays: (value: number) => new Day(value),
};

/** The rows of a Parquet file from `offset` on, or of the row groups that a shard has of it. */
export async function* parquetRows(input: Input, reading: Reading, stretch: Stretch): Rows {
  const file = await ParquetFile.open(input.path);
  try {
    const { field } = reading;
    const wanted = file.wanted(reading);
    const { offset, from = 0, to = Infinity } = stretch;
    for (const [group, start] of file.starts.slice(0, -1).entries()) {
      const end = file.starts[group + 1]!;
      if (end <= offset || start < from || start >= to) continue;
      const begin = Math.max(start, offset);
      const records = await file.rows(wanted, begin, end);
      yield records.map((record, i): Row => {
        const place = { line: begin + i + 1, end: begin + i + 1 };
        return rowOf({ ...record, [field]: textOf(record[field]) }, input.path, reading, place);
      });
    }
  } finally {
    await file.close();
  }
}

interface Tree {
  readonly element: Elements[number];
  readonly children: readonly Tree[];
}

function flat({ element, children }: Tree): Elements {
  return [element, ...children.flatMap(flat)];
}

async function read(file: FileHandle, start: number, end: number): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(end - start);
  for (let at = 0; at < bytes.length;) {
    const { bytesRead } = await file.read(bytes, at, bytes.length - at, start + at);
    if (bytesRead === 0) throw new Error("the file ends before its footer says so");
    at += bytesRead;
  }
  return bytes.buffer;
}
