// What Python's readers make of the Parquet that embed writes; skipped where Python lacks pyarrow and duckdb.
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { spawnSync } from "node:child_process";
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import process from "node:process";
import { join } from "@std/path";
import { inDirectory } from "../../support/checkpoint.ts";
import { tinyModel, writeJsonl } from "../../support/jobs.ts";
import { runProgram } from "../../support/program.ts";
import { libraryMissing } from "../../support/references.ts";

const PYTHON = process.env["LLAMASAUR_PYTHON"] ?? "python3";
const lacks = spawnSync(PYTHON, ["-c", "import pyarrow.parquet, duckdb"]).status !== 0;
const skip = libraryMissing || (lacks && "Python lacks pyarrow or duckdb");

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
      for (const output of ["out.parquet", "out.jsonl"]) {
        const words = ["in.jsonl", "--model", "tiny.gguf", "-o", output, "--keep", "n,name", "--encoding", "base64"];
        const sizes = ["--row-group", "100", "--checkpoint", "100"];
        const given = output.endsWith(".parquet") ? words.slice(0, -2) : words;
        const { code, stderr } = await runProgram(["embed", ...given, ...sizes], { cwd: directory });
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
