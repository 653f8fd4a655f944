/**
 * Keeps `OUT.job`: what a job is, and how far it is. The file only grows; a last line that is torn is no line.
 *
 * Its first line is the header. Each further one is a checkpoint, which counts only when everything that it tells of is on
 * the disk; then one line of closing, with the files that will be renamed, and one that says complete.
 */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { Failure } from "../failure.ts";
import { shown } from "../quote.ts";
import type { Column } from "../data/columns.ts";
import type { Finished, Position } from "../data/source.ts";
import { Appended, reach, refused, sizeOf } from "./disk.ts";

/** The first line: everything that must be the same for the job to go on. */
export interface Header {
  readonly kind: "job";
  /** Of this file's format. */
  readonly version: 1;
  /** As the model was named. */
  readonly model: string;
  readonly fingerprint: string;
  readonly dimensions: number;
  /** What changes the output, by the names of the options. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly columns: readonly Column[];
  /** Bytes of the inputs at the start of the job; undefined where nobody knows. */
  readonly bytes?: number | undefined;
  /** Rows of the inputs at the start of the job; undefined where nobody knows before they are read. */
  readonly rows?: number | undefined;
  /** Sizes of the inputs, of which this job has a share. */
  readonly sizes?: readonly number[] | undefined;
}

/** Sums since the beginning of the job. */
export interface Totals {
  /** Rows of the output. */
  readonly rows: number;
  /** Rows that could not be embedded. */
  readonly skipped: number;
  /** Rows of which a part was cut off. */
  readonly truncated: number;
  readonly tokens: number;
  /** Seconds that processes worked on it. */
  readonly seconds: number;
}

/** A checkpoint: a group of rows is on the disk. */
export interface Checkpoint {
  readonly kind: "checkpoint";
  readonly totals: Totals;
  readonly position: Position | undefined;
  /** Inputs that ended in this group. */
  readonly finished: readonly Finished[];
  /** Whether no rows are left. */
  readonly end: boolean;
  /** Of the output: its index of parts, and bytes and rows of that part. */
  readonly part: { readonly index: number; readonly bytes: number; readonly rows: number };
  /** What the end of the part must know of this group. */
  readonly note?: string | undefined;
  /** Bytes of the errors file. */
  readonly errors: number;
  /** Bytes of the inputs that were read. */
  readonly read?: number | undefined;
}

/** All rows are written; what is left is to give the output its name. */
export interface Closing {
  readonly kind: "closing";
  /** Parts with their bytes. */
  readonly parts: readonly number[];
}

/** The output has its name. */
export interface Complete {
  readonly kind: "complete";
  readonly totals: Totals;
}

type Line = Header | Checkpoint | Closing | Complete;

/** What a journal says. */
export interface Journal {
  readonly header: Header;
  readonly last: Checkpoint | undefined;
  /** Of all checkpoints; an input that grew after it had ended is there with its last size. */
  readonly finished: ReadonlyMap<string, Finished>;
  /** Of the part that is not ended. */
  readonly notes: readonly string[];
  /** Bytes of each part that has ended; the last one's are of the last checkpoint. */
  readonly closing: Closing | undefined;
  readonly complete: Complete | undefined;
  /** Bytes that are whole lines. */
  readonly size: number;
}

/** Where the journal of an output is. */
export function journalPath(output: string): string {
  return `${output}.job`;
}

/**
 * Reads the journal of an output; undefined where there is none, or nothing in it.
 *
 * @throws {Failure} where it cannot be read, or a line is not as this program writes it.
 */
export async function readJournal(output: string): Promise<Journal | undefined> {
  const path = journalPath(output);
  if (await sizeOf(path) === undefined) return undefined;
  let header: Header | undefined;
  let last: Checkpoint | undefined;
  let notes: string[] = [];
  const finished = new Map<string, Finished>();
  let [closing, complete]: [Closing | undefined, Complete | undefined] = [undefined, undefined];
  const size = await eachLine(path, (line) => {
    if (header === undefined) header = headerIn(line, path);
    else if (!isLater(line)) throw damaged(path);
    else if (line.kind === "closing") closing = line;
    else if (line.kind === "complete") complete = line;
    else {
      if (last && last.part.index !== line.part.index) notes = [];
      if (line.note !== undefined) notes.push(line.note);
      for (const one of line.finished) finished.set(one.path, one);
      last = line;
    }
  });
  if (header === undefined) return undefined;
  return { header, last, finished, notes, closing, complete, size };
}

/** The first line. */
function headerIn(line: unknown, path: string): Header {
  const { kind, version } = fieldsOf(line);
  if (kind !== "job" || typeof version !== "number") throw damaged(path);
  if (version !== 1) {
    throw new Failure(
      `Cannot go on: ${shown(path)} is of version ${version}, this program knows 1; --restart begins anew`,
    );
  }
  if (!isHeader(line)) throw damaged(path);
  return line;
}

function isHeader(line: unknown): line is Header {
  const { model, fingerprint, dimensions, options, versions, columns, sizes, bytes, rows } = fieldsOf(line);
  return [model, fingerprint].every((one) => typeof one === "string") &&
    areNumbers([dimensions, bytes ?? 0, rows ?? 0, sizes ?? []]) &&
    [options, versions].every(isObject) && Array.isArray(columns) && columns.every(isObject);
}

function isLater(line: unknown): line is Checkpoint | Closing | Complete {
  const { kind, totals, parts, position, finished, end, part, errors, read } = fieldsOf(line);
  if (kind === "closing") return Array.isArray(parts) && areNumbers([parts]);
  const { rows, skipped, truncated, tokens, seconds } = fieldsOf(totals);
  if (!areNumbers([rows, skipped, truncated, tokens, seconds])) return false;
  if (kind !== "checkpoint") return kind === "complete";
  const { index, bytes, rows: partRows } = fieldsOf(part);
  const { input, path, offset, line: number, sha256 } = fieldsOf(position);
  const isPosition = [path, sha256].every((one) => typeof one === "string") && areNumbers([input, offset, number]);
  return areNumbers([index, bytes, partRows, errors, read ?? 0]) && typeof end === "boolean" &&
    (position === undefined || isPosition) && Array.isArray(finished) && finished.every(isFinished);
}

function isFinished(value: unknown): value is Finished {
  const { path, size, sha256 } = fieldsOf(value);
  return typeof path === "string" && typeof size === "number" && typeof sha256 === "string";
}

/** Whether all are numbers, or lists of numbers. */
function areNumbers(values: readonly unknown[]): boolean {
  return values.flat().every((value) => typeof value === "number");
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The fields of an object; none of what is no object. */
function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return isObject(value) ? value : {};
}

function damaged(path: string): Failure {
  return new Failure(`Cannot read ${shown(path)}: a line is damaged; --restart begins anew`);
}

/** Calls a function with each line, and gives the bytes of all of them: without a last one that is torn. */
async function eachLine(path: string, take: (line: unknown) => void): Promise<number> {
  let size = 0;
  let torn: string | undefined;
  const length = (await sizeOf(path))!;
  for await (const text of linesOf(path)) {
    if (torn !== undefined) throw damaged(path);
    const bytes = Buffer.byteLength(text) + 1;
    let line: unknown;
    try {
      line = size + bytes <= length ? JSON.parse(text) : undefined; // without its line break it is torn
    } catch {
      line = undefined;
    }
    if (line === undefined) torn = text;
    else {
      size += bytes;
      take(line);
    }
  }
  return size;
}

async function* linesOf(path: string): AsyncGenerator<string, void, undefined> {
  try {
    yield* createInterface({ input: createReadStream(path, "utf8"), crlfDelay: Infinity });
  } catch (error) {
    throw refused("read", path, error);
  }
}

/** Writes a journal. */
export class JournalWriter {
  readonly #file: Appended;

  private constructor(file: Appended) {
    this.#file = file;
  }

  /** Opens the journal of an output, and cuts what is behind its first `size` bytes. */
  static async open(output: string, size: number): Promise<JournalWriter> {
    return new JournalWriter(await Appended.open(journalPath(output), size));
  }

  /** Appends a line, and waits until it is on the disk. */
  async write(line: Line): Promise<void> {
    const bytes = new TextEncoder().encode(`${JSON.stringify(line)}\n`);
    const half = bytes.length >> 1;
    reach("before journal");
    await this.#file.append(bytes.subarray(0, half));
    reach("half journal");
    await this.#file.append(bytes.subarray(half));
    reach("before journal sync");
    await this.#file.sync();
    reach("after journal sync");
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}
