/** Puts groups of rows on the disk one by one, each with its checkpoint, and gives the output its name at the end. */
import { mkdir, readdir, rmdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Failure } from "../failure.ts";
import { jsonOf } from "../data/json.ts";
import type { Encoder, OutputRow } from "../data/output.ts";
import type { Value } from "../data/rows.ts";
import type { Batch } from "../data/source.ts";
import { shown } from "../quote.ts";
import type { Embedded } from "./batch.ts";
import { Appended, exists, move, reach, remove, sizeOf, syncFolder, told } from "./disk.ts";
import { type Closing, type Header, type Journal, JournalWriter, type Totals } from "./journal.ts";
import type { Settings } from "./settings.ts";

const NONE: Totals = { rows: 0, skipped: 0, truncated: 0, tokens: 0, seconds: 0 };
const PART = /^part-\d{5}\.parquet$/;

/** Where the parts of a job are while it is under way. */
export function partPath(output: string): string {
  return `${output}.part`;
}

/** Where a job tells of the rows that it left out. */
export function errorsPath(output: string): string {
  return `${output}.errors.jsonl`;
}

/** The output of a job. */
export class Sink {
  /** Since the beginning of the job. */
  totals: Totals;
  readonly #output: string;
  readonly #settings: Settings;
  readonly #encoder: Encoder;
  readonly #journal: JournalWriter;
  readonly #start = performance.now();
  readonly #secondsBefore: number;
  #file: Appended;
  #errors: Appended | undefined;
  #errorsSize: number;
  #part: { index: number; rows: number };
  #notes: string[];

  private constructor(
    settings: Settings,
    encoder: Encoder,
    journal: JournalWriter,
    file: Appended,
    errors: Appended | undefined,
    before: Journal | undefined,
  ) {
    [this.#settings, this.#encoder, this.#journal, this.#file] = [settings, encoder, journal, file];
    this.#errors = errors;
    this.#output = settings.output!;
    this.totals = before?.last?.totals ?? NONE;
    this.#secondsBefore = this.totals.seconds;
    const { index = 0, rows = 0 } = before?.last?.part ?? {};
    this.#part = { index, rows };
    this.#notes = [...before?.notes ?? []];
    this.#errorsSize = before?.last?.errors ?? 0;
  }

  /** Begins a job, or opens the files of one and cuts what its last checkpoint does not have. */
  static async open(
    settings: Settings,
    encoder: Encoder,
    header: Header,
    before: Journal | undefined,
  ): Promise<Sink> {
    const output = settings.output!;
    reach("before header");
    const opened: { close(): Promise<void> }[] = [];
    const kept = <T extends { close(): Promise<void> }>(file: T): T => (opened.push(file), file);
    try {
      const journal = kept(await JournalWriter.open(output, before?.size ?? 0));
      const errors = await openErrors(output, before);
      if (errors) kept(errors);
      const { index = 0, bytes = 0 } = before?.last?.part ?? {};
      if (settings.format === "parquet") await mkdir(partPath(output), { recursive: true });
      const file = kept(await Appended.open(fileOf(settings, index), bytes));
      if (before === undefined) await journal.write(header);
      if (settings.format === "parquet") await syncFolder(partPath(output));
      await syncFolder(dirname(output));
      reach("after header");
      return new Sink(settings, encoder, journal, file, errors, before);
    } catch (error) {
      for (const file of opened) await file.close();
      throw error;
    }
  }

  /** Writes a group: its rows, then what was left out, then the checkpoint; each is on the disk before the next. */
  async write(batch: Batch, { rows, skipped, truncated, tokens }: Embedded): Promise<void> {
    if (this.#partIsFull(rows.length)) await this.#nextPart();
    reach("before output");
    const notes: string[] = [];
    const { slice = rows.length } = this.#encoder;
    for (let i = 0; i < rows.length; i += slice) {
      const some = rows.slice(i, i + slice);
      const { bytes, note } = this.#encoder.group(some, this.#file.size);
      if (note !== undefined) notes.push(note);
      for (const part of bytes) await this.#file.append(part);
      giveBack(some);
    }
    reach("after output");
    reach("before output sync");
    await this.#file.sync();
    reach("after output sync");
    if (skipped.length > 0) await this.#writeErrors(skipped);
    const { totals } = this;
    this.totals = {
      rows: totals.rows + rows.length,
      skipped: totals.skipped + skipped.length,
      truncated: totals.truncated + truncated,
      tokens: totals.tokens + tokens,
      seconds: this.#secondsBefore + Math.round(performance.now() - this.#start) / 1000,
    };
    this.#part.rows += rows.length;
    this.#notes.push(...notes);
    const { position, finished, end, read } = batch;
    await this.#journal.write({
      kind: "checkpoint",
      totals: this.totals,
      position,
      finished,
      end,
      part: { ...this.#part, bytes: this.#file.size },
      note: notes[0],
      errors: this.#errorsSize,
      read,
    });
  }

  /** Ends the last part, renames what is there to the output, and says complete. */
  async finish(): Promise<void> {
    await this.#endPart();
    await this.#file.close(); // Windows renames no folder with an open file
    const parts: number[] = [];
    for (let index = 0; index <= this.#part.index; index++) parts.push((await sizeOf(fileOf(this.#settings, index)))!);
    await removeParts(this.#settings, parts.length);
    reach("before closing");
    const closing: Closing = { kind: "closing", parts };
    await this.#journal.write(closing);
    reach("after closing");
    await complete(this.#settings, this.#journal, closing, this.totals);
  }

  /** Closes the files. */
  async close(): Promise<void> {
    await this.#file.close();
    await this.#errors?.close();
    await this.#journal.close();
  }

  #partIsFull(more: number): boolean {
    const { format, partRows } = this.#settings;
    return format === "parquet" && this.#part.rows > 0 && more > 0 && this.#part.rows + more > partRows;
  }

  async #nextPart(): Promise<void> {
    await this.#endPart();
    await this.#file.close();
    this.#part = { index: this.#part.index + 1, rows: 0 };
    this.#notes = [];
    this.#file = await Appended.open(fileOf(this.#settings, this.#part.index), 0);
    await syncFolder(partPath(this.#output));
  }

  async #endPart(): Promise<void> {
    reach("before end of part");
    await this.#file.append(this.#encoder.end(this.#notes, this.#file.size));
    await this.#file.sync();
    reach("after end of part");
  }

  async #writeErrors(skipped: Embedded["skipped"]): Promise<void> {
    const isNew = this.#errors === undefined;
    this.#errors ??= await Appended.open(errorsPath(this.#output), 0);
    const lines = skipped.map((one) => `${jsonOf(one as unknown as Value)}\n`).join("");
    await this.#errors.append(new TextEncoder().encode(lines));
    reach("before errors sync");
    await this.#errors.sync();
    if (isNew) await syncFolder(dirname(this.#output));
    reach("after errors sync");
    this.#errorsSize = this.#errors.size;
  }
}

/** Goes on with a job of which all rows are written: renames what is there to the output, and says complete. */
export async function finishClosing(settings: Settings, { size, closing, last }: Journal): Promise<Totals> {
  const journal = await JournalWriter.open(settings.output!, size);
  const totals = last?.totals ?? NONE;
  try {
    await complete(settings, journal, closing!, totals);
  } finally {
    await journal.close();
  }
  return totals;
}

/**
 * Looks that the output of a job that has ended is what the job wrote.
 *
 * @throws {Failure} where it is gone, or has another size.
 */
export async function checkOutput({ output, format }: Settings, { parts }: Closing): Promise<void> {
  const path = output!;
  for (const [i, size] of parts.entries()) {
    const file = format === "parquet" && parts.length > 1 ? join(path, partName(i)) : path;
    const found = await sizeOf(file);
    if (found === size) continue;
    const what = found === undefined ? "is gone" : `has ${found} bytes now`;
    throw new Failure(
      `Cannot go on with ${shown(path)}: its job has ended with ${size} bytes in ${shown(file)}, which ${what}; ` +
        "--restart makes it anew",
    );
  }
}

/** Opens the errors file, cut to what the last checkpoint has of it; where that is nothing, there is none. */
async function openErrors(output: string, before: Journal | undefined): Promise<Appended | undefined> {
  const path = errorsPath(output);
  const size = before?.last?.errors ?? 0;
  if (size > 0) return await Appended.open(path, size);
  await told(path, () => remove(path, { force: true }));
  return undefined;
}

async function complete(settings: Settings, journal: JournalWriter, closing: Closing, totals: Totals): Promise<void> {
  await giveName(settings, closing);
  reach("before complete");
  await journal.write({ kind: "complete", totals });
  reach("after complete");
}

/**
 * Gives the memory of vectors back that nobody will look at again. A collector does not see how much stands behind such small
 * objects: V8 let the vectors of three groups of 10,000 rows gather.
 */
function giveBack(rows: readonly OutputRow[]): void {
  for (const { embedding } of rows) (embedding.buffer as ArrayBuffer).transfer(0);
}

/** The file of a part; JSONL has one. */
function fileOf({ output, format }: Settings, index: number): string {
  const path = partPath(output!);
  return format === "jsonl" ? path : join(path, partName(index));
}

function partName(index: number): string {
  return `part-${String(index).padStart(5, "0")}.parquet`;
}

/** Removes parts that an earlier process began and the job does not have. */
async function removeParts({ output, format }: Settings, from: number): Promise<void> {
  if (format === "jsonl") return;
  const path = partPath(output!);
  for (const name of await readdir(path)) {
    if (PART.test(name) && Number(name.slice(5, 10)) >= from) await remove(join(path, name));
  }
}

/** The one rename: of the only file, or of the folder of parts. What is left of it is the same after a crash. */
async function giveName(settings: Settings, closing: Closing): Promise<void> {
  const output = settings.output!;
  const part = partPath(output);
  const from = settings.format === "parquet" && closing.parts.length > 1 ? part : fileOf(settings, 0);
  reach("before rename");
  if (await exists(from)) {
    await removeOld(output, from);
    await move(from, output);
  } else await checkOutput(settings, closing);
  reach("after rename");
  await rmdir(part).catch(() => {}); // where the only part was
}

/** Removes an older output where a rename would not replace it. */
async function removeOld(output: string, from: string): Promise<void> {
  const [old, fresh] = [await stat(output).catch(() => undefined), await stat(from)];
  if (old === undefined || old.isFile() && fresh.isFile()) return;
  await checkReplaceable(output);
  await remove(output, { recursive: true });
}

/**
 * Refuses to replace a folder with more in it than parts.
 *
 * @throws {Failure} naming the first other thing.
 */
export async function checkReplaceable(output: string): Promise<void> {
  const old = await stat(output).catch(() => undefined);
  if (!old?.isDirectory()) return;
  const other = (await readdir(output)).find((name) => !PART.test(name));
  if (other === undefined) return;
  throw new Failure(
    `Cannot replace the folder ${shown(output)}: it has ${
      shown(other)
    }, which is no part of an output; move that away, or give another -o`,
  );
}

/** Removes everything of a job but the output, the journal first: without it nothing is taken for a job. */
export async function removeJob(output: string, journal: string): Promise<void> {
  await told(journal, () => remove(journal, { force: true }));
  await remove(partPath(output), { recursive: true, force: true });
  await remove(errorsPath(output), { force: true });
}
