/** Looks at the folders of models and libraries, whether they can be written, and at the hub. */
import { type Dirent, lstatSync, readdirSync } from "node:fs";
import { mkdtemp, rmdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { setImmediate as turn } from "node:timers/promises";
import { size } from "../layout.ts";
import { commandLine } from "../program.ts";
import { shown } from "../quote.ts";
import { variable } from "../values.ts";
import { setting, unsetting } from "./environment.ts";
import { type Finding, told, wordsOf } from "./finding.ts";

const PATIENCE = 5000;

/** The caches with their sizes, each a finding. */
export async function caches(): Promise<Finding[]> {
  const { cacheFolders, listModels } = await import("@llamasaur/llamasaur/models");
  const { hub, folder, own } = cacheFolders();
  const models = await listModels();
  const of = (place: string): string[] => {
    const some = models.filter((model) => model.place === place);
    return some.map(({ model, size: bytes }) => `${shown(model)}, ${size(bytes)}`);
  };
  const writing = "HF_HUB_CACHE";
  return [
    await cache("models' cache", hub, writing, of("cache"), `${commandLine(["models", "rm", "MODEL"])} removes one`),
    ...(folder === undefined ? [] : [await cache("models' folder", folder, "LLAMASAUR_MODELS", of("folder"))]),
    await cache("libraries' cache", own, "XDG_CACHE_HOME", []),
  ];
}

async function cache(
  check: string,
  path: string | undefined,
  variable: string,
  more: readonly string[],
  hint?: string,
): Promise<Finding> {
  if (path === undefined) {
    return {
      check,
      state: "warning",
      message: `is not known: ${HOME} is unset`,
      remedy: setting(variable, elsewhere()),
    };
  }
  const bytes = await sizeOf(path);
  const refused = await refusal(path);
  const held = bytes === undefined ? "is not there yet" : size(bytes);
  const details = { path, size: bytes ?? null, writable: refused === undefined };
  if (refused !== undefined && check !== "models' folder") { // where nothing of ours is written
    const message = `${shown(path)} cannot be written: ${refused}`;
    return { check, state: "failed", message, remedy: setting(variable, elsewhere()), more, details };
  }
  const lines = more.length > 0 && hint ? [...more, hint] : more;
  return { check, state: "ok", message: `${shown(path)}, ${held}`, more: lines, details };
}

const HOME = process.platform === "win32" ? "LOCALAPPDATA" : "HOME";

/** A folder that can surely be written. */
function elsewhere(): string {
  return join(variable(HOME) || told(tmpdir) || "/tmp", "llamasaur-cache");
}

/** Why a folder cannot be written; one that is not there would be made in the nearest that is. */
async function refusal(path: string): Promise<string | undefined> {
  let at = path;
  for (;;) {
    const found = await stat(at).catch((error) => error as NodeJS.ErrnoException);
    if (!(found instanceof Error)) {
      if (!found.isDirectory()) return `${shown(at)} is no folder`;
      break;
    }
    if (found.code !== "ENOENT" && found.code !== "ENOTDIR" || dirname(at) === at) return wordsOf(found);
    at = dirname(at);
  }
  try {
    await rmdir(await mkdtemp(join(at, ".llamasaur-doctor-")));
    return undefined;
  } catch (error) {
    return wordsOf(error);
  }
}

/**
 * Bytes of all files below a folder, but of no link: the hub's cache has one of each file. Undefined where there is no folder. A
 * cache may have 100,000 files, and a call that waits for a thread costs twice one that does not; a signal is heard between two
 * folders.
 */
async function sizeOf(path: string): Promise<number | undefined> {
  if (entriesOf(path) === undefined) return undefined;
  let sum = 0;
  const left = [path];
  for (let folder = left.pop(); folder !== undefined; folder = left.pop()) {
    for (const entry of entriesOf(folder) ?? []) {
      const child = join(folder, entry.name);
      if (entry.isDirectory()) left.push(child);
      else if (entry.isFile()) sum += told(() => lstatSync(child).size) ?? 0;
    }
    await turn();
  }
  return sum;
}

function entriesOf(path: string): Dirent[] | undefined {
  return told(() => readdirSync(path, { withFileTypes: true }));
}

/** Whether the hub answers. Only `pull` needs it, so silence is no failure. */
export async function hub(signal: AbortSignal): Promise<Finding> {
  const check = "hub";
  const endpoint = variable("HF_ENDPOINT") || "https://huggingface.co";
  if (endpoint.includes("@")) { // not shown: what stands before it may be a password
    const message = "HF_ENDPOINT holds a name or a password, which pull refuses: give HF_TOKEN instead";
    return { check, state: "warning", message, remedy: withoutSecret(endpoint), details: {} };
  }
  const details = { endpoint };
  if (/^(1|on|yes|true)$/i.test(variable("HF_HUB_OFFLINE") ?? "")) {
    return {
      check,
      state: "note",
      message: "offline: HF_HUB_OFFLINE is set",
      remedy: unsetting("HF_HUB_OFFLINE"),
      details,
    };
  }
  const start = performance.now();
  try {
    const url = new URL(endpoint);
    const patience = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]);
    const response = await fetch(url, { method: "HEAD", redirect: "manual", signal: patience });
    await response.body?.cancel();
    const milliseconds = Math.round(performance.now() - start);
    const message = `${shown(url.origin)} answers after ${milliseconds} ms`;
    return { check, state: "ok", message, details: { ...details, reachable: true, milliseconds } };
  } catch (error) {
    signal.throwIfAborted();
    let cause: unknown = error;
    while (cause instanceof Error && cause.cause instanceof Error) cause = cause.cause;
    const message = `offline: ${shown(endpoint)} cannot be reached (${wordsOf(cause)}); models that are here work`;
    return { check, state: "note", message, details: { ...details, reachable: false } };
  }
}

/** The line that leaves name and password out of HF_ENDPOINT, or takes it away where it is not sure what of it is secret. */
function withoutSecret(endpoint: string): string {
  const url = URL.parse(endpoint);
  const rest = url ? `${url.origin}${url.pathname}`.replace(/\/$/, "") : "@";
  const sure = url && /^https?:$/.test(url.protocol) && url.username !== "" &&
    !/[@?#]/.test(rest + url.search + url.hash);
  return sure ? setting("HF_ENDPOINT", rest) : unsetting("HF_ENDPOINT");
}
