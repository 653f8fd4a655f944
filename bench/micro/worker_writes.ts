// Compares two ways to write a job's vectors: `insert … select from unnest(…)` of one statement, and COPY into a temporary table.
import postgres from "postgres";
import { median } from "../statistics.ts";

const ROWS = 256;
const SIZE = 384;

/** Rows as a worker has them: a key and a vector as text. */
function rowsFrom(first: number): { readonly keys: number[]; readonly vectors: string[] } {
  const keys = Array.from({ length: ROWS }, (_, i) => first + i);
  const vectors = keys.map((key) => `[${Array.from({ length: SIZE }, (_, i) => Math.fround(Math.sin(key + i) / 20))}]`);
  return { keys, vectors };
}

const REPLACES = `on conflict (key, chunk, fingerprint) do update set text_sha256 = excluded.text_sha256,
  embedding = excluded.embedding where written.text_sha256 is distinct from excluded.text_sha256`;

/** Seconds of `unnest`, by those of COPY, the middle of so many rounds in turns; each writes 256 new rows in a transaction. */
export async function copyAgainstUnnest(url: string, rounds: number): Promise<number> {
  const { username, hostname, pathname } = new URL(url); // the host may be the folder of a socket, which the driver wants apart
  const [host, database] = [decodeURIComponent(hostname), pathname.slice(1)];
  const sql = postgres({ host, database, username, max: 1, prepare: false, onnotice: () => {} });
  try {
    await sql.unsafe(`create table if not exists written (key bigint, chunk int, fingerprint text, text_sha256 bytea,
      embedding halfvec, primary key (key, chunk, fingerprint)); truncate written`);
    const ratios: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const [one, other] = [rowsFrom(2 * round * ROWS), rowsFrom((2 * round + 1) * ROWS)];
      const begin = performance.now();
      await sql.begin((tx) =>
        tx.unsafe(
          `insert into written select k, 0, 'f', sha256('x'), v::halfvec from unnest($1::bigint[], string_to_array($2, ';')) u(k, v) ${REPLACES}`,
          [`{${one.keys}}`, one.vectors.join(";")],
        )
      );
      const middle = performance.now();
      await sql.begin(async (tx) => {
        await tx.unsafe("create temporary table arrived (key bigint, embedding halfvec) on commit drop");
        const stream = await tx.unsafe("copy arrived from stdin").writable();
        await new Promise<void>((resolve, reject) => {
          stream.on("error", reject).on("finish", resolve);
          stream.end(other.keys.map((key, i) => `${key}\t${other.vectors[i]}\n`).join(""));
        });
        await tx.unsafe(`insert into written select key, 0, 'f', sha256('x'), embedding from arrived ${REPLACES}`);
      });
      ratios.push((middle - begin) / (performance.now() - middle));
    }
    const [count] = await sql.unsafe("select count(*)::int as n from written");
    if (count!["n"] !== 2 * rounds * ROWS) {
      throw new Error(`${count!["n"]} rows were written, not ${2 * rounds * ROWS}`);
    }
    return median(ratios);
  } finally {
    await sql.end();
  }
}
