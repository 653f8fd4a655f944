/**
 * One build's directory in the cache, and how it stays trustworthy: a `building` file tells that a build was killed
 * there (its half-written objects may look finished), a stamp tells that nothing has changed, and the library leaves
 * the directory whole or not at all.
 */
import { randomUUID } from "node:crypto";
import { copyFile, mkdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { BuildError } from "./failure.ts";

/** In milliseconds: a copy's time, and a time as Deno or as Bun tells it, are the same to one. */
const SAME_TIME = 10;

interface Stamp {
  readonly inputs: string;
  readonly size: number;
  readonly time: number;
}

/** Whether a path exists. */
export function exists(path: string): Promise<boolean> {
  return stat(path).then(() => true, () => false);
}

/** Whether a directory's product was made from these inputs and is still as it was. */
export async function isCurrent(directory: string, product: string, inputs: string): Promise<boolean> {
  if (await exists(join(directory, "building"))) return false;
  try {
    const stamp: Stamp = JSON.parse(await readFile(join(directory, "stamp.json"), "utf8"));
    const now = await stat(product);
    return stamp.inputs === inputs && stamp.size === now.size && Math.abs(stamp.time - now.mtimeMs) < SAME_TIME;
  } catch {
    return false; // nothing was built yet
  }
}

/** Notes what a directory's product was made from. */
export async function writeStamp(directory: string, product: string, inputs: string): Promise<void> {
  const { size, mtimeMs } = await stat(product);
  const stamp: Stamp = { inputs, size, time: mtimeMs };
  await writeFile(join(directory, "stamp.json"), JSON.stringify(stamp));
}

/**
 * Works in a directory that no killed build has left half done.
 *
 * @param onLeftover Called when a killed build was here and everything is thrown away.
 */
export async function working<T>(directory: string, onLeftover: () => void, work: () => Promise<T>): Promise<T> {
  const marker = join(directory, "building");
  if (await exists(marker)) {
    onLeftover();
    await discard(directory);
  }
  await mkdir(directory, { recursive: true });
  const token = randomUUID();
  await writeFile(marker, token);
  try {
    return await work();
  } finally {
    // Reached when every program has ended in our sight, with or without success: ninja, make and the compilers
    // remove what they had half written then. Only if this process is killed does the file stay.
    if (await readFile(marker, "utf8").catch(() => "") === token) await rm(marker, { force: true });
  }
}

/** Removes a directory, out of the way first: an orphaned compiler may still write to it. */
export async function discard(directory: string): Promise<void> {
  if (!(await exists(directory))) return;
  const aside = `${directory}.${randomUUID()}`;
  await rename(directory, aside);
  await rm(aside, { recursive: true, force: true, maxRetries: 5 });
}

/**
 * Copies a library to where it is used; whoever opens it meanwhile gets the old one or the new one.
 *
 * @returns False when it was there already, which its size and time tell.
 */
export async function publish(product: string, destination: string): Promise<boolean> {
  const from = await stat(product);
  const to = await stat(destination).catch(() => undefined);
  if (to && to.size === from.size && Math.abs(to.mtimeMs - from.mtimeMs) < SAME_TIME) return false;
  await replace(product, destination);
  return true;
}

/** Copies a library to where it is used, as `publish`, whatever is there: all files of npm's packages have one time. */
export async function replace(product: string, destination: string): Promise<void> {
  const from = await stat(product);
  const there = await exists(destination);
  await mkdir(dirname(destination), { recursive: true });
  const partial = `${destination}.${randomUUID()}`;
  try {
    await copyFile(product, partial);
    await utimes(partial, from.atime, from.mtime);
    await rename(partial, destination);
  } catch (error) {
    await rm(partial, { force: true });
    if ((error as NodeJS.ErrnoException).code !== "EPERM" || !there) throw error;
    throw new BuildError(`${destination} cannot be replaced: a running program uses it`);
  }
}
