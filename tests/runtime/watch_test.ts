// A watcher runs a program anew in the same process when a file is saved: what the program before held must go.
import { test } from "node:test";
import { spawn } from "node:child_process";
import { copyFileSync, cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { assert, assertEquals } from "@std/assert";
import { inDirectory } from "../support/checkpoint.ts";
import { findProgram, ROOT, runChild } from "../support/child.ts";
import { bun, deno, LIBRARY, MODEL, noEmbedding } from "../support/packaging.ts";

const isDeno = "Deno" in globalThis;
const skip = noEmbedding ?? (process.platform !== "linux" && "a process is measured by /proc") ?? false;
const slow = { timeout: 180_000, skip };
const MODULE = JSON.stringify(join(ROOT, "mod.ts"));
const SAVES = 8;
const MODEL_MB = 25;

/** A program that a watcher runs: its lanes are in the middle of passes when the file is saved. */
function program(generation: number): string {
  return `import { Llama } from ${MODULE};
const llama = await Llama.load(${JSON.stringify(MODEL)}, { contexts: 2 });
const [vector] = await llama.embed(["a", "b", "c", "d"]);
console.log("generation ${generation} of " + vector.length);
await llama.embed(Array.from({ length: 5000 }, (_, i) => i + " some words that keep a lane busy for a while".repeat(9)));
`;
}

/** Megabytes of a process, and its threads that have its own name: the lanes do, and few of the runtime's. */
function sizeOf(pid: number): { megabytes: number; threads: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const number = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)![1]);
  return { megabytes: number("VmRSS") / 1024, threads: threadsOf(pid) };
}

function threadsOf(pid: number): number {
  const nameOf = (thread: string | number): string => {
    try {
      return readFileSync(`/proc/${pid}/task/${thread}/comm`, "utf8");
    } catch {
      return ""; // it has ended meanwhile
    }
  };
  const own = nameOf(pid);
  return readdirSync(`/proc/${pid}/task`).filter((thread) => nameOf(thread) === own).length;
}

test(`${SAVES} saves under a watcher leave one model and its lanes`, slow, async () => {
  await inDirectory(async (directory) => {
    const main = join(directory, "main.ts");
    writeFileSync(main, program(1));
    // Bun begins a new process at a save; `bun --hot` keeps what is on globalThis, so that there no run is dead.
    const [command, flags] = isDeno ? [deno!, ["run", "-A", "--no-check", "--watch"]] : [bun!, ["--watch"]];
    const child = spawn("/usr/bin/env", [command, ...flags, main], { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => output += data);
    try {
      const sizes: { megabytes: number; threads: number }[] = [];
      for (let generation = 1; generation <= SAVES; generation++) {
        const words = `generation ${generation} of 384`;
        for (let i = 0; i < 600 && !output.includes(words); i++) await sleep(50);
        assert(output.includes(words), output);
        await sleep(100); // the lanes are in the middle of a pass
        sizes.push(sizeOf(child.pid!));
        writeFileSync(main, program(generation + 1));
      }
      const told = sizes.map(({ megabytes, threads }) => `${megabytes.toFixed(0)} MB ${threads} threads`).join(", ");
      console.log(told);
      const [second, last] = [sizes[1]!, sizes.at(-1)!]; // the first is a start without any before it
      assert(last.megabytes - second.megabytes < (SAVES - 2) * MODEL_MB / 2, told); // a model a save would be twice as much
      assert(last.threads - second.threads <= 3, told); // the runtime's own come and go
    } finally {
      child.kill("SIGKILL");
    }
  });
});

test(
  "a new run frees what the last one of its thread left, and neither a worker's nor another library's",
  slow,
  async () => {
    await inDirectory(async (directory) => {
      const other = join(directory, "other.so");
      copyFileSync(LIBRARY, other);
      for (const name of ["src", "ffi", "mod.ts"]) {
        cpSync(join(ROOT, name), join(directory, "copy", name), { recursive: true });
      }
      const ffi = (name: string): string => JSON.stringify(join(ROOT, "ffi", name));
      const code = `import { readdirSync, readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { Llama } from ${MODULE};
import { open } from ${ffi(`runtime/${isDeno ? "deno" : "bun"}.ts`)};
import { SYMBOLS } from ${ffi("symbols.ts")};
const [model, library] = [${JSON.stringify(MODEL)}, ${JSON.stringify(LIBRARY)}];
const ofWorker = "import { parentPort } from 'node:worker_threads'; import { Llama } from ${join(ROOT, "mod.ts")};" +
  "const llama = await Llama.load(" + JSON.stringify(model) + ", { library: " + JSON.stringify(library) + ", contexts: 1 });" +
  "parentPort.on('message', async (text) => parentPort.postMessage(await llama.embed(text))); parentPort.postMessage(0);";
const worker = new Worker(new URL("data:text/javascript," + encodeURIComponent(ofWorker.replace(/from (\\/[^;]*);/, 'from "file://$1";'))));
const heard = () => new Promise((resolve) => worker.once("message", resolve));
const embedInWorker = (text) => { const answer = heard(); worker.postMessage(text); return answer; };
await heard();
const left = await Llama.load(model, { library, contexts: 3 });
const stays = await Llama.load(model, { library: ${JSON.stringify(other)}, contexts: 1 });
const wanted = await left.embed("a text");
// Lanes have the name of the process; the runtime names most of its own threads, which come and go.
const nameOf = (thread) => { try { return readFileSync("/proc/self/task/" + thread + "/comm", "utf8"); } catch { return ""; } };
const own = nameOf(process.pid);
const threads = () => readdirSync("/proc/self/task").filter((thread) => nameOf(thread) === own).length;
const count = threads();
open(library, { saur_queue_new: SYMBOLS.saur_queue_new }).functions.saur_queue_new(1234567);
let gone = count - threads();
for (let i = 0; i < 100 && gone < 1; i++) {
  await new Promise((resolve) => setTimeout(resolve, 20));
  gone = count - threads();
}
const next = await import("./copy/mod.ts"); // the queue of this one is no longer told of
const again = await next.Llama.load(model, { library, contexts: 1 });
for (const vector of [await stays.embed("a text"), await embedInWorker("a text"), await again.embed("a text")]) {
  if (vector.some((number, i) => number !== wanted[i])) throw new Error("another vector");
}
console.log("gone:", gone);
globalThis.kept = left; // nobody may use it, nor free it
process.exit(0);
`;
      writeFileSync(join(directory, "main.mjs"), code);
      const args = [...(isDeno ? ["run", "-A"] : []), "main.mjs"];
      const { code: exit, stdout, stderr } = await runChild(findProgram(isDeno ? "deno" : "bun")!, args, {
        cwd: directory,
      });
      assertEquals(exit, 0, stderr);
      const gone = Number(/^gone: (-?\d+)$/m.exec(stdout)?.[1]);
      assert(gone >= 1 && gone <= 3, stdout); // one lane was made for one text; Bun's own threads come and go
    });
  },
);
