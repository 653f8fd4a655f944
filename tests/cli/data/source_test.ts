import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { join } from "@std/path";
import { Failure } from "../../../cli/failure.ts";
import { findInputs } from "../../../cli/data/inputs.ts";
import { parquetEncoder } from "../../../cli/data/parquet_output.ts";
import { Source } from "../../../cli/data/source.ts";
import { shareOf } from "../../../cli/jobs/shards.ts";
import { inDirectory } from "../../support/checkpoint.ts";
import { randomTexts, writeJsonl } from "../../support/jobs.ts";

const ROWS = 10_000;
const READING = { field: "text", id: undefined, keep: [] };

/** A Parquet file of texts, of five row groups. */
function writeParquet(path: string): void {
  const encoder = parquetEncoder([{ name: "id", type: "string" }, { name: "text", type: "string" }], {});
  const texts = randomTexts(ROWS, 3);
  const parts: Uint8Array[] = [];
  const notes: string[] = [];
  let size = 0;
  const add = (bytes: Uint8Array): void => {
    parts.push(bytes);
    size += bytes.length;
  };
  for (let i = 0; i < ROWS; i += ROWS / 5) {
    const rows = texts.slice(i, i + ROWS / 5).map((text, n) => {
      return { id: `${i + n}`, kept: { text }, embedding: new Float32Array(1), tokens: 1, truncated: false };
    });
    const { bytes, note } = encoder.group(rows, size);
    for (const one of bytes) add(one.slice());
    notes.push(note!);
  }
  add(encoder.end(notes, size));
  writeFileSync(path, Buffer.concat(parts));
}

for (const name of ["in.jsonl", "in.jsonl.gz", "in.parquet"]) {
  test(`Source of ${name} tells what part of its bytes was read, also of a shard`, async () => {
    await inDirectory(async (directory) => {
      const path = join(directory, name);
      if (name === "in.parquet") writeParquet(path);
      else writeJsonl(join(directory, "in.jsonl"), ROWS, 3);
      if (name.endsWith(".gz")) writeFileSync(path, gzipSync(readFileSync(join(directory, "in.jsonl"))));
      const inputs = await findInputs([path], undefined);
      for (const shard of name.endsWith(".gz") ? [undefined] : [undefined, { index: 2, count: 3 }]) {
        const source = new Source(inputs, READING, undefined, shareOf(shard, inputs));
        const bytes = source.bytes!;
        assert(Math.abs(bytes - inputs[0]!.size! / (shard?.count ?? 1)) <= 1, `${bytes} bytes`);
        let rows = 0;
        for (let end = false; !end;) {
          const batch = await source.take(500);
          rows += batch.rows.length;
          end = batch.end;
          const [read, taken] = [batch.read! / bytes, rows * (shard?.count ?? 1) / ROWS];
          // Rows differ in length, and what a packed file unpacks to is estimated; of five row groups a shard has one or two.
          if (shard === undefined) {
            assert(
              Math.abs(read - taken) < 0.1,
              `${read} of the bytes, ${taken} of the rows`,
            );
          } else assert(read > 0 && read <= 1, `${read} of the bytes`);
          if (end) assertEquals(batch.read, bytes);
        }
        await source.close();
      }
    });
  });
}

// Bun ends a process that leaves a file to the garbage collector.
test("Source leaves no file open that has changed, or that it read in part", {
  skip: !existsSync("/proc/self/fd"),
}, async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "in.jsonl");
    writeJsonl(path, ROWS, 3);
    const inputs = await findInputs([path], undefined);
    const open = (): string[] => {
      return readdirSync("/proc/self/fd").flatMap((fd) => {
        try {
          return [readlinkSync(`/proc/self/fd/${fd}`)];
        } catch {
          return []; // that of the folder itself
        }
      }).filter((one) => one.endsWith("in.jsonl"));
    };
    const first = new Source(inputs, READING);
    const { position } = await first.take(10);
    await first.close();
    assertEquals(open(), []);
    const again = new Source(inputs, READING, position);
    await again.take(1); // the rest of a chunk, and no more
    await again.close();
    assertEquals(open(), []);
    const reading = new Source(inputs, READING);
    const taken = reading.take(ROWS);
    await reading.close(); // meanwhile
    await taken.catch(() => {});
    await reading.close();
    assertEquals(open(), []);
    const other = new Source(inputs, READING, { ...position!, sha256: "another" });
    await assertRejects(() => other.take(10), Failure, "has changed");
    await other.close();
    assertEquals(open(), []);
  });
});
