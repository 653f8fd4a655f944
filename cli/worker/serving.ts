/** Knows which generations a worker's models are for, and which of them has a job that is ready. */
import type { Llama } from "@llamasaur/llamasaur";
import { UsageError } from "../failure.ts";
import { commandLine } from "../program.ts";
import {
  checkRights,
  checkSize,
  columnOf,
  columnsOf,
  findTable,
  type Right,
  type Table,
  toName,
  toRead,
  toWrite,
  vectorType,
} from "./catalogue.ts";
import { type Db, name, rowsOf } from "./database.ts";
import { type Generation, generations } from "./generation.ts";
import { checkTarget, ownRights, QUEUE_SCHEMA, readAndWrite, unmade } from "./schema.ts";

/** A generation with its model. */
export interface Served {
  readonly generation: Generation;
  readonly llama: Llama;
}

/** What the tables say of the generations of these models. */
export interface Outlook {
  /** One that has a job to take. */
  readonly ready: Served | undefined;
  /** Whether there is work left for anybody: jobs that wait, or that some worker has. */
  readonly open: boolean;
}

/** The generations of models. */
export class Serving {
  readonly #models: readonly Llama[];
  readonly #known = new Map<number, Llama | undefined>();

  constructor(models: readonly Llama[]) {
    this.#models = models;
  }

  /** How many generations have a model here. */
  get count(): number {
    return [...this.#known.values()].filter((llama) => llama !== undefined).length;
  }

  /** Says why there is no generation for these models. */
  async whyIdle(db: Db): Promise<string> {
    const all = await generations(db);
    const ours = all.filter((one) => this.#models.some((llama) => isOf(llama, one)));
    if (ours.some(({ paused }) => paused)) {
      return `the jobs of these models are paused: ${commandLine(["jobs", "resume"])} lets them go on`;
    }
    if (ours.length > 0) return "all jobs of these models have ended";
    const others = all.map(({ model, fingerprint }) => `${model} (${fingerprint})`).join(", ");
    return `there are no jobs of these models' fingerprints${others && `, but of ${others}`}`;
  }

  /**
   * Asks the database once.
   *
   * @throws {UsageError} for a generation of these models whose tables, columns or rights are not as they must be.
   */
  async look(db: Db): Promise<Outlook> {
    const all = await rowsOf<{ id: number; ready: boolean; open: boolean }>(
      db,
      `select g.id,
         exists (select from ${QUEUE_SCHEMA}.job j where j.name = g.queue and j.state < 'active' and j.start_after <= now())
           as ready,
         exists (select from llamasaur.jobs j where j.generation = g.id and j.ended_at is null) as open
       from llamasaur.generations g where g.paused_at is null order by random()`,
    );
    const found = new Map<number, Llama | undefined>();
    const served: Generation[] = [];
    for (const { id, open } of all) {
      if (!open || this.#known.has(id)) continue; // the tables of one that is finished may be gone
      const [generation] = await generations(db, "id = $1", id);
      const llama = this.#models.find((one) => isOf(one, generation!));
      if (llama) served.push(generation!);
      found.set(id, llama);
    }
    if (served.length > 0) await check(db, served);
    for (const [id, llama] of found) this.#known.set(id, llama);
    const ours = all.filter(({ id }) => this.#known.get(id) !== undefined);
    const first = ours.find(({ ready }) => ready);
    const open = ours.some(({ open }) => open);
    if (first === undefined) return { ready: undefined, open };
    const [generation] = await generations(db, "id = $1", first.id); // its options may have changed
    return { ready: generation && { generation, llama: this.#known.get(first.id)! }, open };
  }
}

/** Whether a model computes the vectors of a generation. */
function isOf(llama: Llama, { options, fingerprint }: Generation): boolean {
  try {
    return llama.fingerprint(options) === fingerprint;
  } catch {
    return false; // it cannot do what was asked: prompts, dimensions
  }
}

/**
 * Checks that the schemas were made, and may be used.
 *
 * @param more Rights that are needed beside those on the schemas.
 */
export async function checkMade(db: Db, more: readonly Right[] = []): Promise<void> {
  const then = "Those on the tables of its vectors are looked at next: llamasaur.generations names them.";
  const lacks = await unmade(db, more, then);
  if (lacks === undefined) return;
  throw new UsageError(
    `Cannot work: this database has no schema ${lacks}; ${commandLine(["backfill"])} makes it and enqueues the jobs`,
  );
}

/** Checks that generations can be worked on, so that no job is taken in vain. Of rights, all that are lacking are told at once. */
export async function check(db: Db, all: readonly Generation[]): Promise<void> {
  const rights: Right[] = [];
  for (const generation of all) rights.push(...await rightsFor(db, generation));
  await checkRights(db, [...rights, ...ownRights(), ...await toWrite(db)]);
}

/** Checks that tables and columns of a generation are as they must be. @returns The rights that it takes. */
async function rightsFor(db: Db, generation: Generation): Promise<Right[]> {
  const { source, target, key, text, type, dimensions } = generation;
  const [from, to] = [await found(db, source), await found(db, target)];
  const columns = await columnsOf(db, from);
  const keys = key.map((one) => columnOf(columns, one, "the key", source));
  columnOf(columns, text, "the text", source);
  const vectors = await vectorType(db, type.endsWith("halfvec") ? "halfvec" : "vector");
  checkSize(dimensions, vectors.word);
  await checkTarget(db, to, keys, vectors, dimensions);
  return [
    ...toRead(from),
    { kind: "schema", on: name(to.schema), to: "usage" },
    ...readAndWrite(target),
    ...toName([...keys, vectors]),
  ];
}

async function found(db: Db, table: string): Promise<Table> {
  const one = await findTable(db, table);
  if (one) return one;
  throw new UsageError(
    `Cannot work on ${table}: it is not there any more; ${commandLine(["jobs", "cancel"])} ends its jobs`,
  );
}
