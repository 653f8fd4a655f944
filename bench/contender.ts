/** A process that is measured: it stays, warm, and works only when it is told to. bench/README.md has the protocol. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { peakBytes, treeOf } from "./resources.ts";

/** What a contender writes: one JSON object a line. */
export type Answer = Readonly<Record<string, unknown>>;

/** How long something took. */
export interface Run {
  readonly seconds: number;
  /** Processor seconds of all threads: what other programs disturb less. */
  readonly cpu: number;
}

const LAST_WORDS = 400; // characters of stderr that go into an error
const GRACE = 20_000; // ms for a process to end after its stdin does

const running = new Set<Contender>();
let guarded = false;

/** A child that answers each line on its stdin with a line of JSON. */
export class Contender {
  readonly name: string;
  /** Its first line: how it is set up. */
  ready: Answer = {};
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #words = "";

  private constructor(name: string, command: readonly string[]) {
    this.name = name;
    // a group of its own, so that its servers can be ended with it
    this.#child = spawn(command[0]!, command.slice(1), { stdio: "pipe", detached: true });
    this.#child.on("error", (error) => this.#words += error.message);
    this.#child.stdin!.on("error", () => {}); // it is told when its answer is missing
    this.#child.stderr!.setEncoding("utf8").on("data", (text) => this.#words = (this.#words + text).slice(-LAST_WORDS));
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  /**
   * Starts a program and waits until it is warm.
   *
   * @param seconds How long it may take.
   * @throws {Error} It ended, or took longer: it is killed then.
   */
  static async start(name: string, command: readonly string[], seconds = 300): Promise<Contender> {
    const contender = new Contender(name, command);
    guard();
    running.add(contender);
    contender.ready = await contender.#answer("its start", seconds);
    return contender;
  }

  /**
   * Sends a line and waits for the answer.
   *
   * @throws {Error} It cannot, or ended, or took longer than so many seconds.
   */
  async ask(line: string, seconds = 600): Promise<Answer> {
    this.#child.stdin!.write(`${line}\n`);
    return await this.#answer(`"${line}"`, seconds);
  }

  /** How long "go", or another command, took. */
  async measure(command = "go", seconds?: number): Promise<Run> {
    const answer = await this.ask(command, seconds);
    if (typeof answer["seconds"] !== "number" || typeof answer["cpu"] !== "number") {
      throw new Error(`${this.name} does not tell how long "${command}" took`);
    }
    return { seconds: answer["seconds"], cpu: answer["cpu"] };
  }

  /** The most memory that the process and its children have held so far. */
  peakBytes(): number {
    return peakBytes(this.#child.pid!);
  }

  /** Ends the process. */
  async stop(): Promise<void> {
    running.delete(this);
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, "exit");
    this.#child.stdin!.end();
    const timer = setTimeout(() => this.kill(), GRACE);
    await exit;
    clearTimeout(timer);
  }

  /** Ends the process and its children at once. */
  kill(): void {
    running.delete(this);
    const { pid } = this.#child;
    if (pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    for (const one of [...treeOf(pid), -pid]) {
      try {
        process.kill(one, "SIGKILL");
      } catch { /* it has ended */ }
    }
  }

  async #answer(what: string, seconds: number): Promise<Answer> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<undefined>((resolve) => timer = setTimeout(() => resolve(undefined), seconds * 1000));
    const next = await Promise.race([this.#lines.next(), late]).finally(() => clearTimeout(timer));
    if (next === undefined || next.done) {
      const end = next === undefined ? `took more than ${seconds.toFixed(0)} s` : `ended`;
      this.kill();
      throw new Error(`${this.name} ${end} at ${what}: ${lastWords(this.#words) || "no word"}`);
    }
    let answer: Answer;
    try {
      answer = JSON.parse(next.value);
    } catch {
      this.kill();
      throw new Error(`${this.name} wrote ${JSON.stringify(next.value.slice(0, LAST_WORDS))}, which is no JSON`);
    }
    if (answer["error"] !== undefined) throw new Error(`${answer["error"]}`);
    return answer;
  }
}

/** The end of what was said, in one line. */
function lastWords(words: string): string {
  return words.trim().split("\n").slice(-3).join(" | ");
}

/** Nothing outlives the driver. */
function guard(): void {
  if (guarded) return;
  guarded = true;
  const all = () => running.forEach((contender) => contender.kill());
  process.on("exit", all);
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      all();
      process.exit(130);
    });
  }
}
