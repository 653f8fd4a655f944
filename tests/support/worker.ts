// What tests of the verbs over a database share: a small model, a table of texts, and the verbs as commands.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tinyModel } from "./jobs.ts";
import { noDatabase, TestDatabase } from "./postgres.ts";
import { type Ended, type Given, runProgram } from "./program.ts";
import { libraryMissing } from "./references.ts";
import { runVerb, type VerbEnded } from "./run_here.ts";

/** Why nothing can be tested, if so. */
export const skip: string | false = noDatabase || (libraryMissing && "no library");

/**
 * Two parts of a `with` that set clocks on: a job whose fetch was answered to nobody is sent back by its heartbeat, which is looked
 * at when the queue is due. One that its worker is about to note was heard of a moment ago, and its row says so when it is locked.
 */
export const CLOCKS_SET_ON = `silent as (
  update llamasaur_queue.job j set heartbeat_on = heartbeat_on - interval '1 hour'
  where state = 'active' and heartbeat_on < clock_timestamp() - interval '3 seconds' and not exists
    (select from llamasaur.attempts a where a.claim = j.id and a.retry_count = j.retry_count)
), due as (
  update llamasaur_queue.queue set monitor_claim_on = monitor_claim_on - interval '5 seconds'
)`;

/** What a plan told. */
export interface Told {
  readonly scanned: number;
  readonly rows: number;
  readonly jobs: number;
}

/** Where a bench is. */
export interface Place {
  /** The server's address; undefined for the shared one. */
  readonly at?: string;
  /** The model; undefined for the tiny one. */
  readonly model?: string;
  readonly bare?: boolean;
}

/** A database with the tiny model beside it. */
export class Bench implements AsyncDisposable {
  readonly base: TestDatabase;
  readonly model: string;
  readonly #folder: string;

  private constructor(base: TestDatabase, model: string, folder: string) {
    [this.base, this.model, this.#folder] = [base, model, folder];
  }

  /** Makes a database with a table `docs` (id, body, n) of so many texts; without the schemas of `backfill` if it is to be bare. */
  static async make(rows: number, { at, model, bare = false }: Place = {}): Promise<Bench> {
    const folder = mkdtempSync(join(tmpdir(), "llamasaur-worker-"));
    const base = await TestDatabase.make(at, !bare);
    await base.rows("create table docs (id bigint primary key, body text, n int not null default 0)");
    await base.rows("insert into docs select i, 'the river number ' || i from generate_series(1, $1::int) i", rows);
    return new Bench(base, model ?? await tinyModel(folder), folder);
  }

  /** Runs a verb to its end, within this process. */
  run(verb: string, args: readonly string[]): Promise<VerbEnded> {
    return runVerb([verb, "--database", this.base.url, ...args]);
  }

  /** Runs a verb to its end, as a program. */
  runProgram(verb: string, args: readonly string[], given: Given = {}): Promise<Ended> {
    return runProgram([verb, "--database", this.base.url, ...args], given);
  }

  /** Plans the table; what it told as JSON. */
  async backfill(...args: string[]): Promise<Told> {
    const all = [...args.includes("--table") ? [] : ["--table", "docs", "--key", "id", "--text", "body"], ...args];
    const { code, stdout, stderr } = await this.run("backfill", ["--model", this.model, ...all, "--json"]);
    if (code !== 0) throw new Error(`backfill ended with ${code}: ${stderr}`);
    const { scanned, rows, jobs, ...more } = JSON.parse(stdout);
    return { scanned, rows, jobs, ...(args.includes("--dry-run") && more) };
  }

  /** Works until nothing is left; what it said. */
  async work(...args: string[]): Promise<string> {
    const { code, stderr } = await this.run("worker", ["--model", this.model, "--stop-when-empty", ...args]);
    if (code !== 0) throw new Error(`worker ended with ${code}: ${stderr}`);
    return stderr;
  }

  /** Runs `jobs` with an action; what it told as JSON. */
  // deno-lint-ignore no-explicit-any
  async jobs(...args: string[]): Promise<any> {
    const { code, stdout, stderr } = await this.run("jobs", [...args, "--json"]);
    if (code !== 0) throw new Error(`jobs ended with ${code}: ${stderr}`);
    return stdout === "" ? undefined : JSON.parse(stdout.trim().split("\n").at(-1)!);
  }

  /** Runs a worker as a program. */
  worker(args: readonly string[], given: Given = {}): Promise<Ended> {
    return this.runProgram("worker", ["--model", this.model, ...args], { faulty: "worker", ...given });
  }

  /** Waits until a statement gives true. */
  async until(statement: string, ...values: unknown[]): Promise<void> {
    for (let i = 0; i < 3600; i++) {
      if (await this.base.value(statement, ...values)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`three minutes are over, and this is not so: ${statement}`);
  }

  /** The vectors of a table by their keys. */
  async vectors(table = "docs_embeddings"): Promise<Map<number, number[]>> {
    const rows = await this.base.rows<{ key: number; embedding: string }>(
      `select key, embedding::text from ${table} order by key`,
    );
    return new Map(rows.map(({ key, embedding }) => [key, JSON.parse(embedding)]));
  }

  /** The failures as `key code`. */
  async failures(): Promise<string[]> {
    const rows = await this.base.rows<{ line: string }>(
      `select array_to_string(key, ',') || ' ' || code as line from llamasaur.failures order by key[1]::bigint`,
    );
    return rows.map(({ line }) => line);
  }

  /** A file beside the model. */
  file(name: string): string {
    return join(this.#folder, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.base[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true });
  }
}
