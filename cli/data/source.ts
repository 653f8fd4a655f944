/** Reads the rows of all inputs, one behind the other, and knows where it is: a job that starts again goes on from there. */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import process from "node:process";
import { bytesOf, changed, Digest } from "./bytes.ts";
import type { Input } from "./inputs.ts";
import type { Reading, Row, Stretch } from "./rows.ts";
import { fileRow, givenRows, lineRows, type Rows } from "./text_rows.ts";

/** An input of which everything was read. */
export interface Finished {
  readonly path: string;
  readonly size: number;
  /** Of its bytes, unpacked; of a Parquet file, of its footer. */
  readonly sha256: string;
}

/** Where the next row is. */
export interface Position {
  /** Index of the input. */
  readonly input: number;
  readonly path: string;
  /** The byte, unpacked, or of Parquet the row, behind the last one read. */
  readonly offset: number;
  readonly line: number;
  /** Of the bytes before `offset`; of a Parquet file, of its footer. */
  readonly sha256: string;
  /** Whether the last line had no line break yet. */
  readonly open?: boolean;
}

/** Rows that were taken together. */
export interface Batch {
  readonly rows: readonly { readonly row: Row; readonly file: string }[];
  /** Undefined at the end of all inputs. */
  readonly position: Position | undefined;
  /** The inputs that ended among these rows. */
  readonly finished: readonly Finished[];
  /** Whether there are no more rows. */
  readonly end: boolean;
  /** Bytes of the inputs on the disk before the next row, about; undefined where nobody knows. */
  readonly read: number | undefined;
}

/** What of the inputs belongs to a job. */
export interface Share {
  /** Bytes of an input on the disk, about; undefined where nobody knows. */
  bytes(input: Input, index: number): number | undefined;
  /** What of it is read, of a line-based one in bytes, of Parquet in rows; undefined where nothing is. */
  of(input: Input, index: number): Promise<Pick<Stretch, "from" | "to"> | undefined>;
}

const WHOLE: Share = { bytes: ({ size }) => size, of: () => Promise.resolve({}) };

/** An input that is being read. */
interface Open {
  readonly index: number;
  readonly input: Input;
  readonly rows: Rows;
  readonly digest: Digest;
  /** Where this job's part of it begins, and where it ends if that is known. */
  readonly from: number;
  readonly to: number | undefined;
  /** The hash where it does not go with the bytes: of Parquet the footer's, of an input that has ended the last row's. */
  settled: string | undefined;
  offset: number;
  line: number;
  open: boolean;
}

/** Rows of one chunk, those from `next` on not taken yet; without any, the input has ended. */
interface Block {
  readonly from: Open;
  readonly rows: readonly Row[];
  next: number;
}

/** The rows of a list of inputs. */
export class Source {
  readonly #inputs: readonly Input[];
  readonly #reading: Reading;
  readonly #share: Share;
  readonly #onAgain: (count: number) => void;
  #start: Position | undefined;
  #index: number;
  #current: Open | undefined;
  #taken: Open | undefined;
  #blocks: Block[] = [];
  #held = 0;
  #waiting = false;

  /**
   * @param start Where to go on.
   * @param onAgain Told of the bytes before that place, as they are read again.
   */
  constructor(
    inputs: readonly Input[],
    reading: Reading,
    start?: Position,
    share: Share = WHOLE,
    onAgain: (count: number) => void = () => {},
  ) {
    this.#onAgain = onAgain;
    this.#inputs = inputs;
    this.#reading = reading;
    this.#share = share;
    this.#start = start;
    this.#index = start?.input ?? 0;
  }

  /** The next rows, without taking them. */
  async peek(count: number): Promise<Row[]> {
    await this.#fill(count);
    return this.#blocks.flatMap(({ rows, next }) => rows.slice(next)).slice(0, count);
  }

  /** Takes the next rows. */
  async take(count: number): Promise<Batch> {
    await this.#fill(count + 1); // one more tells whether these are the last
    const rows: { row: Row; file: string }[] = [];
    const finished: Finished[] = [];
    for (
      let block = this.#blocks[0];
      block && (rows.length < count || block.rows.length === 0);
      block = this.#blocks[0]
    ) {
      const { from } = block;
      this.#taken = from;
      for (; rows.length < count && block.next < block.rows.length; block.next++) {
        const row = block.rows[block.next]!;
        rows.push({ row, file: from.input.path });
        [from.offset, from.line, from.open] = [row.end, row.line, row.open === true];
      }
      if (block.next < block.rows.length) break;
      if (block.rows.length === 0) finished.push(await finish(from));
      this.#blocks.shift();
    }
    this.#held -= rows.length;
    const end = this.#held === 0 && this.#ended;
    return { rows, finished, position: this.#position(), end, read: end ? this.bytes : this.#read() };
  }

  /** Bytes of all inputs on the disk, about; undefined where nobody knows. */
  get bytes(): number | undefined {
    return this.#bytesBefore(this.#inputs.length);
  }

  /** Rows of all inputs; undefined where one of them must be read for that. */
  async rows(): Promise<number | undefined> {
    let sum = 0;
    for (const [i, input] of this.#inputs.entries()) {
      const share = await this.#share.of(input, i);
      if (!share) continue;
      const rows = input.format === "text" ? 1 : (await fixed(input)).rows;
      if (rows === undefined) return undefined;
      sum += Math.min(share.to ?? rows, rows) - (share.from ?? 0);
    }
    return sum;
  }

  #bytesBefore(count: number): number | undefined {
    let sum: number | undefined = 0;
    for (let i = 0; i < count && sum !== undefined; i++) {
      const bytes = this.#share.bytes(this.#inputs[i]!, i);
      sum = bytes === undefined ? undefined : sum + bytes;
    }
    return sum;
  }

  #read(): number | undefined {
    const { index, input } = this.#taken ?? {};
    const before = this.#bytesBefore(index ?? this.#start?.input ?? 0);
    if (input === undefined || before === undefined) return before;
    const own = this.#share.bytes(input, index!);
    return own === undefined ? undefined : before + own * partOf(this.#taken!);
  }

  /** Closes what is open. What waits for the bytes of a pipe would wait on: it is left to the end of the process. */
  async close(): Promise<void> {
    const current = this.#current;
    this.#current = undefined;
    if (current?.input.path === "-") process.stdin.destroy();
    else if (!this.#waiting || current?.input.size !== undefined) await current?.rows.return();
  }

  get #ended(): boolean {
    return this.#current === undefined && this.#index >= this.#inputs.length;
  }

  /** Where the next row to take is. */
  #position(): Position | undefined {
    const taken = this.#taken;
    if (!taken) return this.#start;
    const { index, input, offset, line, open, digest, settled } = taken;
    const sha256 = settled ?? digest.at(offset);
    return { input: index, path: input.path, offset, line, sha256, ...(open && { open }) };
  }

  /** Reads until so many rows are held. */
  async #fill(count: number): Promise<void> {
    while (this.#held < count && !this.#ended) {
      this.#current ??= await this.#open();
      if (!this.#current) continue;
      this.#waiting = true;
      const { value, done } = await this.#current.rows.next();
      this.#waiting = false;
      this.#blocks.push({ from: this.#current, rows: done ? [] : value, next: 0 });
      if (done) this.#current = undefined;
      else this.#held += value.length;
    }
  }

  /** Opens the next input; undefined where this job has no share in it. */
  async #open(): Promise<Open | undefined> {
    const index = this.#index++;
    const input = this.#inputs[index]!;
    const share = await this.#share.of(input, index);
    if (!share) return undefined;
    const start = this.#start?.input === index ? this.#start : undefined;
    const [offset, line] = [start?.offset ?? 0, start?.line ?? 0];
    const digest = new Digest((count) => {
      const fresh = Math.max(0, digest.size - offset);
      if (fresh < count) this.#onAgain(count - fresh);
    });
    const { sha256: settled, rows: count } = await fixed(input);
    if (settled && start && settled !== start.sha256) throw changed(input.path, start.sha256, settled);
    const stretch = { offset, line, open: start?.open, sha256: start?.sha256, ...share };
    const rows = await readerOf(input, this.#reading, stretch, digest);
    const { from = 0, to = count ?? input.size } = share;
    return { index, input, rows, digest, from, to, settled, offset, line, open: start?.open === true };
  }
}

/** What part of an input was taken, from 0 to 1. How long a packed one is, is estimated by what was unpacked of it. */
function partOf({ input, offset, from, to, digest }: Open): number {
  const { packed, size } = digest;
  const end = input.gzip ? (packed > 0 ? size * input.size! / packed : undefined) : to;
  if (end === undefined) return 0;
  return end > from ? Math.min(1, Math.max(0, (offset - from) / (end - from))) : 1;
}

/** The reader of an input; the libraries of its format are loaded now. */
async function readerOf(input: Input, reading: Reading, stretch: Stretch, digest: Digest): Promise<Rows> {
  if (input.format === "parquet") return (await import("./parquet_rows.ts")).parquetRows(input, reading, stretch);
  if (input.format === "given") return givenRows(input, stretch);
  if (input.format === "csv") return (await import("./csv_rows.ts")).csvRows(input, reading, stretch, digest);
  return input.format === "text" ? fileRow(input, stretch, digest) : lineRows(input, reading, stretch, digest);
}

/** What is known of an input when it has ended. */
async function finish(from: Open): Promise<Finished> {
  const { input: { path, format, texts }, digest } = from;
  if (texts) return { path, size: texts.length, sha256: from.settled! };
  if (format === "parquet") return { path, size: (await stat(path)).size, sha256: from.settled! };
  from.settled = digest.at(from.offset); // before the hash goes on to the end
  return { path, size: digest.size, sha256: digest.at(digest.size) };
}

/** The hash of an input that is known by another than that of its bytes, and how many rows it has. */
async function fixed(input: Input): Promise<{ readonly sha256?: string; readonly rows?: number }> {
  const { path, format, texts } = input;
  if (texts) return { sha256: createHash("sha256").update(JSON.stringify(texts)).digest("hex"), rows: texts.length };
  if (format !== "parquet") return {};
  const { ParquetFile } = await import("./parquet_rows.ts");
  const file = await ParquetFile.open(path);
  try {
    return { sha256: await file.footer(), rows: file.starts.at(-1)! };
  } finally {
    await file.close();
  }
}

/**
 * Reads again what was read of an input, and compares.
 *
 * @param whole Whether all of it was read, so that it must not have grown.
 * @param onBytes Told of the bytes as they are read.
 * @throws {Failure} where it is not the same.
 */
export async function verifyFinished(
  input: Input,
  { size, sha256 }: Finished,
  whole: boolean,
  onBytes: (count: number) => void,
): Promise<void> {
  const { sha256: footer } = await fixed(input);
  if (footer !== undefined) {
    if (footer !== sha256) throw changed(input.path, sha256, footer);
    return;
  }
  const digest = new Digest();
  for await (const chunk of bytesOf(input)) {
    digest.add(chunk);
    onBytes(chunk.length);
    if (digest.size > size) break;
    digest.advance(digest.size);
  }
  if (whole && digest.size > size) throw changed(input.path, `${size} bytes`, "more");
  const found = digest.at(size);
  if (found !== sha256) throw changed(input.path, sha256, found);
}
