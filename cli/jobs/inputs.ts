/** Finds the inputs of a job, and compares them with what was read of them before. */
import { UsageError } from "../failure.ts";
import { shown } from "../quote.ts";
import type { Session } from "../session.ts";
import { findInputs, type Input, liesIn, SUFFIXES } from "../data/inputs.ts";
import { verifyFinished } from "../data/source.ts";
import { exists } from "./disk.ts";
import { type Journal, journalPath } from "./journal.ts";
import { another, type Settings } from "./settings.ts";
import { ownPaths } from "./sink.ts";

/**
 * Leaves out what the job itself wrote: a shell's `*.jsonl` has it, too, when the command is given again.
 *
 * @throws {UsageError} where the output is an input that no job made.
 */
export async function withoutOwn(settings: Settings): Promise<Settings> {
  const { output } = settings;
  const own = output === undefined ? [] : ownPaths(output);
  const inputs = settings.inputs.filter((path) => !liesIn(path, own));
  const dropped = settings.inputs.find((path) => !inputs.includes(path));
  if (dropped === undefined) return settings;
  if (inputs.length + settings.texts.length > 0 && await exists(journalPath(output!))) return { ...settings, inputs };
  throw new UsageError(`Cannot read ${shown(dropped)} and write it: give another -o`);
}

/** The inputs, those of `--text` first; checked against what is asked of their fields. */
export async function inputsOf({ inputs, texts, inputFormat, output, reading, shard }: Settings): Promise<Input[]> {
  const own = output === undefined ? [] : ownPaths(output);
  const found = await findInputs(inputs, inputFormat, own);
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

/** Reads again what was read, and refuses to go on if it has changed. What is read now may have grown. */
export async function verify(
  output: string,
  before: Journal | undefined,
  inputs: readonly Input[],
  session: Session,
): Promise<void> {
  const { last, finished = new Map(), complete } = before ?? {};
  if (!last) return;
  checkInputs(output, before!, inputs);
  const { position } = last;
  const again = inputs.filter((_, i) => complete || i < (position?.input ?? 0)).filter(({ path }) =>
    finished.has(path)
  );
  const total = again.reduce((sum, { path }) => sum + finished.get(path)!.size, 0);
  if (total > 0) session.say(`reading again what was read: ${(total / 1e6).toFixed(1)} MB`);
  let done = 0;
  for (const input of again) {
    session.signal.throwIfAborted();
    await verifyFinished(input, finished.get(input.path)!, before?.header.sizes === undefined, (size) => {
      session.progress("MB", { done: (done += size) / 1e6, total: total / 1e6 });
    });
  }
  session.clear(true);
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
