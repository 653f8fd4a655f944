import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { existsSync, readFileSync } from "node:fs";
import { join } from "@std/path";
import { inDirectory } from "../../support/checkpoint.ts";
import { assertEnded, inPlace } from "../../support/embed_place.ts";
import { groupsOf, tinyModel, writeJsonl } from "../../support/jobs.ts";
import { MODEL, noModel, runProgram } from "../../support/program.ts";
import { libraryMissing } from "../../support/references.ts";
import { slow } from "../../support/slow.ts";

const skip = libraryMissing || !existsSync("/proc/self/status");

/** Runs a job and gives its peak memory in bytes. */
async function peakOf(
  directory: string,
  rows: number,
  words: readonly string[],
): Promise<number> {
  const input = `${rows}.jsonl`;
  writeJsonl(join(directory, input), rows, 5);
  const output = `out-${input}`;
  const memory = join(directory, "memory");
  const { code, stderr } = await runProgram(["embed", input, "--model", MODEL, "-o", output, ...words], {
    cwd: directory,
    faulty: true,
    timeout: 3_600_000,
    env: { LLAMASAUR_TEST_MEMORY: memory },
  });
  assertEquals(code, 0, stderr);
  return 1024 * Number(readFileSync(memory, "utf8"));
}

const GROUPS = slow ? 2000 : 60;

test(`a checkpoint of an embed job writes as much after ${GROUPS} groups as after ten`, { skip }, async () => {
  for (const format of ["jsonl", "parquet"] as const) {
    await inPlace(async ({ embedHere, path }) => {
      writeJsonl(path("in.jsonl"), 3 * GROUPS, 5);
      assertEnded(await embedHere(["in.jsonl", "-o", "out", "--format", format, ...groupsOf(format, 3, 30)]), 0);
      const lines = readFileSync(path("out.job"), "utf8").split("\n");
      const checkpoints = lines.filter((line) => line.includes('"checkpoint"')).map(({ length }) => length);
      assertEquals(checkpoints.length, GROUPS);
      const [early, late] = [Math.max(...checkpoints.slice(0, 10)), Math.max(...checkpoints.slice(-11, -1))];
      assert(late <= early + 60, `${early} bytes at first, ${late} at last`); // digits; the last one tells of the input, too
    });
  }
});

test("an embed job holds no vectors of the last group while it computes the next", { skip }, async () => {
  for (const format of ["jsonl", "parquet"] as const) {
    await inDirectory(async (directory) => {
      await tinyModel(directory);
      writeJsonl(join(directory, "in.jsonl"), 200, 5);
      const held = join(directory, "held");
      const words = ["in.jsonl", "-o", "out", "--format", format, ...groupsOf(format, 20)];
      const { code, stderr } = await runProgram(["embed", ...words, "--model", "tiny.gguf"], {
        cwd: directory,
        faulty: true,
        allow: ["-A", "--v8-flags=--expose-gc"],
        env: { LLAMASAUR_TEST_HELD: held },
      });
      assertEquals(code, 0, stderr);
      const found = readFileSync(held, "utf8").trim().split("\n");
      const free = found.filter((word) => word === "free").length;
      assertEquals(found.length, 9);
      assert(free > found.length / 2, `${format}: ${found}`); // a collector may find one on the stack by chance
    });
  }
});

// Of the tiny model the runtime's own heap would be measured: V8 lets its young generation grow to 64 MB, whatever lives in it.
const skipMemory = skip || !slow || noModel;

for (
  const [what, group] of [["groups as they are", undefined], ["2,000 groups", 50]] as const
) {
  test(`an embed job of 100,000 rows, ${what}, takes at most 1.2 times the memory of 10,000`, {
    skip: skipMemory,
  }, async () => {
    for (const format of ["jsonl", "parquet"] as const) {
      await inDirectory(async (directory) => {
        const words = group === undefined ? [] : groupsOf(format, group);
        const few = await peakOf(directory, 10_000, ["--format", format, ...words]);
        const many = await peakOf(directory, 100_000, ["--format", format, ...words]);
        const [before, after] = [few, many].map((bytes) => `${(bytes / 1e6).toFixed(0)} MB`);
        const told = `${format}, ${what}: ${before} at 10,000 rows, ${after} at 100,000`;
        console.log(told);
        assert(many <= 1.2 * few, told);
      });
    }
  });
}
