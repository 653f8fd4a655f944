// Lists in the layouts of older writers are read as usual ones, and kept so.
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { writeFileSync } from "node:fs";
import { join } from "@std/path";
import type { SchemaElement } from "hyparquet";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import { checkWritable, fits } from "../../../cli/data/columns.ts";
import { parquetEncoder } from "../../../cli/data/parquet_output.ts";
import { ParquetFile } from "../../../cli/data/parquet_rows.ts";
import type { Value } from "../../../cli/data/rows.ts";
import { UsageError } from "../../../cli/failure.ts";
import { inDirectory } from "../../support/checkpoint.ts";

const REPEATED = { repetition_type: "REPEATED" } as const;
const REQUIRED = { repetition_type: "REQUIRED" } as const;
const NUMBER = { type: "INT32", ...REQUIRED } as const;

function list(more: Partial<SchemaElement>, name = "v"): SchemaElement {
  return { name, num_children: 1, converted_type: "LIST", repetition_type: "OPTIONAL", ...more };
}

/** A usual schema, the one that takes its place, and the paths of that one's leaves. */
interface Case {
  readonly usual: readonly SchemaElement[];
  readonly old: readonly SchemaElement[];
  readonly paths: readonly (readonly string[])[];
  readonly values: readonly Value[];
}

const GROUP = { name: "list", num_children: 1, ...REPEATED } as const;
const STRUCT = [{ name: "a", ...NUMBER }, { name: "b", ...NUMBER }] as const;
const CASES: Readonly<Record<string, Case>> = {
  "numbers that are repeated themselves": {
    usual: [list({}), GROUP, { name: "element", ...NUMBER }],
    old: [list({}), { name: "array", type: "INT32", ...REPEATED }],
    paths: [["v", "array"]],
    values: [[1, 2], null, [], [3]],
  },
  "nothing but nulls": {
    usual: [list({}), GROUP, { name: "element", ...NUMBER }],
    old: [list({}), { name: "array", type: "INT32", ...REPEATED }],
    paths: [["v", "array"]],
    values: [null, null],
  },
  "groups that are repeated themselves": {
    usual: [list({}), GROUP, { name: "element", num_children: 2, ...REQUIRED }, ...STRUCT],
    old: [list({}), { name: "item", num_children: 2, ...REPEATED }, ...STRUCT],
    paths: [["v", "item", "a"], ["v", "item", "b"]],
    values: [[{ a: 1, b: 2 }, { a: 3, b: 4 }], null, []],
  },
  "groups of one field, by their name": {
    usual: [list({}), GROUP, { name: "element", num_children: 1, ...REQUIRED }, STRUCT[0]],
    old: [list({}), { name: "v_tuple", num_children: 1, ...REPEATED }, STRUCT[0]],
    paths: [["v", "v_tuple", "a"]],
    values: [[{ a: 1 }, { a: 2 }], null],
  },
  "a repeated field without a list": {
    usual: [list(REQUIRED), GROUP, { name: "element", ...NUMBER }],
    old: [{ name: "v", type: "INT32", ...REPEATED }],
    paths: [["v"]],
    values: [[1, 2], [], [3]],
  },
  "a list of lists": {
    usual: [list({}), GROUP, list(REQUIRED, "element"), GROUP, { name: "element", ...NUMBER }],
    old: [list({}), list(REPEATED, "array"), { name: "array", type: "INT32", ...REPEATED }],
    paths: [["v", "array", "array"]],
    values: [[[1, 2], []], null, [[3]]],
  },
};

/** A file of a column "v" in an old layout: the levels of its values are those of the usual one. */
function oldFile({ usual, old, paths, values }: Case): Uint8Array {
  const root = { name: "schema", num_children: 1 };
  const writer = new ByteWriter();
  const parquet = new ParquetWriter({ writer, schema: [root, ...usual] as ParquetWriter["schema"] });
  void parquet.write({ columnData: [{ name: "v", data: [...values] }] });
  parquet.schema = [root, ...old] as ParquetWriter["schema"];
  for (const { columns } of parquet.row_groups) {
    for (const [i, { meta_data }] of columns.entries()) meta_data!.path_in_schema = [...paths[i]!];
  }
  void parquet.finish();
  return writer.getBytes();
}

/** The column "v" of a file. */
async function columnOf(bytes: Uint8Array): Promise<{ elements: SchemaElement[]; values: (Value | undefined)[] }> {
  let found: { elements: SchemaElement[]; values: (Value | undefined)[] };
  await inDirectory(async (directory) => {
    const path = join(directory, "in.parquet");
    writeFileSync(path, bytes);
    await using file = await ParquetFile.open(path);
    const rows = await file.rows(["v"], 0, file.starts.at(-1)!);
    found = { elements: file.elementsOf("v"), values: rows.map(({ v }) => v) };
  });
  return found!;
}

for (const [what, one] of Object.entries(CASES)) {
  test(`ParquetFile.rows() of lists of older writers, of ${what}, has their values, which parquetEncoder() keeps`, async () => {
    const { elements, values } = await columnOf(oldFile(one));
    assertEquals(values, [...one.values]);
    const column = { name: "v", elements };
    checkWritable("v", elements);
    assert(values.every((value) => fits(value, column)));
    const encoder = parquetEncoder([{ name: "id", type: "string" }, column], {});
    const rest = { id: "0", embedding: new Float32Array(2), tokens: 1, truncated: false };
    const { bytes, note } = encoder.group(values.map((v) => ({ ...rest, kept: { v } })), 0);
    const group = Buffer.concat([...bytes].map((part) => part.slice()));
    const kept = await columnOf(Buffer.concat([group, encoder.end([note!], group.length)]));
    assertEquals(kept.values, [...one.values]);
  });
}

test("checkWritable() refuses a column whose lists have a layout that the writer does not write", () => {
  const pair = [list({ num_children: 2 }), { name: "a", ...NUMBER }, { name: "b", ...NUMBER }];
  const map = [
    { ...list({}), converted_type: "MAP" as const },
    { name: "kv", num_children: 1, ...REPEATED },
    STRUCT[0],
  ];
  for (const elements of [pair, map]) {
    assertThrows(() => checkWritable("v", elements), UsageError, 'Cannot keep "v" in Parquet: it has lists or maps in');
  }
});
