/** Gives a verb its streams and its signal: data to stdout, all else to stderr; the first Ctrl-C asks, the second ends. */
import process from "node:process";
import { EXIT, Failure } from "./failure.ts";
import { ProgressLine, type Standing } from "./progress.ts";
import { variable } from "./values.ts";

/** Names of the signals that end the program, with their exit codes. */
const SIGNALS = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated } as const;

/** Work was stopped by a signal; the message, if there is one, says what is to be done. */
export class Interrupted extends Failure {
  override readonly name = "Interrupted" as "Failure";
}

/** A run of the program. */
export class Session {
  /** Aborted by the first SIGINT or SIGTERM, with an {@linkcode Interrupted} as its reason. */
  readonly signal: AbortSignal;
  readonly quiet: boolean;
  readonly #stop = new AbortController();
  readonly #release: (() => void)[] = [];
  #line: ProgressLine | undefined;

  /** @param quiet Whether to say nothing but errors. */
  constructor(quiet: boolean) {
    this.quiet = quiet;
    this.signal = this.#stop.signal;
  }

  /** Hears signals from now on. */
  listen(): void {
    for (const [name, code] of Object.entries(SIGNALS)) {
      const heard = (): void => {
        if (this.signal.aborted) process.exit(code); // the second one: at once
        this.#stop.abort(new Interrupted("", code));
      };
      process.on(name, heard);
      this.#release.push(() => process.off(name, heard));
    }
  }

  /** Hears no signals any more, so that the process can end. */
  close(): void {
    this.clear();
    for (const release of this.#release.splice(0)) release();
  }

  /** Writes data to stdout, no faster than it is taken. */
  async write(text: string): Promise<void> {
    this.clear();
    if (writeOut(text)) return;
    await new Promise<void>((resolve) => process.stdout.once("drain", resolve));
  }

  /** Writes an object as one line of JSON. */
  async json(value: unknown): Promise<void> {
    await this.write(`${JSON.stringify(value)}\n`);
  }

  /** Tells something on stderr, unless it is to be quiet. */
  say(line: string): void {
    if (this.quiet) return;
    this.clear();
    process.stderr.write(`${line}\n`);
  }

  /** Warns on stderr, unless it is to be quiet. */
  warn(line: string): void {
    this.say(`${paint("warning:", 33)} ${line}`);
  }

  /** Draws the progress, where stderr is a terminal. */
  progress(unit: string, standing: Standing): void {
    if (this.quiet || !process.stderr.isTTY) return;
    this.#line ??= new ProgressLine(unit);
    this.#line.show(standing);
  }

  /** Takes the line of progress away; the next is another's. */
  clear(ended: boolean = false): void {
    this.#line?.clear();
    if (ended) this.#line = undefined;
  }
}

/** Writes to stdout. Gives false where it is full for now. */
export function writeOut(text: string): boolean {
  try {
    return process.stdout.write(text);
  } catch (error) { // on Deno; on Bun the stream tells of it
    throw new Failure(`Cannot write to stdout: ${(error as Error).message}`, undefined, { cause: error });
  }
}

/** Colours a word, where stderr is a terminal that wants it (https://no-color.org). */
export function paint(word: string, colour: number): string {
  const plain = !process.stderr.isTTY || variable("NO_COLOR") || variable("TERM") === "dumb";
  return plain ? word : `\x1b[${colour}m${word}\x1b[0m`;
}
