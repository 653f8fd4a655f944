// What fits a column of Parquet is written, and read back as it was; all else is refused before the writer sees it.
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { writeFileSync } from "node:fs";
import { join } from "@std/path";
import type { SchemaElement } from "hyparquet";
import { type Column, fits } from "../../../cli/data/columns.ts";
import { jsonOf, JsonText } from "../../../cli/data/json.ts";
import { Counted, Day, Moment } from "../../../cli/data/moments.ts";
import { parquetEncoder } from "../../../cli/data/parquet_output.ts";
import { ParquetFile } from "../../../cli/data/parquet_rows.ts";
import type { Value } from "../../../cli/data/rows.ts";
import { inDirectory } from "../../support/checkpoint.ts";

type Elements = readonly SchemaElement[];

function leaf(type: SchemaElement["type"], more: object = {}, name = "v"): SchemaElement {
  return { name, type, repetition_type: "OPTIONAL", ...more } as SchemaElement;
}

function group(children: number, more: object = {}, name = "v"): SchemaElement {
  return { name, num_children: children, repetition_type: "OPTIONAL", ...more } as SchemaElement;
}

const REQUIRED = { repetition_type: "REQUIRED" } as const;
const REPEATED = { repetition_type: "REPEATED" } as const;
const TEXT = { converted_type: "UTF8", logical_type: { type: "STRING" } };
const decimal = (precision: number, scale: number) => ({ converted_type: "DECIMAL", precision, scale });
const time = (unit: string) => ({ logical_type: { type: "TIME", isAdjustedToUTC: false, unit } });
const moment = (unit: string) => ({ logical_type: { type: "TIMESTAMP", isAdjustedToUTC: false, unit } });

function listOf(...[item, ...below]: Elements): Elements {
  return [group(1, { converted_type: "LIST" }), group(1, REPEATED, "list"), { ...item!, name: "element" }, ...below];
}

function mapOf(key: SchemaElement, ...[value, ...below]: Elements): Elements {
  const entry = group(2, REPEATED, "key_value");
  return [group(1, { converted_type: "MAP" }), entry, { ...key, ...REQUIRED, name: "key" }, {
    ...value!,
    name: "value",
  }, ...below];
}

const STRUCT = [group(2), leaf("INT32", {}, "a"), leaf("BYTE_ARRAY", TEXT, "b")];
const STRICT = [group(2), leaf("INT32", REQUIRED, "a"), leaf("INT64", {}, "constructor")];

/** Each type, with values that must fit and such that must not: what an outsider found to be changed, or to end a job. */
const TYPES: Readonly<Record<string, readonly [Elements, fit: readonly Value[], misfit: readonly Value[]]>> = {
  boolean: [[leaf("BOOLEAN")], [true, false], [1, "true"]],
  int32: [[leaf("INT32")], [5, -(2 ** 31)], [2 ** 31, 1.5, "5", [5], {}]],
  int64: [[leaf("INT64")], [5, 2n ** 63n - 1n], [1.5, -0, 2n ** 63n, "5"]],
  uint8: [[leaf("INT32", { converted_type: "UINT_8" })], [0, 255], [256, -1]],
  uint32: [[leaf("INT32", { converted_type: "UINT_32" })], [2 ** 32 - 1], [2 ** 32]],
  uint64: [[leaf("INT64", { converted_type: "UINT_64" })], [2n ** 64n - 1n], [-1, 2n ** 64n]],
  float: [[leaf("FLOAT")], [-0, 0, 0.5, -1, Infinity], [0.1, 1e39, 2n ** 60n]],
  double: [[leaf("DOUBLE")], [0.1, 0, -0, 5, 1e300], [2n ** 60n, "1"]],
  float16: [
    [leaf("FIXED_LEN_BYTE_ARRAY", { type_length: 2, logical_type: { type: "FLOAT16" } })],
    [0.5, -65504, 2 ** -24, 1.0009765625, NaN, Infinity, 0],
    [0.1, 1e9, 65505, 65520, 2 ** -25, 2049, "x", 1n],
  ],
  "decimal(5,2) of int32": [[leaf("INT32", decimal(5, 2))], [1.23, 999.99, -5, 0], [
    1.234,
    12345.67,
    1e20,
    NaN,
    -0,
    5n,
    "1",
  ]],
  "decimal(5,2)": [
    [leaf("FIXED_LEN_BYTE_ARRAY", { type_length: 3, ...decimal(5, 2) })],
    [1.23, 999.99, -999.99, 0],
    [1.234, 12345.67, 1e20, 1000, {}],
  ],
  "decimal(12,3) of int64": [[leaf("INT64", decimal(12, 3))], [1.235, -123456789.123], [1.2345, 1e9, Infinity]],
  "decimal(15,2) of bytes": [[leaf("BYTE_ARRAY", decimal(15, 2))], [-1234567890123.45, 0.01], [0.001, 1e13]],
  null: [[leaf("INT32", { logical_type: { type: "NULL" } })], [], [5, "x", {}]],
  date32: [[leaf("INT32", { converted_type: "DATE" })], [new Day(5)], [5, 1.5, "1970-01-06"]],
  "time32(ms)": [[leaf("INT32", { converted_type: "TIME_MILLIS", ...time("MILLIS") })], [new Counted(5)], [5, 1.5]],
  "time64(ns)": [[leaf("INT64", time("NANOS"))], [new Counted(5n)], [5, 5n]],
  "timestamp(ms)": [
    [leaf("INT64", { converted_type: "TIMESTAMP_MILLIS", ...moment("MILLIS") })],
    [new Moment(5n, 3)],
    [5, new Moment(5n, 6)],
  ],
  "timestamp(us)": [
    [leaf("INT64", { converted_type: "TIMESTAMP_MICROS", ...moment("MICROS") })],
    [new Moment(-5n, 6)],
    [9007199254740993n, 5, "2020-01-01"],
  ],
  "timestamp(ns)": [[leaf("INT64", moment("NANOS"))], [new Moment(5n, 9)], [5n, new Moment(5n, 3)]],
  int96: [[leaf("INT96")], [new Moment(5n, 9)], [5n, new Moment(2n ** 63n, 9)]],
  string: [
    [leaf("BYTE_ARRAY", TEXT)],
    ["", "\u{1f600}", new Uint8Array([255])],
    [5, true, "\ud800", {}, [], new Uint8Array([65])],
  ],
  "string by its new mark": [[leaf("BYTE_ARRAY", { logical_type: { type: "STRING" } })], ["x"], [5]],
  enum: [[leaf("BYTE_ARRAY", { converted_type: "ENUM" })], ["x", new Uint8Array([65])], [5, ["x"]]],
  binary: [[leaf("BYTE_ARRAY")], [new Uint8Array([1, 255]), "x"], [5, {}, "\udc00"]],
  "binary(4)": [[leaf("FIXED_LEN_BYTE_ARRAY", { type_length: 4 })], [new Uint8Array(4)], [
    "abcd",
    "abc",
    new Uint8Array(3),
    5,
  ]],
  uuid: [
    [leaf("FIXED_LEN_BYTE_ARRAY", { type_length: 16, logical_type: { type: "UUID" } })],
    ["00112233-4455-6677-8899-aabbccddeeff"],
    ["00112233-4455-6677-8899-AABBCCDDEEFF", "x", new Uint8Array(16)],
  ],
  json: [
    [leaf("BYTE_ARRAY", { converted_type: "JSON" })],
    [new JsonText(new TextEncoder().encode('{ "a": 1 }')), { a: [1, null] }, "x", 5, 2n ** 60n, [], true],
    [Infinity, -0, new Uint8Array([65]), { a: new Day(1) }],
  ],
  "list<int32>": [
    listOf(leaf("INT32")),
    [[], [1, null, 3]],
    [[1.5], [1099511627776], {}, { a: 1 }, 5, "x", [[1]]],
  ],
  "list<int64 not null>": [listOf(leaf("INT64", REQUIRED)), [[], [1, 2n]], [[null], ["1"]]],
  "list<time32>": [listOf(leaf("INT32", { converted_type: "TIME_MILLIS" })), [[new Counted(5), null]], [[5]]],
  "list<list<string>>": [listOf(...listOf(leaf("BYTE_ARRAY", TEXT))), [[["a"], [], ["b", null], null]], [["a"], [[1]]]],
  "list<struct>": [listOf(...STRUCT), [[{ a: 1, b: "x" }, null, { a: null, b: null }]], [[{ c: 1 }], [[]]]],
  "repeated int32": [[leaf("INT32", REPEATED)], [], [[1], 1]],
  struct: [
    STRUCT,
    [{ a: 1, b: "y" }, { a: 1 }, {}, { b: null }],
    [{ c: 1 }, { a: 1, b: "y", z: 9 }, [], { a: 1.5 }, "x", 5, new Day(5), new Uint8Array(2)],
  ],
  "struct with a field that must be": [STRICT, [{ a: 1 }, { a: 1, constructor: 2 }], [{}, { a: null }, {
    constructor: 2,
  }]],
  "struct of structs": [[group(2), ...STRUCT, leaf("DOUBLE", {}, "x")], [{ v: { a: 1 } }, { x: 0.5 }], [{ v: 1 }]],
  "map<string,int32>": [
    mapOf(leaf("BYTE_ARRAY", TEXT), leaf("INT32")),
    [{}, { a: 1, b: null }],
    ["x", { a: "x" }, { a: 1.5 }, [], [["a", 1]], JSON.parse('{"__proto__":1}'), 5],
  ],
  "map<int64,list<int32>>": [
    mapOf(leaf("INT64"), ...listOf(leaf("INT32"))),
    [{ 1: [1], "-9223372036854775808": [null] }],
    [{ a: [1] }, { "01": [1] }, { 1: 1 }, { "9223372036854775808": [] }],
  ],
  "map<binary,int32>": [mapOf(leaf("BYTE_ARRAY"), leaf("INT32")), [], [{ a: 1 }]],
};

/** A value as hyparquet gives it: fields of a schema that are not there are null, and unmarked text is bytes. */
function asRead(value: Value | undefined, elements: Elements): unknown {
  if (value instanceof JsonText || elements[0]!.converted_type === "JSON") return jsonOf(value ?? null);
  if (typeof value === "bigint" || typeof value === "number") return Object.is(value, -0) ? "-0" : String(value);
  if (typeof value === "string" && /^(enum|binary)$/.test(elements[0]!.name)) {
    return [...new TextEncoder().encode(value)];
  }
  if (value instanceof Uint8Array) return [...value];
  if (value === undefined || value === null) return null;
  if (typeof value !== "object") return value;
  if (value instanceof Moment || value instanceof Day || value instanceof Counted) {
    return Object.entries(value).map(([name, one]) => [name, String(one)]);
  }
  const rest = elements.slice(1);
  if (Array.isArray(value)) return value.map((one) => asRead(one as Value, rest));
  const fields = Object.entries(value).map(([name, one]) => [name, asRead(one as Value, rest)] as const);
  return Object.fromEntries(fields.filter(([, one]) => one !== null && !(isEmpty(one))));
}

/** A struct of nulls alone. */
function isEmpty(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;
}

/** What is read of a file that has these values. */
async function readBack(column: Column, values: readonly (Value | null)[]): Promise<(Value | undefined)[]> {
  const encoder = parquetEncoder([{ name: "id", type: "string" }, column], {});
  const rest = { id: "0", embedding: new Float32Array(2), tokens: 1, truncated: false };
  const { bytes, note } = encoder.group(values.map((one) => ({ ...rest, kept: { v: one } })), 0);
  const written = Buffer.concat([...bytes].map((part) => part.slice()));
  let found: (Value | undefined)[] = [];
  await inDirectory(async (directory) => {
    const path = join(directory, "out.parquet");
    writeFileSync(path, Buffer.concat([written, encoder.end([note!], written.length)]));
    const file = await ParquetFile.open(path);
    found = (await file.rows(["v"], 0, values.length)).map(({ v }) => v);
    await file.close();
  });
  return found;
}

const ALL = Object.values(TYPES).flatMap(([, fit, misfit]) => [...fit, ...misfit]);

for (const [name, [elements, fit, misfit]] of Object.entries(TYPES)) {
  test(`fits() takes for a column of ${name} what is read back as it was, and nothing else`, async () => {
    const column = { name: "v", elements };
    const told = (value: Value) => `${jsonOf(value)} (${typeof value})`;
    for (const value of fit) assert(fits(value, column), `${told(value)} must fit`);
    for (const value of misfit) assert(!fits(value, column), `${told(value)} must not fit`);
    // Whatever else fits, too, alone and among others; twice, since the writer keeps repeated values in another way.
    const fitting = [...fit, ...ALL.filter((value) => fits(value, column))];
    const types = [{ ...elements[0]!, name: name.split(" ")[0]! }, ...elements.slice(1)];
    for (const values of [...fitting.map((one) => [one]), [...fitting, null, ...fitting, ...fitting]]) {
      const found = await readBack(column, values);
      assertEquals(found.map((one) => asRead(one, types)), values.map((one) => asRead(one, types)));
      // What was read fits where it came from, and comes back once more.
      for (const one of found) assert(fits(one, column), told(one ?? null));
      assertEquals(
        (await readBack(column, found.map((one) => one ?? null))).map((one) => asRead(one, types)),
        found.map((one) => asRead(one, types)),
      );
    }
  });
}

test("fits() takes for a column of JSON's values what is read back as it was, and parquetEncoder() tells 0 from -0", async () => {
  const double = { name: "v", type: "double" } as const;
  assert(!fits(2n ** 53n + 1n, double));
  assert(!fits("\ud800", { name: "v", type: "string" }));
  const values = [0, -0, 2n ** 60n, 0.5, 0, -0, 0, -0, 0, -0];
  for (const value of values) assert(fits(value, double));
  assertEquals(await readBack(double, values), values.map(Number));
});
