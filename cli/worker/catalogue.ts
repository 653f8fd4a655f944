/** Looks tables, columns, rights and pgvector up in the database's catalogue, and refuses what cannot work before any work. */
import { EXIT, Failure, UsageError } from "../failure.ts";
import { quoted } from "../quote.ts";
import { codeOf, type Db, name, rowsOf } from "./database.ts";

/** A table as the catalogue has it. */
export interface Table {
  readonly oid: number;
  /** The quoted name, with its schema. */
  readonly sql: string;
  readonly schema: string;
  readonly relation: string;
  readonly isView: boolean;
}

/** A column as the catalogue has it. */
export interface Column {
  readonly name: string;
  /** Its type as SQL writes it; one that is not PostgreSQL's own with its schema, for another's `search_path` may lack that. */
  readonly type: string;
  /** The type's schema. */
  readonly typeSchema: string;
  readonly notNull: boolean;
  /** S for text, D for dates: the catalogue's `typcategory`. */
  readonly category: string;
}

/** The type of an embedding, as SQL writes it: pgvector may be in any schema. */
export interface VectorType {
  readonly word: "halfvec" | "vector";
  readonly sql: string;
  /** pgvector's schema. */
  readonly schema: string;
}

/** Dimensions that an index of pgvector takes. */
const MOST_DIMENSIONS = { halfvec: 4000, vector: 2000 } as const;

/** Codes of a name that SQL cannot read. */
const NO_NAME = /^(22023|42601|42602)$/;

/**
 * Finds a table or view by its name as it is, else as SQL would read it; undefined if there is none. One in a schema that may
 * not be used is found where its name has the schema, so that the right can be asked for.
 */
export async function findTable(db: Db, given: string): Promise<Table | undefined> {
  const dot = given.indexOf(".");
  const exact = dot < 0 ? [given] : [given.slice(0, dot), given.slice(dot + 1)];
  for (const parts of [exact, await partsOf(db, given)]) {
    const [relation = "", schema] = [...parts].reverse();
    if (relation === "" || parts.length > 2) continue;
    const [found] = await rowsOf<{ oid: number; schema: string; relation: string; kind: string }>(
      db,
      `select c.oid::int8 as oid, n.nspname as schema, c.relname as relation, c.relkind as kind
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where c.relkind in ('r', 'p', 'v', 'm', 'f')
         and case when $2::text is null then c.oid = to_regclass(quote_ident($1)) else n.nspname = $2 and c.relname = $1 end`,
      ...[relation, schema ?? null],
    );
    if (found === undefined) continue;
    const { oid, kind } = found;
    return {
      ...{ oid, schema: found.schema, relation: found.relation, isView: !["r", "p"].includes(kind) },
      sql: `${name(found.schema)}.${name(found.relation)}`,
    };
  }
  return undefined;
}

/** The parts of a name as SQL reads it; none of what it cannot read. */
async function partsOf(db: Db, given: string): Promise<readonly string[]> {
  try {
    const [read] = await rowsOf<{ parts: string[] }>(db, "select parse_ident($1) as parts", given);
    return read!.parts;
  } catch (error) {
    if (NO_NAME.test(codeOf(error))) return [];
    throw error;
  }
}

/** The columns of a table, by name. */
export async function columnsOf(db: Db, { oid }: Table): Promise<Map<string, Column>> {
  const columns = await rowsOf<Column>(
    db,
    `select a.attname as name, n.nspname as "typeSchema", a.attnotnull as "notNull", t.typcategory as category,
            case when n.nspname <> 'pg_catalog' and pg_type_is_visible(coalesce(e.oid, t.oid)) then quote_ident(n.nspname) || '.' else '' end
              || format_type(a.atttypid, a.atttypmod) as type
     from pg_attribute a join pg_type t on t.oid = a.atttypid join pg_namespace n on n.oid = t.typnamespace
       left join pg_type e on e.oid = t.typelem and t.typcategory = 'A'
     where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped order by a.attnum`,
    oid,
  );
  return new Map(columns.map((column) => [column.name, column]));
}

/** A column by its name as it is, else in small letters as SQL would read it. */
export function columnOf(columns: ReadonlyMap<string, Column>, given: string, option: string, table: string): Column {
  const found = columns.get(given) ?? columns.get(given.toLowerCase());
  if (found) return found;
  const all = [...columns.keys()].map((one) => quoted(one)).join(", ");
  throw new UsageError(`Cannot take ${option} ${quoted(given)}: ${table} has no such column; it has ${all}`);
}

/**
 * The order in which a unique index over exactly these columns has them: that of the columns, where some index has it.
 *
 * @returns Undefined if there is no such index.
 */
export async function uniqueOrder(
  db: Db,
  { oid }: Table,
  columns: readonly string[],
): Promise<readonly string[] | undefined> {
  const [found] = await rowsOf<{ names: string[] }>(
    db,
    `select k.names from pg_index i cross join lateral (
       select array_agg(a.attname::text order by u.place) as names, array_agg(a.attname::text order by a.attname::text) as sorted
       from unnest(i.indkey[:i.indnkeyatts - 1]) with ordinality u(number, place)
       join pg_attribute a on a.attrelid = i.indrelid and a.attnum = u.number) k
     where i.indrelid = $1 and i.indisunique and i.indpred is null and i.indexprs is null
       and k.sorted = (select array_agg(c order by c) from unnest($2::text[]) c)
     order by k.names = $2::text[] desc, i.indisprimary desc limit 1`,
    oid,
    columns,
  );
  return found?.names;
}

/** Which pgvector the database has, and in which schema. */
async function findVector(db: Db): Promise<{ readonly version: string; readonly schema: string } | undefined> {
  const [found] = await rowsOf<{ version: string; schema: string }>(
    db,
    `select e.extversion as version, n.nspname as schema
     from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'vector'`,
  );
  return found;
}

/** The rights of every worker, whatever its tables are: to name a vector, and to make the table that vectors arrive in. */
export async function toWrite(db: Db): Promise<Right[]> {
  const found = await findVector(db);
  const vectors = found && found.schema !== "pg_catalog"
    ? [{ kind: "schema", on: name(found.schema), to: "usage" } as const]
    : [];
  return [...vectors, await rightInDatabase(db, "temporary")];
}

/**
 * The type of the embeddings.
 *
 * @throws {Failure} Exit code 3 with the line to run, where pgvector is missing or older than 0.7.
 */
export async function vectorType(db: Db, word: VectorType["word"]): Promise<VectorType> {
  const found = await findVector(db);
  if (found === undefined) {
    throw new Failure(
      "Cannot store vectors: this database has no pgvector. Somebody with the right to do so runs:\n\n  create extension vector;\n",
      EXIT.missing,
    );
  }
  const [major = 0, minor = 0] = found.version.split(".").map(Number);
  if (major === 0 && minor < 7) {
    throw new Failure(
      `Cannot store vectors: pgvector is ${found.version}, and halfvec came with 0.7. With a newer one installed, run:\n\n` +
        "  alter extension vector update;\n",
      EXIT.missing,
    );
  }
  return { word, sql: `${name(found.schema)}.${word}`, schema: found.schema };
}

/** Refuses dimensions that no index takes. */
export function checkSize(dimensions: number, type: VectorType["word"]): void {
  const most = MOST_DIMENSIONS[type];
  if (dimensions <= most) return;
  const other = type === "vector" && dimensions <= MOST_DIMENSIONS.halfvec ? "--type halfvec, or " : "";
  throw new UsageError(
    `Cannot store ${dimensions} dimensions as ${type}: an index takes ${most} at most; give ${other}--dimensions, ` +
      "where the model was trained for it",
  );
}

/** The right to do something in this database. */
export async function rightInDatabase(db: Db, to: string): Promise<Right> {
  const [found] = await rowsOf<{ on: string }>(db, `select quote_ident(current_database()) as "on"`);
  return { kind: "database", on: found!.on, to };
}

/** A right that is needed. */
export interface Right {
  readonly kind: "table" | "schema" | "database" | "all tables in schema";
  /** What it is on, as SQL writes it. */
  readonly on: string;
  /** What it allows: `select`, `create`. */
  readonly to: string;
}

/** The rights to read a table. */
export function toRead({ schema, sql }: Table): Right[] {
  return [{ kind: "schema", on: name(schema), to: "usage" }, { kind: "table", on: sql, to: "select" }];
}

/** The rights to name types: of columns, of vectors. PostgreSQL's own need none. */
export function toName(types: readonly (Pick<Column, "typeSchema"> | VectorType)[]): Right[] {
  const schemas = types.map((type) => "word" in type ? type.schema : type.typeSchema);
  return schemas.filter((one) => one !== "pg_catalog").map((one) => ({ kind: "schema", on: name(one), to: "usage" }));
}

/**
 * Checks rights.
 *
 * @param then What the error says behind its list, if something.
 * @throws {UsageError} listing those that are lacking, as lines that give them.
 */
export async function checkRights(db: Db, rights: readonly Right[], then?: string): Promise<void> {
  const lacking = await rowsOf<{ kind: string; on: string; to: string; role: string }>(
    db,
    `select r.*, current_user as role from jsonb_to_recordset($1::jsonb) r(kind text, "on" text, "to" text)
     where not case r.kind
       when 'schema' then has_schema_privilege((parse_ident(r."on"))[1], r."to")
       when 'database' then has_database_privilege((parse_ident(r."on"))[1], r."to")
       else (select bool_and(has_table_privilege(c.oid, r."to")) from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname = (parse_ident(r."on"))[1] and c.relkind in ('r', 'p', 'v', 'm', 'f')
               and (r.kind <> 'table' or c.relname = (parse_ident(r."on"))[2])) end`,
    JSON.stringify(rights),
  );
  if (lacking.length === 0) return;
  const lines = new Set(lacking.map(({ kind, on, to, role }) => `  grant ${to} on ${kind} ${on} to ${name(role)};`));
  throw new UsageError(
    `Cannot begin: rights are lacking. Somebody with the right to do so runs:\n\n${[...lines].join("\n")}\n${
      then ? `\n${then}` : ""
    }`,
  );
}
