/** Lists the models that are on this machine, hashes them against what the hub said of them, and removes them. */
import { readdir, readFile, realpath, rm, rmdir, stat } from "node:fs/promises";
import { createHash } from "node:crypto";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { callback, checkOptions, checkPath, type Checks, checkText, signal } from "../check.ts";
import { cacheDirectory } from "../../ffi/host/paths.ts";
import { isMissing, partNames, readingFile } from "../files.ts";
import { hubCache } from "./cache.ts";
import { catalogue, catalogueName } from "./catalogue.ts";
import { digestOf, hashLike } from "./digest.ts";
import { missingFile, modelFolder, modelPath } from "./find.ts";
import { showHubFile } from "./reference.ts";

/** A model that is on this machine. */
export interface LocalModel {
  /** How `Llama.load` is asked for it: a name of the catalogue, `hf:owner/repository/file.gguf[@revision]`, or a path. */
  readonly model: string;
  /** The path of its file, of a split model that of its first part. */
  readonly path: string;
  /** Bytes of all its parts. */
  readonly size: number;
  /** Where it is: in the hub's cache, or in the folder that `LLAMASAUR_MODELS` names (in a checkout `models/`). */
  readonly place: "cache" | "folder";
}

/** A file of a model, after it was hashed. */
export interface VerifiedFile {
  /** The file's path. */
  readonly path: string;
  /** The digest that the hub told when the file was got: a sha256, of 40 digits git's sha1; undefined where nobody knows it. */
  readonly expected: string | undefined;
  /** The digest of the bytes that are there; a sha256 where none is expected. */
  readonly found: string;
}

/** Where models are looked for. */
export interface LocalOptions {
  /** The folder of the hub's cache. Default: `HF_HUB_CACHE`, else `hub` in `HF_HOME`, else `~/.cache/huggingface/hub`. */
  readonly cache?: string | undefined;
}

/** Options of {@linkcode verifyModel}. */
export interface VerifyOptions extends LocalOptions {
  /** Stops the hashing. */
  readonly signal?: AbortSignal | undefined;
  /** Told the share done, from 0 to 1. */
  readonly onProgress?: ((done: number) => void) | undefined;
}

const LOCAL: Checks<LocalOptions> = { cache: checkPath };
const VERIFY: Checks<VerifyOptions> = { ...LOCAL, signal, onProgress: callback };
const GGUF = /\.gguf$/i;
const LATER_PART = /-(?!00001)\d{5}-of-\d{5}\.gguf$/i;

/** Folders where this package and other tools of the hub keep what they got or made; undefined where nothing tells them. */
export interface CacheFolders {
  /** The hub's cache, where `download` puts models. */
  readonly hub: string | undefined;
  /** The folder of models that is looked at first: `LLAMASAUR_MODELS`, in a checkout `models/`. */
  readonly folder: string | undefined;
  /** Our own cache: libraries that were built, and what they were built of. */
  readonly own: string | undefined;
}

/**
 * The folders where models and libraries are kept, as far as the variables that name them may be read.
 *
 * @returns The paths, whether there is something or not.
 * @example
 * ```ts
 * import { cacheFolders } from "@llamasaur/llamasaur/models";
 *
 * console.log(cacheFolders().hub);
 * ```
 */
export function cacheFolders(): CacheFolders {
  return { hub: hubCache(), folder: modelFolder(), own: cacheDirectory() };
}

/**
 * Lists the models that are on this machine: those in the hub's cache, whoever got them, and in the folder of models.
 *
 * @param options See {@linkcode LocalOptions}.
 * @returns The models, by name; a model that is at both places, or in several commits, is there several times.
 * @throws {TypeError} when an option does not exist or is of the wrong type.
 * @example
 * ```ts
 * import { listModels } from "@llamasaur/llamasaur/models";
 *
 * for (const { model, size } of await listModels()) console.log(model, size);
 * ```
 */
export async function listModels(options: LocalOptions = {}): Promise<LocalModel[]> {
  const { cache = hubCache() } = checkOptions(options, LOCAL);
  const folder = modelFolder();
  const found = [
    ...(folder === undefined ? [] : await inFolder(folder)),
    ...(cache === undefined ? [] : await inCache(cache)),
  ];
  return found.sort((a, b) => a.model < b.model ? -1 : a.model > b.model ? 1 : 0);
}

/**
 * Hashes a model's files, and tells what the hub said of them when they were got.
 *
 * @param model A name as {@linkcode listModels} has it, or the path of any file.
 * @param options See {@linkcode VerifyOptions}.
 * @returns The files of all models of that name, each part of a split one.
 * @throws {TypeError} when the model is no string, or an option does not exist or is of the wrong type.
 * @throws {ModelNotFoundError} when no such model is on this machine.
 * @example
 * ```ts ignore
 * import { verifyModel } from "@llamasaur/llamasaur/models";
 *
 * for (const { path, expected, found } of await verifyModel("bge-small-en-v1.5")) console.log(path, found === expected);
 * ```
 */
export async function verifyModel(model: string, options: VerifyOptions = {}): Promise<VerifiedFile[]> {
  const { cache, signal, onProgress } = checkOptions(options, VERIFY);
  const models = await named(model, cache);
  if (models.length === 0) models.push(await elsewhere(model));
  const total = models.reduce((sum, { size }) => sum + size, 0);
  let done = 0;
  const onBytes = (count: number): void => onProgress?.((done += count) / total);
  const files: VerifiedFile[] = [];
  for (const path of models.flatMap((one) => [...partNames(one.path)])) {
    signal?.throwIfAborted();
    const expected = await digestInCache(path);
    const { size } = await stat(path);
    const hash = expected === undefined ? createHash("sha256") : hashLike(expected, size);
    files.push({ path, expected, found: await digestOf(path, hash, { signal, onBytes }) });
  }
  return files;
}

/**
 * Removes a model from this machine: its files, and what of the hub's cache is of no use without them.
 *
 * @param model A name as {@linkcode listModels} has it, or a path in it; all models of that name go.
 * @param options See {@linkcode LocalOptions}.
 * @returns What was removed; nothing where no such model is here.
 * @throws {TypeError} when the model is no string, or an option does not exist or is of the wrong type.
 * @example
 * ```ts ignore
 * import { removeModel } from "@llamasaur/llamasaur/models";
 *
 * await removeModel("bge-small-en-v1.5");
 * ```
 */
export async function removeModel(model: string, options: LocalOptions = {}): Promise<LocalModel[]> {
  const { cache = hubCache() } = checkOptions(options, LOCAL);
  const models = await named(model, cache);
  for (const { path, place } of models) {
    for (const part of partNames(path)) {
      if (place === "cache") await removeFromCache(cache!, part);
      else await rm(part);
    }
  }
  return models;
}

/** A file that is in neither place, by its path. */
async function elsewhere(model: string): Promise<LocalModel> {
  const path = modelPath(model);
  let size = 0;
  for (const part of partNames(path)) {
    size += (await readingFile(part, () => stat(part)).catch((error) => {
      throw isMissing(error) ? missingFile(part) : error;
    })).size;
  }
  return { model, path, size, place: "folder" };
}

/** The models of a name or at a path. */
async function named(model: string, cache: string | undefined): Promise<LocalModel[]> {
  checkText("model", model);
  const wanted = catalogueName(model) ?? model;
  return (await listModels({ cache })).filter((one) => one.model === wanted || resolve(one.path) === resolve(model));
}

async function inFolder(folder: string): Promise<LocalModel[]> {
  const files = (await readdir(folder).catch(() => [])).filter((file) => GGUF.test(file) && !LATER_PART.test(file));
  const models = files.map((file) => {
    const path = join(folder, file);
    const known = Object.entries(catalogue).find(([, entry]) => [entry.made, basename(entry.file)].includes(file));
    return localModel(known?.[0] ?? path, path, "folder");
  });
  return (await Promise.all(models)).filter((model) => model !== undefined);
}

async function inCache(cache: string): Promise<LocalModel[]> {
  const models: (LocalModel | undefined)[] = [];
  for (const folder of await readdir(cache).catch(() => [])) {
    const [, owner, name] = /^models--(.+?)--(.+)$/.exec(folder) ?? [];
    if (owner === undefined) continue;
    const repository = `${owner}/${name}`;
    const snapshots = join(cache, folder, "snapshots");
    const revisions = await revisionsOf(join(cache, folder));
    const { files } = await filesBelow(snapshots);
    for (const file of files.filter((one) => GGUF.test(one) && !LATER_PART.test(one)).sort()) {
      const [commit = "", ...path] = file.split(sep);
      if (path.length === 0) continue; // beside the commits
      const named = { repository, path: path.join("/"), revision: revisions.get(commit) ?? commit };
      const known = Object.entries(catalogue).find(([, entry]) =>
        entry.repository === repository && entry.file === named.path && named.revision === "main"
      );
      models.push(await localModel(known?.[0] ?? showHubFile(named), join(snapshots, file), "cache"));
    }
  }
  return models.filter((model) => model !== undefined);
}

/** The branch or tag that each commit of a repository's folder is known by, `main` before others. */
async function revisionsOf(folder: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const names = (await filesBelow(join(folder, "refs"))).files.filter((name) => !name.endsWith(".incomplete"));
  for (const name of names.sort().sort((a, b) => Number(a === "main") - Number(b === "main"))) {
    const path = join(folder, "refs", name);
    if (!await isRegular(path)) continue; // to read a pipe would never end
    const commit = await readFile(path, "utf8").catch(() => "");
    if (commit !== "") found.set(commit.trim(), name.replaceAll(sep, "/"));
  }
  return found;
}

/**
 * What is below a folder and is no folder itself, by its path in it. Links are not followed, so that a link to a folder above
 * leads to nothing twice.
 *
 * @returns The files, and whether they are all: not where a folder cannot be read.
 */
async function filesBelow(folder: string): Promise<{ readonly files: string[]; readonly whole: boolean }> {
  const files: string[] = [];
  let whole = true;
  for (const left = [""]; left.length > 0;) {
    const at = left.pop()!;
    try {
      for (const entry of await readdir(join(folder, at), { withFileTypes: true })) {
        (entry.isDirectory() ? left : files).push(join(at, entry.name));
      }
    } catch (error) {
      whole &&= isGone(error);
    }
  }
  return { files, whole };
}

/** Whether an error says that nothing is at a path, and not that it may not be known. */
function isGone(error: unknown): boolean {
  return isMissing(error) || (error as NodeJS.ErrnoException).code === "ELOOP";
}

async function isRegular(path: string): Promise<boolean> {
  return await stat(path).then((found) => found.isFile(), () => false);
}

/** A model with the sizes of its parts; undefined where one of them is no file or is not there. */
async function localModel(model: string, path: string, place: LocalModel["place"]): Promise<LocalModel | undefined> {
  let size = 0;
  for (const part of partNames(path)) { // one after the other: a name may claim 99,999 parts
    const found = await stat(part).catch(() => undefined);
    if (!found?.isFile()) return undefined;
    size += found.size;
  }
  return { model, path, size, place };
}

/** What a snapshot's file must hash to: its link leads to bytes that have the digest for a name. */
async function digestInCache(path: string): Promise<string | undefined> {
  const bytes = await realpath(path);
  const name = basename(bytes);
  return basename(dirname(bytes)) === "blobs" && /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(name) ? name : undefined;
}

/**
 * Removes a snapshot's file, its bytes where no other snapshot needs them, and folders that are empty then. A link that leads
 * out of the repository's bytes goes alone: what it leads to is somebody else's.
 */
async function removeFromCache(cache: string, path: string): Promise<void> {
  const bytes = await realpath(path);
  const [folder = ""] = relative(cache, path).split(sep);
  const repository = join(cache, folder);
  const ours = await realpath(join(repository, "blobs")).then((blobs) => dirname(bytes) === blobs, () => false);
  await rm(path);
  if (ours && !await mayBeLinked(repository, bytes)) await rm(bytes, { force: true });
  for (let at = dirname(path); at !== repository; at = dirname(at)) {
    if (!await rmdir(at).then(() => true, () => false)) return; // others are in it
  }
  // No snapshot is left. What broke off may still be in blobs, for a download that goes on with it.
  if (await rmdir(join(repository, "blobs")).then(() => true, () => false)) await rm(repository, { recursive: true });
}

/** Whether a file of some snapshot leads to these bytes, or may do so: what cannot be read is taken for one that does. */
async function mayBeLinked(repository: string, bytes: string): Promise<boolean> {
  const snapshots = join(repository, "snapshots");
  const { files, whole } = await filesBelow(snapshots);
  if (!whole) return true;
  for (const file of files) {
    const leadsTo = await realpath(join(snapshots, file)).catch((error) => isGone(error) ? "" : bytes);
    if (leadsTo === bytes) return true;
  }
  return false;
}
