import { test } from "node:test";
import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { writeFileSync } from "node:fs";
import { join } from "@std/path";
import type { SchemaElement } from "hyparquet";
import { parquetWriteBuffer } from "hyparquet-writer";
import { checkKeepable, type Column, fits } from "../../../cli/data/columns.ts";
import { jsonOf } from "../../../cli/data/json.ts";
import { Moment } from "../../../cli/data/moments.ts";
import { parquetEncoder } from "../../../cli/data/parquet_output.ts";
import type { Value } from "../../../cli/data/rows.ts";
import { ParquetFile, parquetRows, UNPACKERS } from "../../../cli/data/parquet_rows.ts";
import { Failure, UsageError } from "../../../cli/failure.ts";
import { inDirectory } from "../../support/checkpoint.ts";

const READING = { field: "text", id: undefined, keep: [] };

/** The texts of a Parquet file of three rows, packed as this says. */
async function textsOf(codec: string, field = "text"): Promise<(string | undefined)[]> {
  const texts: (string | undefined)[] = [];
  await inDirectory(async (directory) => {
    const path = join(directory, "in.parquet");
    const packed = { codec, compressors: { [codec]: (bytes: Uint8Array) => bytes.slice(0, -1) } };
    const columnData = [{ name: "text", data: ["one one one one", "two", "three"] }];
    const options = { columnData, ...(codec === "SNAPPY" ? {} : packed) } as Parameters<typeof parquetWriteBuffer>[0];
    writeFileSync(path, new Uint8Array(parquetWriteBuffer(options)));
    const input = { path, format: "parquet", gzip: false, size: 1 } as const;
    for await (const rows of parquetRows(input, { ...READING, field }, { offset: 1, line: 0 })) {
      texts.push(...rows.map(({ text }) => text));
    }
  });
  return texts;
}

test("parquetRows() goes on behind the rows that were read, and names a codec and a column that it does not know", async () => {
  assertEquals(await textsOf("SNAPPY"), ["two", "three"]);
  await assertRejects(() => textsOf("LZO"), Failure, "in.parquet: parquet unsupported compression codec: LZO");
  await assertRejects(() => textsOf("SNAPPY", "body"), UsageError, 'it has no column "body", only "text"');
});

test("ParquetFile.open() of what is none says so, and names the file", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "in.parquet");
    for (const content of ["", "PAR1", "no Parquet at all"]) {
      writeFileSync(path, content);
      const { message } = await assertRejects(() => ParquetFile.open(path), Failure, "Cannot read ");
      assertMatch(message, /: (it is no Parquet file, or a damaged one \(|parquet file )/);
    }
  });
});

type Written = Parameters<typeof parquetWriteBuffer>[0];

/** Values as the output has them: the bytes of its file. */
function encoded(column: Column, values: readonly (Value | undefined)[]): Uint8Array {
  const encoder = parquetEncoder([{ name: "id", type: "string" }, column], {});
  const rest = { id: "0", embedding: new Float32Array(2), tokens: 1, truncated: false };
  const { bytes, note } = encoder.group(values.map((one) => ({ ...rest, kept: { [column.name]: one } })), 0);
  const group = Buffer.concat([...bytes].map((part) => part.slice()));
  return Buffer.concat([group, encoder.end([note!], group.length)]);
}

/** What is read of the column "n" of a file of two rows. */
async function columnOf(
  bytes: Uint8Array,
): Promise<{ column: Column & { elements: SchemaElement[] }; values: Value[] }> {
  let values: Value[] = [];
  let elements: SchemaElement[] = [];
  await inDirectory(async (directory) => {
    const path = join(directory, "in.parquet");
    writeFileSync(path, bytes);
    const file = await ParquetFile.open(path);
    elements = file.elementsOf("n");
    values = (await file.rows(["n"], 0, 2)).map(({ n }) => n!);
    await file.close();
  });
  return { column: { name: "n", elements }, values };
}

// hyparquet-writer marks such a column in a way that pyarrow and DuckDB refuse the whole file for.
for (
  const [width, isSigned, data] of [
    [8, true, [-128, null]],
    [8, false, [255, null]],
    [16, true, [-32768, null]],
    [16, false, [65535, null]],
    [32, false, [2 ** 32 - 1, null]],
    [64, false, [2n ** 64n - 1n, null]],
    [64, true, [-(2n ** 63n), null]],
  ] as const
) {
  const marked = `${isSigned ? "INT" : "UINT"}_${width}`;
  test(`parquetEncoder() keeps a column of ${marked} in the mark that every reader knows`, async () => {
    const type = width === 64 ? "INT64" : "INT32";
    const logical_type = { type: "INTEGER", bitWidth: width, isSigned } as const;
    const schema: SchemaElement[] = [
      { name: "schema", num_children: 1 },
      { name: "n", type, repetition_type: "OPTIONAL", logical_type },
    ];
    const given = parquetWriteBuffer({ columnData: [{ name: "n", data }], schema } as unknown as Written);
    const { column, values } = await columnOf(new Uint8Array(given));
    const kept = await columnOf(encoded(column, values));
    assertEquals(kept.values.map((one) => one ?? null), [...data]);
    const [{ converted_type, logical_type: logical }] = kept.column.elements as [SchemaElement];
    assertEquals([converted_type, logical], [marked as SchemaElement["converted_type"], undefined]);
  });
}

test("ParquetFile.rows() has JSON with its whole numbers, and parquetEncoder() its very bytes", async () => {
  const given = await columnOf(encoded({ name: "n", type: "json" }, [{ big: 2n ** 53n + 1n }, "text"]));
  assertEquals(given.values.map(jsonOf), ['{"big":9007199254740993}', '"text"']);
  const kept = await columnOf(encoded(given.column, given.values));
  assertEquals(kept.values.map(jsonOf), ['{"big":9007199254740993}', '"text"']);
  assertEquals(kept.column.elements[0]!.converted_type, "JSON");
});

test("parquetRows() says of a text that is no UTF-8 that it is none, and ParquetFile.rows() keeps its bytes", async () => {
  const data = ["good", new Uint8Array([0xff])];
  const column = { name: "n", data, type: "STRING" };
  const bytes = new Uint8Array(parquetWriteBuffer({ columnData: [column] } as unknown as Written));
  assertEquals((await columnOf(bytes)).values, data);
  await inDirectory(async (directory) => {
    const path = join(directory, "in.parquet");
    writeFileSync(path, bytes);
    const input = { path, format: "parquet", gzip: false, size: 1 } as const;
    const rows = (await Array.fromAsync(parquetRows(input, { ...READING, field: "n" }, { offset: 0, line: 0 }))).flat();
    assertEquals(rows.map(({ text, problem }) => text ?? problem!.code), ["good", "not-utf8"]);
  });
});

// pyarrow packs the empty dictionary of a column of nulls so.
test("UNPACKERS give nothing for a page without bytes, whatever stands for it", () => {
  assertEquals(UNPACKERS["LZ4_RAW"]!(new Uint8Array(1), 0), new Uint8Array());
  assertEquals(UNPACKERS["LZ4_RAW"]!(new Uint8Array([16, 7]), 1), new Uint8Array([7]));
});

test("fits() takes of another input what a column of Parquet keeps as it is, and nothing else", () => {
  const INTEGER = (bitWidth: number, isSigned: boolean) => ({ logical_type: { type: "INTEGER", bitWidth, isSigned } });
  const rows: readonly (readonly [type: string, more: object, fit: readonly Value[], misfit: readonly Value[]])[] = [
    ["INT64", {}, [1, -(2 ** 53) + 1, 2n ** 63n - 1n], [0.5, -0, 2 ** 53, 2n ** 63n, "1", true]],
    ["INT64", { converted_type: "UINT_64" }, [0, 2n ** 64n - 1n], [-1, 2n ** 64n]],
    ["INT64", { converted_type: "TIMESTAMP_MICROS" }, [new Moment(1n, 6)], [1]],
    ["INT32", {}, [-(2 ** 31), 5n], [2 ** 31, 1.5]],
    ["INT32", { converted_type: "INT_8" }, [-128], [128]],
    ["INT32", INTEGER(32, false), [2 ** 32 - 1], [-1]],
    ["FLOAT", {}, [0.5, NaN], [0.1, 1n]],
    ["DOUBLE", {}, [0.1], [2n ** 53n + 1n]],
  ];
  for (const [type, more, fit, misfit] of rows) {
    const column = { name: "n", elements: [{ name: "n", type, ...more } as SchemaElement] };
    for (const value of fit) assertEquals(fits(value, column), true, `${value} in ${type}`);
    for (const value of misfit) assertEquals(fits(value, column), false, `${value} in ${type}`);
  }
});

test("fits() takes a time of INT96, and checkKeepable() refuses what would not be kept as it is", () => {
  assertEquals(fits(new Moment(1n, 9), { name: "n", elements: [{ name: "n", type: "INT96" }] }), true);
  const of = (more: Partial<SchemaElement>) => () => checkKeepable("n", [{ name: "n", type: "BYTE_ARRAY", ...more }]);
  assertThrows(
    of({ converted_type: "DECIMAL", precision: 16 }),
    UsageError,
    'Cannot keep "n": its decimals have 16 digits',
  );
  assertThrows(
    of({ converted_type: "INTERVAL" }),
    UsageError,
    "its type is INTERVAL, which is not read; name the other",
  );
  of({ converted_type: "DECIMAL", precision: 15 })();
});
