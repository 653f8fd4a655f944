/** A process that is measured: it stays, warm, and works only when it is told to. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";

/** What a contender writes: one JSON object a line. */
export type Answer = Readonly<Record<string, number>>;

/** How long something took. */
export interface Run {
  readonly seconds: number;
  /** Processor seconds of all threads: what other programs disturb less. */
  readonly cpu: number;
}

/** A child that answers each line on its stdin with a line of JSON. */
export class Contender {
  readonly name: string;
  /** Its first line: how it is set up. */
  readonly ready: Answer;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  private constructor(
    name: string,
    child: ChildProcessWithoutNullStreams,
    lines: AsyncIterator<string>,
    ready: Answer,
  ) {
    this.name = name;
    this.ready = ready;
    this.#child = child;
    this.#lines = lines;
  }

  /** Starts a program and waits until it is warm. */
  static async start(name: string, command: readonly string[]): Promise<Contender> {
    const child = spawn(command[0]!, command.slice(1), { stdio: "pipe" });
    child.stderr.pipe(process.stderr);
    child.on("error", (error) => process.stderr.write(`${name}: ${error.message}\n`));
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return new Contender(name, child, lines, await answerOf(name, lines));
  }

  /** Sends a line and waits for the answer. */
  async ask(line: string): Promise<Answer> {
    this.#child.stdin.write(`${line}\n`);
    return await answerOf(this.name, this.#lines);
  }

  /** How long "go", or another command, took. */
  async measure(command = "go"): Promise<Run> {
    const { seconds, cpu } = await this.ask(command);
    if (seconds === undefined || cpu === undefined) {
      throw new Error(`${this.name} does not tell how long "${command}" took`);
    }
    return { seconds, cpu };
  }

  /** Ends the process. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exit = once(this.#child, "exit");
    this.#child.stdin.end();
    await exit;
  }
}

async function answerOf(name: string, lines: AsyncIterator<string>): Promise<Answer> {
  const { value, done } = await lines.next();
  if (done) throw new Error(`${name} has ended: its words are above`);
  return JSON.parse(value);
}
