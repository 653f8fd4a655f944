import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "@std/path";
import { Failure } from "../../../cli/failure.ts";
import { readJournal } from "../../../cli/jobs/journal.ts";
import { inDirectory } from "../../support/checkpoint.ts";
import { assertEnded, inPlace } from "../../support/embed_place.ts";
import { runHere } from "../../support/run_here.ts";
import { libraryMissing as skip } from "../../support/references.ts";

/** What JSON can have in a field's place. */
const OTHERS: readonly unknown[] = [null, 5, "x", true, [], {}, [null], ["x"], undefined];

/** Each path to a value below an object, through lists, too. */
function pathsOf(value: unknown, above: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== "object" || value === null) return [above];
  return [above, ...Object.entries(value).flatMap(([name, one]) => pathsOf(one, [...above, name]))];
}

/** A copy that has another value at a path. */
function changedAt(value: unknown, [name, ...rest]: readonly string[], other: unknown): unknown {
  if (name === undefined) return other;
  const copy = structuredClone(value) as Record<string, unknown>;
  copy[name] = changedAt(copy[name], rest, other);
  return copy;
}

test(
  "readJournal() tells of a line of another shape by the file's name, whatever its fields are",
  { skip },
  async () => {
    await inPlace(async ({ embedHere, path, write }) => {
      write("in.jsonl", '{"text":"one","n":1}\n{"text":"two","n":2}\n');
      assertEnded(await embedHere(["in.jsonl", "-o", "out.jsonl", "--keep", "n", "--checkpoint", "1"]), 0);
      const job = path("out.jsonl.job");
      const lines = readFileSync(job, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line));
      assertEquals(lines.map(({ kind }) => kind), ["job", "checkpoint", "checkpoint", "closing", "complete"]);
      let refused = 0;
      for (const [i, line] of lines.entries()) {
        for (const [at, other] of pathsOf(line).flatMap((one) => OTHERS.map((other) => [one, other] as const))) {
          const now = lines.map((one, j) => i === j ? changedAt(line, at, other) : one);
          writeFileSync(job, now.map((one) => `${JSON.stringify(one)}\n`).join(""));
          await readJournal(path("out.jsonl")).catch(({ message }: Error) => {
            assertStringIncludes(message, `out.jsonl.job`, `${i} ${at} ${other}`);
            assert(/is damaged|is of version/.test(message), message);
            refused++;
          });
        }
      }
      assert(refused > 300, String(refused));
    });
  },
);

test("readJournal() refuses lines that are JSON and no journal's, and takes a torn last line for none", async () => {
  await inDirectory(async (directory) => {
    const output = join(directory, "out.jsonl");
    const others = [
      "null",
      "5",
      '{"kind":"x"}',
      '{"kind":"job","version":1}',
      '{"kind":"complete"}',
      "[]",
      "no JSON\n{}",
    ];
    for (const content of others) {
      writeFileSync(`${output}.job`, `${content}\n`);
      await assertRejects(
        () => readJournal(output),
        Failure,
        "out.jsonl.job: a line is damaged; --restart begins anew",
      );
    }
    for (const content of ["", "null", '{"kind":"job"', '{"kind"\n']) {
      writeFileSync(`${output}.job`, content);
      assertEquals(await readJournal(output), undefined);
    }
    writeFileSync(`${output}.job`, '{"kind":"job","version":2}\n');
    await assertRejects(() => readJournal(output), Failure, "is of version 2, this program knows 1");
  });
});

test("embed and status name a journal that is damaged, or a folder, and --restart begins anew", { skip }, async () => {
  await inPlace(async ({ embedHere, path, write }) => {
    write("in.txt", "one\n");
    const words = ["in.txt", "-o", "out.jsonl"];
    const status = () => runHere(["status", path("out.jsonl")]);
    write("out.jsonl.job", "null\n");
    for (const ended of [await embedHere(words), await status()]) {
      assertEnded(ended, 1);
      assertStringIncludes(ended.stderr, "out.jsonl.job: a line is damaged; --restart begins anew");
    }
    assertEnded(await embedHere([...words, "--restart"]), 0);
    for (const name of ["out.jsonl", "out.jsonl.job"]) rmSync(path(name));
    mkdirSync(path("out.jsonl.job"));
    for (const ended of [await embedHere(words), await status(), await embedHere([...words, "--restart"])]) {
      assertEnded(ended, 1);
      assertStringIncludes(ended.stderr, "out.jsonl.job: it is a folder; move it away, or give another -o");
    }
    assert(existsSync(path("out.jsonl.job")) && !existsSync(path("out.jsonl")));
  });
});
