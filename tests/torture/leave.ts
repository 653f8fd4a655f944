// Leaving at any moment: each way of leaving, in the middle of each kind of work, at a moment drawn from all of it.
import { Buffer } from "node:buffer";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { convert } from "../../convert.ts";
import { fixture } from "../support/checkpoint.ts";
import { findProgram, type Outcome, runChild } from "../support/child.ts";
import { HubServer, MODEL, type sendRange } from "../support/hub_server.ts";
import type { Case, Context } from "./case.ts";
import { parallel } from "./parallel.ts";

const WORKER = fileURLToPath(new URL("leave_worker.ts", import.meta.url));
const LARGE = fileURLToPath(new URL("../../models/all-minilm-l6-v2-f32.gguf", import.meta.url));
const WIDTH = 3;
const LONGEST = 3000; // of leaving

/** The kinds of work, and whether each writes files. */
const MOMENTS = {
  "load": false,
  "embed": false,
  "rerank by cosine": false,
  "rerank pairs": false,
  "convert": true,
  "quantize": true,
  "download": true,
  "build": true,
} as const;
type Moment = keyof typeof MOMENTS;
const ALL = Object.keys(MOMENTS) as Moment[];

/** The ways, and how a process ends by each: an exit code, or a signal. */
const WAYS = {
  "end": 0,
  "exit": 7,
  "Deno.exit": 7,
  "throw": 1,
  "reject": 1,
  "terminate": 0,
  "SIGINT": "SIGINT",
  "SIGTERM": "SIGTERM",
  "SIGKILL": "SIGKILL",
} as const;
type Way = keyof typeof WAYS;

const NUMBERS: Readonly<Record<string, number>> = { SIGINT: 2, SIGTERM: 15 };

/** Cells that have failed once: 300 more of each in every full run. */
const MORE: readonly (readonly [Way, Moment])[] = [
  ["terminate", "embed"], // on Bun, SIGSEGV: the lane called back into the worker that was gone
  ["SIGTERM", "rerank pairs"], // on Bun, 5 s on a box with 30 busy processes: the parent had sent the signal late
  ["SIGTERM", "embed"], // as the one before
];

/** How many milliseconds a kind of work takes when it is left alone, and what it makes, if it makes a file. */
interface Whole {
  readonly time: number;
  readonly bytes: Uint8Array | undefined;
}

/** By platform and moment: measured once, since every case needs it. */
const wholes = new Map<string, Promise<Whole>>();

/** What a case's runs share: the files that they read, and the hub. */
export class Scene {
  readonly #context: Context;
  readonly #hub: HubServer;

  private constructor(context: Context, hub: HubServer) {
    this.#context = context;
    this.#hub = hub;
  }

  static async make(context: Context): Promise<Scene> {
    const hub = await HubServer.start({ "owner/repo/model.gguf": MODEL });
    hub.onStorage = (request, response, bytes) => {
      void slowly(request.headers.range, response, bytes);
      return true;
    };
    await convert(fixture("tiny_cross_encoder"), join(context.directory, "cross.gguf"));
    const source = join(context.directory, "source.gguf"); // what is quantised
    if (context.scale === "ci") await convert(fixture("tiny_bert"), source);
    else symlinkSync(LARGE, source);
    mkdirSync(join(context.directory, "project"));
    writeFileSync(
      join(context.directory, "project", "CMakeLists.txt"),
      "cmake_minimum_required(VERSION 3.18)\nproject(small NONE)\n" +
        'add_custom_command(OUTPUT product COMMAND sh -c "printf half > product; sleep 0.2; printf whole > product" VERBATIM)\n' +
        "add_custom_target(all_of_it ALL DEPENDS product)\n",
    );
    return new Scene(context, hub);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#hub[Symbol.asyncDispose]();
  }

  /** One process that is left; what was wrong with that, if anything. */
  async leave(way: Way, moment: Moment, index: number): Promise<string | undefined> {
    const whole = await this.#whole(moment).catch((error: Error) => error);
    if (whole instanceof Error) return `${moment} could not be measured: ${whole.message}`; // the other moments go on
    const delay = this.#context.draw(0, Math.ceil(whole.time));
    const directory = join(this.#context.directory, `run ${index}`);
    mkdirSync(directory);
    const signal = way.startsWith("SIG") ? way as NodeJS.Signals : undefined;
    let sent: number | undefined; // on a busy machine a signal may go out later than planned
    const outcome = await this.#child(way, moment, delay, directory, (pid) => {
      if (!signal) return;
      void sleep(delay).then(() => {
        sent = performance.now();
        process.kill(pid, signal);
      });
    });
    const took = sent === undefined ? outcome.milliseconds : performance.now() - sent;
    const wrong = wrongEnd(way, outcome, took, whole.time) ?? await orphans(directory, way) ??
      await this.#wrongFiles(moment, directory, whole.bytes, this.#context.scale === "full" || index % 2 === 0);
    // What a killed build has started may still write there; then it goes with the case's directory.
    if (wrong === undefined) await rm(directory, { recursive: true }).catch(() => {});
    return wrong && `${way} ${delay} ms into ${moment}: ${wrong}`;
  }

  /** Two processes that do the same in one directory at once; what was wrong with that, if anything. */
  async together(moment: Moment, directory: string): Promise<string | undefined> {
    const { bytes } = await this.#whole(moment);
    for (const { code, stderr } of await Promise.all([1, 2].map(() => this.#child("once", moment, 0, directory)))) {
      if (code !== 0) return `one failed: ${stderr.slice(-500)}`;
    }
    return await this.#wrongFiles(moment, directory, bytes);
  }

  #whole(moment: Moment): Promise<Whole> {
    const key = `${this.#context.platform} ${moment}`;
    const known = wholes.get(key) ?? this.#measure(moment).catch((error: unknown) => {
      wholes.delete(key); // the next case tries again
      throw error;
    });
    wholes.set(key, known);
    return known;
  }

  async #measure(moment: Moment): Promise<Whole> {
    const directory = mkdtempSync(join(this.#context.directory, `measured ${moment} `));
    const { stdout, stderr } = await this.#child("once", moment, 0, directory);
    const time = Number(/^took ([\d.]+)$/m.exec(stdout)?.[1]);
    if (!(time > 0)) throw new Error(`${moment} does not work: ${stdout}${stderr}`);
    const result = resultOf(moment, directory);
    return { time, bytes: result === undefined ? undefined : readFileSync(result) };
  }

  #child(way: string, moment: Moment, delay: number, directory: string, onOutput = (_pid: number) => {}) {
    const program = findProgram(this.#context.platform);
    if (!program) throw new Error(`${this.#context.platform} is not on PATH`);
    const args = [WORKER, way, moment, `${delay}`, directory, this.#hub.endpoint];
    return runChild(program, [...(this.#context.platform === "deno" ? ["run", "-A"] : []), ...args], { onOutput });
  }

  /** No name may hold half a file, and the next run must come out right. */
  async #wrongFiles(
    moment: Moment,
    directory: string,
    whole?: Uint8Array,
    again = true,
  ): Promise<string | undefined> {
    if (whole === undefined) return undefined;
    const look = (when: string): string | undefined => {
      const result = resultOf(moment, directory);
      if (result === undefined || Buffer.compare(readFileSync(result), whole) === 0) return undefined;
      return `${result} is not whole ${when}`;
    };
    const odd = filesOf(directory).filter((name) => !expected(moment, name));
    if (odd.length > 0) return `left ${odd.join(", ")}`;
    const half = look("afterwards");
    if (half || !again) return half;
    // A killed download's lock counts as left alone after ten seconds; that wait has tests of its own.
    rmSync(join(directory, "hub", ".locks"), { recursive: true, force: true });
    const next = await this.#child("once", moment, 0, directory);
    if (next.code !== 0) return `the next run failed: ${next.stderr.slice(-500)}`;
    return resultOf(moment, directory) === undefined ? "the next run made nothing" : look("after the next run");
  }
}

/** Sends what is asked for in pieces, so that there is a middle to be left in. */
async function slowly(...[range, response, bytes]: Parameters<typeof sendRange>): Promise<void> {
  const from = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
  const headers = { "content-length": bytes.length - from };
  if (range === undefined) response.writeHead(200, headers);
  else response.writeHead(206, { ...headers, "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` });
  for (let at = from; at < bytes.length && !response.destroyed; at += 40_000) {
    response.write(bytes.subarray(at, at + 40_000));
    await sleep(20);
  }
  response.end();
}

/** The file that a kind of work makes, if it is there. */
function resultOf(moment: Moment, directory: string): string | undefined {
  const names = filesOf(directory).filter((name) =>
    moment === "download"
      ? /snapshots.*model\.gguf$/.test(name)
      : name === (moment === "build" ? join("out", "product") : "out.gguf")
  );
  return names.length === 0 || !existsSync(join(directory, names[0]!)) ? undefined : join(directory, names[0]!);
}

function filesOf(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" });
}

/** Whether a name may be there after leaving: the result, or what is known to be temporary. */
function expected(moment: Moment, name: string): boolean {
  if (moment === "download") return /^hub($|.(models--|\.locks))/.test(name);
  if (moment === "build") return /^(build|lock|out)/.test(name);
  return /^out\.gguf(\.[\w-]+\.incomplete)*$/.test(name);
}

function wrongEnd(way: Way, outcome: Outcome, took: number, time: number): string | undefined {
  const { code, signal, stdout, stderr } = outcome;
  const wanted = WAYS[way];
  const words = stderr.trim().split("\n").slice(-5).join(" | ");
  if (!stdout.includes("running")) return `it did not begin: ${signal ?? code} ${words}`;
  const right = typeof wanted === "number"
    ? code === wanted && signal === null
    : signal === wanted || signal === null && code === 128 + (NUMBERS[wanted] ?? NaN);
  if (!right) return `ended with ${signal ?? code}, expected ${wanted}: ${words}`;
  if (way === "terminate" && !stdout.includes("fine")) return `the process was not fine afterwards: ${stdout}`;
  // Left to itself, a process first ends what it has begun.
  const longest = way === "end" ? LONGEST + 5 * time : LONGEST;
  return took > longest ? `it took ${took.toFixed(0)} ms to end` : undefined;
}

/** Programs that a build has started must not go on without it. */
async function orphans(directory: string, way: Way): Promise<string | undefined> {
  if (way === "SIGKILL" || way === "terminate" || process.platform !== "linux") return undefined;
  for (let wait = 0;; wait += 100) {
    // One after another and not at once: reading a process's words waits for its memory's lock.
    const alive: string[] = [];
    for (const pid of await readdir("/proc")) {
      if (!/^\d+$/.test(pid)) continue;
      const words = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""); // it may have just ended
      if (words.includes(directory)) alive.push(words.replaceAll("\0", " "));
    }
    if (alive.length === 0) return undefined;
    if (wait >= LONGEST) return `${alive.length} programs went on: ${alive[0]}`;
    await sleep(100);
  }
}

async function* leaving({ way, moments }: { way: Way; moments: readonly Moment[] }, context: Context) {
  await using scene = await Scene.make(context);
  const first = context.draw(0, moments.length - 1);
  yield* parallel(context.planned, WIDTH, (i) => scene.leave(way, moments[(first + i) % moments.length]!, i));
}

function caseOf(way: Way, moments: readonly Moment[], planned: Case["planned"], name: string): Case {
  return {
    name: `leave: ${name}`,
    ...(way === "Deno.exit" && { platforms: ["deno"] }),
    planned,
    repeats: true,
    skip: process.platform === "win32" && way.startsWith("SIG") ? "Windows has no signals" : undefined,
    run: (context) => leaving({ way, moments }, context),
  };
}

function momentsOf(way: Way): readonly Moment[] {
  if (way === "SIGKILL") return ALL.filter((moment) => MOMENTS[moment]);
  // A build wants the process's signals, which a worker does not have.
  if (way === "terminate") return ALL.filter((moment) => moment !== "build");
  return ALL;
}

export const cases: readonly Case[] = [
  ...(Object.keys(WAYS) as Way[]).map((way) => caseOf(way, momentsOf(way), { ci: 10, full: 150 }, `by ${way}`)),
  ...MORE.map(([way, moment]) => caseOf(way, [moment], { ci: 0, full: 300 }, `by ${way} in ${moment}, more`)),
];
