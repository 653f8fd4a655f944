import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import process from "node:process";
import { join } from "@std/path";
import { Failure } from "../../../cli/failure.ts";
import { watchPoints } from "../../../cli/jobs/disk.ts";
import { lock, type LockTimes } from "../../../cli/jobs/lock.ts";
import { inDirectory } from "../../support/checkpoint.ts";
import { assertEnded, inPlace } from "../../support/embed_place.ts";
import { writeJsonl } from "../../support/jobs.ts";
import { libraryMissing as skip } from "../../support/references.ts";

const windows = process.platform === "win32" && "no links";
const TIMES: LockTimes = { touch: 20, stale: 300, staleContainer: 100, poll: 20 };

function taking(output: string, told: string[] = []) {
  return lock(output, { say: (line) => told.push(line), signal: new AbortController().signal, times: TIMES });
}

/** What this process writes into a lock of its own. */
async function owner(output: string): Promise<{ readonly boot: string; readonly space?: string }> {
  const held = await taking(output);
  const text = readFileSync(`${output}.lock`, "utf8");
  await held.release();
  return JSON.parse(text);
}

test("lock() lets one in at a time, and is given back", async () => {
  await inDirectory(async (directory) => {
    const output = join(directory, "out.jsonl");
    const held = await taking(output);
    const error = await assertRejects(() => taking(output), Failure);
    assert(error.message.includes(`process ${process.pid} does`), error.message);
    await held.release();
    await (await taking(output)).release();
    assert(!existsSync(`${output}.lock`));
  });
});

test(
  "lock() takes over from another boot or container when nobody has touched the lock for a while",
  async () => {
    await inDirectory(async (directory) => {
      const output = join(directory, "out.jsonl");
      const path = `${output}.lock`;
      const { boot } = await owner(output);
      for (const owner of [{ boot: "another" }, { boot, space: "pid:[1]" }, "torn"]) {
        writeFileSync(
          path,
          JSON.stringify(owner === "torn" ? owner : { pid: 1, start: "1", token: "x", ...owner as object }),
        );
        const ahead = new Date(Date.now() + 60_000); // on a slow machine it would be old before it is looked at
        utimesSync(path, ahead, ahead);
        const told: string[] = [];
        const start = performance.now();
        await (await taking(output, told)).release();
        const wait = (owner as { space?: string }).space ? TIMES.staleContainer : TIMES.stale;
        assert(performance.now() - start >= wait * 0.8, "it waited");
        assertEquals(told.length, 1);
      }
      writeFileSync(path, JSON.stringify({ pid: 1, start: "1", boot: "another", token: "x" }));
      for (const behind of [0, 3600]) { // seconds by which the other machine's clock is
        const touch = (): void => utimesSync(path, Date.now() / 1000 - behind, Date.now() / 1000 - behind);
        touch();
        const touched = setInterval(touch, 10);
        await assertRejects(() => taking(output), Failure, "process 1 does");
        clearInterval(touched);
      }
    });
  },
);

test("lock() where start times cannot be seen takes over from a live process id that leaves the lock alone", async () => {
  await inDirectory(async (directory) => {
    const output = join(directory, "out.jsonl");
    const path = `${output}.lock`;
    const { boot, space } = await owner(output);
    writeFileSync(path, JSON.stringify({ pid: process.pid, boot, space, token: "x" }));
    await assertRejects(() => taking(output), Failure, `process ${process.pid} does`);
    const before = new Date(Date.now() - 10 * TIMES.stale);
    utimesSync(path, before, before);
    await (await taking(output)).release();
  });
});

test("lock() of a lock that is no file says so, and waits for nothing", { skip: windows }, async () => {
  await inDirectory(async (directory) => {
    const [folder, linked] = [join(directory, "folder.jsonl"), join(directory, "linked.jsonl")];
    mkdirSync(`${folder}.lock`);
    symlinkSync(join(directory, "none"), `${linked}.lock`);
    for (const output of [folder, linked]) {
      const { message } = await assertRejects(() => taking(output), Failure);
      const told = `Cannot tell which process works on ${output}: ${output}.lock cannot be read (it is no file)`;
      assertEquals(message, `${told}; if none does, remove it`);
    }
  });
});

test("lock() that cannot take a stale lock away names the file that is in the way", async () => {
  await inDirectory(async (directory) => {
    const output = join(directory, "out.jsonl");
    writeFileSync(`${output}.lock`, JSON.stringify({ ...await owner(output), pid: 2 ** 22 + 1, start: "1" }));
    mkdirSync(`${output}.lock.taking`);
    const before = new Date(Date.now() - 60_000);
    utimesSync(`${output}.lock.taking`, before, before);
    const { message } = await assertRejects(() => taking(output), Failure);
    assertStringIncludes(message, `${output}.lock.taking: `);
    assert(!message.includes(`${output}.lock: `), message);
  });
});

test("check() of a lock that another has meanwhile refuses to go on, and touches that one no more", async () => {
  await inDirectory(async (directory) => {
    const output = join(directory, "out.jsonl");
    const held = await taking(output);
    await held.check();
    writeFileSync(`${output}.lock`, JSON.stringify({ pid: 1, boot: "another", token: "x" }));
    const before = new Date(Date.now() - 60_000);
    utimesSync(`${output}.lock`, before, before);
    await assertRejects(() => held.check(), Failure, "out.jsonl.lock is of process 1 now; it was removed, or this");
    await new Promise((resolve) => setTimeout(resolve, 10 * TIMES.touch));
    assertEquals(statSync(`${output}.lock`).mtimeMs, before.getTime());
    await held.release();
    assert(existsSync(`${output}.lock`));
    const lost = await taking(join(directory, "lost.jsonl"));
    rmSync(join(directory, "lost.jsonl.lock"));
    await assertRejects(() => lost.check(), Failure, "lost.jsonl.lock is gone");
    await lost.release();
  });
});

test("lock() of many at once lets one in", async () => {
  await inDirectory(async (directory) => {
    const output = join(directory, "out.jsonl");
    const { boot } = await owner(output);
    writeFileSync(`${output}.lock`, JSON.stringify({ pid: 4_194_300, start: "1", boot, token: "dead" }));
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => taking(output)));
    assertEquals(results.filter(({ status }) => status === "fulfilled").length, 1);
    for (const result of results) if (result.status === "fulfilled") await result.value.release();
  });
});

test("embed that has lost its lock writes no more, and leaves the other's lock alone", { skip }, async () => {
  await inPlace(async ({ embedHere, path, write, lines }) => {
    writeJsonl(path("in.jsonl"), 300, 4);
    const words = ["in.jsonl", "-o", "out.jsonl", "--checkpoint", "50"];
    let left = 3;
    watchPoints((point) => {
      if (point !== "after journal sync" || --left !== 0) return;
      write("out.jsonl.lock", JSON.stringify({ pid: 1, boot: "x", token: "x" }));
    });
    const ended = await embedHere(words).finally(() => watchPoints(() => {}));
    assertEnded(ended, 1);
    assertStringIncludes(ended.stderr, "Cannot go on with out.jsonl: out.jsonl.lock is of process 1 now");
    assertEquals(lines("out.jsonl.part").length, 100); // the header and two checkpoints were before
    assertEquals(JSON.parse(readFileSync(path("out.jsonl.lock"), "utf8")).pid, 1);
    write(
      "out.jsonl.lock",
      JSON.stringify({ ...await owner(path("other.jsonl")), pid: 4_194_300, start: "1", token: "x" }),
    );
    assertEnded(await embedHere(words), 0);
    assertEquals(lines("out.jsonl").length, 300);
  });
});

test(
  "lock() in a folder that is not there or takes no files says so, and not which call failed",
  { skip: process.platform !== "linux" && "only Linux has /sys" },
  async () => {
    await inDirectory(async (directory) => {
      const error = await assertRejects(() => taking(join(directory, "none", "out.jsonl")), Failure);
      assert(error.message.endsWith("none/out.jsonl: there is no such folder; make it first"), error.message);
      const { message } = await assertRejects(() => taking("/sys/out.jsonl"), Failure);
      assert(
        /^Cannot write \/sys\/out\.jsonl: (there is no (permission|such folder; make it first)|the file system is read-only)$/
          .test(message),
        message,
      );
    });
  },
);
