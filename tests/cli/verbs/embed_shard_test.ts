import { test } from "node:test";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { appendFileSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { assertEnded, inPlace, type Line, type Place } from "../../support/embed_place.ts";
import { randomTexts, writeJsonl } from "../../support/jobs.ts";
import { wasKilled } from "../../support/program.ts";
import { libraryMissing as skip } from "../../support/references.ts";

/** Writes a folder of inputs of all kinds: some can be entered in their middle. */
function writeInputs({ path, write }: Place): void {
  write("in/b.txt", randomTexts(57, 11).join("\n"));
  writeJsonl(path("in/a.jsonl"), 101, 10);
  write("in/c.csv", "text\none\ntwo\n");
  write("in/d.txt.gz", gzipSync("three\nfour\n"));
  const data = randomTexts(90, 12);
  write(
    "in/e.parquet",
    new Uint8Array(parquetWriteBuffer({ columnData: [{ name: "text", data }], rowGroupSize: 10 })),
  );
}

test("embed --shard divides inputs so that the union of all shards is the rows without it", { skip }, async () => {
  await inPlace(async (place) => {
    const { embedHere, lines } = place;
    writeInputs(place);
    assertEnded(await embedHere(["in", "-o", "whole.jsonl"]), 0);
    const shards: Line[] = [];
    for (const i of [1, 2, 3]) {
      assertEnded(await embedHere(["in", "-o", `shard-${i}.jsonl`, "--shard", `${i}/3`, "--checkpoint", "20"]), 0);
      shards.push(...lines(`shard-${i}.jsonl`));
    }
    const byId = (a: Line, b: Line) => String(a.id) < String(b.id) ? -1 : 1;
    const [expected, found] = [lines("whole.jsonl").sort(byId), shards.sort(byId)];
    assertEquals(found.map(({ embedding: _, ...row }) => row), expected.map(({ embedding: _, ...row }) => row));
    const off = found.map(({ embedding }, i) =>
      Math.max(...embedding.map((x, j) => Math.abs(x - expected[i]!.embedding[j]!)))
    );
    assert(Math.max(...off) <= 1e-6, `the vectors are ${Math.max(...off)} off`);
    const ended = await embedHere(["in/c.csv", "-o", "c.jsonl", "--shard", "1/2"]);
    assertEnded(ended, 2);
    assertStringIncludes(ended.stderr, "Cannot take a shard of in/c.csv");
  });
});

test("embed --shard that is killed in each group goes on to the same bytes, also when an input has grown", {
  skip,
}, async () => {
  await inPlace(async (place) => {
    const { embed, embedHere, path } = place;
    writeInputs(place);
    const words = (output: string) => ["in", "-o", output, "--shard", "2/3", "--checkpoint", "20"];
    assertEnded(await embedHere(words("whole.jsonl")), 0);
    const kill = { faulty: true, env: { LLAMASAUR_TEST_POINT: "before output:2:kill" } };
    let [kills, ended] = [0, await embed(words("killed.jsonl"), kill)];
    for (; wasKilled(ended); kills++, ended = await embed(words("killed.jsonl"), kill)) {
      // The shares are those of the sizes at the start of the job.
      appendFileSync(path("in/a.jsonl"), '{"text":"a line that was written later"}\n');
    }
    assertEnded(ended, 0);
    assertEquals(readFileSync(path("killed.jsonl"), "utf8"), readFileSync(path("whole.jsonl"), "utf8"));
    assert(kills >= 3, `it was killed ${kills} times`);
  });
});
