import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { mkdir, mkdtemp, realpath, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import process from "node:process";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assertEquals, assertRejects } from "@std/assert";
import { dirname, join } from "@std/path";
import { withLock } from "../../build/lock.ts";

const QUICK = { renew: 20, stale: 60_000, poll: 10 };

let directory = "";
before(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), "llamasaur-lock-")));
});
after(() => rm(directory, { recursive: true, force: true }));

/** A directory for one test. */
async function fresh(name: string): Promise<string> {
  const path = join(directory, name);
  await mkdir(path, { recursive: true });
  return path;
}

test("withLock() runs one at a time and tells who waits", async () => {
  const path = join(await fresh("lock"), "lock");
  let inside = 0;
  const waited: number[] = [];
  const results = await Promise.all([1, 2, 3, 4].map((number) =>
    withLock(path, async () => {
      assertEquals(++inside, 1);
      await sleep(30);
      inside--;
      return number;
    }, { times: QUICK, onWait: (pid) => waited.push(pid) })
  ));
  assertEquals(results, [1, 2, 3, 4]);
  assertEquals(waited, [process.pid, process.pid, process.pid]);
  assertEquals(readdirSync(dirname(path)), []);
});

test("withLock() gives the lock back when the work fails", async () => {
  const path = join(await fresh("fails"), "lock");
  await assertRejects(() => withLock(path, () => Promise.reject(new Error("no"))), Error, "no");
  assertEquals(await withLock(path, () => Promise.resolve(1)), 1);
});

test("withLock() takes the lock of a process that is gone, and of one that stands still", async () => {
  const root = await fresh("stale");
  const hold = async (name: string, pid: number, host: string, age: number) => {
    await mkdir(join(root, name));
    const file = join(root, name, "owner.json");
    await writeFile(file, JSON.stringify({ token: "old", pid, host }));
    const time = new Date(Date.now() - age);
    await utimes(file, time, time);
    return join(root, name);
  };
  const gone = spawn(process.execPath, ["--version"], { stdio: "ignore" });
  const ended = Promise.withResolvers<void>();
  gone.on("close", () => ended.resolve());
  await ended.promise;
  assertEquals(
    await withLock(await hold("gone", gone.pid!, hostname(), 0), () => Promise.resolve(1), { times: QUICK }),
    1,
  );
  assertEquals(
    await withLock(await hold("still", process.pid, "elsewhere", 61_000), () => Promise.resolve(2), { times: QUICK }),
    2,
  );
  const held = await hold("held", process.pid, "elsewhere", 0);
  const stop = AbortSignal.timeout(100);
  await assertRejects(() => withLock(held, () => Promise.resolve(3), { times: QUICK, signal: stop }), DOMException);
  assertEquals(readdirSync(root), ["held"]);
});

test("withLock() aborts work whose lock was taken away", async () => {
  const path = join(await fresh("lost"), "lock");
  const lost = withLock(path, async (signal) => {
    await rm(path, { recursive: true });
    await sleep(5_000, undefined, { signal });
  }, { times: QUICK });
  await assertRejects(() => lost, Error);
});
