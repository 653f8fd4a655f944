/**
 * One process at a time, by a directory: neither Deno's nor Bun's `node:fs` has flock. Whoever holds it renews its time;
 * one that has not been renewed while others watched it is taken away. Watching needs no common clock and no look at
 * other processes, which Deno would ask a permission for.
 */
import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { clearInterval, setInterval } from "node:timers";
import { setTimeout as sleep } from "node:timers/promises";

/** How long things take, in milliseconds; tests use shorter ones. */
export interface LockTimes {
  readonly renew: number;
  readonly stale: number;
  readonly poll: number;
}

const TIMES: LockTimes = { renew: 1_000, stale: 10_000, poll: 200 };

/**
 * Runs work while holding the lock at a path, after whoever holds it now is done.
 *
 * @param path Where the lock directory is made; its parent is made if need be.
 * @param work What to do; its signal is aborted when the lock was lost, because this process stood still.
 */
export async function withLock<T>(
  path: string,
  work: (signal: AbortSignal) => Promise<T>,
  options: { signal?: AbortSignal | undefined; times?: LockTimes } = {},
): Promise<T> {
  const { signal, times = TIMES } = options;
  const token = `${process.pid} ${randomUUID()}`; // the number is for people who look
  await mkdir(dirname(path), { recursive: true });
  let seen = { state: "", times: 0 }; // looks are counted, not time: it passes while this process stands still, too
  while (!(await acquire(path, token))) {
    const state = await stateOf(path);
    seen = { state, times: state === seen.state ? seen.times + 1 : 0 };
    if (seen.times * times.poll > times.stale) await takeAway(path, await ownerOf(path), state);
    // Its own rejection is an AbortError, whatever the reason is.
    await sleep(times.poll, undefined, signal ? { signal } : {}).catch(() => signal?.throwIfAborted());
  }
  const lost = new AbortController();
  const heart = setInterval(async () => {
    if (await ownerOf(path) === token) return await utimes(ownerFile(path), new Date(), new Date()).catch(() => {});
    lost.abort(new Error(`Cannot go on: another process took over ${path} while this one stood still; try again`));
  }, times.renew);
  heart.unref();
  try {
    return await work(signal ? AbortSignal.any([signal, lost.signal]) : lost.signal);
  } finally {
    clearInterval(heart);
    if (await ownerOf(path) === token) await takeAway(path, token);
  }
}

/** Makes the directory with its owner in it in one step: a rename onto a directory that is not empty fails. */
async function acquire(path: string, token: string): Promise<boolean> {
  if (await stat(path).then(() => true, () => false)) return false;
  const mine = `${path}.${randomUUID()}`;
  await mkdir(mine);
  try {
    await writeFile(ownerFile(mine), token);
    await rename(mine, path);
    return true;
  } catch (error) {
    await rm(mine, { recursive: true, force: true });
    if (await stat(path).then(() => true, () => false)) return false;
    if (["ENOTEMPTY", "EEXIST", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
    throw error;
  }
}

function ownerFile(path: string): string {
  return join(path, "owner");
}

async function ownerOf(path: string): Promise<string> {
  return await readFile(ownerFile(path), "utf8").catch(() => "");
}

/** Changes whenever the lock is renewed or changes hands. */
async function stateOf(path: string): Promise<string> {
  const renewed = await stat(ownerFile(path)).then((at) => at.mtimeMs, () => 0);
  return `${await ownerOf(path)} ${renewed}`;
}

/**
 * Removes a lock in one step, by moving it aside: emptied where it is, it could be somebody else's before it is gone.
 * What was moved is looked at again, since another waiter may have been faster.
 */
async function takeAway(path: string, owner: string, state?: string): Promise<void> {
  if (state !== undefined && await stateOf(path) !== state) return; // it lives
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch {
    return; // gone already
  }
  if (await ownerOf(aside) !== owner) await rename(aside, path).catch(() => {});
  await rm(aside, { recursive: true, force: true });
}
