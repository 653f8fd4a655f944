/** Getting models from the hub into the cache that all of Hugging Face's tools share. */
import { lstat, mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import process from "node:process";
import { HubUnavailableError, ModelNotFoundError } from "../../../ffi/errors.ts";
import {
  cachedCommit,
  cachedFile,
  COMMIT,
  hubCache,
  hubHome,
  referencePath,
  repositoryFolder,
  snapshotPath,
} from "../cache.ts";
import { type HubFile, partsOf, showHubFile } from "../reference.ts";
import { boolean, callback, checkOptions, checkPath, type Checks, checkText, show, signal } from "../../check.ts";
import { cannot, moveFile, replaceFile, withTemporary, writing } from "../../files.ts";
import { inHub, parseModel } from "../find.ts";
import { withLock } from "../../../ffi/host/lock.ts";
import { env, granted } from "../../../ffi/host/permission.ts";
import { describeFile, fileUrl, type Hub, HUB_TIMES, type HubAnswer } from "./client.ts";
import { type DownloadProgress, progressBar } from "./progress.ts";
import { transfer } from "./transfer.ts";

/** Options of {@linkcode download}. */
export interface DownloadOptions {
  /** The folder of the cache. Default: `HF_HUB_CACHE`, else `hub` in `HF_HOME`, else `~/.cache/huggingface/hub`. */
  readonly cache?: string | undefined;
  /** Where the hub is. Default: `HF_ENDPOINT`, else https://huggingface.co. */
  readonly endpoint?: string | undefined;
  /** For models that want one; sent to the hub alone. Default: `HF_TOKEN`, else what `hf auth login` has stored. */
  readonly token?: string | undefined;
  /** Ask nobody, take what is in the cache. Default: whether `HF_HUB_OFFLINE` is `1`. */
  readonly offline?: boolean | undefined;
  /** Stops the download; the next one goes on where it stopped. */
  readonly signal?: AbortSignal | undefined;
  /** Told how far each file is. Default: a line on standard error, if that is a terminal. */
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** Makes the requests. Default: the runtime's own. */
  readonly fetch?: typeof fetch | undefined;
}

const OPTIONS: Checks<DownloadOptions> = {
  cache: checkPath,
  endpoint: checkText,
  token: secret,
  offline: boolean,
  signal,
  onProgress: callback,
  fetch: callback,
};

/** Checks a value that no message shows. */
function secret(name: string, value: unknown): string {
  if (typeof value === "string") return value;
  throw new TypeError(`Cannot read ${name}: it must be a string`);
}

/**
 * Gets a model from the hub, unless the cache has it. A file appears under its name only when it is whole and has the
 * hub's size and sha256; a download that broke off is continued; two processes at once get it once.
 *
 * @param model A name of the catalogue, or `hf:owner/repository/file.gguf[@revision]`; any part of a split model means all.
 * @param options See {@linkcode DownloadOptions}.
 * @returns The path of the file, of a split model that of its first part.
 * @throws {TypeError} when the model is a path or URL, or an option does not exist or is of the wrong type.
 * @throws {RangeError} when it is an `hf:` name of the wrong form, or `endpoint`, `token` or `cache` is.
 * @throws {ModelNotFoundError} when there is no such model, or it is not in the cache and nobody may be asked.
 * @throws {HubUnavailableError} when the hub gives no answer, or not all of it.
 * @throws {LlamaError} `model-invalid` when what comes is not the file that the hub promises, or the cache cannot be written.
 * @example
 * ```ts ignore
 * import { Llama } from "@llamasaur/llamasaur";
 * import { download } from "@llamasaur/llamasaur/models";
 *
 * await using llama = await Llama.load(await download("bge-small-en-v1.5"));
 * ```
 */
export async function download(model: string, options: DownloadOptions = {}): Promise<string> {
  const { cache = hubCache(), endpoint, token, offline, signal, onProgress, fetch } = checkOptions(options, OPTIONS);
  signal?.throwIfAborted();
  const wanted = parseModel(model);
  if (wanted.kind === "path") {
    const remedy = inHub(wanted.path) || "it must be a name of the catalogue or hf:owner/repository/file.gguf";
    throw new TypeError(`Cannot download ${show(String(model))}: ${remedy}`);
  }
  if (cache === undefined) {
    const allow = granted({ name: "env", variable: "HOME" }) ? "" : ", and allow to read it (--allow-env)";
    throw new Error(`Cannot tell where the hub's cache is: set the option cache, HF_HUB_CACHE or HOME${allow}`);
  }
  const hub = await hubOf({ endpoint, token, fetch });
  const alone = offline ?? /^(1|on|yes|true)$/i.test(env("HF_HUB_OFFLINE") ?? "");
  const watch = { signal, onProgress: onProgress ?? (process.stderr.isTTY ? progressBar() : undefined) };
  const paths: string[] = [];
  for (const part of partsOf(wanted.file)) {
    paths.push(await getFile(alone ? undefined : hub, cache, part, watch));
    signal?.throwIfAborted(); // in onProgress, when the last byte was there
  }
  return paths[0]!;
}

/** The hub that the options and the environment name. */
export async function hubOf(options: Pick<DownloadOptions, "endpoint" | "token" | "fetch"> = {}): Promise<Hub> {
  const endpoint = (options.endpoint ?? env("HF_ENDPOINT") ?? "https://huggingface.co").replace(/\/+$/, "");
  const url = URL.parse(endpoint);
  // Not shown: fetch takes no such URL either. With a slash in the password, it begins the path.
  if (endpoint.includes("@")) {
    throw new RangeError("Cannot read endpoint: it (or HF_ENDPOINT) must be without a user's name and password");
  }
  if (!/^https?:$/.test(url?.protocol ?? "") || url?.search || url?.hash) {
    const shown = /[?#]/.test(endpoint) ? "" : ` ${show(endpoint)}`;
    throw new RangeError(
      `Cannot read endpoint${shown}: it (or HF_ENDPOINT) must be an http(s): URL without ? and #`,
    );
  }
  const token = options.token ?? await storedToken();
  if (token !== undefined && !/^[!-~]*$/.test(token)) { // not shown, as fetch's own message would do
    throw new RangeError("Cannot read token: it (or HF_TOKEN) must be printable ASCII, without spaces");
  }
  return { endpoint, token, fetch: options.fetch ?? globalThis.fetch, times: HUB_TIMES };
}

/** What a caller of {@linkcode getFile} wants to know, and how it stops it. */
export type DownloadWatch = Pick<DownloadOptions, "signal" | "onProgress">;

/**
 * Gets one file into a cache.
 *
 * @param hub Whom to ask; undefined for nobody.
 */
export async function getFile(
  hub: Hub | undefined,
  cache: string,
  file: HubFile,
  watch: DownloadWatch = {},
): Promise<string> {
  const there = cachedFile(cache, file);
  if (there !== undefined && (hub === undefined || COMMIT.test(file.revision))) return there; // a commit never changes
  if (hub === undefined) {
    const model = showHubFile(file);
    throw new ModelNotFoundError(
      `Cannot find ${model}: ${cache} does not have it, and nobody may be asked; leave out offline: true, or unset HF_HUB_OFFLINE`,
      model,
    );
  }
  let answer: HubAnswer;
  try {
    answer = await describeFile(hub, file, watch.signal);
  } catch (error) {
    if (there !== undefined && error instanceof HubUnavailableError) return there; // as huggingface_hub does
    throw error;
  }
  const path = snapshotPath(cache, file, answer.commit);
  if (!await exists(path)) await store(hub, cache, file, answer, path, watch);
  await writeReference(cache, file, answer.commit);
  return path;
}

async function store(
  hub: Hub,
  cache: string,
  file: HubFile,
  { commit, etag, size }: HubAnswer,
  path: string,
  watch: DownloadWatch,
): Promise<void> {
  const folder = repositoryFolder(cache, file.repository);
  const blob = join(folder, "blobs", etag);
  await makeFolder(dirname(blob));
  // Python's locks and unfinished files have other names, so that neither waits for the other or spoils its work.
  const lock = join(cache, ".locks", basename(folder), `${etag}.llamasaur`);
  await makeFolder(dirname(lock));
  await writing(lock, () =>
    withLock(lock, async (signal) => {
      if (await exists(path)) return;
      if (await isLink(path) === false) cannot("write", path, "it is a directory, a pipe or a device; move it away");
      if (!await exists(blob)) {
        const incomplete = `${blob}.llamasaur.incomplete`;
        const url = fileUrl(hub, file, commit); // the commit's, since the branch may move meanwhile
        const onBytes = (done: number) => watch.onProgress?.({ file: basename(file.path), done, total: size });
        await transfer(hub, { file, url, size, digest: etag, path: incomplete }, { signal, onBytes });
        await writing(blob, () => moveFile(incomplete, blob));
      }
      await link(blob, path);
    }, { signal: watch.signal }));
}

/** Makes the snapshot's file a link to the bytes; where links cannot be made, it gets the bytes themselves. */
async function link(blob: string, path: string): Promise<void> {
  await makeFolder(dirname(path));
  if (await isLink(path)) return await exists(path) ? undefined : await replaceLink(blob, path);
  try {
    await symlink(relative(dirname(path), blob), path);
    await stat(path); // wine says that it made one, and there is none
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST" && await exists(path)) return;
    // Windows without developer mode, or Deno without --allow-read and --allow-write as a whole
    await writing(path, () => moveFile(blob, path));
  }
}

/** Puts a link to the bytes in the place of one that leads elsewhere. */
async function replaceLink(blob: string, path: string): Promise<void> {
  await withTemporary(path, async (temporary) => {
    await writing(path, () => symlink(relative(dirname(path), blob), temporary));
    await writing(path, () => moveFile(temporary, path));
  });
}

/** Whether a link is at a path; undefined where nothing is. */
async function isLink(path: string): Promise<boolean | undefined> {
  return await lstat(path).then((found) => found.isSymbolicLink(), () => undefined);
}

async function makeFolder(path: string): Promise<void> {
  await writing(path, () => mkdir(path, { recursive: true }));
}

async function writeReference(cache: string, file: HubFile, commit: string): Promise<void> {
  if (cachedCommit(cache, file) === commit) return;
  const path = referencePath(cache, file);
  await makeFolder(dirname(path));
  await replaceFile(path, (temporary) => writing(path, () => writeFile(temporary, commit)));
}

/** HF_TOKEN, else the token that `hf auth login` has stored. */
async function storedToken(): Promise<string | undefined> {
  const home = hubHome();
  const path = env("HF_TOKEN_PATH") ?? (home && join(home, "token"));
  const token = env("HF_TOKEN") ?? (path && await readFile(path, "utf8").catch(() => ""));
  return token?.trim() || undefined;
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then((found) => found.isFile(), () => false);
}
