/**
 * Lets one process at a time work at a path, by a directory: neither Deno's nor Bun's `node:fs` has flock.
 *
 * The holder renews the time of a file in the directory. A waiter that sees no renewal over many looks takes the lock
 * away. It counts its looks, so it needs no clock that it shares with the holder, and asks nobody whether the holder's
 * process lives, for which Deno wants `--allow-run`.
 */
import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { clearInterval, setInterval } from "node:timers";
import { setTimeout as sleep } from "node:timers/promises";

/** Durations in milliseconds; tests use shorter ones. */
export interface LockTimes {
  /** Between two renewals. */
  readonly renew: number;
  /** Without a renewal, until the lock is taken away. */
  readonly stale: number;
  /** Between two looks of a waiter. */
  readonly poll: number;
}

const TIMES: LockTimes = { renew: 1_000, stale: 10_000, poll: 200 };

/** Another process took the lock away while this one stood still. */
export class LockLostError extends Error {
  override readonly name = "LockLostError";
}

/** Options of {@linkcode withLock}. */
export interface LockOptions {
  /** Stops the waiting and the work. */
  readonly signal?: AbortSignal | undefined;
  /** Called once with the holder's process id, if the lock is held. */
  readonly onWait?: ((pid: number) => void) | undefined;
  readonly times?: LockTimes | undefined;
}

/**
 * Runs work while holding the lock at a path, after whoever holds it now is done.
 *
 * @param path Where the lock directory is made; its parent is made if need be.
 * @param work What to do. Its signal aborts with the caller's, and with a {@linkcode LockLostError} when the lock is lost.
 * @returns What the work returns.
 */
export async function withLock<T>(
  path: string,
  work: (signal: AbortSignal) => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  const { signal, times = TIMES } = options;
  const owner = JSON.stringify({ pid: process.pid, token: randomUUID() });
  await mkdir(dirname(path), { recursive: true });
  await wait(path, owner, times, options);
  const lost = new AbortController();
  const heart = setInterval(async () => {
    if (await ownerOf(path) === owner) return await utimes(ownerFile(path), new Date(), new Date()).catch(() => {});
    lost.abort(
      new LockLostError(`Cannot go on: another process took over ${path} while this one stood still; try again`),
    );
  }, times.renew);
  heart.unref();
  try {
    return await work(signal ? AbortSignal.any([signal, lost.signal]) : lost.signal);
  } finally {
    clearInterval(heart);
    if (await ownerOf(path) === owner) await takeAway(path, owner);
  }
}

/** Waits until the lock is ours. */
async function wait(path: string, owner: string, times: LockTimes, { signal, onWait }: LockOptions): Promise<void> {
  let told = false;
  let seen = { state: "", times: 0 }; // looks are counted, not time: it passes while this process stands still, too
  while (!(await acquire(path, owner))) {
    const holder = await ownerOf(path);
    if (!told && holder !== "") onWait?.(pidOf(holder));
    told ||= holder !== "";
    const state = await stateOf(path);
    seen = { state, times: state === seen.state ? seen.times + 1 : 0 };
    if (seen.times * times.poll > times.stale) await takeAway(path, holder, state);
    // Its own rejection is an AbortError, whatever the reason is.
    await sleep(times.poll, undefined, signal ? { signal } : {}).catch(() => signal?.throwIfAborted());
  }
}

/** Makes the directory with its owner in it in one step: a rename onto a directory that is not empty fails. */
async function acquire(path: string, owner: string): Promise<boolean> {
  if (await exists(path)) return false;
  const mine = `${path}.${randomUUID()}`;
  await mkdir(mine);
  try {
    await writeFile(ownerFile(mine), owner);
    await rename(mine, path);
    return true;
  } catch (error) {
    await rm(mine, { recursive: true, force: true });
    if (await exists(path)) return false;
    if (["ENOTEMPTY", "EEXIST", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
    throw error;
  }
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(() => true, () => false);
}

function ownerFile(path: string): string {
  return join(path, "owner.json");
}

/** What the owner's file says; empty when the lock was given back. */
async function ownerOf(path: string): Promise<string> {
  return await readFile(ownerFile(path), "utf8").catch(() => "");
}

/** The holder's process id, 0 when the file is none of ours. */
function pidOf(owner: string): number {
  return Number(/"pid":(\d+)/.exec(owner)?.[1] ?? 0);
}

/** Changes whenever the lock is renewed or changes hands. */
async function stateOf(path: string): Promise<string> {
  const renewed = await stat(ownerFile(path)).then((at) => at.mtimeMs, () => 0);
  return `${await ownerOf(path)} ${renewed}`;
}

/**
 * Removes a lock in one step, by moving it aside: emptied where it is, it could be somebody else's before it is gone.
 * What was moved is looked at again, since another waiter may have been faster.
 *
 * @param owner Whose lock is removed.
 * @param state The state that makes it stale: a lock that was renewed since is left alone.
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
