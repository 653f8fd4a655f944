import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { existsSync } from "node:fs";
import { join } from "@std/path";
import { jsonlEncoder } from "../../../cli/data/jsonl_output.ts";
import { parquetEncoder } from "../../../cli/data/parquet_output.ts";
import { type Point, watchPoints } from "../../../cli/jobs/disk.ts";
import type { Header } from "../../../cli/jobs/journal.ts";
import type { Settings } from "../../../cli/jobs/settings.ts";
import { Sink } from "../../../cli/jobs/sink.ts";
import { inDirectory } from "../../support/checkpoint.ts";
import { assertEnded, inPlace } from "../../support/embed_place.ts";
import { failAt } from "../../support/jobs.ts";
import { libraryMissing as skip } from "../../support/references.ts";

const ROW = { id: "1", kept: {}, embedding: new Float32Array([1]), tokens: 1, truncated: false };
const SKIPPED = { file: "in.jsonl", line: 2, id: null, code: "malformed", message: "is no JSON" } as const;

for (const format of ["jsonl", "parquet"] as const) {
  test(`Sink to ${format} has the names of its files on the disk before a checkpoint that counts on them`, async () => {
    await inDirectory(async (directory) => {
      const output = join(directory, `out.${format}`);
      const columns = [{ name: "id", type: "string" }] as const;
      const encoder = format === "jsonl" ? jsonlEncoder(columns, "f", "float") : parquetEncoder(columns, {});
      const settings = { output, format, partRows: 10 } as Settings;
      const header = { kind: "job", version: 1, columns } as unknown as Header;
      const reached: (readonly [Point, string | undefined])[] = [];
      watchPoints((point, path) => void reached.push([point, path]));
      const sink = await Sink.open(settings, encoder, header, undefined);
      const batch = { rows: [], position: undefined, finished: [], end: true, read: 0 };
      const embedded = (): Parameters<Sink["write"]>[1] => {
        return { rows: [{ ...ROW, embedding: new Float32Array([1]) }], skipped: [SKIPPED], truncated: 0, tokens: 1 };
      };
      await sink.write(batch, embedded());
      const synced = (point: Point, times: number): (string | undefined)[] => {
        const at = reached.flatMap(([one], i) => one === point ? [i] : [])[times - 1]!;
        return reached.splice(0, at + 1).flatMap(([one, path]) => one === "before folder sync" ? [path] : []);
      };
      const folder = format === "parquet" ? [`${output}.part`] : [];
      assertEquals(synced("after header", 1), [...folder, directory], "of the first rows and the journal");
      assertEquals(synced("before journal", 1), [directory], "of the errors file");
      await sink.write(batch, embedded());
      assertEquals(synced("before journal", 1), [], "nothing is new");
      watchPoints(() => {});
      await sink.close();
    });
  });
}

test("embed that goes on drops the lines of OUT.errors.jsonl that no checkpoint has", { skip }, async () => {
  await inPlace(async ({ embedHere, write, lines, path }) => {
    for (const [first, rows] of [["no JSON", 3], ['{"text":"zero"}', 4]] as const) {
      write("in.jsonl", `${first}\n{"text":"one"}\nno JSON, too\n{"text":"two"}\n`);
      const words = ["in.jsonl", "-o", `out-${rows}.jsonl`, "--on-error", "skip", "--checkpoint", "2"];
      failAt("after errors sync", rows === 3 ? 2 : 1);
      assertEnded(await embedHere(words), 1);
      write("in.jsonl", `${first}\n{"text":"one"}\n{"text":"mended"}\n{"text":"two"}\n`);
      assertEnded(await embedHere(words), rows === 3 ? 4 : 0);
      assertEquals(lines(`out-${rows}.jsonl`).length, rows);
      const errors = `out-${rows}.jsonl.errors.jsonl`;
      assertEquals(existsSync(path(errors)) ? lines(errors).map(({ line }) => line) : [], rows === 3 ? [1] : []);
    }
  });
});
