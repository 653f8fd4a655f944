// A fleet of workers that are killed and stopped while they work: on both runtimes in turn, each ended where chance, or a step of a
// job, wants. What dies is started again.
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import type { Point } from "../../cli/worker/points.ts";
import { ROOT } from "./child.ts";
import { programOn, type Runtime } from "./program.ts";

/** The steps of a job, in their order. */
export const STEPS: readonly Point[] = ["fetched", "noted", "read", "computed", "completed", "written", "committed"];

/** How a worker is to end. */
export interface Fate {
  /** Where it ends itself; undefined for one that others kill. */
  readonly step?: Point;
  /** The how-manieth time that it comes there. */
  readonly times?: number;
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
  readonly runtime: Runtime;
  readonly fate: Fate;
  /** When it was seen to be stopped. */
  stopped?: number;
}

/** The fleet. */
export class Fleet {
  readonly #options: FleetOptions;
  readonly #members = new Set<Member>();
  readonly #ended: Promise<void>[] = [];
  #started = 0;
  /** Everything that workers said. */
  said = "";
  /** How often workers ended at each step by their fate, and elsewhere by others. */
  readonly deaths: Map<string, number> = new Map();
  /** Exit codes of workers that ended by themselves. */
  readonly codes: number[] = [];
  /** Called for each worker that was killed, to start another. */
  onDeath: (() => void) | undefined;

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  /** Workers that live. */
  get size(): number {
    return this.#members.size;
  }

  /** Starts a worker, on the other runtime than the last. */
  start(fate: Fate = {}, runtime: Runtime = this.#started++ % 2 === 0 ? "deno" : "bun"): void {
    const { url, model, env, args = [] } = this.#options;
    const [program = "", ...words] = programOn(runtime, "worker");
    const { step, times = 1, what = "kill" } = fate;
    const child = spawn("/usr/bin/env", [program, ...words, "worker", "--database", url, "--model", model, ...args], {
      cwd: ROOT,
      env: { ...process.env, NO_COLOR: "1", ...env, ...(step && { LLAMASAUR_TEST_STEP: `${step}:${times}:${what}` }) },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const member: Member = { child, runtime, fate };
    this.#members.add(member);
    child.stderr.setEncoding("utf8").on("data", (text: string) => this.said += text);
    this.#ended.push(
      new Promise((resolve) => {
        child.on("close", (code, signal) => {
          this.#members.delete(member);
          if (code !== null && signal === null) this.codes.push(code);
          else {
            const where = step && what === "kill" ? step : "anywhere";
            this.deaths.set(where, (this.deaths.get(where) ?? 0) + 1);
            this.onDeath?.();
          }
          resolve();
        });
      }),
    );
  }

  /** Kills one. */
  kill(choose: (most: number) => number): void {
    const members = [...this.#members];
    if (members.length > 0) signal(members[choose(members.length - 1)]!, "SIGKILL");
  }

  /** Stops one for longer than a heartbeat. */
  stop(choose: (most: number) => number): void {
    const running = [...this.#members].filter(({ stopped }) => stopped === undefined);
    if (running.length === 0) return;
    const member = running[choose(running.length - 1)]!;
    member.stopped = Date.now();
    signal(member, "SIGSTOP");
  }

  /** Lets those go on that were stopped so many milliseconds ago, by themselves or by others. */
  goOn(milliseconds: number): void {
    for (const member of this.#members) {
      if (!isStopped(member)) {
        delete member.stopped;
        continue;
      }
      member.stopped ??= Date.now();
      if (Date.now() - member.stopped > milliseconds) signal(member, "SIGCONT");
    }
  }

  /** Waits until all have ended by themselves. */
  async ended(): Promise<void> {
    for (let i = 0; i < this.#ended.length; i++) await this.#ended[i];
  }

  /** Ends all. */
  async end(): Promise<void> {
    this.onDeath = undefined;
    for (const member of this.#members) signal(member, "SIGKILL");
    await this.ended();
  }
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
  if (child.exitCode === null && child.pid !== undefined) process.kill(child.pid, name);
}
