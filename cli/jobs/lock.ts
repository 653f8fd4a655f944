/**
 * Lets one process at a time work on an output, by a file that says which.
 *
 * The file has the process's id, its start time and the machine's boot id: a process id alone is used again, and in a
 * container it is 1 each time. Whether a process of this boot lives can be seen. Of another boot (a reboot, or another
 * machine on a shared disk), or another container, it cannot: its lock is taken over when nobody has touched it for a
 * while. Its owner touches it.
 */
import { randomUUID } from "node:crypto";
import { link, lstat, readFile, readlink, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import process from "node:process";
import { clearInterval, setInterval } from "node:timers";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure } from "../failure.ts";
import { shown } from "../quote.ts";
import { reasonOf, told } from "./disk.ts";

/** Durations in milliseconds; tests use shorter ones. */
export interface LockTimes {
  /** Between two touches. */
  readonly touch: number;
  /** Without a touch, until the lock of another boot is taken over. */
  readonly stale: number;
  /** The same for another container of this boot. */
  readonly staleContainer: number;
  /** Between two looks of a waiter. */
  readonly poll: number;
}

const TIMES: LockTimes = { touch: 10_000, stale: 60_000, staleContainer: 25_000, poll: 1_000 };

/** Milliseconds after which the guard of {@linkcode takeAway} was left behind. */
const GUARD_LEFT = 10_000;
/** Between two tries, where a lock or its guard goes as it is looked at. */
const RETRY = 20;

/** What the file says of its owner. */
interface Owner {
  readonly pid: number;
  /** Clock ticks since boot; undefined where the system does not tell. */
  readonly start: string | undefined;
  readonly boot: string;
  /** Of process ids: a container has its own. */
  readonly space: string | undefined;
  readonly token: string;
}

/** A lock that is held. */
export interface Lock {
  /**
   * Looks that the lock is still this process's. One that slept for longer than a lock may be left alone has lost it, and
   * may write no more.
   *
   * @throws {Failure} where it is another's, or gone.
   */
  check(): Promise<void>;
  release(): Promise<void>;
}

/** Where the lock of an output is; what is beside it while it changes hands has this name with a dot and more. */
export function lockPath(output: string): string {
  return `${output}.lock`;
}

/**
 * Takes the lock of an output.
 *
 * @param say Told when it must wait.
 * @throws {Failure} where another process has it, or nobody can tell.
 */
export async function lock(
  output: string,
  { say, signal, times = TIMES }: { say: (line: string) => void; signal: AbortSignal; times?: LockTimes },
): Promise<Lock> {
  const path = lockPath(output);
  const mine: Owner = { ...await identity(process.pid), pid: process.pid, token: randomUUID() };
  while (!await told(output, () => acquire(path, mine))) { // who asked for the output knows of no lock
    signal.throwIfAborted();
    const text = await textOf(path, output);
    if (text === undefined) { // given back meanwhile
      await sleep(RETRY);
      continue;
    }
    const stale = await isStale(path, ownerOf(text), mine, { say, signal, times });
    if (!stale) {
      const owner = `process ${ownerOf(text)?.pid ?? "?"} does (${shown(path)})`;
      throw new Failure(`Cannot work on ${shown(output)}: ${owner}; let it end, stop it, or give another -o`);
    }
    await takeAway(path, text);
  }
  return held(output, path, mine, times);
}

/** A lock that was taken: its file is touched as long as it has this process's token. */
function held(output: string, path: string, mine: Owner, times: LockTimes): Lock {
  const isMine = (text: string): boolean => ownerOf(text)?.token === mine.token;
  const timer = setInterval(() => {
    void readFile(path, "utf8").then(async (text) => {
      if (isMine(text)) await utimes(path, new Date(), new Date());
    }).catch(() => {});
  }, times.touch);
  timer.unref();
  return {
    async check() {
      const text = await textOf(path, output) ?? "";
      if (isMine(text)) return;
      const now = text === "" ? "is gone" : `is of process ${ownerOf(text)?.pid ?? "?"} now`;
      throw new Failure(
        `Cannot go on with ${shown(output)}: ${
          shown(path)
        } ${now}; it was removed, or this process was held up for too long`,
      );
    },
    async release() {
      clearInterval(timer);
      const text = await readFile(path, "utf8").catch(() => "");
      if (isMine(text)) await rm(path, { force: true });
    },
  };
}

/**
 * What a lock says; undefined where there is none.
 *
 * @throws {Failure} where it cannot be read, or is no file of its own: to wait for such a one would have no end.
 */
async function textOf(path: string, output: string): Promise<string | undefined> {
  const why = await lstat(path).then(async (found) => {
    return found.isFile() ? { text: await readFile(path, "utf8") } : "it is no file";
  }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return { text: undefined };
    if (error.name === "NotCapable") throw error;
    return reasonOf(error);
  });
  if (typeof why === "object") return why.text;
  throw new Failure(
    `Cannot tell which process works on ${shown(output)}: ${
      shown(path)
    } cannot be read (${why}); if none does, remove it`,
  );
}

/** Makes the file with everything in it at once: a link fails where there is one. */
async function acquire(path: string, mine: Owner): Promise<boolean> {
  const beside = `${path}.${mine.token}`;
  try {
    await writeFile(beside, `${JSON.stringify(mine)}\n`);
    await link(beside, path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    if (!["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP"].includes(code ?? "")) throw error;
    return await writeFile(path, `${JSON.stringify(mine)}\n`, { flag: "wx" }).then(() => true, (refused) => { // no links here
      if (refused.code === "EEXIST") return false;
      throw refused;
    });
  } finally {
    await rm(beside, { force: true }).catch(() => {}); // a read-only disk refuses that, too; it was told above
  }
}

function ownerOf(text: string): Owner | undefined {
  try {
    return JSON.parse(text) as Owner;
  } catch {
    return undefined;
  }
}

/** Whether the owner of a lock is gone. Where that cannot be seen, waits and looks whether the lock is touched. */
async function isStale(
  path: string,
  owner: Owner | undefined,
  mine: Owner,
  { say, signal, times }: { say: (line: string) => void; signal: AbortSignal; times: LockTimes },
): Promise<boolean> {
  const near = owner?.boot === mine.boot;
  const age = async (): Promise<number> => await stat(path).then(({ mtimeMs }) => mtimeMs, () => 0);
  if (near && (owner.space === undefined || owner.space === mine.space)) {
    // Where start times cannot be seen, another process may have the id by now; the owner would touch the file.
    return !await lives(owner) || owner.start === undefined && Date.now() - await age() >= times.stale;
  }
  const touched = await age();
  const old = Date.now() - touched >= (near ? times.staleContainer : times.stale);
  if (near && old) return true;
  // Another machine's clock may be another: also a lock that seems old is watched until its owner would have touched it.
  const wait = old ? 2 * times.touch : near ? times.staleContainer : times.stale;
  const where = near ? "another container" : "before a reboot, or on another machine";
  say(
    `${path} is held by process ${owner?.pid ?? "?"} of ${where}: taken over if it is left alone for ${wait / 1000} s`,
  );
  for (let looks = 0; looks * times.poll < wait; looks++) {
    await sleep(times.poll, undefined, { signal }).catch(() => signal.throwIfAborted());
    if (await age() !== touched) return false;
  }
  return true;
}

/** Whether a process of this boot still runs: the same id may be another one's by now. */
async function lives({ pid, start }: Owner): Promise<boolean> {
  if (start !== undefined) return await startOf(pid) === start;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/**
 * Removes a lock whose owner is gone. Of those who saw that, one at a time looks again and removes it: else one could
 * remove the lock that another has just taken.
 */
async function takeAway(path: string, text: string): Promise<void> {
  const guard = `${path}.taking`;
  try {
    await writeFile(guard, "", { flag: "wx" });
  } catch {
    const age = await lstat(guard).then(({ mtimeMs }) => Date.now() - mtimeMs, () => 0);
    if (age > GUARD_LEFT) await told(guard, () => rm(guard, { force: true })); // its process was killed within it
    return await sleep(RETRY);
  }
  try {
    if (await readFile(path, "utf8").catch(() => undefined) === text) await told(path, () => rm(path, { force: true }));
  } finally {
    await told(guard, () => rm(guard, { force: true }));
  }
}

async function identity(pid: number): Promise<Pick<Owner, "start" | "boot" | "space">> {
  const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8").then((text) => text.trim(), () => hostname());
  const space = await readlink("/proc/self/ns/pid").catch(() => undefined);
  return { start: await startOf(pid), boot, space };
}

/** Field 22 of proc(5)'s stat, behind a name that may have spaces; undefined for a process that has ended, waited for or not. */
async function startOf(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  const [state = "Z", ...fields] = text?.slice(text.lastIndexOf(")") + 2).split(" ") ?? [];
  return state === "Z" || state === "X" ? undefined : fields[18];
}
