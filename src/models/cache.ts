/**
 * Where files of the hub lie on disk: the layout that Python's huggingface_hub reads and writes, so that one copy serves
 * both (https://huggingface.co/docs/huggingface_hub/guides/manage-cache):
 * `models--owner--name/{blobs/<etag>, snapshots/<commit>/<path> -> blob, refs/<revision> holding a commit}`.
 */
import { join } from "node:path";
import process from "node:process";
import type { HubFile } from "./reference.ts";
import { env, fileSystem, isFile } from "../../ffi/host/permission.ts";

/** A full commit id, which names a snapshot by itself. */
export const COMMIT: RegExp = /^[0-9a-f]{40}$/;

/** The root of Hugging Face's own folder, where its cache and its token are; undefined when nothing tells it. */
export function hubHome(): string | undefined {
  const named = env("HF_HOME");
  if (named) return expand(named);
  const home = userHome();
  const cache = env("XDG_CACHE_HOME") ?? (home && join(home, ".cache")); // so on every system, macOS and Windows too
  return cache && join(expand(cache), "huggingface");
}

/** The hub's cache, or undefined when the variables that name it may not be read. */
export function hubCache(): string | undefined {
  const named = env("HF_HUB_CACHE") ?? env("HUGGINGFACE_HUB_CACHE");
  if (named) return expand(named);
  const home = hubHome();
  return home && join(home, "hub");
}

/** The folder of a repository in a cache. */
export function repositoryFolder(cache: string, repository: string): string {
  return join(cache, `models--${repository.replace("/", "--")}`);
}

/** Where a file of a commit is, or will be. */
export function snapshotPath(cache: string, file: HubFile, commit: string): string {
  return join(repositoryFolder(cache, file.repository), "snapshots", commit, ...file.path.split("/"));
}

/** Where the commit that a branch or tag had last is written down. */
export function referencePath(cache: string, file: HubFile): string {
  return join(repositoryFolder(cache, file.repository), "refs", ...file.revision.split("/"));
}

/** The commit of a file's revision as far as the cache knows; undefined when it does not, or may not be read. */
export function cachedCommit(cache: string, file: HubFile): string | undefined {
  if (COMMIT.test(file.revision)) return file.revision;
  const path = referencePath(cache, file);
  if (!isFile(path)) return undefined; // to read a pipe would never end
  try {
    const commit = fileSystem().readFileSync(path, "utf8").trim();
    return COMMIT.test(commit) ? commit : undefined;
  } catch {
    return undefined;
  }
}

/** The path of a file that is in the cache, by what the cache itself knows of revisions. */
export function cachedFile(cache: string, file: HubFile): string | undefined {
  const commit = cachedCommit(cache, file);
  const path = commit && snapshotPath(cache, file, commit);
  return path && isFile(path) ? path : undefined;
}

/** As Python's expanduser does for the beginning of a path; elsewhere a `~` is a name like any other. */
function expand(path: string): string {
  const home = /^~(?=[\\/]|$)/.test(path) ? userHome() : undefined;
  return home === undefined ? path : home + path.slice(1);
}

function userHome(): string | undefined {
  return process.platform === "win32" ? env("USERPROFILE") : env("HOME");
}
