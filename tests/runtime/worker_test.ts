// Workers, and what becomes of their models when they are terminated: no JavaScript of theirs runs then.
import { test } from "node:test";
import { existsSync, readFileSync } from "node:fs";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { fileURLToPath } from "node:url";
import { assert, assertEquals } from "@std/assert";
import { Llama } from "../../mod.ts";
import { fixture } from "../support/checkpoint.ts";

const MODEL = fixture("../../models/all-minilm-l6-v2-q8_0.gguf");
const WORKER = fileURLToPath(new URL("embedding_worker.ts", import.meta.url));
const skip = !existsSync(MODEL);

/** Threads of this process; undefined where the system does not tell. */
function threads(): number | undefined {
  if (process.platform !== "linux") return undefined;
  return Number(/^Threads:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))![1]);
}

test("Worker.terminate() in the middle of embed() frees its lanes, and the process goes on", { skip }, async () => {
  await using llama = await Llama.load(MODEL);
  const expected = await llama.embed("from a worker");
  const round = async (): Promise<void> => {
    const workers = Array.from({ length: 3 }, () => new Worker(WORKER, { workerData: MODEL }));
    const vectors = workers.map((worker) =>
      new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject))
    );
    for (const vector of await Promise.all(vectors)) assertEquals(vector as Float32Array, expected);
    await Promise.all(workers.map((worker) => worker.terminate()));
    assertEquals(await llama.embed("from a worker"), expected);
  };
  await round();
  await sleep(200);
  const before = threads();
  await round();
  // A worker's own threads end a little after it; its lanes (two each and more) would stay for ever.
  for (let i = 0; i < 100 && before !== undefined && threads()! > before + 3; i++) await sleep(100);
  if (before !== undefined) assert(threads()! <= before + 3, `${before} threads became ${threads()}`);
});
