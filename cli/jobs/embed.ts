/** Runs an embed job from wherever it stands: reads a group, embeds it by one call, writes it, group by group. */
import type { Llama } from "@llamasaur/llamasaur";
import { Collector } from "../collector.ts";
import { EXIT, Failure, UsageError } from "../failure.ts";
import { loadModel, modelName, type ModelOptions } from "../model.ts";
import { until } from "../pause.ts";
import { count, counted, duration } from "../progress.ts";
import { commandLine } from "../program.ts";
import { shown } from "../quote.ts";
import { Interrupted, type Session } from "../session.ts";
import { VERSION } from "../version.ts";
import type { Column } from "../data/columns.ts";
import { type Input, isStream } from "../data/inputs.ts";
import { jsonlEncoder } from "../data/jsonl_output.ts";
import type { Encoder } from "../data/output.ts";
import { type Batch, Source } from "../data/source.ts";
import { embedBatch, type Embedded, promptOf } from "./batch.ts";
import { checkHeads, columnsFor } from "./columns.ts";
import { exists } from "./disk.ts";
import { type Header, type Journal, journalPath, readJournal, type Totals } from "./journal.ts";
import { inputsOf, nameOf, Rereading, verify, withoutOwn } from "./inputs.ts";
import { type Lock, lock } from "./lock.ts";
import { shareOf } from "./shards.ts";
import { checkOutput, checkReplaceable, errorsPath, finishClosing, removeJob, Sink } from "./sink.ts";
import { another, compareOptions, fixedOptions, type Settings } from "./settings.ts";

/** Of all rows: where more are cut, the remedy is told. */
const MANY_CUT = 0.01;

/** What is needed to run. */
export interface Request {
  readonly settings: Settings;
  readonly model: ModelOptions;
  readonly restart: boolean;
  readonly json: boolean;
  /** The command, for the line that says how to go on. */
  readonly words: readonly string[];
}

/** A request that has the lock of its output. */
interface Job extends Request {
  readonly held: Lock;
  /** Whether what an earlier job left is still to be removed; it is when everything that could be wrong was looked at. */
  anew: boolean;
}

/** Everything that a run has, once the model is there. */
interface Run {
  readonly settings: Settings;
  readonly session: Session;
  readonly llama: Llama;
  readonly source: Source;
  readonly columns: readonly Column[];
  /** Rows of the inputs, where that is known before they are read. */
  readonly total?: number | undefined;
}

/** Embeds. Returns the exit code. */
export async function embed(asked: Request, session: Session): Promise<number> {
  const request = { ...asked, settings: await withoutOwn(asked.settings) };
  const { settings: { output } } = request;
  const inputs = await inputsOf(request.settings);
  if (output === undefined) return await embedToStdout(request, inputs, session);
  const stream = inputs.find(isStream);
  if (stream) session.say(`${nameOf(stream)} cannot be read twice: if this is stopped, it begins anew`);
  const held = await lock(output, { say: (line) => session.say(line), signal: session.signal });
  const job: Job = { ...request, held, anew: request.restart };
  try {
    return await embedToFile(job, inputs, session);
  } catch (error) {
    session.clear(true);
    throw session.signal.aborted ? await stopped(job, output, stream !== undefined, session) : error;
  } finally {
    await held.release();
  }
}

/** What is told after a signal: how far the job is, and the command that goes on, or begins anew what cannot be read twice. */
async function stopped(
  { words, anew }: Job,
  output: string,
  isStream: boolean,
  { signal }: Session,
): Promise<Interrupted> {
  const { last } = anew ? {} : await readJournal(output) ?? {}; // which would be the earlier job's
  const given = words.filter((word) => word !== "--restart");
  const command = commandLine(anew || isStream && last ? [...given, "--restart"] : given);
  const { code } = signal.reason as Interrupted;
  const next = isStream ? "To begin anew" : "To go on";
  const done = last?.totals.rows ?? 0;
  const told = `stopped; ${counted(done, "text")} ${done === 1 ? "is" : "are"} done. ${next}:`;
  return new Interrupted(`${told}\n\n  ${command}\n`, code);
}

/** Vectors to stdout: no job, and what is left out goes to stderr. */
async function embedToStdout(request: Request, inputs: readonly Input[], session: Session): Promise<number> {
  const { settings } = request;
  const model = modelName(request.model);
  const source = new Source(inputs, settings.reading, undefined, shareOf(settings.shard, inputs));
  try {
    await checkHeads(inputs, settings.reading, session.signal);
    const columns = await columnsFor(settings, source, inputs, session);
    await using llama = await openModel(model, request, session);
    const encoder = jsonlEncoder(columns, llama.fingerprint(settings.embed), settings.encoding);
    const run: Run = { settings, session, llama, source, columns };
    const decoder = new TextDecoder();
    const totals = { rows: 0, skipped: 0, truncated: 0 };
    await eachGroup(run, undefined, totals, async (_, { rows, skipped, truncated }) => {
      for (const one of skipped) session.say(`skipped ${shown(one.file)}:${one.line}: it ${one.message}`);
      for (const bytes of encoder.group(rows, 0).bytes) await session.write(decoder.decode(bytes));
      totals.rows += rows.length;
      totals.skipped += skipped.length;
      totals.truncated += truncated;
    });
    session.clear(true);
    tellOfCuts(session, totals, llama);
    return totals.skipped > 0 ? EXIT.skipped : EXIT.done;
  } finally {
    await source.close();
  }
}

async function embedToFile(job: Job, inputs: readonly Input[], session: Session): Promise<number> {
  const { settings, held } = job;
  const output = settings.output!;
  const before = await journalOf(job, inputs);
  const model = modelName(job.model, before?.header.model);
  const sizes = before?.header.sizes ?? (settings.shard && inputs.map(({ size = 0 }) => size));
  const share = shareOf(settings.shard, inputs, sizes);
  const again = new Rereading(before, inputs, session);
  const source = new Source(inputs, settings.reading, before?.last?.position, share, again.add);
  try {
    // What of this is wrong use is told before the model is loaded.
    const rest = before?.closing ? [] : inputs.slice(before?.last?.position?.input);
    await checkHeads(rest, settings.reading, session.signal);
    const columns = before?.header.columns ?? await columnsFor(settings, source, inputs, session);
    await using llama = await openModel(model, job, session);
    const fingerprint = llama.fingerprint(settings.embed);
    if (before && before.header.fingerprint !== fingerprint) {
      throw another(output, "fingerprint (model and options)", before.header.fingerprint, fingerprint);
    }
    await verify(output, before, inputs, again, session.signal);
    await held.check();
    if (before?.complete) await checkOutput(settings, before.closing!);
    if (before?.complete) return await tellComplete(job, before.complete.totals, session);
    if (before?.closing) return await tellComplete(job, await finishClosing(settings, before), session);
    const header = before?.header ?? await headerOf(job, model, llama, columns, sizes, source);
    if (job.anew) await removeJob(output, journalPath(output));
    job.anew = false;
    const sink = await Sink.open(settings, await encoderFor(settings, header), header, before);
    try {
      return await runJob(job, { settings, session, llama, source, columns, total: header.rows }, sink, before);
    } finally {
      await sink.close();
    }
  } finally {
    await source.close();
  }
}

/**
 * The journal of the job that is to go on; undefined where one begins.
 *
 * @throws {Failure} where there is something that this command must not go on with.
 */
async function journalOf({ settings, anew }: Job, inputs: readonly Input[]): Promise<Journal | undefined> {
  const output = settings.output!;
  if (anew) {
    await checkReplaceable(output);
    return undefined;
  }
  const before = await readJournal(output);
  if (before === undefined && await exists(output)) {
    throw new Failure(`Cannot write ${shown(output)}: it is there, and no job made it; --restart replaces it`);
  }
  if (before) compareOptions(settings, before.header.options, before.last?.totals.skipped ?? 0);
  const stream = inputs.find(isStream);
  if (!before?.last || !stream) return before;
  throw new Failure(
    `Cannot go on with ${shown(output)}: it reads ${nameOf(stream)}, which is gone; --restart begins anew`,
  );
}

/** Runs what is left of a job. */
async function runJob(
  { json, held }: Job,
  run: Run,
  sink: Sink,
  before: Journal | undefined,
): Promise<number> {
  const { session, settings, llama } = run;
  if (before?.last) session.say(`going on after ${counted(sink.totals.rows, "text")}`);
  const start = performance.now();
  const done = sink.totals;
  await eachGroup(run, before, sink.totals, async (batch, embedded) => {
    await held.check();
    await sink.write(batch, embedded);
  });
  await held.check();
  await sink.finish();
  session.clear(true);
  const { rows, tokens, skipped } = sink.totals;
  const seconds = (performance.now() - start) / 1000;
  const rate = (rows - done.rows) / Math.max(seconds, 1e-3);
  session.say(
    `${counted(rows, "text")}, ${counted(tokens, "token")}: ${shown(settings.output!)} (${duration(seconds)}, ${
      count(rate)
    } texts/s)`,
  );
  tellOfCuts(session, sink.totals, llama);
  if (json) await session.json({ output: settings.output, complete: true, ...sink.totals });
  return told(session, settings, skipped);
}

function told(session: Session, { output }: Settings, skipped: number): number {
  if (skipped === 0) return EXIT.done;
  session.say(`${count(skipped)} ${skipped === 1 ? "row was" : "rows were"} skipped: ${shown(errorsPath(output!))}`);
  return EXIT.skipped;
}

async function tellComplete({ settings, json }: Request, totals: Totals, session: Session): Promise<number> {
  session.say(`${shown(settings.output!)} is complete: ${counted(totals.rows, "text")}; --restart makes it anew`);
  if (json) await session.json({ output: settings.output, complete: true, ...totals });
  return told(session, settings, totals.skipped);
}

/**
 * Goes through the groups, one call at a time; the next group is read meanwhile. It is computed when the last one is on the
 * disk and no sooner: a process that is killed loses one group, and rows of three are never held at once.
 */
async function eachGroup(
  run: Run,
  before: Journal | undefined,
  totals: { readonly rows: number; readonly skipped: number },
  write: (batch: Batch, embedded: Embedded) => Promise<void>,
): Promise<void> {
  const { source, settings, session, total } = run;
  const { bytes } = source;
  const [rowsBefore, readBefore] = [totals.rows + totals.skipped, before?.last?.read ?? 0];
  let [rows, tokens, read] = [rowsBefore, 0, readBefore];
  /** A function of its own: what a loop's body held would be held while the next group is computed. */
  async function embedGroup(batch: Batch): Promise<void> {
    const embedded = await embedBatch({ ...run, signal: session.signal }, batch, (done, tokensDone) => {
      const share = (batch.read ?? 0) - read;
      session.progress("texts", {
        done: rows + done,
        total,
        part: bytes === undefined ? undefined : (read + share * done / batch.rows.length) / bytes,
        tokens: tokens + tokensDone,
        before: rowsBefore,
        partBefore: bytes === undefined ? 0 : readBefore / bytes,
      });
    });
    await write(batch, embedded);
    [rows, tokens, read] = [rows + batch.rows.length, tokens + embedded.tokens, batch.read ?? 0];
  }
  using collector = await Collector.open();
  let next = taken(source, settings);
  for (let end = false; !end;) {
    const batch = await until(next, session.signal).catch(whileRunning);
    end = batch.end;
    if (!end) next = taken(source, settings);
    await embedGroup(batch);
    collector.collect();
  }
}

/** What is wrong with an input that could not be looked at before, such as a pipe, is no wrong use any more: work was done. */
function whileRunning(error: unknown): never {
  throw error instanceof UsageError ? new Failure(error.message, EXIT.failed, { cause: error }) : error;
}

function taken(source: Source, { groupRows }: Settings): Promise<Batch> {
  const batch = source.take(groupRows);
  batch.catch(() => {}); // thrown when its turn comes
  return batch;
}

async function encoderFor({ format, encoding }: Settings, header: Header): Promise<Encoder> {
  const { columns, fingerprint, model, dimensions, options, versions } = header;
  if (format === "jsonl") return jsonlEncoder(columns, fingerprint, encoding);
  const { parquetEncoder } = await import("../data/parquet_output.ts");
  return parquetEncoder(columns, {
    "llamasaur.fingerprint": fingerprint,
    "llamasaur.model": model,
    "llamasaur.dimensions": String(dimensions),
    "llamasaur.options": JSON.stringify(options),
    "llamasaur.versions": JSON.stringify(versions),
  });
}

async function headerOf(
  { settings, model: { library } }: Request,
  model: string,
  llama: Llama,
  columns: readonly Column[],
  sizes: readonly number[] | undefined,
  source: Source,
): Promise<Header> {
  const { describeLibrary } = await import("@llamasaur/llamasaur");
  const { llamaVersion } = await describeLibrary({ library });
  return {
    kind: "job",
    version: 1,
    model,
    fingerprint: llama.fingerprint(settings.embed),
    dimensions: settings.embed.dimensions ?? llama.info.dimensions,
    options: fixedOptions(settings),
    versions: { llamasaur: VERSION, "llama.cpp": llamaVersion },
    columns,
    bytes: source.bytes,
    rows: await source.rows(),
    sizes,
  };
}

/** Loads the model, and says what it wants before a text and was not told. */
async function openModel(model: string, { model: options, settings }: Request, session: Session): Promise<Llama> {
  const llama = await loadModel(model, options, session, {
    // The truncated texts are counted here, and told at the end.
    onLog: ({ level, message }) => void (level === "warn" && !/truncat/.test(message) && session.warn(message)),
  });
  try {
    llama.fingerprint(settings.embed);
  } catch (error) {
    await llama.close();
    const { inputType, prompt } = settings.embed;
    const remedy = inputType !== undefined && prompt === undefined ? "; give the text itself with --prompt" : "";
    throw new UsageError(`${(error as Error).message}${remedy}`, { cause: error });
  }
  const { inputType, prompt } = settings.embed;
  if (
    inputType === undefined && prompt === undefined &&
    ["query", "document"].some((type) => promptOf(llama, type as "query") !== "")
  ) {
    session.say("this model has prompts: --input-type query or document puts them before each text; now there is none");
  }
  return llama;
}

/** Says how many texts were cut, and what to do where they are many. */
function tellOfCuts(
  session: Session,
  totals: { readonly rows: number; readonly truncated: number },
  { info }: Llama,
): void {
  const { rows, truncated } = totals;
  if (truncated === 0) return;
  const part = `${(100 * truncated / rows).toFixed(truncated < rows / 1000 ? 3 : 1)} %`;
  session.say(
    `${count(truncated)} of ${counted(rows, "text")} (${part}) ${
      truncated === 1 ? "was" : "were"
    } cut to ${info.maxTokens} tokens`,
  );
  if (truncated / rows > MANY_CUT) session.warn("what was cut is not in the vectors: take a model with a longer limit");
}
