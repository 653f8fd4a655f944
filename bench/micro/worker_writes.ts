// Compares three ways to write a job's vectors: `insert … select from unnest(…)` of texts, COPY of text into a temporary table, and
// COPY in binary, which is the worker's.
import { readFileSync } from "node:fs";
import process from "node:process";
import postgres, { type Sql } from "postgres";
import { widthOf, writeFloats } from "../../cli/data/floats.ts";
import { BinaryRows } from "../../cli/worker/copy.ts";
import { median } from "../statistics.ts";

const ROWS = 256;
const SIZE = 384;

interface Row {
  readonly key: number;
  readonly embedding: Float32Array;
}

/** What writing a job's vectors takes: milliseconds on the clock, of this process's processor, of the database's. */
export interface Spent {
  readonly wall: number;
  readonly own: number;
  readonly database: number;
}

function rowsFrom(first: number): Row[] {
  return Array.from({ length: ROWS }, (_, i) => {
    return {
      key: first + i,
      embedding: Float32Array.from({ length: SIZE }, (_, j) => Math.sin(7 * (first + i) + j) / 20),
    };
  });
}

function textsOf(rows: readonly Row[]): string[] {
  const scratch = new Uint8Array(widthOf(SIZE));
  const decoder = new TextDecoder();
  return rows.map(({ embedding }) => `[${decoder.decode(scratch.subarray(0, writeFloats(embedding, scratch, 0)))}]`);
}

const INTO = "insert into written as w select";
const REPLACES = `on conflict (key, chunk, fingerprint) do update set text_sha256 = excluded.text_sha256,
  embedding = excluded.embedding where w.text_sha256 is distinct from excluded.text_sha256`;

type Way = (tx: Pick<Sql, "unsafe">, rows: readonly Row[]) => Promise<unknown>;

async function copy(tx: Pick<Sql, "unsafe">, type: string, format: string, bytes: string | Uint8Array): Promise<void> {
  await tx.unsafe(`create temporary table arrived (key int, embedding ${type}) on commit drop`);
  const stream = await tx.unsafe(`copy arrived from stdin (format ${format})`).writable();
  await new Promise<void>((resolve, reject) => {
    stream.on("error", reject).on("finish", resolve);
    stream.end(bytes);
  });
  await tx.unsafe(`${INTO} key, 0, 'f', sha256('x'), embedding::halfvec from arrived ${REPLACES}`);
}

function binaryOf(rows: readonly Row[]): Uint8Array {
  const binary = new BinaryRows(rows.length * 4 * (SIZE + 5));
  for (const { key, embedding } of rows) {
    binary.row(2);
    binary.integer(key);
    binary.vector(embedding);
  }
  return binary.end();
}

const WAYS: Readonly<Record<string, Way>> = {
  "unnest of texts": (tx, rows) =>
    tx.unsafe(
      `${INTO} k, 0, 'f', sha256('x'), v::halfvec from unnest($1::bigint[], string_to_array($2, ';')) u(k, v) ${REPLACES}`,
      [`{${rows.map(({ key }) => key)}}`, textsOf(rows).join(";")],
    ),
  "COPY of text": (tx, rows) => {
    const texts = textsOf(rows);
    return copy(tx, "halfvec", "text", rows.map(({ key }, i) => `${key}\t${texts[i]}\n`).join(""));
  },
  "COPY in binary": (tx, rows) => copy(tx, "vector", "binary", binaryOf(rows)),
};

/** The middle of so many rounds of each way, in turns; each writes 256 new rows in a transaction. */
export async function waysToWrite(url: string, rounds: number): Promise<ReadonlyMap<string, Spent>> {
  const { username, hostname, pathname } = new URL(url); // the host may be the folder of a socket, which the driver wants apart
  const [host, database] = [decodeURIComponent(hostname), pathname.slice(1)];
  const sql = postgres({ host, database, username, max: 1, prepare: false, onnotice: () => {} });
  try {
    await sql.unsafe(`create table if not exists written (key bigint, chunk int, fingerprint text, text_sha256 bytea,
      embedding halfvec, primary key (key, chunk, fingerprint)); truncate written`);
    const [{ pid } = { pid: 0 }] = await sql.unsafe<{ pid: number }[]>("select pg_backend_pid() as pid");
    const processor = (): number => Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]) / 1e6;
    const spent = new Map<string, Spent[]>(Object.keys(WAYS).map((name) => [name, []]));
    let first = 0;
    for (let round = 0; round < rounds; round++) {
      for (const [name, way] of Object.entries(WAYS)) {
        const rows = rowsFrom(first);
        first += ROWS;
        const [wall, own, database] = [performance.now(), process.cpuUsage(), processor()];
        await sql.begin((tx) => way(tx, rows));
        const { user, system } = process.cpuUsage(own);
        spent.get(name)!.push({
          wall: performance.now() - wall,
          own: (user + system) / 1000,
          database: processor() - database,
        });
      }
    }
    const [found] = await sql.unsafe<{ count: number }[]>("select count(*)::int as count from written");
    if (found!.count !== first) throw new Error(`${found!.count} rows were written, not ${first}`);
    const middle = (all: readonly Spent[], what: keyof Spent): number => median(all.map((one) => one[what]));
    return new Map([...spent].map(([name, all]) => {
      return [name, { wall: middle(all, "wall"), own: middle(all, "own"), database: middle(all, "database") }];
    }));
  } finally {
    await sql.end();
  }
}
