import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { readFileSync, writeFileSync } from "node:fs";
import { parquetWriteBuffer } from "hyparquet-writer";
import { inPlace } from "../../support/embed_place.ts";
import { randomTexts, writeJsonl } from "../../support/jobs.ts";
import { runProgram, wasKilled } from "../../support/program.ts";
import { libraryMissing } from "../../support/references.ts";
import { runHere } from "../../support/run_here.ts";

test(
  "llamasaur status tells of a complete job and of one that was stopped",
  { skip: libraryMissing },
  async () => {
    await inPlace(async ({ embedHere, path }) => {
      const output = path("out.jsonl");
      writeJsonl(path("in.jsonl"), 60, 1);
      assertEquals((await embedHere(["in.jsonl", "-o", "out.jsonl", "--checkpoint", "20"])).code, 0);
      const { code, stdout } = await runProgram(["status", output]);
      assertEquals(code, 0);
      assertMatch(stdout, /^complete: 60 rows, [\d,]+ tokens, .* rows\/s\nmodel .*, fingerprint [0-9a-f]{16}\n$/);
      const whole = JSON.parse((await runHere(["status", output, "--json"])).stdout);
      const folder = await runHere(["status", `${output}/`, "--json"]); // as a folder of parts may be given
      assertEquals(JSON.parse(folder.stdout), whole);
      assertEquals([whole.complete, whole.rows, whole.total, whole.part, whole.skipped], [true, 60, 60, 1, 0]);
      // As a kill leaves it: the header and the first checkpoint.
      const lines = readFileSync(`${output}.job`, "utf8").split("\n");
      writeFileSync(`${output}.job`, `${lines.slice(0, 2).join("\n")}\n{"kind":"checkp`);
      const half = JSON.parse((await runHere(["status", output, "--json"])).stdout);
      assertEquals(
        [half.complete, half.rows, half.total, half.part > 0.2 && half.part < 0.5],
        [false, 20, null, true], // of lines nobody knows how many there are
        JSON.stringify(half),
      );
      assertMatch((await runHere(["status", output])).stdout, /^3\d % of the inputs: 20 rows/);
    });
  },
);

test(
  "llamasaur status tells the rows of Parquet before they are read, and those of a shard",
  { skip: libraryMissing },
  async () => {
    await inPlace(async ({ embed, path, write }) => {
      const columnData = [{ name: "text", data: randomTexts(50, 2) }];
      write("in/a.parquet", new Uint8Array(parquetWriteBuffer({ columnData, rowGroupSize: 10 })));
      write("in/b.md", "a text");
      for (const [more, total] of [[[], 51], [["--shard", "1/2"], 20]] as const) {
        const env = { LLAMASAUR_TEST_POINT: "after journal sync:2:kill" }; // behind the first checkpoint
        const words = ["in", "-o", `out${more.length}.jsonl`, "--checkpoint", "10", ...more];
        assert(wasKilled(await embed(words, { faulty: true, env })));
        const { stdout } = await runHere(["status", path(`out${more.length}.jsonl`), "--json"]);
        const { rows, total: told } = JSON.parse(stdout);
        assertEquals([rows, told], [10, total]);
        const text = await runHere(["status", path(`out${more.length}.jsonl`)]);
        assertStringIncludes(text.stdout, ` of the inputs: 10 of ${total} rows, `);
      }
    });
  },
);

test("llamasaur status of what is no job is exit code 2", async () => {
  const { code, stdout, stderr } = await runHere(["status", "/none/out.jsonl"]);
  assertEquals([code, stdout], [2, ""]);
  assertStringIncludes(stderr, "it has no job");
});
