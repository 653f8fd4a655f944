/** Finds the inputs of a job, and compares them with what was read of them before. */
import { resolve } from "node:path";
import { UsageError } from "../failure.ts";
import { shown } from "../quote.ts";
import { size as sizeOf } from "../layout.ts";
import type { Session } from "../session.ts";
import { findInputs, type Input, liesIn, SUFFIXES } from "../data/inputs.ts";
import { verifyFinished } from "../data/source.ts";
import { exists } from "./disk.ts";
import { type Journal, journalPath } from "./journal.ts";
import { another, type Settings } from "./settings.ts";
import { lockPath } from "./lock.ts";
import { errorsPath, partPath } from "./sink.ts";

/** Whether a path is of what a job writes: none of it is an input of the job. */
function isOwn(output: string | undefined, path: string): boolean {
  if (output === undefined) return false;
  return isOfLock(output, path) || liesIn(path, [output, journalPath(output), partPath(output), errorsPath(output)]);
}

/** Whether a path is of the lock, which a process that was killed leaves behind wherever it was. */
function isOfLock(output: string, path: string): boolean {
  const lock = resolve(lockPath(output));
  return path !== "-" && (resolve(path) === lock || resolve(path).startsWith(`${lock}.`));
}

/**
 * Leaves out what the job itself wrote: a shell's `*.jsonl` has it, too, when the command is given again.
 *
 * @throws {UsageError} where the output is an input that no job made.
 */
export async function withoutOwn(settings: Settings): Promise<Settings> {
  const { output } = settings;
  const inputs = settings.inputs.filter((path) => !isOwn(output, path));
  const dropped = settings.inputs.find((path) => isOwn(output, path) && !isOfLock(output!, path));
  if (inputs.length === settings.inputs.length) return settings;
  const hasMore = inputs.length + settings.texts.length > 0;
  if (dropped === undefined || hasMore && await exists(journalPath(output!))) return { ...settings, inputs };
  throw new UsageError(`Cannot read ${shown(dropped)} and write it: give another -o`);
}

/** The inputs, those of `--text` first; checked against what is asked of their fields. */
export async function inputsOf({ inputs, texts, inputFormat, output, reading, shard }: Settings): Promise<Input[]> {
  const found = await findInputs(inputs, inputFormat, (path) => isOwn(output, path));
  const given = { path: "text", format: "given", gzip: false, size: undefined, texts } as const;
  const all: Input[] = texts.length > 0 ? [given, ...found] : found;
  if (all.length === 0) {
    throw new UsageError(
      `Cannot embed: there is no file to read in ${inputs.map(shown).join(", ")}; the suffixes are ${SUFFIXES}`,
    );
  }
  const bare = all.find(({ format }) => ["lines", "text", "given"].includes(format));
  if (bare && (reading.id !== undefined || reading.keep === "all" || reading.keep.length > 0)) {
    throw new UsageError(`Cannot take --id or --keep of ${shown(bare.path)}: its texts have no fields`);
  }
  const [only] = all;
  if (shard && all.length === 1 && (only!.gzip || only!.format === "csv" || only!.size === undefined)) {
    throw new UsageError(
      `Cannot take a shard of ${
        shown(only!.path)
      }: it cannot be read from its middle; split it into files, or unpack it`,
    );
  }
  return all;
}

/** An input as it is called in a line. */
export function nameOf({ path }: Input): string {
  return path === "-" ? "stdin" : shown(path);
}

/** Tells of what is read again: inputs that had ended, and of the one that was being read what lies before its next row. */
export class Rereading {
  /** The inputs that had ended. */
  readonly ended: readonly Input[];
  readonly #total: number;
  readonly #session: Session;
  #done = 0;

  constructor(before: Journal | undefined, inputs: readonly Input[], session: Session) {
    const { last, finished = new Map(), complete } = before ?? {};
    const { input = 0, offset = 0 } = last?.position ?? {};
    const ended = !last ? [] : inputs.filter(({ path }, i) => (complete || i < input) && finished.has(path));
    const isBytes = ({ format }: Input): boolean => !["parquet", "given"].includes(format); // those are known otherwise
    const sizes = ended.filter(isBytes).map(({ path }) => finished.get(path)!.size);
    const underWay = complete ? undefined : inputs[input];
    if (underWay && isBytes(underWay)) sizes.push(offset);
    [this.ended, this.#session] = [ended, session];
    this.#total = sizes.reduce((sum, size) => sum + size, 0);
  }

  /** Says how much it is, if it is anything. */
  begin(): void {
    if (this.#total > 0) this.#session.say(`reading again what was read: ${sizeOf(this.#total)}`);
  }

  /** Counts bytes. */
  readonly add = (count: number): void => {
    this.#done += count;
    this.#session.progress("MB", { done: this.#done / 1e6, total: this.#total / 1e6 });
    if (this.#done >= this.#total) this.#session.clear(true); // what is told next are texts
  };
}

/** Reads again what was read, and refuses to go on if it has changed. What is read now may have grown. */
export async function verify(
  output: string,
  before: Journal | undefined,
  inputs: readonly Input[],
  again: Rereading,
  signal: AbortSignal,
): Promise<void> {
  if (!before?.last) return;
  checkInputs(output, before, inputs);
  again.begin();
  for (const input of again.ended) {
    signal.throwIfAborted();
    await verifyFinished(input, before.finished.get(input.path)!, before.header.sizes === undefined, again.add);
  }
}

/** Refuses inputs that are others than those that were read: the names alone tell of a file that is gone, or new. */
function checkInputs(
  output: string,
  { header: { sizes }, last, finished, complete }: Journal,
  inputs: readonly Input[],
): void {
  const count = sizes?.length ?? inputs.length;
  if (count !== inputs.length) throw another(output, "number of inputs", `${count}`, `${inputs.length}`);
  const position = last?.position;
  const at = position ? inputs[position.input]?.path : undefined;
  if (position && at !== position.path) {
    throw another(output, `input ${position.input + 1}`, shown(position.path), at === undefined ? "none" : shown(at));
  }
  const read = new Set(inputs.slice(0, (position?.input ?? inputs.length) + 1).map(({ path }) => path));
  const gone = finished.keys().find((path) => !read.has(path));
  if (gone !== undefined) throw another(output, "input", shown(gone), "gone");
  const fresh = complete && !sizes ? inputs.find(({ path }) => !finished.has(path)) : undefined;
  if (fresh) {
    throw another(output, "number of inputs", `${finished.size}`, `${inputs.length}, with ${shown(fresh.path)}`);
  }
}
