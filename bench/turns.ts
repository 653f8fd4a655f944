/**
 * Runs programs in turns of half a second: the others are stopped meanwhile. The speed of a shared machine changes by a third from
 * one minute to the next, and runs one behind the other tell that; in turns so short all meet the same machine.
 */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { setTimeout } from "node:timers/promises";

/** What a program took. */
export interface Spent {
  /** While it was not stopped. */
  readonly seconds: number;
  /** Of the processor. */
  readonly processor: number;
  /** MB that it had at most. */
  readonly memory: number;
}

const TURN = 500; // milliseconds: the cache of a core is filled again in the first few

/** Runs programs to their ends, in turns; `time` must be there, as GNU has it. */
export async function inTurns(commands: readonly (readonly string[])[], cwd: string): Promise<Spent[]> {
  const programs = commands.map((command) => new Program(command, cwd));
  try {
    for (let turn = 0; programs.some(({ spent }) => spent === undefined); turn++) {
      // To and fro: none is always behind the same other, whose writing may still be under way.
      for (const program of turn % 2 === 0 ? programs : programs.toReversed()) await program.turn();
    }
  } finally {
    for (const program of programs) program.end();
  }
  return programs.map(({ spent }) => spent!);
}

/** A program that runs when it is its turn. */
class Program {
  /** Undefined until it has ended. */
  spent: Spent | undefined;
  readonly #command: readonly string[];
  readonly #cwd: string;
  #child: ChildProcess | undefined;
  #ended: Promise<void> | undefined;
  #errors = "";
  #seconds = 0;

  constructor(command: readonly string[], cwd: string) {
    [this.#command, this.#cwd] = [command, cwd];
  }

  /** Lets it run for a turn, or to its end. */
  async turn(): Promise<void> {
    if (this.spent) return;
    const start = performance.now();
    if (this.#child) this.#signal("SIGCONT");
    else this.#start();
    const over = new AbortController();
    await Promise.race([this.#ended, setTimeout(TURN, undefined, { signal: over.signal }).catch(() => {})]);
    over.abort();
    if (this.#child!.exitCode === null) this.#signal("SIGSTOP");
    this.#seconds += (performance.now() - start) / 1000;
    if (this.#child!.exitCode !== null) await this.#finish();
  }

  /** Kills it, if it has not ended. */
  end(): void {
    if (this.#child && this.#child.exitCode === null) this.#signal("SIGKILL");
  }

  #start(): void {
    const words = ["time", "-f", "%U %S %M", ...this.#command];
    // A group of its own takes signals as one: `time`, and what it measures.
    const child = spawn("/usr/bin/env", words, { cwd: this.#cwd, detached: true, stdio: ["ignore", "ignore", "pipe"] });
    child.stderr.setEncoding("utf8").on("data", (text: string) => this.#errors += text);
    this.#ended = new Promise((resolve) => child.once("close", () => resolve()));
    this.#child = child;
  }

  async #finish(): Promise<void> {
    await this.#ended;
    if (this.#child!.exitCode !== 0) throw new Error(`Cannot run ${this.#command.join(" ")}: ${this.#errors}`);
    const [user = 0, system = 0, kilobytes = 0] = this.#errors.trim().split("\n").at(-1)!.split(" ").map(Number);
    this.spent = { seconds: this.#seconds, processor: user + system, memory: kilobytes / 1000 };
  }

  #signal(name: "SIGSTOP" | "SIGCONT" | "SIGKILL"): void {
    try {
      process.kill(-this.#child!.pid!, name);
    } catch {
      // it has ended this moment
    }
  }
}
