// Connections that the server cuts at any moment, and that no session stays with: every call settles, and what comes next goes through.
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Connections } from "../../../cli/worker/connections.ts";
import { BinaryRows } from "../../../cli/worker/copy.ts";
import { Database, isAway, parseList, rowsOf, type Transaction } from "../../../cli/worker/database.ts";
import { randomIntegers } from "../../support/random.ts";
import { Bench, skip } from "../../support/worker.ts";

const CALLS = 300;
const PATIENCE = 20_000; // ms: far beyond what any of these statements takes

/** Rows of one text each, for a COPY. */
function textsOf(count: number): Uint8Array {
  const binary = new BinaryRows(0);
  for (let i = 0; i < count; i++) {
    binary.row(1);
    binary.text("é".repeat(i));
  }
  return binary.end();
}

/** Copies rows into a table of the transaction, and counts them. */
async function copied(tx: Transaction, rows: Uint8Array): Promise<number> {
  await rowsOf(tx, "create temporary table arrived (t text) on commit drop");
  await tx.copy("copy pg_temp.arrived from stdin (format binary)", rows);
  const [found] = await rowsOf<{ count: number }>(tx, "select count(*) from arrived where t = repeat('é', length(t))");
  return found!.count;
}

/** A call of each kind; it throws where its answer is wrong. */
function calls(database: Database): readonly ((i: number) => Promise<void>)[] {
  return [
    async (i) => assertEquals(await rowsOf(database, "select $1::int as i", i), [{ i }]),
    async () => void await database.executeSql("begin; select 1; commit"),
    async (i) => {
      await database.transaction(async (tx) => {
        assertEquals(await rowsOf(tx, "select $1::int as i", i), [{ i }]);
        await new Promise((resolve) => setTimeout(resolve, i % 3));
        assertEquals(await rowsOf(tx, "select $1::int + 1 as i", i), [{ i: i + 1 }]);
      });
    },
    async (i) =>
      assertEquals(await database.snapshot((tx) => rowsOf(tx, "select $1::text as t", "x".repeat(i * 3))), [
        { t: "x".repeat(i * 3) },
      ]),
    async (i) => assertEquals(await database.transaction((tx) => copied(tx, textsOf(1 + i))), 1 + i),
  ];
}

test("Database settles every call while its connections are cut, and goes on with the next", { skip }, async () => {
  await using bench = await Bench.make(1);
  const killer = Database.open(bench.base.url, 1);
  const random = randomIntegers(7);
  const database = Database.open(bench.base.url, 3);
  const kinds = calls(database);
  let ended = false;
  let cut = 0;
  async function cuts(): Promise<void> {
    while (!ended) {
      const kill = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and " +
        "pid <> pg_backend_pid() and random() < 0.5";
      cut += (await rowsOf(killer, kill)).length;
      await new Promise((resolve) => setTimeout(resolve, random(0, 4)));
    }
  }
  const cutting = cuts();
  const lost: unknown[] = [];
  async function caller(first: number): Promise<void> {
    for (let i = first; i < CALLS; i += 4) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`call ${i} is not settled after ${PATIENCE} ms`)), PATIENCE);
      });
      await Promise.race([kinds[random(0, kinds.length - 1)]!(i), late]).catch((error) => {
        if (!isAway(error)) throw error;
        lost.push(error);
      }).finally(() => clearTimeout(timer));
    }
  }
  try {
    await Promise.all([0, 1, 2, 3].map(caller));
  } finally {
    ended = true;
    await cutting.catch(() => {});
  }
  console.log(`${cut} connections were cut, ${lost.length} of ${CALLS} calls lost theirs`);
  assert(cut > 30 && lost.length > 10);
  const one = (): Promise<unknown> => rowsOf(database, "select 1 as one");
  assertEquals(await one().catch(one).catch(one).catch(one), [{ one: 1 }]); // each of the three may have been cut just now
  await Promise.all([database.close(), killer.close()]);
});

test(
  "backfill, worker and jobs go through a pooler that gives each transaction another connection",
  { skip },
  async () => {
    await using bench = await Bench.make(5);
    const { use } = Connections.prototype;
    let used = 0;
    Connections.prototype.use = function (work) {
      return use.call(this, async (connection) => {
        used++;
        try {
          return await work(connection);
        } finally {
          await connection.end(0); // nothing that a session had is there for the next
        }
      }) as ReturnType<typeof work>;
    };
    try {
      assertEquals((await bench.backfill()).jobs, 1);
      await bench.work();
      assertEquals((await bench.jobs())[0].rows, { source: 5, done: 5, failed: 0, missing: 0 });
      assert(used > 30, `${used} connections`);
    } finally {
      Connections.prototype.use = use;
    }
  },
);

test("copy() tells what the server refuses, before and behind the last byte, and the connection goes on", {
  skip,
}, async () => {
  await using bench = await Bench.make(1);
  const database = Database.open(bench.base.url, 1);
  try {
    const code = (bytes: Uint8Array): Promise<unknown> =>
      database.transaction((tx) => copied(tx, bytes)).catch((error) => error.code);
    const good = textsOf(40);
    const long = textsOf(2000); // more than a socket takes at once: the server refuses it meanwhile
    const wrong = (bytes: Uint8Array): Uint8Array => bytes.map((byte, i) => i === 20 ? byte + 1 : byte); // two columns
    assertEquals([await code(wrong(good)), await code(wrong(long))], ["22P04", "22P04"]);
    assertEquals(await code(good.subarray(0, good.length - 2)), 40); // no last word: COPY's end is enough
    assertEquals(await code(good.subarray(0, good.length - 3)), "22P04"); // the server knows that at the end alone
    assertEquals([await code(good), await code(long)], [40, 2000]);
  } finally {
    await database.close();
  }
});

test("parseList() reads a list as the server writes it, whatever is in it", { skip }, async () => {
  await using bench = await Bench.make(1);
  const lists = [[], ["a"], [
    "",
    "NULL",
    null,
    "null",
    "a b",
    "{x,y}",
    'q"q',
    "back\\slash",
    "line\nfeed",
    "€😀",
    " s ",
  ]];
  for (const list of lists) {
    const [row] = await rowsOf<{ list: string[]; text: string }>(
      bench.base.db,
      "select $1::text[] as list, $1::text[]::text as text",
      list,
    );
    assertEquals(row!.list, list);
    assertEquals(parseList(row!.text), list);
  }
  const [row] = await rowsOf(bench.base.db, "select array[1, null, -3]::int[] as n, array[2]::bigint[] as b");
  assertEquals(row, { n: [1, null, -3], b: [2] });
});
