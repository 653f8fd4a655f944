// Is left in the middle of work: leave_worker.ts WAY MOMENT DELAY-MS DIRECTORY [ENDPOINT]. See leave.ts.
// Prints "running" when the work begins, again and again until it is left; with the way "once", what it took.
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { isMainThread, Worker } from "node:worker_threads";
import { fileURLToPath } from "node:url";
import { produce } from "../../build/produce.ts";
import { run } from "../../build/run.ts";
import { generatorHere } from "../../build/toolchain.ts";
import { convert, quantize } from "../../convert.ts";
import { Llama } from "../../mod.ts";
import { download } from "../../models.ts";
import { fixture } from "../support/checkpoint.ts";
import { NAME } from "../support/hub_server.ts";

const Q8_0 = fileURLToPath(new URL("../../models/all-minilm-l6-v2-q8_0.gguf", import.meta.url));
const SENTENCE = "a text that is long enough to keep a lane busy for a while ";
const texts = Array.from({ length: 20 }, (_, i) => `${i} ${SENTENCE.repeat(1 + i % 7)}`);
const [way, moment, delay, directory, endpoint] = process.argv.slice(2) as [string, string, string, string, string];

/** Makes ready what a moment needs, and returns its work. */
async function workOf(moment: string): Promise<() => Promise<unknown>> {
  switch (moment) {
    case "load":
      return async () => await (await Llama.load(Q8_0)).close();
    case "embed": {
      const llama = await Llama.load(Q8_0);
      return () => llama.embed(texts);
    }
    case "rerank by cosine": {
      const llama = await Llama.load(Q8_0);
      return () => llama.rerank("what keeps a lane busy", texts);
    }
    case "rerank pairs": {
      const llama = await Llama.load(join(directory, "..", "cross.gguf"));
      return () => llama.rerank("safe systems", Array.from({ length: 300 }, (_, i) => `${i} ${texts[i % 20]!}`));
    }
    case "convert":
      return () => convert(fixture("tiny_bert"), join(directory, "out.gguf"), { type: "q8_0" });
    case "quantize":
      return () => quantize(join(directory, "..", "source.gguf"), join(directory, "out.gguf"), "q8_0");
    case "download":
      return () => download(NAME, { endpoint, cache: join(directory, "hub"), onProgress: () => {} });
    case "build":
      return () => makeProduct();
    default:
      throw new RangeError(`Cannot leave in mid-${moment}`);
  }
}

/** The machinery of a build with a project of a moment; llama.cpp would take minutes. */
async function makeProduct(): Promise<boolean> {
  const build = join(directory, "build");
  const configure = ["cmake", "-S", join(directory, "..", "project"), "-B", build, ...await generatorHere()];
  const commands = [configure, ["cmake", "--build", build]];
  return await produce({
    lock: join(directory, "lock"),
    directory: build,
    product: join(build, "product"),
    destinations: [join(directory, "out", "product")],
    inputs: "1",
    clean: way !== "once",
    say: () => {},
    async make(signal) {
      for (const command of commands) {
        const { code, output } = await run(command, { signal });
        if (code !== 0) throw new Error(output);
      }
    },
    lockTimes: { renew: 50, stale: 3_000, poll: 20 },
  });
}

let left = false;

function leave(): void {
  left = true;
  if (way !== "worker") console.log("leaving");
  if (way === "exit") process.exit(7);
  if (way === "Deno.exit") (globalThis as unknown as { Deno: { exit(code: number): void } }).Deno.exit(7);
  if (way === "throw") throw new Error("thrown on purpose");
  if (way === "reject") void Promise.reject(new Error("rejected on purpose"));
}

async function beTerminated(): Promise<void> {
  const argv = ["worker", ...process.argv.slice(3)];
  const worker = new Worker(fileURLToPath(import.meta.url), { argv });
  await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
  console.log("running");
  await sleep(Number(delay));
  console.log("leaving");
  await worker.terminate();
  await using llama = await Llama.load(Q8_0);
  const vector = await llama.embed("still here");
  console.log(vector.length === 384 ? "fine" : "wrong");
}

async function main(): Promise<void> {
  if (way === "terminate") return await beTerminated();
  const work = await workOf(moment);
  if (isMainThread) console.log("running");
  else (await import("node:worker_threads")).parentPort!.postMessage("running");
  const start = performance.now();
  if (way !== "once" && !way.startsWith("SIG") && way !== "worker") setTimeout(leave, Number(delay));
  do await work(); while (!left && way !== "once");
  if (way === "once") console.log(`took ${performance.now() - start}`);
}

// Not awaited: Bun ends of an uncaught error only after the main module's own await is over.
void main();
