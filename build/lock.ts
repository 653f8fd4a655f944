/**
 * One build at a time, by a directory: neither Deno's nor Bun's `node:fs` has flock. The directory holds who made it,
 * and its time is renewed while the build runs; one whose process is gone or that is no longer renewed is taken away.
 */
import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { clearInterval, setInterval } from "node:timers";
import { setTimeout as sleep } from "node:timers/promises";
import { BuildError } from "./failure.ts";
import { exists } from "./workspace.ts";

/** How long things take, in milliseconds; tests use shorter ones. */
export interface LockTimes {
  readonly renew: number;
  readonly stale: number;
  readonly poll: number;
}

const TIMES: LockTimes = { renew: 2_000, stale: 60_000, poll: 250 };

interface Owner {
  readonly token: string;
  readonly pid: number;
  readonly host: string;
}

/**
 * Runs work while holding the lock at a path, after whoever holds it now is done.
 *
 * @param path Where the lock directory is made; its parent is made if need be.
 * @param work What to do; its signal is aborted when the lock was lost (the process was stopped for a minute).
 * @param onWait Called once with the process id of who holds the lock, when it is held.
 */
export async function withLock<T>(
  path: string,
  work: (signal: AbortSignal) => Promise<T>,
  options: { signal?: AbortSignal; onWait?: (pid: number) => void; times?: LockTimes } = {},
): Promise<T> {
  const times = options.times ?? TIMES;
  const owner: Owner = { token: randomUUID(), pid: process.pid, host: hostname() };
  await mkdir(dirname(path), { recursive: true });
  let told = false;
  while (!(await acquire(path, owner))) {
    options.signal?.throwIfAborted();
    const holder = await readOwner(path);
    if (holder && await isStale(path, holder, times.stale)) {
      await takeAway(path, holder);
      continue;
    }
    if (holder && !told) options.onWait?.(holder.pid);
    told ||= holder !== undefined;
    // Its own rejection is an AbortError, whatever the reason is.
    await sleep(times.poll, undefined, options.signal ? { signal: options.signal } : {})
      .catch(() => options.signal?.throwIfAborted());
  }
  const lost = new AbortController();
  const heart = setInterval(() => {
    renew(path, owner).then((held) => {
      if (!held) {
        lost.abort(new BuildError("another build took over the lock while this one stood still: run it again"));
      }
    });
  }, times.renew);
  heart.unref();
  try {
    return await work(options.signal ? AbortSignal.any([options.signal, lost.signal]) : lost.signal);
  } finally {
    clearInterval(heart);
    if ((await readOwner(path))?.token === owner.token) await takeAway(path, owner);
  }
}

/** Makes the directory with its owner in it in one step: a rename onto a directory that is not empty fails. */
async function acquire(path: string, owner: Owner): Promise<boolean> {
  if (await exists(path)) return false;
  const mine = `${path}.${owner.token}`;
  await mkdir(mine);
  await writeFile(join(mine, "owner.json"), JSON.stringify(owner));
  try {
    await rename(mine, path);
    return true;
  } catch (error) {
    await rm(mine, { recursive: true, force: true });
    if (await exists(path) || ["ENOTEMPTY", "EEXIST"].includes((error as NodeJS.ErrnoException).code ?? "")) {
      return false;
    }
    throw error;
  }
}

async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(join(path, "owner.json"), "utf8"));
  } catch {
    return undefined; // given back just now
  }
}

async function isStale(path: string, owner: Owner, after: number): Promise<boolean> {
  if (owner.host === hostname() && !isRunning(owner.pid)) return true;
  const renewed = await stat(join(path, "owner.json")).then((at) => at.mtimeMs, () => Date.now());
  return Date.now() - renewed > after;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // it runs, as another user
  }
}

/**
 * Removes a lock in one step, by moving it aside: emptied where it is, it could be somebody else's before it is gone.
 * What was moved is looked at again, since another waiter may have been faster.
 */
async function takeAway(path: string, holder: Owner): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch {
    return; // gone already
  }
  if ((await readOwner(aside))?.token !== holder.token) await rename(aside, path).catch(() => {});
  await rm(aside, { recursive: true, force: true });
}

/** Renews the lock's time; false when it is no longer ours. */
async function renew(path: string, owner: Owner): Promise<boolean> {
  if ((await readOwner(path))?.token !== owner.token) return false;
  const now = new Date();
  await utimes(join(path, "owner.json"), now, now).catch(() => {});
  return true;
}
