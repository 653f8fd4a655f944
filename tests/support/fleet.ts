// A fleet of workers that are killed and stopped while they work, each ended where chance, or a step of a job, wants. What dies
// is started again in its place, on the same runtime, until every place was ended in every step.
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import type { Point } from "../../cli/worker/points.ts";
import { ROOT } from "./child.ts";
import { programOn, type Runtime } from "./program.ts";

/** The steps of a job, in their order. */
export const STEPS: readonly Point[] = ["fetched", "noted", "read", "computed", "completed", "written", "committed"];

/** Steps at which a worker is stopped for longer than its heartbeat: the fence is what keeps it from writing a second time. */
export const STOPS: readonly Point[] = ["computed", "completed"];

/** How a worker is to end, or to be stopped. */
export interface Fate {
  /** Where it ends itself; undefined for one that others kill. */
  readonly step?: Point;
  readonly what?: "kill" | "stop";
}

/** What every worker is given. */
export interface FleetOptions {
  readonly url: string;
  readonly model: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
}

interface Member {
  readonly child: ChildProcess;
  readonly fate: Fate;
  /** When it was seen to be stopped. */
  stopped?: number;
  /** Whether it came to where its fate was. */
  met: boolean;
}

/** The fleet. */
export class Fleet {
  readonly #options: FleetOptions;
  readonly #members = new Set<Member>();
  readonly #ended: Promise<void>[] = [];
  readonly #left: Fate[][] = [];
  #isOver = false;
  /** Everything that workers said. */
  said = "";
  /** How many workers ended at each step by their fate, and elsewhere by others. */
  readonly deaths: Map<string, number> = new Map();
  /** How many were stopped at a step, for longer than a heartbeat, and went on. */
  readonly woken: Map<string, number> = new Map();
  /** Exit codes of workers that ended by themselves. */
  readonly codes: number[] = [];

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  /** Starts a worker. @returns Its process, and whether it came to its fate, when it was killed; undefined when it ended by itself. */
  start(fate: Fate, runtime: Runtime): Promise<Member | undefined> {
    const { url, model, env, args = [] } = this.#options;
    const [program = "", ...words] = programOn(runtime, "worker");
    const { step, what = "kill" } = fate;
    const child = spawn("/usr/bin/env", [program, ...words, "worker", "--database", url, "--model", model, ...args], {
      cwd: ROOT,
      env: { ...process.env, NO_COLOR: "1", ...env, ...(step && { LLAMASAUR_TEST_STEP: `${step}:1:${what}` }) },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const member: Member = { child, fate, met: false };
    this.#members.add(member);
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.said += text;
      member.met ||= step !== undefined && text.includes(`${what} at ${step}\n`);
    });
    const ended = new Promise<Member | undefined>((resolve) => {
      child.on("close", (code, signal) => {
        this.#members.delete(member);
        if (code !== null && signal === null) {
          this.codes.push(code);
          return resolve(undefined);
        }
        add(this.deaths, member.met && what === "kill" ? step! : "anywhere");
        resolve(member);
      });
    });
    this.#ended.push(ended.then(() => {}));
    return ended;
  }

  /** Keeps a place filled: each worker that was killed has a successor. The fates come true one by one, and then there are none. */
  async keep(runtime: Runtime, fates: readonly Fate[]): Promise<void> {
    const left = [...fates];
    this.#left.push(left);
    while (!this.#isOver) {
      const ended = await this.start(left[0] ?? {}, runtime);
      if (ended === undefined) return;
      if (ended.met) left.shift();
    }
  }

  /** What no worker of some place has come to yet. */
  get undone(): Fate[] {
    return this.#left.flat();
  }

  /** Kills one; who is stopped is left to go on. @returns Whether there was one. */
  kill(choose: (most: number) => number): boolean {
    const running = this.#running;
    if (running.length === 0) return false;
    signal(running[choose(running.length - 1)]!, "SIGKILL");
    return true;
  }

  /** Stops one for longer than a heartbeat. */
  stop(choose: (most: number) => number): void {
    const running = this.#running;
    if (running.length > 1) signal(running[choose(running.length - 1)]!, "SIGSTOP");
  }

  get #running(): Member[] {
    return [...this.#members].filter((member) => member.stopped === undefined);
  }

  /**
   * Lets those go on that were stopped long enough, by themselves or by others.
   *
   * @param least Milliseconds: longer than a heartbeat.
   * @param most Milliseconds after which they go on whatever `isDone` says.
   * @param isDone Whether others have done the jobs that a process had.
   */
  async goOn(least: number, most: number, isDone: (pid: number) => Promise<boolean>): Promise<void> {
    for (const member of this.#members) {
      if (!isStopped(member)) {
        delete member.stopped;
        continue;
      }
      member.stopped ??= Date.now();
      const silent = Date.now() - member.stopped;
      if (silent < least || silent < most && !await isDone(member.child.pid!)) continue;
      add(this.woken, member.met ? member.fate.step! : "anywhere");
      signal(member, "SIGCONT");
      if (member.met) setTimeout(() => signal(member, "SIGKILL"), 5000); // its place has other fates
    }
  }

  /** Waits until all have ended by themselves. */
  async ended(): Promise<void> {
    for (let i = 0; i < this.#ended.length; i++) await this.#ended[i];
  }

  /** Ends all. */
  async end(): Promise<void> {
    this.#isOver = true;
    for (const member of this.#members) signal(member, "SIGKILL");
    await this.ended();
  }
}

function add(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

/** Whether a process is stopped, as Linux tells. */
function isStopped({ child }: Member): boolean {
  try {
    return / T \d/.test(readFileSync(`/proc/${child.pid}/stat`, "utf8").replace(/^.*\)/, ""));
  } catch {
    return false; // it has ended
  }
}

function signal({ child }: Member, name: NodeJS.Signals): void {
  try {
    if (child.exitCode === null && child.pid !== undefined) process.kill(child.pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // it has ended, and nobody has heard of it yet
  }
}
