/** Keeps generations: a table's texts as vectors of one model with one set of options; and writes the SQL about a row of one. */
import { UsageError } from "../failure.ts";
import { type Db, name, rowsOf } from "./database.ts";

/** What is asked of the model; what of it changes a vector is in the fingerprint. */
export interface EmbedSettings {
  readonly inputType?: "query" | "document";
  readonly dimensions?: number;
  readonly truncate: "end" | "start" | "error";
}

/** A generation. */
export interface Generation {
  readonly id: number;
  /** pg-boss's queue of its jobs. */
  readonly queue: string;
  readonly fingerprint: string;
  /** As the model was named. */
  readonly model: string;
  /** The tables' names as SQL writes them. */
  readonly source: string;
  readonly target: string;
  /** The columns of the source's key and their types. */
  readonly key: readonly string[];
  readonly keyTypes: readonly string[];
  /** The column of the text. */
  readonly text: string;
  /** The type of the embeddings, as SQL writes it. */
  readonly type: string;
  readonly dimensions: number;
  readonly options: EmbedSettings;
  /** Rows of a job. */
  readonly shard: number;
  readonly paused: boolean;
}

/** A key as jobs and failures have it: the text of each of its columns. */
export type Key = readonly string[];

const COLUMNS = `id, queue, fingerprint, model, source, target, key, key_types as "keyTypes", "text", type, dimensions,
  options, shard, paused_at is not null as paused`;

/** The generations that a condition holds for. */
export async function generations(db: Db, condition: string = "true", ...values: unknown[]): Promise<Generation[]> {
  return await rowsOf(db, `select ${COLUMNS} from llamasaur.generations where ${condition} order by id`, ...values);
}

/**
 * Finds a generation, or makes it. How long texts are cut at their end or refused may change; all else is another one.
 *
 * @throws {UsageError} when the table of the vectors has one of the same fingerprint and of another source.
 */
export async function keepGeneration(db: Db, wanted: Omit<Generation, "id" | "paused">): Promise<Generation> {
  const { queue, fingerprint, model, source, target, key, keyTypes, text, type, dimensions, options, shard } = wanted;
  await rowsOf(
    db,
    `insert into llamasaur.generations
       (queue, fingerprint, model, source, target, key, key_types, "text", type, dimensions, options, shard)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
     on conflict (target, fingerprint) do update set options = excluded.options, shard = excluded.shard,
       type = excluded.type, key_types = excluded.key_types, dimensions = excluded.dimensions, model = excluded.model`,
    ...[queue, fingerprint, model, source, target, key, keyTypes, text, type, dimensions, options, shard],
  );
  const [found] = await generations(db, "target = $1 and fingerprint = $2", target, fingerprint);
  for (
    const [what, is, was] of [
      ["source", source, found!.source],
      ["text", text, found!.text],
      ["key", key.join(", "), found!.key.join(", ")],
    ] as const
  ) {
    if (is === was) continue;
    throw new UsageError(
      `Cannot take the ${what} ${is}: ${target} has vectors of this fingerprint whose ${what} is ${was}; give another --into`,
    );
  }
  return found!;
}

/** Writes the SQL about rows of a generation. The source's alias is `s`, that of the vectors' table `t`. */
export class RowSql {
  readonly #key: readonly string[];
  readonly #types: readonly string[];
  readonly #text: string;
  readonly #target: string;
  /** The key's columns in the vectors' table, quoted. */
  readonly targetKey: readonly string[];

  constructor({ key, keyTypes, text, target }: Pick<Generation, "key" | "keyTypes" | "text" | "target">) {
    [this.#key, this.#types, this.#text, this.#target] = [key, keyTypes, text, target];
    this.targetKey = (key.length === 1 ? ["key"] : key).map(name);
  }

  /** The columns of the key. */
  get columns(): string[] {
    return this.#key.map((one) => `s.${name(one)}`);
  }

  /** The key as a list of texts, the same whatever the session's settings are. */
  get keyText(): string {
    return `array[${this.columns.map((column, i) => textOf(column, this.#types[i]!)).join(", ")}]`;
  }

  get text(): string {
    return `s.${name(this.#text)}::text`;
  }

  /** The text's hash; null of null. */
  get hash(): string {
    return `sha256(convert_to(${this.text}, 'UTF8'))`;
  }

  /** Compares the key with one that is a list of texts. */
  compare(operator: "<" | "<=" | ">" | ">=" | "=", list: string): string {
    return `(${this.columns}) ${operator} (${this.cast(list)})`;
  }

  /** The values of a list of texts, in the key's types; named `low0`, `low1` … where `low` is given. */
  cast(list: string, as?: string): string {
    return this.#types.map((type, i) => `(${list})[${i + 1}]::${type}${as ? ` as ${as}${i}` : ""}`).join(", ");
  }

  /** Whether a source row has its vectors: of this text, by this generation. */
  isDone(fingerprint: string): string {
    const same = this.targetKey.map((column, i) => `t.${column} = ${this.columns[i]}`).join(" and ");
    return `exists (select from ${this.#target} t where ${same} and t.chunk = 0 and t.fingerprint = ${fingerprint}
      and t.text_sha256 = ${this.hash})`;
  }

  /** Whether a source row failed with this text. */
  isFailed(generation: string): string {
    return `exists (select from llamasaur.failures f where f.generation = ${generation} and f.key = ${this.keyText}
      and f.text_sha256 is not distinct from ${this.hash})`;
  }
}

/** A value as text that its type reads back, whatever TimeZone, DateStyle, IntervalStyle and bytea_output are. */
function textOf(column: string, type: string): string {
  if (/^timestamp.* with time zone$/.test(type)) {
    return `case when isfinite(${column}) then (to_jsonb(${column} at time zone 'UTC') #>> '{}') || ' UTC' else ${column}::text end`;
  }
  if (/^interval/.test(type)) {
    const part = (field: string): string => `extract(${field} from ${column})`;
    const parts = [
      ["months", `${part("year")} * 12 + ${part("month")}`],
      ["days", part("day")],
      ["microseconds", `${part("hour")} * 3600000000 + ${part("minute")} * 60000000 + ${part("microseconds")}`],
    ];
    // Each with its sign: a first minus would be taken for that of all.
    const text = parts.map(([unit, value]) => `to_char((${value})::bigint, 'FMSG9999999999999999999') || ' ${unit}'`);
    return `case when isfinite(${column}) then ${text.join(" || ' ' || ")} else ${column}::text end`;
  }
  if (type === "bytea") return `'\\x' || encode(${column}, 'hex')`;
  return /^(date|time)/.test(type) ? `to_jsonb(${column}) #>> '{}'` : `${column}::text`;
}
