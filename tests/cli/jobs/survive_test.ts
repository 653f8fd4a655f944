import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { existsSync, readFileSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import process from "node:process";
import { join } from "@std/path";
import type { Point } from "../../../cli/jobs/disk.ts";
import { inDirectory } from "../../support/checkpoint.ts";
import { libraryMissing as skip } from "../../support/references.ts";
import { readJournal } from "../../../cli/jobs/journal.ts";
import { countedTexts, groupsOf, tinyModel, writeJsonl } from "../../support/jobs.ts";
import { type Ended, runProgram, RUNTIME, type Runtime, wasKilled } from "../../support/program.ts";
import { randomIntegers } from "../../support/random.ts";
import { slow } from "../../support/slow.ts";

// Every moment between two states of the disk at which a process may end, in the order in which a job comes to them. The
// first "half journal" tears the header, the second one a checkpoint's line: what is behind it must be cut before more is
// appended.
const POINTS: readonly Point[] = [
  "before header",
  "half journal",
  "before folder sync",
  "after header",
  "before output",
  "after output",
  "before output sync",
  "after output sync",
  "before errors sync",
  "after errors sync",
  "before journal",
  "half journal",
  "before journal sync",
  "after journal sync",
  "before end of part",
  "after end of part",
  "before closing",
  "after closing",
  "before rename",
  "after rename",
  "before complete",
  "after complete",
];
/** Only a process that ends a part or the job comes to these. */
const AT_END = POINTS.indexOf("before end of part");
/** Before it there is no journal to go on with. */
const WITH_HEADER = POINTS.indexOf("after header");
/** The gate has each point once: what is before something on one runtime, torn lines and what is behind on the other. */
const HALF = RUNTIME === "deno" ? 0 : 1;
const FORMATS = ["jsonl", "parquet"] as const;
const RUNTIMES: readonly Runtime[] = ["deno", "bun"];

type Kill = (signal: NodeJS.Signals) => void;

interface Job {
  readonly directory: string;
  readonly rows: number;
  readonly group: number;
  readonly format: "jsonl" | "parquet";
  readonly timeout: number;
}

function start(
  job: Job,
  output: string,
  runtime: Runtime,
  more: Parameters<typeof runProgram>[1] = {},
): Promise<Ended> {
  const { directory, group, format, timeout } = job;
  const path = join(directory, `${output}.${format}`); // whole: under wine Bun opens no folder "."
  const words = ["embed", "in.jsonl", "--model", "tiny.gguf", "-o", path, "--keep", "n,name"];
  return runProgram([...words, "--on-error", "skip", ...groupsOf(format, group, 4 * group)], {
    cwd: directory,
    faulty: true,
    runtime,
    timeout,
    ...more,
    env: { LLAMASAUR_TEST_COUNT: join(directory, `${output}.count`), ...more?.env },
  });
}

/** Every file of an output: of a folder all parts, and the errors file. */
async function filesOf({ directory, format }: Job, output: string): Promise<Map<string, Uint8Array>> {
  const path = join(directory, `${output}.${format}`);
  const names = format === "jsonl" ? [""] : (await readdir(path)).sort().map((name) => `/${name}`);
  const paths = [...names, ".errors.jsonl"];
  return new Map(paths.map((name) => [name, new Uint8Array(readFileSync(`${path}${name}`))]));
}

async function assertSame(job: Job, output: string): Promise<void> {
  const [expected, actual] = [await filesOf(job, "whole"), await filesOf(job, output)];
  assertEquals([...actual.keys()], [...expected.keys()]);
  for (const [name, bytes] of expected) {
    const found = actual.get(name)!;
    const first = bytes.findIndex((byte, i) => byte !== found[i]);
    assert(first < 0 && bytes.length === found.length, `${output}${name}: differs from byte ${first}`);
  }
}

/** An undisturbed run, to compare with; returns how many texts it embedded. */
async function whole(job: Job): Promise<number> {
  const { code, stderr } = await start(job, "whole", "deno");
  assertEquals(code, 4, stderr); // rows were skipped
  return countedTexts(join(job.directory, "whole.count"));
}

/** How far a job is: rows that the journal has, and texts that were computed for them. */
async function standing({ directory, format }: Job, output: string): Promise<{ rows: number; computed: number }> {
  const count = join(directory, `${output}.count`);
  const { last } = await readJournal(join(directory, `${output}.${format}`)) ?? {};
  return { rows: last?.totals.rows ?? 0, computed: existsSync(count) ? countedTexts(count) : 0 };
}

/**
 * Runs a job until it is broken off. What it computed and did not keep is at most one group: a job that restarts from zero
 * fails here.
 */
async function breakOff(job: Job, output: string, runtime: Runtime, more: Parameters<typeof start>[3]): Promise<Ended> {
  const before = await standing(job, output);
  const ended = await start(job, output, runtime, more);
  const after = await standing(job, output);
  const lost = after.computed - before.computed - (after.rows - before.rows);
  assert(lost <= job.group, `${lost} texts were computed and not kept: ${ended.stderr}`);
  return ended;
}

/** Lets a job end that was broken off, and compares. */
async function finish(job: Job, output: string, breaks: number, texts: number): Promise<void> {
  const { code, stderr } = await breakOff(job, output, RUNTIMES[breaks % 2]!, {});
  assertEquals(code, 4, stderr);
  await assertSame(job, output);
  const { computed } = await standing(job, output);
  console.log(
    `${output}.${job.format}: broken off ${breaks} times, ${computed - texts} of ${texts} texts computed again`,
  );
}

async function withJob(job: Omit<Job, "directory">, run: (job: Job, texts: number) => Promise<void>): Promise<void> {
  await inDirectory(async (directory) => {
    await tinyModel(directory);
    writeJsonl(join(directory, "in.jsonl"), job.rows, 7, 41);
    const made = { ...job, directory };
    await run(made, await whole(made));
  });
}

// Each test takes turns with both runtimes: the gate runs it on one of them.
for (const format of slow ? FORMATS : [RUNTIME === "deno" ? "parquet" : "jsonl"] as const) {
  const [rows, group] = slow ? [100_000, 500] : [1_200, 50];
  test(
    `an embed job of ${rows} rows to ${format}, killed at every ${
      slow ? "" : "second "
    }point on both runtimes, ends with the same bytes`,
    { skip },
    async () => {
      await withJob({ rows, group, format, timeout: slow ? 3_600_000 : 120_000 }, async (job, texts) => {
        let breaks = 0;
        for (const [i, point] of POINTS.entries()) {
          if (!slow && i % 2 !== HALF) continue;
          // Each process gets on by a group before it ends, so that the next one has something to go on with.
          const times = i < AT_END && i > WITH_HEADER ? 2 : 1;
          const env = { LLAMASAUR_TEST_POINT: `${point}:${times}:kill` };
          const ended = await breakOff(job, "killed", RUNTIMES[breaks % 2]!, { env });
          assert(wasKilled(ended), `${point}: ended with ${ended.code} ${ended.signal}: ${ended.stderr}`);
          breaks++;
        }
        await finish(job, "killed", breaks, texts);
        const { computed } = await standing(job, "killed");
        assertEquals((await start(job, "killed", "bun")).code, 4);
        assertEquals((await standing(job, "killed")).computed, computed, "a complete job computes nothing");
      });
    },
  );
}

/**
 * Kills a program at some moment of the group that follows so many further checkpoints. The journal's lines are counted, not
 * seconds: on a slow machine, too, each process gets on.
 */
function killAfter(journal: string, checkpoints: number, milliseconds: number): (kill: Kill) => void {
  const lines = (): number => existsSync(journal) ? readFileSync(journal, "utf8").split("\n").length : 0;
  const target = lines() + checkpoints;
  return (kill) => {
    const timer = setInterval(() => {
      if (lines() < target) return;
      clearInterval(timer);
      setTimeout(() => kill("SIGKILL"), milliseconds);
    }, 5);
    timer.unref();
  };
}

for (const format of slow ? FORMATS : [RUNTIME === "deno" ? "jsonl" : "parquet"] as const) {
  const times = slow ? 20 : 3;
  const [rows, group] = slow ? [100_000, 500] : [2_400, 100];
  test(
    `an embed job of ${rows} rows to ${format}, killed ${times} times at random, ends with the same bytes`,
    { skip },
    async () => {
      const seed = Number(process.env["LLAMASAUR_SEED"] ?? Date.now() % 1e9);
      console.log(`seed ${seed}: LLAMASAUR_SEED=${seed} draws the same moments`);
      const draw = randomIntegers(seed);
      const start = performance.now();
      await withJob({ rows, group, format, timeout: slow ? 3_600_000 : 600_000 }, async (job, texts) => {
        // Each process does less than its share of the groups: all of them are killed.
        const most = Math.floor(rows / group / times) - 3;
        const groupTime = (performance.now() - start) * group / rows;
        for (let i = 0; i < times; i++) {
          const journal = join(job.directory, `random.${format}.job`);
          const onStart = killAfter(journal, draw(0, most), groupTime * draw(0, 1000) / 1000);
          const ended = await breakOff(job, "random", RUNTIMES[i % 2]!, { onStart });
          assert(wasKilled(ended), `run ${i} ended with ${ended.code}: ${ended.stderr}`);
        }
        await finish(job, "random", times, texts);
        await rm(join(job.directory, "in.jsonl"));
      });
    },
  );
}
