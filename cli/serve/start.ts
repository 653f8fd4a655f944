/** Runs the server of `llamasaur serve`: models found, socket open, models loaded, banner, and the end on a signal. */
import { existsSync, statSync } from "node:fs";
import process from "node:process";
import { setImmediate } from "node:timers";
import { fileURLToPath } from "node:url";
import { EXIT, Failure, UsageError } from "../failure.ts";
import { getModel } from "../model.ts";
import { pause } from "../pause.ts";
import { commandLine } from "../program.ts";
import type { Session } from "../session.ts";
import { banner } from "./banner.ts";
import { isLoopback } from "./guard.ts";
import { type Handler, handlerOf } from "./handler.ts";
import { listen, type Listener } from "./listen.ts";
import { type LogEntry, textOf } from "./log.ts";
import { limitsOf } from "./memory.ts";
import type { ModelOptions } from "./served_model.ts";
import { type ModelSettings, type ServeFlags, type Settings, settle } from "./settings.ts";

/** Milliseconds for the answers of those whose requests were ended; one who does not read would have the server wait for ever. */
const LAST = 100;

/**
 * Serves until a signal comes.
 *
 * @param words What follows the program's name, for the command that gets a model that is not here.
 */
export async function serve(flags: ServeFlags, session: Session, words: readonly string[]): Promise<void> {
  const settings = settle(flags);
  if (flags.printConfig) {
    const { keys, ...told } = settings; // a key is not for a terminal
    return await session.json({ ...told, keys: keys.length });
  }
  const paths = await findModels(settings, session, words);
  const log = new Log(settings, session);
  const options = modelOptions(settings, paths, log.add);
  const handler = handlerFor(options, settings, log.add);
  const listener = await listen(settings.host, settings.port, handler.answer);
  try {
    const stopped = new Promise<void>((resolve) => {
      session.signal.addEventListener("abort", () => resolve(), { once: true });
      if (session.signal.aborted) resolve();
    });
    const ready = settings.lazy ? Promise.resolve() : handler.ready().catch((error) => {
      throw withShares(error, settings);
    });
    await Promise.race([ready, stopped]);
    ready.catch(() => {}); // should it fail after the signal
    if (!session.signal.aborted) session.say(banner(settings, listener.port, handler.names()));
    await stopped;
  } finally {
    await end(handler, listener, settings);
    log.write();
  }
}

/** The error of a model that has no room in its share, with what the limit of all is: the error knows of one model. */
function withShares(error: unknown, { memoryLimit, models }: Settings): unknown {
  const refused = (error as { readonly memoryLimit?: number } | undefined)?.memoryLimit;
  if (!(error instanceof Error) || refused === undefined || memoryLimit === undefined || refused >= memoryLimit) {
    return error;
  }
  const all = `--memory-limit, ${memoryLimit} bytes, is of all ${models.length} models, and this is one's share`;
  return new Failure(`${error.message}; ${all}`, EXIT.failed, { cause: error });
}

/** The handler; what it refuses are flags, such as an origin that is none. */
function handlerFor(
  models: readonly ModelOptions[],
  settings: Settings,
  onLog: (entry: LogEntry) => void,
): ReturnType<typeof handlerOf> {
  const { host, allowHost: allowHosts, cors: allowOrigins } = settings;
  try {
    return handlerOf(models, { ...settings, loopback: isLoopback(host), allowHosts, allowOrigins, onLog });
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(error.message) : error;
  }
}

/** Ends: not ready, then no new connections, then the running requests until their grace is over, then the models. */
async function end(handler: Handler, listener: Listener, { drain, grace }: Settings): Promise<void> {
  const drained = handler.drain();
  if (drain > 0) await pause(drain);
  const stopped = listener.stop();
  const ended = new AbortController();
  await Promise.race([Promise.all([drained, stopped]), pause(grace, ended.signal)]).finally(() => ended.abort());
  await handler.close();
  await Promise.race([stopped, pause(LAST)]);
  listener.abort();
}

/** Where each model's file is; what is not here is got first if that was asked for. */
async function findModels(settings: Settings, session: Session, words: readonly string[]): Promise<string[]> {
  const { resolveModel, ModelNotFoundError } = await import("@llamasaur/llamasaur/models");
  const paths: string[] = [];
  for (const one of settings.models) {
    const { model } = one;
    try {
      const path = resolveModel(model);
      const file = path.startsWith("file:") ? fileURLToPath(path) : path;
      if (!existsSync(file)) {
        throw new ModelNotFoundError(`Cannot find the model ${model}: there is no such file`, model);
      }
      paths.push(file);
    } catch (error) {
      if (!(error instanceof ModelNotFoundError)) throw error;
      if (error.remedy === undefined) throw error;
      if (!settings.download) throw notHere(one, words);
      paths.push(await getModel(model, session));
    }
  }
  return paths;
}

/** The failure for a model that is not here: the line that gets it and serves. */
function notHere({ role, model }: ModelSettings, words: readonly string[]): Failure {
  return new Failure(
    `Cannot find the model ${model} (--${role}): it is not on this machine, and nothing is downloaded unasked. This gets it:\n\n` +
      `  ${commandLine([...words, "--download"])}\n`,
    EXIT.missing,
  );
}

/** What the handler is given of each model. */
function modelOptions(
  settings: Settings,
  paths: readonly string[],
  log: (entry: LogEntry) => void,
): ModelOptions[] {
  const shares = settings.models.map(({ memoryLimit: own }, i) => ({ size: statSync(paths[i]!).size, own }));
  const limits = limitsOf(shares, settings.memoryLimit);
  return settings.models.map((model, i): ModelOptions => ({
    ...model,
    load: {
      contexts: model.contexts,
      device: model.device,
      memoryLimit: limits[i],
      library: settings.library,
      onLog: ({ level, message }) => {
        if (level === "warn" && !/ truncated to /.test(message)) {
          log({ event: "note", model: model.names[0]!, message });
        }
      },
    },
  }));
}

/** The log of a server. It writes once a turn of the event loop, after the answers: each write is a call of the system. */
class Log {
  readonly #isJson: boolean;
  readonly #isQuiet: boolean;
  #lines = "";

  constructor({ log }: Settings, { quiet }: Session) {
    this.#isJson = log === "json";
    this.#isQuiet = quiet;
  }

  readonly add = (entry: LogEntry): void => {
    if (this.#isQuiet && entry.event !== "error") return;
    if (this.#lines === "") setImmediate(() => this.write());
    this.#lines += this.#isJson ? JSON.stringify({ time: new Date().toISOString(), ...entry }) : textOf(entry);
    this.#lines += "\n";
  };

  /** Writes what is there. */
  write(): void {
    const lines = this.#lines;
    this.#lines = "";
    if (lines !== "") process.stderr.write(lines);
  }
}
