/** Plans the vectors of a table: checks what is asked for, keeps the generation, and enqueues the rows that have no vectors. */
import { createHash } from "node:crypto";
import type { Llama } from "@llamasaur/llamasaur";
import { Collector } from "../collector.ts";
import { UsageError } from "../failure.ts";
import { loadModel, modelName } from "../model.ts";
import { count, duration } from "../progress.ts";
import { quoted } from "../quote.ts";
import type { Session } from "../session.ts";
import { commandLine } from "../program.ts";
import {
  checkRights,
  checkSize,
  type Column,
  columnOf,
  columnsOf,
  findTable,
  type Right,
  rightInDatabase,
  type Table,
  toName,
  toRead,
  uniqueOrder,
  type VectorType,
  vectorType,
} from "./catalogue.ts";
import { Database, type Db, isOfDatabase, name, outside, told } from "./database.ts";
import { type EmbedSettings, type Generation, keepGeneration } from "./generation.ts";
import { estimate } from "./estimate.ts";
import { plan, type Planned, type Transact } from "./plan.ts";
import { type Boss, makeQueue, startBoss } from "./queue.ts";
import { checkTarget, findTarget, makeSchema, makeTarget, readAndWrite, type Target, unmade } from "./schema.ts";
import type { BackfillOptions } from "./settings.ts";

/** What is asked for, found in the catalogue. */
interface Found {
  readonly source: Table;
  readonly key: readonly Column[];
  readonly text: Column;
  readonly target: Target;
  readonly type: VectorType;
}

/** Plans. Returns the exit code. */
export async function backfill(options: BackfillOptions, session: Session): Promise<void> {
  const asked = checked(options);
  const model = modelName(options);
  const database = Database.open(options.database);
  try {
    const found = await find(database, asked, options.type);
    await using llama = await loadModel(model, { ...(!options.dryRun && { contexts: 1 }), ...options }, session);
    const { dimensions, embed, fingerprint } = settle(llama, options);
    const { source, key, text, target, type } = found;
    if (target.table) await checkTarget(database, target.table, key, type, dimensions);
    const wanted = {
      queue: `${fingerprint}.${createHash("sha256").update(target.sql).digest("hex").slice(0, 16)}`,
      ...{ fingerprint, model, source: source.sql, target: target.sql, type: type.sql, dimensions, options: embed },
      ...{
        key: key.map(({ name }) => name),
        keyTypes: key.map(({ type }) => type),
        text: text.name,
        shard: options.shard,
      },
    };
    const keep = async (tx: Db): Promise<Generation> => {
      await makeSchema(tx);
      if (!target.table) await makeTarget(tx, target, key, type, dimensions);
      return await keepGeneration(tx, wanted);
    };
    if (options.dryRun) return await estimate(database, llama, keep, options, session);
    const generation = await database.transaction(keep);
    const boss = await startBoss(database, true);
    try {
      await makeQueue(boss, generation.queue);
      await enqueue(database, boss, generation, options, session);
    } finally {
      await boss.stop({ close: false, graceful: false });
    }
  } catch (error) {
    throw isOfDatabase(error) ? ofDatabase(database, options, error) : error;
  } finally {
    await database.close();
  }
}

/** What the database refused, in words without a row of it. */
function ofDatabase(database: Database, { where }: BackfillOptions, error: unknown): Error {
  const kept = outside(database.place, error);
  if (kept) return kept;
  const remedy = where === undefined ? "" : "; --where is SQL, and may be what is wrong";
  return new UsageError(`Cannot plan: the database refused a statement (${told(error)})${remedy}`, { cause: error });
}

interface Asked {
  readonly table: string;
  readonly key: readonly string[];
  readonly text: string;
  readonly into: string | undefined;
}

/** Checks that what must be given is. */
function checked({ table, key, text, into, chunk }: BackfillOptions): Asked {
  if (chunk !== undefined) {
    throw new UsageError(
      "Cannot take --chunk: this version has no chunker; a text is one vector, cut where it is too long",
    );
  }
  if (!table) throw new UsageError("Cannot tell which table: give --table");
  if (!key) {
    throw new UsageError("Cannot tell the rows apart: give --key, the column of the primary key, several with commas");
  }
  if (!text) throw new UsageError("Cannot tell what to embed: give --text, the column of the text");
  return { table, key, text, into };
}

/** Finds the tables and columns, and checks the rights. */
async function find(db: Db, { table, key, text, into }: Asked, word: VectorType["word"]): Promise<Found> {
  const source = await findTable(db, table);
  if (source === undefined) {
    throw new UsageError(
      `Cannot take --table ${
        quoted(table)
      }: there is none of this name; write SCHEMA.TABLE where it is in no search path`,
    );
  }
  const columns = await columnsOf(db, source);
  const keys = key.map((one) => columnOf(columns, one, "--key", source.sql));
  const texts = columnOf(columns, text, "--text", source.sql);
  if (texts.category !== "S") {
    throw new UsageError(
      `Cannot take --text ${quoted(text)}: it is ${texts.type} and no text; give a view that casts it`,
    );
  }
  if (!source.isView) await checkKey(db, source, keys);
  const target = await findTarget(db, into, source);
  if (target.table?.oid === source.oid) {
    throw new UsageError("Cannot write the vectors into the table itself: give another --into");
  }
  const type = await vectorType(db, word);
  await checkRights(db, await rightsFor(db, source, target, toName([...keys, type])));
  return { source, key: keys, text: texts, target, type };
}

async function checkKey(db: Db, source: Table, key: readonly Column[]): Promise<void> {
  const names = key.map((column) => column.name);
  const order = await uniqueOrder(db, source, names);
  if (order === undefined) {
    throw new UsageError(
      `Cannot take --key ${quoted(names.join(","))}: ${source.sql} has no unique index over it; give the primary key`,
    );
  }
  if (order.join() !== names.join()) { // no index would find the rows of a job
    throw new UsageError(
      `Cannot take --key ${quoted(names.join(","))}: the index of ${source.sql} has another order; give --key ${
        quoted(order.join(","))
      }`,
    );
  }
  const nullable = key.find(({ notNull }) => !notNull);
  if (nullable === undefined) return;
  throw new UsageError(
    `Cannot take --key ${quoted(nullable.name)}: it may be null; alter table ${source.sql} alter column ${
      name(nullable.name)
    } set not null helps, where no row's is`,
  );
}

/** The rights of planning: to read the source, to make what is not there, to write what is. */
async function rightsFor(db: Db, source: Table, target: Target, toNameTypes: readonly Right[]): Promise<Right[]> {
  const onTables = [
    ...toRead(source),
    ...(target.table ? readAndWrite(target.sql) : [{ kind: "schema", on: name(target.schema), to: "create" } as const]),
    ...toNameTypes,
  ];
  const made = await unmade(db, onTables) === undefined; // tells of all that is lacking, if the schema is there
  return [...onTables, ...(made ? [] : [await rightInDatabase(db, "create")])];
}

/** What the model makes of the options. */
function settle(
  llama: Llama,
  { inputType, dimensions, truncate, type }: BackfillOptions,
): { readonly dimensions: number; readonly embed: EmbedSettings; readonly fingerprint: string } {
  const embed = { ...(inputType && { inputType }), ...(dimensions !== undefined && { dimensions }), truncate };
  const size = dimensions ?? llama.info.dimensions;
  let fingerprint: string;
  try {
    fingerprint = llama.fingerprint(embed);
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
  checkSize(size, type);
  return { dimensions: size, embed, fingerprint };
}

async function enqueue(
  database: Database,
  boss: Boss,
  generation: Generation,
  { where, limit = Infinity, shard, json }: BackfillOptions,
  session: Session,
): Promise<void> {
  const start = performance.now();
  using collector = await Collector.open();
  const onPage = ({ scanned }: Planned): void => {
    session.progress("rows", { done: scanned, total: undefined });
    collector.collect();
  };
  const transact: Transact = (run) => database.transaction(run);
  const { scanned, rows, jobs } = await plan(
    transact,
    boss,
    { generation, shard, where, limit },
    onPage,
    session.signal,
  );
  session.clear(true);
  const seconds = (performance.now() - start) / 1000;
  session.say(
    `${count(rows)} of ${count(scanned)} rows are enqueued in ${count(jobs)} jobs (${duration(seconds)})` +
      (rows > 0 ? `; ${commandLine(["worker"])} computes them` : ""),
  );
  const { source, target, fingerprint } = generation;
  if (json) await session.json({ source, target, fingerprint, scanned, rows, jobs, seconds });
}
