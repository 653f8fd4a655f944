/** Makes the tables: the schema `llamasaur`, which holds what is to be done, and the table of the vectors. */
import { UsageError } from "../failure.ts";
import { quoted } from "../quote.ts";
import {
  checkRights,
  type Column,
  columnsOf,
  findTable,
  type Right,
  type Table,
  uniqueOrder,
  type VectorType,
} from "./catalogue.ts";
import { type Db, name, rowsOf } from "./database.ts";

/** Where pg-boss has its tables: its own schema, for the database may have another pg-boss of another version. */
export const QUEUE_SCHEMA = "llamasaur_queue";

/** Bytes of a name: PostgreSQL cuts a longer one in silence. */
const LONGEST_NAME = 63;

/** Of the tables below. */
const VERSION = 1;

/**
 * The tables. A key is kept as text: a list with the value of each of its columns. A job's `low` and `high` are its first
 * and last key; losses and refusals are counted from the attempts of a job, not of those that it was halved from.
 */
const TABLES = `
create schema if not exists llamasaur;
create table if not exists llamasaur.version (version int not null);
create table if not exists llamasaur.generations (
  id int generated always as identity primary key,
  queue text not null unique,
  fingerprint text not null,
  model text not null,
  source text not null,
  target text not null,
  key text[] not null,
  key_types text[] not null,
  "text" text not null,
  type text not null,
  dimensions int not null,
  options jsonb not null,
  shard int not null,
  paused_at timestamptz,
  created_at timestamptz not null default now(),
  unique (target, fingerprint)
);
create table if not exists llamasaur.jobs (
  id uuid primary key,
  generation int not null references llamasaur.generations on delete cascade,
  low text[] not null,
  high text[] not null,
  "where" text,
  rows int not null,
  parent uuid,
  ending text,
  written int,
  created_at timestamptz not null default now(),
  ended_at timestamptz
);
create index if not exists jobs_open on llamasaur.jobs (generation) where ended_at is null;
create index if not exists jobs_ended on llamasaur.jobs (generation, ended_at) where ended_at is not null;
create table if not exists llamasaur.attempts (
  job uuid not null references llamasaur.jobs on delete cascade,
  claim uuid not null,
  retry_count int not null,
  worker text not null,
  started_at timestamptz not null default now(),
  ended_at timestamptz,
  ending text,
  primary key (job, claim, retry_count)
);
create table if not exists llamasaur.failures (
  generation int not null references llamasaur.generations on delete cascade,
  key text[] not null,
  fingerprint text not null,
  chunk int,
  text_sha256 bytea,
  code text not null,
  message text not null,
  attempts int not null,
  last_at timestamptz not null default now(),
  primary key (generation, key)
);
insert into llamasaur.version select ${VERSION} where not exists (select from llamasaur.version);
`;

/** Rights on a table that is read and written. */
export function readAndWrite(on: string, kind: Right["kind"] = "table"): Right[] {
  return ["select", "insert", "update", "delete"].map((to): Right => ({ kind, on, to }));
}

/** Rights on our tables and, for whoever takes or adds jobs, pg-boss's. */
export function ownRights(schemas: readonly string[] = ["llamasaur", QUEUE_SCHEMA]): Right[] {
  return schemas.flatMap((on): Right[] => [
    { kind: "schema", on, to: "usage" },
    ...readAndWrite(on, "all tables in schema"),
  ]);
}

/** Finds the table `version` of a schema, ours or pg-boss's; each is made in one transaction, and has one. */
const VERSION_OF =
  "select from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relname = 'version' and n.nspname = $1";

async function isThere(db: Db, schema: string): Promise<boolean> {
  const [found] = await rowsOf<{ yes: boolean }>(db, `select exists (${VERSION_OF}) as yes`, schema);
  return found!.yes;
}

/**
 * Which schema is still to be made, ours or pg-boss's; undefined when both are there.
 *
 * @param more Rights that are needed beside those on the schemas: all that are lacking are told at once.
 * @param then What the error says behind its list, if something.
 * @throws {UsageError} listing the rights that are lacking, or when another version of this program made the schema.
 */
export async function unmade(db: Db, more: readonly Right[] = [], then?: string): Promise<string | undefined> {
  if (!await isOurs(db, more, then)) return "llamasaur";
  return await isThere(db, QUEUE_SCHEMA) ? undefined : QUEUE_SCHEMA;
}

/** Whether the schema `llamasaur` is there, and may be used. @throws {UsageError} as `unmade` does. */
async function isOurs(db: Db, more: readonly Right[], then?: string): Promise<boolean> {
  if (!await isThere(db, "llamasaur")) return false;
  const schemas = await isThere(db, QUEUE_SCHEMA) ? ["llamasaur", QUEUE_SCHEMA] : ["llamasaur"];
  await checkRights(db, [...ownRights(schemas), ...more], then);
  const [made] = await rowsOf<{ version: number }>(db, "select version from llamasaur.version");
  if (made === undefined || made.version === VERSION) return true;
  throw new UsageError(
    `Cannot use the schema llamasaur: it is of version ${made.version}, and this program knows ${VERSION}; take the program that made it`,
  );
}

/**
 * Makes the schema `llamasaur`, if it is not there. Two programs at once wait for each other. Where pg-boss's is not there beside
 * it, after a restore or a kill, jobs that are open have nobody who would do them, and are ended.
 */
export async function makeSchema(db: Db): Promise<void> {
  const lacks = await unmade(db);
  if (lacks === QUEUE_SCHEMA) { // looked for again in the statement: another may have made it, and jobs with it
    await rowsOf(
      db,
      `update llamasaur.jobs set ended_at = now(), ending = 'cancelled' where ended_at is null and not exists (${VERSION_OF})`,
      QUEUE_SCHEMA,
    );
  }
  if (lacks !== "llamasaur") return;
  await rowsOf(db, "select pg_advisory_xact_lock(hashtextextended('llamasaur', 0))");
  for (const statement of TABLES.split(";\n").filter((one) => one.trim() !== "")) await rowsOf(db, statement);
}

/** What the table of the vectors has beside the key. */
function columnsBeside(embedding: string): readonly [name: string, type: string][] {
  return [
    ["chunk", "integer"],
    ["fingerprint", "text"],
    ["text_sha256", "bytea"],
    ["embedding", embedding],
    ["tokens", "integer"],
    ["truncated", "boolean"],
    ["start", "integer"],
    ["end", "integer"],
    ["embedded_at", "timestamp with time zone"],
  ];
}

/** The names of the key's columns in the table of the vectors: `key`, or of a key of several columns their own. */
export function keyNames(key: readonly Column[]): string[] {
  const names = key.length === 1 ? ["key"] : key.map((column) => column.name);
  const taken = names.find((one) => columnsBeside("").some(([other]) => other === one));
  if (taken === undefined) return names;
  throw new UsageError(
    `Cannot take ${
      quoted(taken)
    } as a column of the key: the table of the vectors has one of that name; give a view that renames it`,
  );
}

/** Where the table of the vectors is to be: one that is there, or the name of one that can be made. */
export interface Target {
  readonly table: Table | undefined;
  readonly sql: string;
  readonly schema: string;
}

/**
 * Finds the table of the vectors; one that is not there is made beside the source unless its name says where.
 *
 * @param given Undefined for the one that is named for the source.
 */
export async function findTarget(db: Db, given: string | undefined, source: Table): Promise<Target> {
  const beside = `${source.relation}_embeddings`;
  const table = await findTable(db, given ?? `${name(source.schema)}.${name(beside)}`);
  if (table) return { table, sql: table.sql, schema: table.schema };
  const [first = "", ...more] = given === undefined ? [source.schema, beside] : given.split(".");
  const [schema, relation] = more.length === 0 ? [source.schema, first] : [first, more.join(".")];
  const [found] = await rowsOf(db, "select 1 from pg_namespace where nspname = $1", schema);
  if (found === undefined) {
    throw new UsageError(`Cannot take --into ${quoted(given ?? beside)}: there is no schema ${quoted(schema)}`);
  }
  if (new TextEncoder().encode(relation).length > LONGEST_NAME) {
    throw new UsageError(
      `Cannot make the table ${
        quoted(relation)
      }: PostgreSQL takes ${LONGEST_NAME} bytes of a name; give a shorter --into`,
    );
  }
  return { table: undefined, sql: `${name(schema)}.${name(relation)}`, schema };
}

/**
 * Makes the table of the vectors. Two programs at once wait for each other, and the second finds it.
 *
 * @throws {UsageError} as `checkTarget` does, of a table that was made meanwhile.
 */
export async function makeTarget(
  db: Db,
  { sql }: Target,
  key: readonly Column[],
  type: VectorType,
  dimensions: number,
): Promise<void> {
  await rowsOf(db, "select pg_advisory_xact_lock(hashtextextended('llamasaur ' || $1::text, 0))", sql);
  const made = await findTable(db, sql);
  if (made) return await checkTarget(db, made, key, type, dimensions);
  const names = keyNames(key);
  const columns = [
    ...key.map((column, i) => [names[i]!, column.type] as const),
    ...columnsBeside(type.sql),
  ].map(([column, type]) => `${name(column)} ${type} not null${column === "embedded_at" ? " default now()" : ""}`);
  const primary = [...names, "chunk", "fingerprint"].map(name).join(", ");
  await rowsOf(db, `create table ${sql} (${columns.join(", ")}, primary key (${primary}))`);
}

/**
 * Checks a table of vectors that is there.
 *
 * @throws {UsageError} for a column that is missing or of another type, or that has a size that is not the model's.
 */
export async function checkTarget(
  db: Db,
  table: Table,
  key: readonly Column[],
  type: VectorType,
  dimensions: number,
): Promise<void> {
  const columns = await columnsOf(db, table);
  const names = keyNames(key);
  const wanted = [...key.map((column, i) => [names[i]!, column.type] as const), ...columnsBeside(type.sql)];
  for (const [column, wants] of wanted) {
    const has = columns.get(column)?.type;
    const sized = /^(?:.*\.)?(halfvec|vector)(?:\((\d+)\))?$/.exec(has ?? "");
    if (column === "embedding" && sized) {
      const [, word, size] = sized;
      if (word !== type.word) {
        throw new UsageError(
          `Cannot write to ${table.sql}: its embeddings are of the type ${word}; give --type ${word}`,
        );
      }
      if (size === undefined || Number(size) === dimensions) continue;
      throw new UsageError(
        `Cannot write to ${table.sql}: its embeddings have ${size} dimensions, and the model's have ${dimensions}; ` +
          `give --dimensions ${size}, where the model was trained for it, or another --into`,
      );
    }
    if (has === wants) continue;
    throw new UsageError(
      `Cannot write to ${table.sql}: its column ${quoted(column)} is ${
        has ?? "not there"
      }, and ${wants} is needed; give another --into`,
    );
  }
  const primary = [...names, "chunk", "fingerprint"];
  if (await uniqueOrder(db, table, primary) === undefined) {
    throw new UsageError(
      `Cannot write to ${table.sql}: it has no unique index on (${primary.join(", ")}); give another --into`,
    );
  }
}
