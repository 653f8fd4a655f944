import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { writeFileSync } from "node:fs";
import { join } from "@std/path";
import { parquetWriteBuffer } from "hyparquet-writer";
import { ParquetFile, parquetRows } from "../../../cli/data/parquet_rows.ts";
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
      await assertRejects(() => ParquetFile.open(path), Failure, "Cannot read ");
    }
  });
});
