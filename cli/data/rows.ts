/** Names what goes in and out: a row of an input, a row that cannot be embedded, and where either stands. */

/** A value as JSON, CSV or Parquet has it; whole numbers beyond 2^53 are BigInt. */
export type Value = string | number | bigint | boolean | null | Uint8Array | object;

/** Why a row cannot be embedded; `code` is for programs, the message for people. */
export interface Problem {
  readonly code: ProblemCode;
  readonly message: string;
}

/** What can be wrong with a row. */
export type ProblemCode =
  | "malformed"
  | "not-utf8"
  | "missing-field"
  | "not-text"
  | "lone-surrogate"
  | "too-long"
  | "misfit";

/** A row of an input: its text, or what is wrong with it. */
export interface Row {
  /** The line on which it begins, or of Parquet the row, from 1. */
  readonly line: number;
  /** Undefined where nothing could be read. */
  readonly id: Value | undefined;
  /** Undefined where there is a problem. */
  readonly text: string | undefined;
  /** The fields that are kept, by name. */
  readonly kept: Readonly<Record<string, Value | undefined>>;
  readonly problem: Problem | undefined;
  /** The byte of the input, or of Parquet the row, behind this one: a reader that starts there goes on with the next. */
  readonly end: number;
  /** Whether the input ended before the line did: what comes there later belongs to it. */
  readonly open?: boolean | undefined;
}

/** Where a row stands. */
export type Place = Pick<Row, "line" | "end" | "open">;

/** How rows are read. */
export interface Reading {
  /** The field of the text. */
  readonly field: string;
  /** The field of the id; undefined for `FILE:LINE`. */
  readonly id: string | undefined;
  /** The fields that are kept, in their order, or all that there are. */
  readonly keep: readonly string[] | "all";
}

/** Where a reader starts, and where it stops. */
export interface Stretch {
  /** Where the next row begins. */
  readonly offset: number;
  /** The line of the last row before. */
  readonly line: number;
  /** Whether that line had no line break when it was read. */
  readonly open?: boolean | undefined;
  /** What the bytes before `offset` must have, if something was read of them before. */
  readonly sha256?: string | undefined;
  /** Rows that begin before this byte (of Parquet: row) belong to another. @default {0} */
  readonly from?: number;
  /** Rows that begin at this byte or later belong to another. */
  readonly to?: number | undefined;
}

/** The kept fields of a row that has none: one object for all, since those of a group live until it is written. */
export const NOTHING: Row["kept"] = {};

/** Makes the row of a record: takes the text and the id from their fields, and the kept ones. */
export function rowOf(
  record: Readonly<Record<string, unknown>>,
  file: string,
  { field, id: idField, keep }: Reading,
  { line, end, open }: Place,
): Row {
  const id = idField === undefined ? `${file}:${line}` : valueOf(record, idField);
  const names = keep === "all" ? Object.keys(record).filter((name) => name !== idField) : keep;
  const kept = names.length === 0 ? NOTHING : Object.fromEntries(names.map((name) => [name, valueOf(record, name)]));
  const text = valueOf(record, field);
  const bad = (code: ProblemCode, message: string): Row => {
    return { line, end, open, id: id ?? undefined, text: undefined, kept, problem: { code, message } };
  };
  if (idField !== undefined && (id === undefined || id === null)) {
    return bad("missing-field", `has no field "${idField}"`);
  }
  if (text === undefined || text === null) return bad("missing-field", `has no field "${field}"`);
  if (text instanceof Uint8Array) return bad("not-utf8", `is not UTF-8 in "${field}"`);
  if (typeof text !== "string") return bad("not-text", `has no text in "${field}" but ${kindOf(text)}`);
  if (!text.isWellFormed()) return bad("lone-surrogate", `has a lone surrogate in "${field}"`);
  return { line, end, open, id, text, kept, problem: undefined }; // spread, it would take half as much memory again
}

/** A row of which nothing can be read. */
export function badRow(code: ProblemCode, message: string, place: Place): Row {
  return { ...place, id: undefined, text: undefined, kept: NOTHING, problem: { code, message } };
}

function valueOf(record: Readonly<Record<string, unknown>>, name: string): Value | undefined {
  return Object.hasOwn(record, name) ? record[name] as Value | undefined : undefined;
}

function kindOf(value: Value): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return `the ${typeof value === "bigint" ? "number" : typeof value} ${String(value).slice(0, 40)}`;
}
