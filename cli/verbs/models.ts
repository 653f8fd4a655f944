/** Tells of models: which there are, here and in the catalogue, where they are, whether their bytes are right; removes them. */
import { isAbsolute, relative, resolve, sep } from "node:path";
import process from "node:process";
import type { LocalModel, VerifiedFile } from "@llamasaur/llamasaur/models";
import { EXIT, Failure, UsageError } from "../failure.ts";
import { columns, size } from "../layout.ts";
import { commandLine, replacing } from "../program.ts";
import { quoted, shown } from "../quote.ts";
import type { Session } from "../session.ts";
import type { Given, Verb } from "../verb.ts";

/** The options of `models`. */
export interface ModelsOptions {
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** The verb. */
export const verb: Verb<ModelsOptions> = {
  arguments: "[action] [models...]",
  description:
    "Lists models, those that are here and those of the catalogue (ls); prints where one is (path); hashes what is " +
    "here against what the hub said of it (verify); removes models (rm).",
  shared: ["json"],
  options: [{ flags: "--yes", description: "removes without asking" }],
  examples: ["models", "models path all-minilm-l6-v2"],
  run,
};

const ACTIONS = { ls, path, verify, rm } as const;

async function run(
  { args: [action = "ls", ...models], options }: Given<ModelsOptions>,
  session: Session,
): Promise<number | void> {
  const found = Object.entries(ACTIONS).find(([name]) => name === action)?.[1];
  if (found === undefined) {
    throw new UsageError(`Cannot run models ${quoted(action)}: it is one of ${Object.keys(ACTIONS).join(", ")}`);
  }
  return await found(models, options, session);
}

/** A row of the list. */
interface Listed {
  readonly model: string;
  readonly kind: "embedding" | "reranker" | null;
  readonly here: boolean;
  readonly size: number | null;
  readonly type: string | null;
  /** Whether results were compared with the original's by llamasaur's tests. */
  readonly verified: boolean;
  readonly path: string | null;
}

async function ls(names: readonly string[], { json }: ModelsOptions, session: Session): Promise<void> {
  if (names.length > 0) throw new UsageError(`Cannot list ${quoted(names[0]!)} alone: models ls takes no model`);
  const { cacheFolders, catalogue, listModels } = await import("@llamasaur/llamasaur/models");
  const { hub, folder } = cacheFolders();
  for (const place of [hub, folder]) await checkAllowed(place);
  const local = await listModels();
  const here = await Promise.all(local.map(async ({ model, path, size }): Promise<Listed> => {
    const entry = entryOf(catalogue, model);
    const verified = entry?.verified === true && (entry.made === undefined || path.endsWith(entry.made));
    return { model, kind: entry?.kind ?? null, here: true, size, type: await typeOf(path), verified, path };
  }));
  const others = Object.entries(catalogue).filter(([name]) => !here.some(({ model }) => model === name));
  const away = others.map(([model, { kind, size, file, made, verified: compared }]): Listed => {
    const type = /(?:^|[.\-_])(b?f\d+|i?q\d\w*?)\.gguf$/i.exec(file)?.[1]?.toLowerCase() ?? null;
    return { model, kind, here: false, size: size ?? null, type, verified: compared && made === undefined, path: null };
  });
  if (json) {
    for (const row of [...here, ...away]) await session.json(row);
    return;
  }
  const rows = [...here, ...away].map(({ model, kind, size: bytes, type, verified, path }) => [
    shown(shorter(model)),
    kind ?? "",
    bytes === null ? "" : size(bytes),
    type ?? "",
    verified ? "verified" : "unverified",
    path === null ? "not here" : shown(path),
  ]);
  await session.write(columns([["MODEL", "KIND", "SIZE", "TYPE", "RESULTS", "WHERE"], ...rows]));
  const total = here.reduce((sum, { size }) => sum + size!, 0);
  session.say(`${here.length} here, ${size(total)}; ${commandLine(["pull", "MODEL"])} gets another one`);
}

/** Throws what Deno says of a folder that may not be read: its models would be told as not here. */
async function checkAllowed(folder: string | undefined): Promise<void> {
  if (folder === undefined) return;
  const { stat } = await import("node:fs/promises");
  await stat(folder).catch((error: Error) => {
    if (error.name === "NotCapable") throw error;
  });
}

/** A path as it is from here, if that is shorter. */
function shorter(model: string): string {
  const here = relative(process.cwd(), model);
  return isAbsolute(model) && here.length < model.length ? `.${sep}${here}`.replace(/^\.[/\\]\.\./, "..") : model;
}

type Catalogue = typeof import("@llamasaur/llamasaur/models").catalogue;

function entryOf(catalogue: Catalogue, model: string): Catalogue[keyof Catalogue] | undefined {
  return Object.hasOwn(catalogue, model) ? catalogue[model as keyof Catalogue] : undefined;
}

/** The type that most bytes of the weights have; null of a file that cannot be read. */
async function typeOf(path: string): Promise<string | null> {
  const { readHeader } = await import("@llamasaur/llamasaur/models");
  const header = await readHeader(path).catch(() => undefined);
  const bytes = new Map<string, number>();
  for (const { type, bytes: more = 0 } of header?.tensors ?? []) bytes.set(type, (bytes.get(type) ?? 0) + more);
  return [...bytes].sort(([, a], [, b]) => b - a)[0]?.[0] ?? null;
}

async function path(names: readonly string[], { json }: ModelsOptions, session: Session): Promise<void> {
  if (names.length !== 1) throw new UsageError("Cannot tell where: models path takes one model");
  const { resolveModel } = await import("@llamasaur/llamasaur/models");
  const found = resolveModel(names[0]!);
  const { stat } = await import("node:fs/promises");
  const bytes = await stat(found).then(({ size }) => size, ({ code, message }: NodeJS.ErrnoException) => {
    const why = code === "ENOENT" ? "there is no such file" : message;
    throw new Failure(`Cannot find ${shown(found)}: ${why}`, EXIT.missing);
  });
  if (json) await session.json({ model: names[0], path: found, size: bytes });
  else await session.write(`${found}\n`);
}

async function verify(names: readonly string[], { json }: ModelsOptions, session: Session): Promise<number> {
  const { listModels, verifyModel } = await import("@llamasaur/llamasaur/models");
  const all = names.length > 0 ? names : [...new Set((await listModels()).map(({ model }) => model))];
  if (all.length === 0) session.say("no model is here");
  let [wrong, unknown] = [false, false];
  for (const model of all) {
    const onProgress = (part: number): void => session.progress("%", { done: Math.floor(part * 100), total: 100 });
    const files = await verifyModel(model, { signal: session.signal, onProgress });
    session.clear(true);
    for (const file of files) {
      const state = stateOf(file);
      wrong ||= state === "wrong";
      unknown ||= state === "unknown";
      if (json) await session.json({ model, state, ...file, expected: file.expected ?? null });
      else await session.write(`${WORDS[state]}  ${shown(file.path)}  ${file.found}\n`);
      if (state === "wrong") session.say(remedyOf(model));
    }
  }
  if (unknown) session.say("?: the hub told no hash of these, because they were made here or put here by hand");
  return wrong ? EXIT.failed : EXIT.done;
}

/** In one width. The hub told no digest of what was never got from it, or where the cache could make no links. */
const WORDS = { right: "right", wrong: "WRONG", unknown: "?    " } as const;

function stateOf({ expected, found }: VerifiedFile): keyof typeof WORDS {
  return expected === undefined ? "unknown" : expected === found ? "right" : "wrong";
}

function remedyOf(model: string): string {
  return `its bytes are not those that the hub has:\n\n  ${replacing(model)}\n`;
}

async function rm(names: readonly string[], { yes, json }: ModelsOptions, session: Session): Promise<number> {
  if (names.length === 0) {
    throw new UsageError("Cannot remove nothing: models rm takes models, as models ls lists them");
  }
  const { listModels, removeModel } = await import("@llamasaur/llamasaur/models");
  const local = await listModels();
  const going = (name: string): LocalModel[] =>
    local.filter(({ model, path }) => model === name || model === name.toLowerCase() || path === resolve(name));
  const missing = names.find((name) => going(name).length === 0);
  if (missing !== undefined) {
    throw new Failure(
      `Cannot remove ${quoted(missing)}: it is not here; ${commandLine(["models"])} lists what is`,
      EXIT.missing,
    );
  }
  if (!yes && !await isSure(names.flatMap(going), session)) {
    session.say("nothing was removed");
    return EXIT.failed;
  }
  for (const name of new Set(names)) {
    for (const { model, path, size: bytes } of await removeModel(name)) {
      if (json) await session.json({ model, path, size: bytes });
      else await session.write(`removed ${shown(path)}, ${size(bytes)}\n`);
    }
  }
  return EXIT.done;
}

/** Asks on the terminal. */
async function isSure(going: readonly LocalModel[], session: Session): Promise<boolean> {
  if (!process.stdin.isTTY) throw new UsageError("Cannot ask whether to remove them: stdin is no terminal; give --yes");
  const { createInterface } = await import("node:readline/promises");
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  lines.on("SIGINT", () => process.kill(process.pid, "SIGINT")); // readline takes Ctrl-C for itself
  for (const { path, size: bytes } of going) process.stderr.write(`  ${shown(path)}, ${size(bytes)}\n`);
  try {
    return /^y(es)?$/i.test((await lines.question("Remove? [y/N] ", { signal: session.signal })).trim());
  } finally {
    lines.close();
  }
}
