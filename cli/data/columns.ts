/** Decides the types of an output's columns, and which values fit them. */
import type { SchemaElement } from "hyparquet";
import { UsageError } from "../failure.ts";
import { quoted } from "../quote.ts";
import { jsonOf } from "./json.ts";
import type { Row, Value } from "./rows.ts";
import { EXACT_DIGITS, isWritable, shapeOf } from "./shapes.ts";

/** A type of JSON's and CSV's values. */
export type PlainType = "boolean" | "int64" | "double" | "string" | "json";

/** A column of an output, beside those of the vectors. */
export interface Column {
  readonly name: string;
  /** Of values that have no schema. */
  readonly type?: PlainType;
  /** What a Parquet input's schema says of it: its element and those below. */
  readonly elements?: readonly SchemaElement[];
}

const encoder = new TextEncoder();
const INT64 = [-(2n ** 63n), 2n ** 63n - 1n] as const;

/** The narrowest type that all values have; text where there are none. */
export function typeOf(values: Iterable<Value | undefined>): PlainType {
  const kinds = new Set<PlainType>();
  for (const value of values) {
    if (value !== undefined && value !== null) kinds.add(kindOf(value));
  }
  if (kinds.size === 0) return "string";
  if (kinds.size === 1) return [...kinds][0]!;
  return kinds.size === 2 && kinds.has("int64") && kinds.has("double") ? "double" : "json";
}

function kindOf(value: Value): PlainType {
  if (typeof value === "boolean") return "boolean";
  if (typeof value === "string") return "string";
  if (typeof value === "bigint") return value >= INT64[0] && value <= INT64[1] ? "int64" : "json";
  if (typeof value === "number") return Number.isSafeInteger(value) && !Object.is(value, -0) ? "int64" : "double";
  return "json";
}

/** The columns of the ids and the kept fields of rows without a schema. */
export function columnsOf(rows: readonly Row[], keep: readonly string[] | "all"): Column[] {
  const good = rows.filter(({ problem }) => problem === undefined);
  const names = keep === "all" ? [...new Set(good.flatMap(({ kept }) => Object.keys(kept)))] : keep;
  return [
    { name: "id", type: typeOf(good.map(({ id }) => id)) },
    ...names.map((name) => ({ name, type: typeOf(good.map(({ kept }) => kept[name])) })),
  ];
}

/** Refuses kept names that the output uses itself. */
export function checkNames(kept: readonly string[], own: readonly string[]): void {
  const taken = kept.find((name) => own.includes(name));
  if (taken === undefined) return;
  const remedy = taken === "id" ? "take it for the ids with --id id" : "name the other fields in --keep";
  throw new UsageError(`Cannot keep ${quoted(taken)}: the output has a column of its own by that name; ${remedy}`);
}

/** Whether a value can stand in a column. */
export function fits(value: Value | undefined, { type, elements }: Column): boolean {
  if (value === undefined || value === null || type === "json") return true;
  if (elements) return shapeOf(elements).fits(value);
  if (typeof value === "string") return type === "string" && value.isWellFormed();
  if (type === "double" && typeof value === "bigint") return BigInt(Number(value)) === value;
  const kind = kindOf(value);
  return kind === type || type === "double" && kind === "int64";
}

/** The schema element of a column without one. */
export function elementOf(name: string, type: PlainType): SchemaElement {
  const element = { name, repetition_type: "OPTIONAL" } as const;
  if (type === "boolean") return { ...element, type: "BOOLEAN" };
  if (type === "int64") return { ...element, type: "INT64" };
  if (type === "double") return { ...element, type: "DOUBLE" };
  const logical_type = { type: type === "json" ? "JSON" : "STRING" } as const;
  return { ...element, type: "BYTE_ARRAY", logical_type, ...(type === "string" && { converted_type: "UTF8" }) };
}

/** Types of Parquet that cannot be read, or not written as they were. */
const UNKNOWN_TYPES: ReadonlySet<string | undefined> = new Set([
  "INTERVAL",
  "BSON",
  "GEOMETRY",
  "GEOGRAPHY",
  "VARIANT",
  "FILE",
]);

/**
 * Refuses a column of a Parquet input that could not be kept as it is, whatever the output's format.
 *
 * @throws {UsageError} naming the column and its type.
 */
export function checkKeepable(name: string, elements: readonly SchemaElement[]): void {
  for (const { converted_type, logical_type, precision = 0 } of elements) {
    const type = [converted_type, logical_type?.type].find((one) => UNKNOWN_TYPES.has(one));
    const long = converted_type === "DECIMAL" && precision > EXACT_DIGITS;
    if (type === undefined && !long) continue;
    const why = long
      ? `its decimals have ${precision} digits, and ${EXACT_DIGITS} are read exactly`
      : `its type is ${type}, which is not read`;
    throw new UsageError(`Cannot keep ${quoted(name)}: ${why}; name the other fields in --keep`);
  }
}

/**
 * Refuses a column of a Parquet input that cannot be written to Parquet, whatever its values: also null would fail.
 *
 * @throws {UsageError} naming the column.
 */
export function checkWritable(name: string, elements: readonly SchemaElement[]): void {
  if (isWritable(elements)) return;
  throw new UsageError(
    `Cannot keep ${quoted(name)} in Parquet: it has lists or maps in a layout that is not written; ` +
      "name the other fields in --keep, or write JSONL",
  );
}

/** A Parquet input's elements as the writer takes them; null may stand in every column. */
export function writable(elements: readonly SchemaElement[]): SchemaElement[] {
  return elements.map((element, i) => {
    const { converted_type, logical_type, type } = element;
    const optional = i === 0 ? { ...element, repetition_type: "OPTIONAL" as const } : element;
    if (type === "INT96") {
      const { type: _, ...rest } = optional;
      return { ...rest, type: "INT64", logical_type: { type: "TIMESTAMP", isAdjustedToUTC: true, unit: "NANOS" } };
    }
    if (logical_type?.type === "INTEGER") {
      // hyparquet-writer 0.17.0 writes the width as an i32 where parquet.thrift has an i8, and no reader takes the file.
      const { logical_type: { bitWidth, isSigned }, ...rest } = { ...optional, logical_type };
      return { ...rest, converted_type: `${isSigned ? "INT" : "UINT"}_${bitWidth as 8 | 16 | 32 | 64}` };
    }
    if (converted_type === "JSON") { // which would be encoded once more; the footer has it
      const { converted_type: _, ...rest } = optional;
      return { ...rest, logical_type: { type: "JSON" } };
    }
    return logical_type?.type === "STRING" ? { ...optional, converted_type: "UTF8" } : optional;
  });
}

/** A value as the writer takes it. */
export function writableValue(value: Value | undefined, { type, elements }: Column): unknown {
  if (value === undefined || value === null) return null;
  if (elements) return shapeOf(elements).written(value);
  if (type === "int64") return BigInt(value as number | bigint);
  if (type === "double") return Number(value);
  if (type === "json") return encoder.encode(jsonOf(value));
  return value;
}
