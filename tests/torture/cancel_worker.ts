// Calls that are aborted, in one process: cancel_worker.ts CASE COUNT SEED DIRECTORY. See cancel.ts.
// Prints a line a run: "ok", or "wrong:" and what was.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { build } from "../../build/mod.ts";
import { produce } from "../../build/produce.ts";
import { run } from "../../build/run.ts";
import { convert, quantize } from "../../convert.ts";
import { cosineSimilarity, Llama, type LoadOptions } from "../../mod.ts";
import { download } from "../../models.ts";
import { fixture } from "../support/checkpoint.ts";
import { HubServer, MODEL as FILE, NAME, sendRange } from "../support/hub_server.ts";
import { randomIntegers } from "../support/random.ts";

const MODELS = fileURLToPath(new URL("../../models/", import.meta.url));
const Q8_0 = join(MODELS, "all-minilm-l6-v2-q8_0.gguf");
const F32 = join(MODELS, "all-minilm-l6-v2-f32.gguf");
const [name = "", amount, seed, directory = ""] = process.argv.slice(2);
const count = Number(amount);
const draw = randomIntegers(Number(seed));
const words = ["river", "stone", "window", "quiet", "green", "paper", "seven", "music"];
const MOST = 100; // milliseconds of processor time after an abort
// llama.cpp reads a vocabulary without asking anybody: 60 to 160 ms. The call rejects at once; this is what goes on behind it.
const MOST_OF_LOAD = 300;
// llama.cpp ends no tensor half-way: 40 to 120 ms each on one thread.
const MOST_OF_QUANTIZE = 300;

function textOf(length: number): string {
  return Array.from({ length }, () => words[draw(0, words.length - 1)]).join(" ");
}

function say(wrong?: string): void {
  console.log(wrong ? `wrong: ${wrong}` : "ok");
}

function same(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, i) => Object.is(value, b[i]));
}

/** Reasons of every kind; `undefined` is for the signal to choose. */
function reasonOf(): unknown {
  return [undefined, null, 0, "", "enough", Symbol("enough"), { why: 1 }, new Error("enough"), new RangeError("no")][
    draw(0, 8)
  ];
}

/** What a promise rejects with; undefined if it does not. */
async function rejection(promise: Promise<unknown>): Promise<{ readonly reason: unknown } | undefined> {
  try {
    await promise;
    return undefined;
  } catch (reason) {
    return { reason };
  }
}

/** That a call was rejected with its signal's reason, or was faster. */
async function rightly(call: Promise<unknown>, signal: AbortSignal): Promise<string | undefined> {
  const rejected = await rejection(call);
  if (!rejected || signal.aborted && Object.is(rejected.reason, signal.reason)) return undefined;
  return `rejected with ${String(rejected.reason)} instead of ${String(signal.reason)}`;
}

/** Milliseconds of processor time that this process still takes, until it is quiet. */
async function processorTime(): Promise<number> {
  const start = process.cpuUsage();
  const now = (): number => {
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000;
  };
  for (let last = -1, quiet = 0; quiet < 4;) {
    await sleep(40);
    quiet = now() - last < 3 ? quiet + 1 : 0;
    last = now();
  }
  return now();
}

/** Everything that takes a signal, by name. */
async function everything(
  llama: Llama,
  hub: HubServer,
): Promise<Record<string, (signal: AbortSignal) => Promise<unknown>>> {
  const many = Array.from({ length: 40 }, () => textOf(draw(1, 200)));
  const cross = join(directory, "cross.gguf");
  await convert(fixture("tiny_cross_encoder"), cross);
  const pairs = await Llama.load(cross);
  const project = join(directory, "CMakeLists.txt");
  writeFileSync(project, "cmake_minimum_required(VERSION 3.18)\nproject(small NONE)\n");
  return {
    load: (signal) => Llama.load(Q8_0, { signal }).then((llama) => llama.close()),
    embed: (signal) => llama.embed(many, { signal }),
    embedDetailed: (signal) => llama.embedDetailed(many[0]!, { signal }),
    "rerank by cosine": (signal) => llama.rerank("stone", many, { signal }),
    "rerank pairs": (signal) => pairs.rerank("stone", many, { signal }),
    convert: (signal) => convert(fixture("tiny_bert"), join(directory, "out.gguf"), { signal, type: "q8_0" }),
    quantize: (signal) => quantize(F32, join(directory, "quantized.gguf"), "q8_0", { signal }),
    download: (signal) =>
      download(NAME, {
        signal,
        endpoint: hub.endpoint,
        cache: join(directory, `hub ${draw(0, 1e9)}`),
        onProgress() {},
      }),
    build: (signal) => build({ signal, dryRun: true, onLine() {} }),
    produce: (signal) =>
      produce({
        signal,
        lock: join(directory, "lock"),
        directory: join(directory, "build"),
        product: project,
        destinations: [],
        inputs: undefined,
        say() {},
        make: async (signal) => void await run(["sleep", "0.3"], { signal }),
      }),
  };
}

/** Everything that takes a signal and a callback. */
function withCallbacks(
  llama: Llama,
  hub: HubServer,
): Record<string, (signal: AbortSignal, callback: () => void) => Promise<unknown>> {
  const many = Array.from({ length: 60 }, () => textOf(draw(1, 60)));
  const load = async (options: LoadOptions): Promise<void> => await (await Llama.load(Q8_0, options)).close();
  const drain = async (stream: AsyncIterable<unknown>): Promise<void> => {
    for await (const _ of stream) void 0;
  };
  const cache = (): string => join(directory, `hub ${draw(0, 1e9)}`);
  return {
    "load, onProgress": (signal, onProgress) => load({ signal, onProgress }),
    "load, onLog": (signal, onLog) => load({ signal, onLog }),
    embed: (signal, onProgress) => llama.embed(many, { signal, onProgress }),
    rerank: (signal, onProgress) => llama.rerank("stone", many, { signal, onProgress }),
    "rerank, text": (signal, callback) =>
      llama.rerank("stone", many, { signal, text: (document) => (callback(), document) }),
    "embedStream, onProgress": (signal, onProgress) => drain(llama.embedStream(many, { signal, onProgress })),
    "embedStreamDetailed, text": (signal, callback) =>
      drain(llama.embedStreamDetailed(many, { signal, text: (item) => (callback(), item) })),
    convert: (signal, onProgress) => convert(fixture("tiny_bert"), join(directory, "out.gguf"), { signal, onProgress }),
    "convert and quantize": (signal, onProgress) =>
      convert(fixture("tiny_bert"), join(directory, "out.gguf"), { type: "q8_0", signal, onProgress }),
    quantize: (signal, onProgress) =>
      quantize(fixture("families/bert_cls.gguf"), join(directory, "quantized.gguf"), "q8_0", { signal, onProgress }),
    download: (signal, onProgress) =>
      download(NAME, { signal, endpoint: hub.endpoint, cache: cache(), offline: false, onProgress }),
  };
}

const CASES: Record<string, () => Promise<void>> = {
  /** Any schedule of calls and aborts: everything settles, survivors are right, and the context goes on. */
  async schedule() {
    await using llama = await Llama.load(Q8_0);
    const known = Array.from({ length: 12 }, () => textOf(draw(1, 120)));
    const expected: Float32Array[] = [];
    for (const text of known) expected.push(await llama.embed(text));
    for (let i = 0; i < count; i++) {
      const calls: Promise<string | undefined>[] = [];
      for (let n = draw(3, 15); n > 0; n--) {
        const controller = new AbortController();
        const signal = draw(0, 4) === 0 ? AbortSignal.timeout(draw(0, 40)) : controller.signal;
        const chosen = Array.from({ length: draw(1, 12) }, () => draw(0, known.length - 1));
        const texts = chosen.map((k) => known[k]!);
        const call = draw(0, 3) ? llama.embed(texts, { signal }) : llama.rerank(texts[0]!, texts, { signal });
        if (draw(0, 2) === 0) setTimeout(() => controller.abort(reasonOf()), draw(0, 60));
        calls.push((async () => {
          const wrong = await rightly(call, signal);
          const rejected = wrong === undefined ? await rejection(call) : undefined;
          if (wrong !== undefined || rejected) return wrong;
          const far = (await call).find((one, k) =>
            one instanceof Float32Array && cosineSimilarity(one, expected[chosen[k]!]!) < 0.999
          );
          return far && "a survivor is wrong";
        })());
        if (draw(0, 2) === 0) await sleep(draw(0, 15));
      }
      const wrong = (await Promise.all(calls)).find(Boolean);
      const k = draw(0, known.length - 1);
      say(wrong ?? (same(await llama.embed(known[k]!), expected[k]!) ? undefined : "another vector afterwards"));
    }
  },

  /** Each call, aborted before, during and after, with reasons of every kind. */
  async reasons() {
    await using hub = await HubServer.start({ "owner/repo/model.gguf": FILE });
    hub.onStorage = (request, response, bytes) => {
      setTimeout(() => sendRange(request.headers.range, response, bytes), 30);
      return true;
    };
    await using llama = await Llama.load(Q8_0);
    const expected = await llama.embed("the same");
    const calls = Object.entries(await everything(llama, hub));
    for (let i = 0; i < count; i++) {
      const [what, call] = calls[i % calls.length]!;
      const reason = reasonOf();
      const controller = new AbortController();
      const { signal } = controller;
      const delay = draw(-10, 60); // below 0: before the call
      if (delay < 0) controller.abort(reason);
      const started = call(signal);
      if (delay >= 0) void sleep(delay).then(() => controller.abort(reason));
      const rejected = await rejection(started);
      const right = rejected ? signal.aborted && Object.is(rejected.reason, signal.reason) : delay >= 0;
      controller.abort(reason); // after it is over this is nothing
      const late = delay < 0 && !rejected
        ? "an aborted signal did not matter"
        : `rejected with ${String(rejected?.reason)}`;
      const fits = reason === undefined ? signal.reason.name === "AbortError" : Object.is(signal.reason, reason);
      const works = same(await llama.embed("the same"), expected);
      say(
        !right
          ? `${what}: ${late}`
          : !fits
          ? `${what}: the reason changed`
          : works
          ? undefined
          : `${what}: another vector`,
      );
    }
  },

  /** Each call, aborted in the n-th call of a callback of its own: it does not resolve, whatever comes after that. */
  async callbacks() {
    await using hub = await HubServer.start({ "owner/repo/model.gguf": FILE });
    await using llama = await Llama.load(Q8_0);
    const calls = Object.entries(withCallbacks(llama, hub));
    const most: Record<string, number> = {};
    for (let i = 0; i < count; i++) {
      const [what, call] = calls[i % calls.length]!;
      const reason = reasonOf();
      const controller = new AbortController();
      const n = draw(1, draw(0, 2) === 0 ? 2 : most[what] ?? 3);
      let times = 0;
      const rejected = await rejection(call(controller.signal, () => {
        if (++times === n) controller.abort(reason);
      }));
      if (!rejected) most[what] = times;
      const right = rejected ? times >= n && Object.is(rejected.reason, controller.signal.reason) : times < n;
      say(right ? undefined : `${what}, callback ${n} of ${times}: ${rejected ? String(rejected.reason) : "resolved"}`);
    }
  },

  /** What runs stops: processor time after the abort, which does not depend on what else the machine does. */
  async stops() {
    await using llama = await Llama.load(F32, { contextSize: 512, contexts: 1 });
    const expected = await llama.embed("the same");
    const long = Array.from({ length: 30 }, () => textOf(500));
    const huge = textOf(400_000);
    const works: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
      embed: (signal) => llama.embed(long, { signal }),
      rerank: (signal) => llama.rerank("stone", long, { signal }),
      "embed a text of 2 MB": (signal) => llama.embed(huge, { signal }),
      load: (signal) => Llama.load(F32, { signal, checkTensors: true }).then((llama) => llama.close()),
      quantize: (signal) => quantize(F32, join(directory, "quantized.gguf"), "q4_k_m", { signal, threads: 1 }),
    };
    const entries = Object.entries(works);
    await processorTime();
    const longest: Record<string, number> = {};
    for (let i = 0; i < count; i++) {
      const [what, work] = entries[i % entries.length]!;
      const controller = new AbortController();
      const call = rejection(work(controller.signal));
      await sleep(draw(5, 250));
      controller.abort("enough");
      const time = await processorTime();
      const rejected = await call;
      longest[what] = Math.max(longest[what] ?? 0, rejected ? Math.round(time) : 0);
      const right = !rejected || rejected.reason === "enough";
      const usable = same(await llama.embed("the same"), expected);
      await processorTime();
      const most = what === "load" ? MOST_OF_LOAD : what === "quantize" ? MOST_OF_QUANTIZE : MOST;
      const late = rejected && time > most ? `${what} went on for ${time.toFixed(0)} ms` : undefined;
      say(
        late ?? (!right ? `${what} rejected with another reason` : usable ? undefined : `another vector after ${what}`),
      );
    }
    console.log(`most processor time after an abort, in ms: ${JSON.stringify(longest)}`);
  },

  /** A signal that outlives thousands of calls keeps nothing of them. */
  async listeners() {
    await using llama = await Llama.load(Q8_0);
    const { signal } = new AbortController();
    let listening = 0;
    const counted = (method: "addEventListener" | "removeEventListener", step: number): void => {
      const original = signal[method].bind(signal) as (...args: unknown[]) => void;
      Object.defineProperty(signal, method, {
        value: (...args: unknown[]) => {
          listening += step;
          original(...args);
        },
      });
    };
    counted("addEventListener", 1);
    counted("removeEventListener", -1);
    await Promise.all([
      convert(fixture("tiny_bert"), join(directory, "out.gguf"), { signal }),
      llama.rerank("a", ["b"], { signal }),
    ]);
    await quantize(join(directory, "out.gguf"), join(directory, "q.gguf"), "q8_0", { signal });
    for (let i = 0; i < count; i += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, k) => llama.embed(`${k}`, { signal })));
      for (let k = 0; k < 100; k++) say(listening === 0 ? undefined : `${listening} listeners stayed`);
    }
  },
};

await CASES[name]!();
process.exit(0); // models of the cases may still be there
