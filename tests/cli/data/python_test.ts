// What Python's readers make of the Parquet that embed writes. scripts/test.sh gets pyarrow and duckdb, and so does
// `deno task slow`; with neither, a Python that has them runs it (LLAMASAUR_PYTHON names one).
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { spawnSync } from "node:child_process";
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { join } from "@std/path";
import { inDirectory } from "../../support/checkpoint.ts";
import { groupsOf, tinyModel, writeJsonl } from "../../support/jobs.ts";
import { pythonWith } from "../../support/python.ts";
import { runHere } from "../../support/run_here.ts";
import { libraryMissing } from "../../support/references.ts";
import { slow } from "../../support/slow.ts";

const found = pythonWith("duckdb", "pyarrow.parquet");
const [PYTHON, lacks] = "python" in found ? [found.python, false as const] : ["", found.lacks];
const skip = libraryMissing || lacks;
/** polars writes the first one by default. */
const CODECS = slow ? ["zstd", "lz4", "brotli"] : ["zstd"];

const READ = `
import json, struct, sys
import duckdb, pyarrow.parquet as parquet
path = sys.argv[1]
file = parquet.ParquetFile(path)
rows = file.read().to_pylist()
bits = lambda vector: struct.pack("<%df" % len(vector), *vector).hex()
count, numbers = duckdb.sql(f"select count(*), sum(len(embedding)) from '{path}'").fetchall()[0]
metadata = {key.decode(): value.decode() for key, value in file.metadata.metadata.items()}
duck = duckdb.sql(f"select id, embedding from '{path}'").fetchall() # in the file's order, which list() has not
print(json.dumps({"rows": [[row["id"], row["n"], row["name"], bits(row["embedding"])] for row in rows], "count": count,
  "ids": [row[0] for row in duck], "numbers": int(numbers), "duck": [bits(row[1]) for row in duck], "metadata": metadata,
  "types": [str(field.type) for field in file.schema_arrow], "groups": file.metadata.num_row_groups}))
`;

test(
  "pyarrow and DuckDB read the Parquet of embed: rows, ids, the bits of the vectors, metadata",
  { skip },
  async () => {
    await inDirectory(async (directory) => {
      await tinyModel(directory);
      writeJsonl(join(directory, "in.jsonl"), 250, 3);
      for (const format of ["parquet", "jsonl"] as const) {
        const words = ["in.jsonl", "--model", "tiny.gguf", "-o", `out.${format}`, "--keep", "n,name"];
        const more = [...groupsOf(format, 100), ...format === "jsonl" ? ["--encoding", "base64"] : []];
        const { code, stderr } = await runHere(["embed", ...words, ...more], { cwd: directory });
        assertEquals(code, 0, stderr);
      }
      const { stdout, stderr } = spawnSync(PYTHON, ["-c", READ, join(directory, "out.parquet")], { encoding: "utf8" });
      assertEquals(stderr, "");
      const read = JSON.parse(stdout);
      const lines = readFileSync(join(directory, "out.jsonl"), "utf8").trim().split("\n").map((line) =>
        JSON.parse(line)
      );
      const hex = lines.map(({ embedding }) => Buffer.from(embedding, "base64").toString("hex"));
      assertEquals(read.rows, lines.map(({ id, n, name }, i) => [id, n, name, hex[i]]));
      assertEquals([read.count, read.ids, read.numbers], [250, lines.map(({ id }) => id), 250 * 64]);
      assertEquals(read.duck, hex);
      assertEquals(read.groups, 3);
      assertEquals(read.types, ["string", "int64", "string", "list<element: float not null>", "int32", "bool"]);
      assertEquals(read.metadata["llamasaur.fingerprint"], lines[0].fingerprint);
      const names = ["dimensions", "fingerprint", "model", "options", "versions"].map((name) => `llamasaur.${name}`);
      assertEquals(Object.keys(read.metadata).sort(), names);
    });
  },
);

const TYPES = `
import datetime, decimal, sys
import pyarrow as pa, pyarrow.parquet as parquet
n = range(30)
some = lambda make: [make(i) if i % 7 else None for i in n]
table = pa.table({
  "text": [f"text {i}" for i in n],
  **{str(type): pa.array(some(lambda i: i), type) for type in
    [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.float32(), pa.float64()]},
  "big": pa.array(some(lambda i: 2**53 + 1 + i), pa.int64()), "huge": pa.array(some(lambda i: 2**64 - 1 - i), pa.uint64()),
  "half": pa.array(some(lambda i: i / 2), pa.float16()), "bool": some(lambda i: i % 2 == 0), "nulls": [None for i in n],
  "day": some(lambda i: datetime.date(1, 1, 1 + i)), "time": some(lambda i: datetime.time(1, 2, 3, i)),
  **{unit: pa.array(some(lambda i: 1577836800123 + i), pa.timestamp(unit)) for unit in ["ms", "us", "ns"]},
  "decimal": pa.array(some(lambda i: decimal.Decimal("-1234567890123.45")), pa.decimal128(15, 2)),
  "bytes": some(lambda i: bytes([i, 255])), "word": pa.array(some(lambda i: f"w{i % 3}")).dictionary_encode(),
  "list": some(lambda i: [i, None] if i % 2 else []), "lists": some(lambda i: [["a"], [], ["b", "c"]]),
  "struct": some(lambda i: {"a": i, "b": {"c": str(i)}}), "structs": some(lambda i: [{"x": i, "y": None}]),
})
for codec in sys.argv[2:]:
  parquet.write_table(table, f"{sys.argv[1]}/{codec}.parquet", compression=codec, row_group_size=20)
`;

const SAME = `
import sys
import duckdb, pyarrow.parquet as parquet
given, kept = [parquet.read_table(path) for path in sys.argv[1:]]
assert duckdb.sql(f"select * from '{sys.argv[2]}'").fetchall(), "no rows"
for name in given.column_names:
  ours, theirs = kept[name], given[name] if name != "word" else given[name].cast(kept[name].type) # which was a dictionary
  assert theirs.type == ours.type, (name, theirs.type, ours.type)
  assert theirs.equals(ours), (name, str(ours))
`;

/** Runs a Python program; an assertion that fails there fails here. */
function python(program: string, ...words: readonly string[]): void {
  const { status, stderr } = spawnSync(PYTHON, ["-c", program, ...words], { encoding: "utf8" });
  assertEquals(status, 0, stderr);
}

test(
  `embed --keep all of pyarrow's Parquet (${CODECS.join(", ")}) keeps each type and value of it`,
  { skip },
  async () => {
    await inDirectory(async (directory) => {
      await tinyModel(directory);
      python(TYPES, directory, ...CODECS);
      for (const codec of CODECS) {
        const words = [`${codec}.parquet`, "--model", "tiny.gguf", "-o", "out.parquet", "--keep", "all", "--restart"];
        const { code, stderr } = await runHere(["embed", ...words, "--row-group", "20"], { cwd: directory });
        assertEquals(code, 0, stderr);
        python(SAME, join(directory, `${codec}.parquet`), join(directory, "out.parquet"));
      }
    });
  },
);
