// What a worker on PostgreSQL costs beside the engine alone: `deno task bench:worker [options]`
//   --rows N      titles; of paragraphs it is a tenth (default: 50000)
//   --plan N      rows that are planned; memory is compared with a tenth of them (default: 1000000)
//   --rounds N    each takes every contender once, in turn (default: 3)
//   --runtime R   deno or bun (default: deno)
//   --smoke       2000 titles, 100,000 planned rows, one round
// The database is on the same machine (scripts/postgres.sh), and its processor time is told apart. Each contender is a
// process of its own, from start to end, with the model's load. Prints tables of Markdown.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { packageRoot } from "../../ffi/host/paths.ts";
import { TestDatabase } from "../../tests/support/postgres.ts";
import { describeMachine } from "../machine.ts";
import { paragraphs } from "../paragraphs.ts";
import { machineLine, table } from "../report.ts";
import { median } from "../statistics.ts";
import { titles, withCount } from "../texts.ts";

const ROOT = fileURLToPath(packageRoot());
const MODEL = join(ROOT, "models", "all-minilm-l6-v2-q8_0.gguf");
const MOST_DIFFERENT = 5000;
const TICKS = 100; // of /proc, a second
const IDLE_SECONDS = 20;

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
    rows: { type: "string", default: "50000" },
    plan: { type: "string", default: "1000000" },
    rounds: { type: "string", default: "3" },
    runtime: { type: "string", default: "deno" },
    smoke: { type: "boolean", default: false },
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

async function compare(kind: string, texts: readonly string[]): Promise<string[][]> {
  const directory = mkdtempSync(join(tmpdir(), "llamasaur-bench-"));
  writeFileSync(join(directory, "in.jsonl"), texts.map((text) => JSON.stringify({ text })).join("\n") + "\n");
  await fill(texts);
  const again = async (): Promise<void> => {
    await base.rows("drop table if exists docs_embeddings");
    await base.rows("drop schema if exists llamasaur, llamasaur_queue cascade");
    await timed(verb("backfill", ...BACKFILL));
  };
  const work = (...args: string[]) => verb("worker", "--stop-when-empty", ...args);
  const contenders: Record<string, () => Promise<Spent>> = {
    "embedStream": () => timed(wordsOf("bench/micro/jobs_engine.ts", [MODEL, join(directory, "in.jsonl")])),
    "a worker": () => again().then(() => timed(work())),
    "a worker, --concurrency 2": () => again().then(() => timed(work("--concurrency", "2"))),
    "two workers of a context": () => again().then(() => timed(work("--contexts", "1"), work("--contexts", "1"))),
    "a worker of two contexts": () => again().then(() => timed(work("--contexts", "2"))),
  };
  const spent = new Map<string, Spent[]>(Object.keys(contenders).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of Object.entries(contenders)) spent.get(name)!.push(await run());
  }
  rmSync(directory, { recursive: true });
  const of = (name: string, what: keyof Spent) => median(spent.get(name)!.map((one) => one[what]));
  return Object.keys(contenders).map((name) => [
    kind,
    name,
    of(name, "seconds").toFixed(1),
    (of("embedStream", "seconds") / of(name, "seconds")).toFixed(2),
    of(name, "processor").toFixed(1),
    (of("embedStream", "processor") / of(name, "processor")).toFixed(2),
    name === "embedStream" ? "" : of(name, "database").toFixed(1),
    (of(name, "memory") / of("embedStream", "memory")).toFixed(2),
  ]);
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

/** What a worker without work does. */
async function idle(): Promise<string> {
  await fill(["one text"]);
  await timed(verb("backfill", ...BACKFILL));
  const child = start("worker");
  while (await base.value("select count(*) = 0 from docs_embeddings")) await sleep(0.5);
  await sleep(5);
  const asked = (): Promise<number> =>
    base.value("select xact_commit + xact_rollback from pg_stat_database where datname = current_database()");
  const [before, processor] = [await asked(), processorOf(child.pid!)];
  await sleep(IDLE_SECONDS);
  const [transactions, used] = [await asked() - before, processorOf(child.pid!) - processor];
  child.kill("SIGTERM");
  await new Promise((resolve) => child.on("close", resolve));
  return `idle: ${(transactions / IDLE_SECONDS).toFixed(2)} transactions/s, ${
    (100 * used / IDLE_SECONDS).toFixed(1)
  } % of a core`;
}

/** How long a killed worker's job takes to be another's. */
async function takeover(): Promise<string> {
  await fill(many(["a text of a few words"], 5000));
  await timed(verb("backfill", ...BACKFILL));
  const first = start("worker", "--heartbeat", "10s");
  while (await base.value("select count(*) = 0 from docs_embeddings")) await sleep(0.05);
  spawnSync("kill", ["-9", String(first.pid)]);
  const begin = performance.now();
  await timed(verb("worker", "--heartbeat", "10s", "--stop-when-empty"));
  return `a killed worker's jobs were done ${
    ((performance.now() - begin) / 1000).toFixed(1)
  } s later, all others included (heartbeat 10 s)`;
}

const short = many(await withCount((tokens) => titles(Math.min(rows, MOST_DIFFERENT), tokens)), rows);
const long = many(await paragraphs(Math.min(rows / 10, 1000)), rows / 10);
console.log(
  `${machineLine(describeMachine())}, ${runtime}, ${rows} titles, ${rows / 10} paragraphs, ${rounds} rounds, medians\n`,
);
const heads = [
  "texts",
  "contender",
  "seconds",
  "speed of embedStream",
  "processor",
  "by it",
  "the database's",
  "memory",
];
console.log(table(heads, [...await compare("titles", short), ...await compare("paragraphs", long)]));
const [few, all] = [await planning(planned / 10), await planning(planned)];
console.log(
  `\nplanning ${planned} rows: ${all.seconds.toFixed(1)} s, memory ${(all.memory / few.memory).toFixed(2)} x that of ${
    planned / 10
  }`,
);
console.log(await idle());
console.log(await takeover());
process.exitCode = 0;
