import { test } from "node:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { LockLostError, withLock } from "../../../ffi/host/lock.ts";
import { inDirectory } from "../../support/checkpoint.ts";
import { type Outcome, runChild } from "../../support/child.ts";

const WORKER = fileURLToPath(new URL("lock_worker.ts", import.meta.url));
const DENO = "Deno" in globalThis;

/** A process that holds the lock for some milliseconds; its own patience with a lock is 1.5 s. */
function worker(path: string, milliseconds: number, onOutput: (pid: number) => void): Promise<Outcome> {
  const args = [...(DENO ? ["run", "-A", "--quiet"] : []), WORKER, path, String(milliseconds)];
  return runChild(process.execPath, args, { onOutput });
}

test("withLock() lets one work after the other, passes on what they return and throw, and tells who waits", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "a", "lock"), times = { renew: 20, stale: 10_000, poll: 5 };
    const order: string[] = [];
    const waited: number[] = [];
    const work = (name: string) => async () => {
      order.push(`${name} in`);
      while (waited.length < 3) await sleep(5); // the first one lets go when all others have seen it
      order.push(`${name} out`);
      if (name === "b") throw new Error("b failed");
      return name;
    };
    const onWait = (pid: number) => void waited.push(pid);
    const runs = ["a", "b", "c", "d"].map((name) => withLock(path, work(name), { times, onWait }));
    const results = await Promise.allSettled(runs);
    assertEquals(results.map((result) => result.status), ["fulfilled", "rejected", "fulfilled", "fulfilled"]);
    assertEquals(results.map((result) => "value" in result ? result.value : result.reason.message), [
      "a",
      "b failed",
      "c",
      "d",
    ]);
    for (let i = 0; i < 8; i += 2) assertEquals(order[i]!.replace("in", "out"), order[i + 1]!);
    assertEquals(waited, [process.pid, process.pid, process.pid]);
    assertEquals(readdirSync(dirname(path)), []);
  });
});

test("withLock() gives the lock back when the work fails", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "lock");
    await assertRejects(() => withLock(path, () => Promise.reject(new Error("no"))), Error, "no");
    assertEquals(await withLock(path, () => Promise.resolve(1)), 1);
  });
});

test("withLock() waits for another process that renews the lock for longer than its patience, and tells whom", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "lock");
    const held = Promise.withResolvers<number>();
    const other = worker(path, 3_000, held.resolve);
    const pid = await held.promise;
    const waited: number[] = [];
    const onWait = (holder: number) => void waited.push(holder);
    const times = { renew: 20, stale: 1_500, poll: 10 };
    assertEquals(await withLock(path, () => Promise.resolve(existsSync(`${path}.out`)), { times, onWait }), true);
    assertEquals([(await other).code, waited, readdirSync(directory)], [0, [pid], ["lock.out"]]);
  });
});

test("withLock() takes over the lock of a process that was killed", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "lock");
    const { code } = await worker(path, 60_000, (pid) => process.kill(pid, "SIGKILL"));
    assert(code !== 0, `${code}`); // null for a signal; Windows has none
    assertEquals(readdirSync(directory), ["lock"]);
    assertEquals(await withLock(path, () => Promise.resolve(1), { times: { renew: 20, stale: 400, poll: 10 } }), 1);
    assertEquals(readdirSync(directory), []);
  });
});

test("withLock() takes over a lock that nobody renews, and not one that is renewed", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "lock"), times = { renew: 20, stale: 150, poll: 5 };
    const hold = (time: Date) => {
      mkdirSync(path, { recursive: true });
      writeFileSync(join(path, "owner.json"), "of a process that crashed");
      utimesSync(join(path, "owner.json"), time, time);
    };
    // A clock that is not ours, ahead or behind, tells nothing.
    for (const time of [new Date(), new Date(2000, 1), new Date(2100, 1)]) {
      hold(time);
      assertEquals(await withLock(path, () => Promise.resolve("mine"), { times }), "mine");
    }
    let held = true;
    const long = withLock(path, async () => {
      await sleep(500);
      held = false;
    }, { times });
    await sleep(50);
    assertEquals(await withLock(path, () => Promise.resolve(held), { times }), false);
    await long;
    hold(new Date(2000, 1));
    const signal = AbortSignal.timeout(100);
    const patient = { renew: 20, stale: 60_000, poll: 5 };
    await assertRejects(() => withLock(path, () => Promise.resolve(), { times: patient, signal }), DOMException);
    assertEquals(readdirSync(directory), ["lock"]);
  });
});

test("withLock() aborts the work of whom the lock was taken from, and leaves the lock to its new owner", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "lock"), times = { renew: 20, stale: 10_000, poll: 5 };
    const taken = withLock(path, async (signal) => {
      writeFileSync(join(path, "owner.json"), "somebody else");
      await sleep(5_000, undefined, { signal }).catch(() => signal.throwIfAborted());
    }, { times });
    const { message } = await assertRejects(() => taken, LockLostError);
    assertMatch(message, /^Cannot go on: another process took over .*lock while this one stood still; try again$/);
    assertEquals(readFileSync(join(path, "owner.json"), "utf8"), "somebody else");
    await rm(path, { recursive: true });
    const gone = withLock(path, async (signal) => {
      await rm(path, { recursive: true });
      await sleep(5_000, undefined, { signal });
    }, { times });
    await assertRejects(() => gone, Error);
    assertEquals(readdirSync(directory), []);
  });
});

test("withLock() rejects with its signal's reason while it waits", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "lock");
    const reason = new Error("enough");
    const held = Promise.withResolvers<void>();
    const holding = withLock(path, () => held.promise);
    await sleep(50);
    const controller = new AbortController();
    const waiting = withLock(path, () => Promise.resolve("got it"), { signal: controller.signal });
    setTimeout(() => controller.abort(reason), 20);
    assertEquals(await waiting.catch((error) => error), reason);
    held.resolve();
    await holding;
    assertEquals(readdirSync(directory), []);
  });
});

test("withLock() needs no permission but to read and write where the lock is", { skip: !DENO }, async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "lock");
    mkdirSync(path);
    writeFileSync(join(path, "owner.json"), JSON.stringify({ pid: process.pid, token: "of a process that hangs" }));
    const permissions = [`--allow-read=${directory}`, `--allow-write=${directory}`];
    const args = ["run", "--quiet", "--no-prompt", ...permissions, WORKER, path, "1"];
    const { code, stdout, stderr } = await runChild(process.execPath, args);
    assertEquals([code, stdout, stderr], [0, "in\n", ""]);
    assertEquals(readdirSync(directory), ["lock.out"]);
  });
});
