/** Lists the models that are on this machine, hashes them against what the hub said of them, and removes them. */
import { lstat, readdir, readFile, realpath, rm, rmdir, stat } from "node:fs/promises";
import { createHash } from "node:crypto";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { callback, checkOptions, checkPath, type Checks, checkText, signal } from "../check.ts";
import { cacheDirectory } from "../../ffi/host/paths.ts";
import { hubCache } from "./cache.ts";
import { catalogue, catalogueName } from "./catalogue.ts";
import { digestOf, hashLike } from "./digest.ts";
import { missingFile, modelFolder, modelPath } from "./find.ts";
import { partNames, showHubFile } from "./reference.ts";

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
  for (const path of models.flatMap((one) => partNames(one.path))) {
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
  const found = await localModel(path, path, "folder");
  if (found === undefined) throw missingFile(path);
  return found;
}

/** The models of a name or at a path. */
async function named(model: string, cache: string | undefined): Promise<LocalModel[]> {
  checkText("model", model);
  const wanted = catalogueName(model) ?? model;
  return (await listModels({ cache })).filter((one) => one.model === wanted || one.path === resolve(model));
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
    for (const commit of await readdir(snapshots).catch(() => [])) {
      const files = await readdir(join(snapshots, commit), { recursive: true }).catch(() => []);
      for (const file of files.filter((one) => GGUF.test(one) && !LATER_PART.test(one)).sort()) {
        const path = file.replaceAll(sep, "/");
        const revision = revisions.get(commit) ?? commit;
        const known = Object.entries(catalogue).find(([, entry]) =>
          entry.repository === repository && entry.file === path && revision === "main"
        );
        const named = known?.[0] ?? showHubFile({ repository, path, revision });
        models.push(await localModel(named, join(snapshots, commit, file), "cache"));
      }
    }
  }
  return models.filter((model) => model !== undefined);
}

/** The branch or tag that each commit of a repository's folder is known by, `main` before others. */
async function revisionsOf(folder: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const names = await readdir(join(folder, "refs"), { recursive: true }).catch(() => []);
  for (const name of names.sort().sort((a, b) => Number(a === "main") - Number(b === "main"))) {
    const commit = await readFile(join(folder, "refs", name), "utf8").catch(() => ""); // a folder
    if (commit !== "") found.set(commit.trim(), name.replaceAll(sep, "/"));
  }
  return found;
}

/** A model with the sizes of its parts; undefined where one of them is not there. */
async function localModel(model: string, path: string, place: LocalModel["place"]): Promise<LocalModel | undefined> {
  const sizes = await Promise.all(partNames(path).map((part) => stat(part).then(({ size }) => size, () => undefined)));
  if (sizes.some((size) => size === undefined)) return undefined;
  return { model, path, size: sizes.reduce<number>((sum, size) => sum + size!, 0), place };
}

/** What a snapshot's file must hash to: its link leads to bytes that have the digest for a name. */
async function digestInCache(path: string): Promise<string | undefined> {
  const bytes = await realpath(path);
  const name = basename(bytes);
  return basename(dirname(bytes)) === "blobs" && /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(name) ? name : undefined;
}

/** Removes a snapshot's file, its bytes where no other snapshot needs them, and folders that are empty then. */
async function removeFromCache(cache: string, path: string): Promise<void> {
  const bytes = await realpath(path);
  const [folder = ""] = relative(cache, path).split(sep);
  const repository = join(cache, folder);
  await rm(path);
  if (
    bytes !== await realpath(dirname(path)).then((real) => join(real, basename(path))) &&
    !await isLinked(repository, bytes)
  ) {
    await rm(bytes, { force: true });
  }
  for (let at = dirname(path); at !== repository; at = dirname(at)) {
    if (!await rmdir(at).then(() => true, () => false)) return; // others are in it
  }
  // No snapshot is left. What broke off may still be in blobs, for a download that goes on with it.
  if (await rmdir(join(repository, "blobs")).then(() => true, () => false)) await rm(repository, { recursive: true });
}

/** Whether a file of some snapshot is a link to these bytes. */
async function isLinked(repository: string, bytes: string): Promise<boolean> {
  const snapshots = join(repository, "snapshots");
  for (const file of await readdir(snapshots, { recursive: true }).catch(() => [])) {
    const path = join(snapshots, file);
    if (!(await lstat(path)).isSymbolicLink()) continue;
    if (await realpath(path).catch(() => "") === bytes) return true;
  }
  return false;
}
