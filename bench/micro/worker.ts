// What a worker on PostgreSQL costs beside the engine alone: `deno task bench:worker [options]`
//   --rows N      titles; of paragraphs it is a tenth (default: 20000)
//   --plan N      rows that are planned; memory is compared with a tenth of them (default: 1000000)
//   --rounds N    each takes every contender once, in turn (default: 3)
//   --runtime R   deno or bun (default: deno)
//   --smoke       2000 titles, 100,000 planned rows, one round
//   --write       keeps the figures in bench/results/worker.json and worker-targets.json, for `deno task docs`
// The database is on the same machine (scripts/postgres.sh), and its processor time is told apart. Each contender is a
// process of its own, from start to end, with the model's load. Two workers and one of two contexts are compared over the same
// jobs, at least 64 of them. Prints tables of Markdown.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { packageRoot } from "../../ffi/host/paths.ts";
import { loggedStatements, logStatements, TestDatabase } from "../../tests/support/postgres.ts";
import { describeMachine } from "../machine.ts";
import { paragraphs } from "../paragraphs.ts";
import { type Figures, keep, noted } from "../noted.ts";
import { machineLine, table } from "../report.ts";
import { median } from "../statistics.ts";
import { titles, withCount } from "../texts.ts";
import { waysToWrite } from "./worker_writes.ts";

const ROOT = fileURLToPath(packageRoot());
const MODEL = join(ROOT, "models", "all-minilm-l6-v2-q8_0.gguf");
const MOST_DIFFERENT = 5000;
const TICKS = 100; // of /proc, a second
const IDLE_SECONDS = 20;
const SHARD = 256; // rows a job, if nothing else is said
// One of two workers is idle at the end for a job at most: of 64, half of one is 1.6 % of the time that all take.
const LEAST_JOBS = 64;

interface Spent {
  readonly seconds: number;
  readonly processor: number;
  /** The database's part, of a worker. */
  readonly database: number;
  /** Bytes that the process had at most. */
  readonly memory: number;
}

const { values: { smoke, ...values } } = parseArgs({
  options: {
    rows: { type: "string", default: "20000" },
    plan: { type: "string", default: "1000000" },
    rounds: { type: "string", default: "3" },
    runtime: { type: "string", default: "deno" },
    smoke: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
  },
});
const rows = smoke ? 2000 : Number(values.rows);
const planned = smoke ? 100_000 : Number(values.plan);
const rounds = smoke ? 1 : Number(values.rounds);
const runtime = values.runtime;

await using base = await TestDatabase.make();
const parent = Number(statOf(await base.value<number>("select pg_backend_pid()"))[1]);

/** What /proc says of a process behind its name: state, parent, … */
function statOf(pid: number): string[] {
  return readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ");
}

/** Seconds of the processor that a process had, with its children that ended. */
function processorOf(pid: number): number {
  try {
    return statOf(pid).slice(11, 15).reduce((sum, one) => sum + Number(one), 0) / TICKS;
  } catch {
    return 0; // it has ended
  }
}

/** Seconds of the processor that the database had. */
function databaseTime(): number {
  const all = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number);
  const children = all.filter((pid) => {
    try {
      return statOf(pid)[1] === String(parent);
    } catch {
      return false;
    }
  });
  return [parent, ...children].reduce((sum, pid) => sum + processorOf(pid), 0);
}

function wordsOf(file: string, args: readonly string[]): string[] {
  return [...(runtime === "deno" ? ["deno", "run", "-A"] : ["bun"]), join(ROOT, file), ...args];
}

/** Starts a verb over the database. */
function start(verb: string, ...args: string[]): ChildProcess {
  const [program, ...words] = wordsOf("cli/main.ts", [
    verb,
    "--database",
    base.url,
    "--model",
    MODEL,
    "--quiet",
    ...args,
  ]);
  return spawn("/usr/bin/env", [program!, ...words], { stdio: "inherit" });
}

/** Runs programs of the checkout at once, and measures them. */
async function timed(...commands: readonly (readonly string[])[]): Promise<Spent> {
  const [begin, database] = [performance.now(), databaseTime()];
  const ended = await Promise.all(commands.map((command) =>
    new Promise<number[]>((resolve, reject) => {
      const child = spawn("/usr/bin/env", ["time", "-f", "%U %S %M", ...command], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      let said = "";
      child.stderr.on("data", (text) => said += text);
      child.on("close", (code) =>
        code === 0 ? resolve(said.trim().split("\n").at(-1)!.split(" ").map(Number)) : reject(new Error(said)));
    })
  ));
  return {
    seconds: (performance.now() - begin) / 1000,
    processor: ended.reduce((sum, [user, system]) => sum + user! + system!, 0),
    database: databaseTime() - database,
    memory: Math.max(...ended.map(([, , kilobytes]) => kilobytes! * 1024)),
  };
}

/** So many texts; equal ones would be computed once, so a number makes them different. */
function many(texts: readonly string[], count: number): string[] {
  return Array.from(
    { length: count },
    (_, i) => i < texts.length ? texts[i]! : `${texts[i % texts.length]} ${Math.floor(i / texts.length)}`,
  );
}

const BACKFILL = ["--table", "docs", "--key", "id", "--text", "body"];

function verb(name: string, ...args: string[]): string[] {
  return wordsOf("cli/main.ts", [name, "--database", base.url, "--model", MODEL, "--quiet", ...args]);
}

async function fill(texts: readonly string[]): Promise<void> {
  await base.rows("drop table if exists docs, docs_embeddings");
  await base.rows("drop schema if exists llamasaur, llamasaur_queue cascade");
  await base.rows("create table docs (id bigint primary key, body text)");
  for (let i = 0; i < texts.length; i += 10_000) {
    const some = texts.slice(i, i + 10_000);
    await base.rows("insert into docs select o + $2::int, t from unnest($1::text[]) with ordinality u(t, o)", some, i);
  }
  await base.rows("analyze docs");
}

/** What was measured of one kind of texts: a row a contender, and a contender's figure beside that of another. */
interface Compared {
  readonly rows: readonly (readonly string[])[];
  ratio(name: string, other: string, what: keyof Spent): number;
}

async function compare(kind: string, texts: readonly string[]): Promise<Compared> {
  const directory = mkdtempSync(join(tmpdir(), "llamasaur-bench-"));
  writeFileSync(join(directory, "in.jsonl"), texts.map((text) => JSON.stringify({ text })).join("\n") + "\n");
  await fill(texts);
  const again = async (...args: string[]): Promise<void> => {
    await base.rows("drop table if exists docs_embeddings");
    await base.rows("drop schema if exists llamasaur, llamasaur_queue cascade");
    await timed(verb("backfill", ...BACKFILL, ...args));
  };
  const small = ["--shard", `${Math.min(SHARD, Math.ceil(texts.length / LEAST_JOBS))}`];
  const work = (...args: string[]) => verb("worker", "--stop-when-empty", ...args);
  const contenders: Record<string, () => Promise<Spent>> = {
    "embedStream": () => timed(wordsOf("bench/micro/jobs_engine.ts", [MODEL, join(directory, "in.jsonl")])),
    "a worker": () => again().then(() => timed(work())),
    "a worker, --concurrency 2": () => again().then(() => timed(work("--concurrency", "2"))),
    "two workers of a context": () =>
      again(...small).then(() => timed(work("--contexts", "1"), work("--contexts", "1"))),
    "a worker of two contexts": () => again(...small).then(() => timed(work("--contexts", "2"))),
  };
  const spent = new Map<string, Spent[]>(Object.keys(contenders).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of Object.entries(contenders)) spent.get(name)!.push(await run());
  }
  rmSync(directory, { recursive: true });
  const of = (name: string, what: keyof Spent) => median(spent.get(name)!.map((one) => one[what]));
  const ratio: Compared["ratio"] = (name, other, what) => of(name, what) / of(other, what);
  const rows = Object.keys(contenders).map((name) => [
    kind,
    name,
    of(name, "seconds").toFixed(1),
    ratio("embedStream", name, "seconds").toFixed(2),
    of(name, "processor").toFixed(1),
    ratio("embedStream", name, "processor").toFixed(2),
    name === "embedStream" ? "" : of(name, "database").toFixed(1),
    ratio(name, "embedStream", "memory").toFixed(2),
  ]);
  return { rows, ratio };
}

/** Planning: seconds, processor, memory. */
async function planning(count: number): Promise<Spent> {
  await fill([]);
  await base.rows(
    "insert into docs select i, 'a title of some words, number ' || i from generate_series(1, $1::int) i",
    count,
  );
  await base.rows("analyze docs");
  return await timed(verb("backfill", ...BACKFILL));
}

async function sleep(seconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
}

/** What a worker without work does: statements a second by the server's log, and of a core. */
async function idle(): Promise<{ asked: number; core: number }> {
  await fill(["one text"]);
  await timed(verb("backfill", ...BACKFILL));
  await logStatements(base);
  const child = start("worker");
  while (await base.value("select count(*) = 0 from docs_embeddings")) await sleep(0.5);
  await sleep(5);
  const [before, processor] = [loggedStatements(base).length, processorOf(child.pid!)];
  await sleep(IDLE_SECONDS);
  const [statements, used] = [loggedStatements(base).length - before, processorOf(child.pid!) - processor];
  await end(child, "SIGTERM");
  return { asked: statements / IDLE_SECONDS, core: used / IDLE_SECONDS };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const ended = new Promise((resolve) => child.on("close", resolve));
  child.kill(signal);
  await ended;
}

/** Seconds after which a killed worker's jobs were done by another. */
async function takeover(): Promise<number> {
  await fill(many(["a text of a few words"], 50_000));
  await timed(verb("backfill", ...BACKFILL));
  const [first, second] = [start("worker", "--heartbeat", "10s"), start("worker", "--heartbeat", "10s")];
  const open = (pid: number): Promise<number> =>
    base.value(
      `select count(*) from llamasaur.attempts a join llamasaur.jobs j on j.id = a.job
       where split_part(worker, ':', 2) = $1 and a.ended_at is null and j.ended_at is null`,
      `${pid}`,
    );
  for (const { pid } of [first, second]) while (await open(pid!) === 0) await sleep(0.02);
  await end(first, "SIGKILL");
  const begin = performance.now();
  while (await open(first.pid!) > 0) await sleep(0.05);
  const seconds = (performance.now() - begin) / 1000;
  await end(second, "SIGKILL");
  return seconds;
}

const short = many(await withCount((tokens) => titles(Math.min(rows, MOST_DIFFERENT), tokens)), rows);
const long = many(await paragraphs(Math.min(rows / 10, 1000)), rows / 10);
const machine = describeMachine();
const method = `${runtime}, ${rows} titles, ${rows / 10} paragraphs, ${rounds} rounds in turns, medians`;
console.log(`${machineLine(machine)}, ${method}\n`);
const [ofTitles, ofParagraphs] = [await compare("titles", short), await compare("paragraphs", long)];
const contenders: Figures = {
  columns: ["texts", "", "s", "of embedStream", "processor s", "by it", "the database's", "memory by embedStream's"],
  rows: [...ofTitles.rows, ...ofParagraphs.rows],
  words: 2,
};
console.log(table(contenders.columns, contenders.rows, contenders.words));
const [few, all] = [await planning(planned / 10), await planning(planned)];
const embedding = Number(ofTitles.rows[0]![2]) / rows * planned; // seconds of embedStream for as many titles
const [taken, ways] = [await takeover(), await waysToWrite(base.url, smoke ? 5 : 40)];
const { asked, core } = await idle(); // the last, for then the server logs what it is asked
const worst = (one: Compared): number => one.ratio("a worker", "embedStream", "memory");
const speed = (one: Compared, name: string, other: string): string => one.ratio(other, name, "seconds").toFixed(2);
const targets: Figures = {
  columns: ["what", "target", "measured"],
  rows: [
    ["a worker's paragraphs/s, by embedStream's", "≥ 0.9", speed(ofParagraphs, "a worker", "embedStream")],
    ["a worker's titles/s, by embedStream's", "≥ 0.6", speed(ofTitles, "a worker", "embedStream")],
    ...([["titles", ofTitles], ["paragraphs", ofParagraphs]] as const).map(([kind, one]) => [
      `two workers of a context by one of two, ${kind}`,
      "≥ 0.95",
      speed(one, "two workers of a context", "a worker of two contexts"),
    ]),
    [`planning ${planned} rows, by embedding them as titles`, "≤ 0.05", (all.seconds / embedding).toFixed(3)],
    ["its memory, by that of a tenth of the rows", "≤ 1.1", (all.memory / few.memory).toFixed(2)],
    ["a worker's memory, by the engine's", "≤ 1.3", Math.max(worst(ofTitles), worst(ofParagraphs)).toFixed(2)],
    ["idle: statements/s", "≤ 1", asked.toFixed(2)],
    ["idle: of a core", "< 1 %", `${(100 * core).toFixed(2)} %`],
    ["a killed worker's jobs are done after (heartbeat 10 s)", "≤ 20 s", `${taken.toFixed(1)} s`],
    ...[...ways].map(([name, { wall, own, database }]) => [
      `256 vectors written by ${name}: on the clock; processor of the worker, of the database`,
      "",
      `${wall.toFixed(1)} ms; ${own.toFixed(1)}, ${database.toFixed(1)} ms`,
    ]),
  ],
  words: 1,
};
console.log(`\n${table(targets.columns, targets.rows, targets.words)}`);
if (values.write) {
  const command =
    `deno task bench:worker --rows ${rows} --plan ${planned} --rounds ${rounds} --runtime ${runtime} --write`;
  const others = machine.load >= machine.cores ? `; other work ran (load ${machine.load.toFixed(0)})` : "";
  for (const [name, figures] of [["worker", contenders], ["worker-targets", targets]] as const) {
    keep(
      name,
      noted(command, machine, `all-MiniLM-L6-v2 q8_0, PostgreSQL on the same machine, ${method}${others}`, figures),
    );
  }
}
process.exitCode = 0;
