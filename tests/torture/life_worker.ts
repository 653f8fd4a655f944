// The life of models in one process: life_worker.ts CASE COUNT SEED DIRECTORY. See lifecycle.ts.
// Prints a line a run: "ok", or "wrong:" and what was.
import { execFileSync } from "node:child_process";
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parentPort, Worker } from "node:worker_threads";
import { open } from "../../ffi/mod.ts";
import { cosineSimilarity, Llama, LlamaError } from "../../mod.ts";
import { fixture } from "../support/checkpoint.ts";
import { runChild } from "../support/child.ts";
import { randomIntegers } from "../support/random.ts";
import { CALLS, outcome } from "../support/watched_calls.ts";

const SELF = fileURLToPath(import.meta.url);
const MODEL = fileURLToPath(new URL("../../models/all-minilm-l6-v2-q8_0.gguf", import.meta.url));
const [name = "", amount, seed, directory = ""] = process.argv.slice(2);
const count = Number(amount);
const draw = randomIntegers(Number(seed));
const texts = Array.from({ length: 50 }, (_, i) => `${["river", "stone", "window"][i % 3]} number ${i * i} of a list`);

function say(wrong?: string): void {
  console.log(wrong ? `wrong: ${wrong}` : "ok");
}

function same(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, i) => Object.is(value, b[i]));
}

/** Memory in MB and threads of this process, as Linux tells them. */
function size(): { rss: number; threads: number } {
  const status = readFileSync("/proc/self/status", "utf8");
  const number = (key: string): number => Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(status)![1]);
  return { rss: number("VmRSS") / 1024, threads: number("Threads") };
}

/** What has grown between a first size, when everything had been used, and now, when what ends has had time to. */
async function growth(first: { rss: number; threads: number }): Promise<string | undefined> {
  let last = size();
  // The heaps of JavaScript and of the threads that come and go move by up to 100 MB; a model that stays is 25 MB a run.
  // Three workers of a round have heaps of their own; those that stayed with all they had were 35 MB each.
  const most = name === "workers" ? 400 : 150;
  const grown = (): boolean => last.rss > first.rss + most || last.threads > first.threads + 2;
  for (let i = 0; i < 100 && grown(); i++) {
    await sleep(100);
    collect();
    last = size();
  }
  console.log(`size: ${JSON.stringify([first, last])}`);
  const show = ({ rss, threads }: typeof first): string => `${rss.toFixed(0)} MB and ${threads} threads`;
  return grown() ? `from ${show(first)} to ${show(last)}` : undefined;
}

function collect(): void {
  const { Bun, gc } = globalThis as unknown as { Bun?: { gc(all: boolean): void }; gc?(): void };
  if (Bun) Bun.gc(true);
  else gc?.();
}

/** Runs `once` as often as asked, after two times for warmth, and looks at the size after a tenth and at the end. */
async function again(once: () => Promise<string | undefined>): Promise<void> {
  for (let i = 0; i < 2; i++) await once();
  let first = size();
  for (let i = 0; i < count; i++) {
    if (i === Math.floor(count / 10)) first = size();
    const wrong = await once();
    say(wrong ?? (i === count - 1 ? await growth(first) : undefined));
  }
}

const CASES: Record<string, () => Promise<void>> = {
  async cycles() {
    let expected: Float32Array | undefined;
    await again(async () => {
      await using llama = await Llama.load(MODEL);
      const vector = await llama.embed(texts[0]!);
      return same(vector, expected ??= vector) ? undefined : "another vector";
    });
  },

  async concurrent() {
    await using llama = await Llama.load(MODEL);
    const expected = await llama.embed(texts);
    const first = size();
    const vectors = await Promise.all(Array.from({ length: count }, (_, i) => llama.embed(texts[i % texts.length]!)));
    const grown = await growth(first);
    for (const [i, vector] of vectors.entries()) {
      const cosine = cosineSimilarity(vector, expected[i % texts.length]!); // packs differ, so bits may
      say(cosine < 0.999 ? `call ${i} has a cosine of ${cosine}` : i === count - 1 ? grown : undefined);
    }
  },

  async closed() {
    const expected = await Llama.load(MODEL).then(async (llama) => {
      await using _ = llama;
      return await llama.embed(texts[0]!);
    });
    await again(async () => {
      const llama = await Llama.load(MODEL);
      const reason = { why: "enough" };
      const controller = new AbortController();
      const { signal } = controller;
      const early = [
        llama.embed(texts[0]!),
        llama.embed(texts, { signal }),
        llama.rerank("stone", texts, { signal }),
        llama.tokenize(texts[1]!),
      ];
      const settled = Promise.allSettled(early);
      await sleep(draw(0, 30));
      if (draw(0, 1)) controller.abort(reason);
      const closing = llama.close();
      const late = [llama.embed("late"), llama.rerank("late", ["too"]), llama.tokenize("late")];
      const [[alone, ...others], refused] = await Promise.all([settled, Promise.allSettled(late)]);
      for (const one of refused) {
        const closed = one.status === "rejected" && one.reason instanceof LlamaError && one.reason.code === "closed";
        if (!closed) return `a call after close() ${one.status}`;
      }
      await closing;
      if (alone!.status === "rejected") return `a call before close() failed: ${alone!.reason}`;
      if (cosineSimilarity(alone!.value as Float32Array, expected) < 0.999) return "a call before close() is wrong";
      const odd = others.find((one) => one.status === "rejected" && one.reason !== reason);
      return odd && `failed with ${(odd as PromiseRejectedResult).reason}`;
    });
  },

  /** Any calls at once, of which one closes the model from inside of its own arguments. */
  async inside() {
    const names = Object.keys(CALLS);
    await again(async () => {
      const llama = await Llama.load(fixture("families/modern_bert.gguf"));
      let closing: Promise<void> | undefined;
      let reads = 0;
      const at = draw(1, 8);
      const get = <T>(value: T): T => {
        if (++reads === at) closing ??= llama.close();
        return value;
      };
      const called = Array.from({ length: draw(1, 5) }, () => names[draw(0, names.length - 1)]!);
      const found = await Promise.all(called.map((name) => outcome(() => CALLS[name]!(llama, get))));
      const odd = found.findIndex((one) => one !== "done" && one !== "closed");
      if (odd >= 0) return `${called[odd]} of ${called}, closed at read ${at}: ${found[odd]}`;
      await (closing ?? llama.close());
      const late = names[draw(0, names.length - 1)]!;
      const after = await outcome(() => CALLS[late]!(llama, (value) => value));
      return after === (late === "close" ? "done" : "closed") ? undefined : `${late} after close(): ${after}`;
    });
  },

  async dropped() {
    await again(async () => {
      const { embedding } = await (await Llama.load(MODEL)).embedDetailed(texts[0]!);
      for (let i = 0; i < 3; i++) {
        collect();
        await sleep(5);
      }
      return embedding.length === 384 ? undefined : "no vector";
    });
  },

  async copies() {
    const { path } = await open();
    const copy = join(directory, "copy.so");
    copyFileSync(path, copy);
    const foreign = join(directory, "foreign.so");
    const c = "int saur_abi(void) { return 1; }\nint saur_versions(char * out, int size) { *out = 0; return 0; }\n";
    execFileSync("cc", ["-shared", "-fPIC", "-x", "c", "-", "-o", foreign], { input: c });
    await again(async () => {
      await using one = await Llama.load(MODEL);
      await using two = await Llama.load(MODEL, { library: copy });
      const other = await Llama.load(MODEL, { library: foreign }).catch((error) => error);
      if (!(other instanceof LlamaError) || other.code !== "version-mismatch") return `another ABI gave ${other}`;
      const both = await Promise.all([one.embed(texts[0]!), two.embed(texts[0]!)]);
      return same(...both as [Float32Array, Float32Array]) ? undefined : "two copies of the library differ";
    });
  },

  async workers() {
    await using llama = await Llama.load(MODEL);
    const expected = await llama.embed(texts[0]!);
    await again(async () => {
      const workers = Array.from({ length: 3 }, () => new Worker(SELF, { argv: ["in a worker"] }));
      const answers = workers.map((worker) =>
        new Promise<Float32Array>((resolve, reject) => worker.once("message", resolve).once("error", reject))
      );
      if (draw(0, 1)) {
        for (const vector of await Promise.all(answers)) {
          if (!same(vector, expected)) return "a worker's vector differs";
        }
      }
      await sleep(draw(0, 150)); // they are in mid-load or mid-embed now
      await Promise.all(workers.map((worker) => worker.terminate()));
      return same(await llama.embed(texts[0]!), expected) ? undefined : "another vector afterwards";
    });
  },

  async "in a worker"() {
    const llama = await Llama.load(MODEL);
    parentPort!.postMessage(await llama.embed(texts[0]!));
    for (;;) await llama.embed(texts);
  },

  async spawned() {
    const args = [...("Deno" in globalThis ? ["run", "-A"] : []), SELF, "alone", "1", "1", directory];
    await again(async () => {
      const loading = Llama.load(MODEL);
      const child = runChild(process.execPath, args);
      await using llama = await loading;
      const vector = await llama.embed(texts[0]!);
      const { stdout, stderr } = await child;
      const line = stdout.split("\n").find((line) => line.startsWith("["));
      if (line === undefined) return `the child gave no vector: ${stdout}${stderr}`;
      return same(Float32Array.from(JSON.parse(line)), vector) ? undefined : "the child's vector differs";
    });
  },

  async alone() {
    await using llama = await Llama.load(MODEL);
    console.log(JSON.stringify([...await llama.embed(texts[0]!)]));
  },
};

await CASES[name]!();
