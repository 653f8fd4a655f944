// The process may be left in the middle of native work: C++ static destructors must not run beneath it, and nobody
// waits long. Raw libllama dies of SIGSEGV in a third of such exits.
import { test } from "node:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { findProgram, type Outcome, ROOT, runChild } from "../support/child.ts";
import { fixture } from "../support/checkpoint.ts";

const MODEL = fixture("../../models/all-minilm-l6-v2-q8_0.gguf");
const skip = !existsSync(MODEL);
const isDeno = "Deno" in globalThis;
const DELAYS = [0, 15, 100]; // milliseconds after the work began; the torture draws them (tests/torture/leave.ts)
const LONGEST = 3000 + 1000; // the exit guard's wait, and a busy machine's start of the exit

/** Leaves in one way, once for each delay, with one and two threads by turns. */
async function leave(way: string, check: (outcome: Outcome) => void, signal?: "SIGINT" | "SIGTERM"): Promise<void> {
  const ended = way === "end" || way === "dropped"; // not left: two threads are slow on a busy machine
  for (const [i, delay] of DELAYS.entries()) {
    const worker = join(ROOT, "tests", "runtime", "exit_worker.ts");
    const args = [...(isDeno ? ["run", "-A"] : []), worker, way, MODEL, `${delay}`, `${ended ? 1 : 1 + i % 2}`];
    const outcome = await runChild(findProgram(isDeno ? "deno" : "bun")!, args, {
      onOutput: (pid) => void (signal && sleep(delay).then(() => process.kill(pid, signal))),
    });
    assertStringIncludes(outcome.stdout, "running", outcome.stderr);
    assert(
      way === "dropped" || outcome.milliseconds < LONGEST + delay,
      `${way} after ${delay} ms took ${outcome.milliseconds} ms`,
    );
    check(outcome);
  }
}

/** A check of the exit code, and that no signal ended the process. */
function endsWith(code: number, words = ""): (outcome: Outcome) => void {
  return (outcome) => {
    assertEquals([outcome.code, outcome.signal], [code, null], outcome.stderr);
    assertStringIncludes(outcome.stdout + outcome.stderr, words);
  };
}

test("process.exit() in the middle of embed() gives its code", { skip }, () => leave("exit", endsWith(7)));

test("process.exit() in the middle of Llama.load() gives its code", { skip }, () => leave("load exit", endsWith(7)));

test("an uncaught error in the middle of embed() is reported and gives 1", { skip }, async () => {
  await leave("throw", endsWith(1, "thrown on purpose"));
});

test("an unhandled rejection in the middle of embed() is reported and gives 1", { skip }, async () => {
  await leave("reject", endsWith(1, "rejected on purpose"));
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`${signal} in the middle of embed() ends the process, and no other signal does`, {
    skip: skip || process.platform === "win32",
  }, async () => {
    const number = { SIGINT: 2, SIGTERM: 15 }[signal];
    const check = ({ code, signal: got, stderr }: Outcome) =>
      assert(got === signal || (got === null && code === 128 + number), `ended with ${code} ${got}: ${stderr}`);
    await leave("signal", check, signal);
  });
}

test("the process ends by itself when embed() is done, without close()", { skip }, async () => {
  await leave("end", endsWith(0, "4 vectors"));
  await leave("dropped", endsWith(0));
});
