/** Gives a verb its streams and its signal: data to stdout, all else to stderr; the first Ctrl-C asks, the second ends. */
import process from "node:process";
import { EXIT, Failure } from "./failure.ts";
import { pause, until } from "./pause.ts";
import { ProgressLine, type Standing } from "./progress.ts";
import { variable } from "./values.ts";

/** Milliseconds in which a Ctrl-C is the first one again: a script runner sends on what its group had already. */
const ECHO = 200;

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
  #heardAt = 0;

  /** @param quiet Whether to say nothing but errors. */
  constructor(quiet: boolean) {
    this.quiet = quiet;
    this.signal = this.#stop.signal;
  }

  /** Hears signals from now on. */
  listen(): void {
    for (const [name, code] of Object.entries(SIGNALS)) {
      const heard = (): void => {
        if (this.signal.aborted) {
          if (name === "SIGINT" && performance.now() - this.#heardAt < ECHO) return;
          process.exit(code); // the second one: at once
        }
        this.#heardAt = performance.now();
        this.#stop.abort(new Interrupted("", code));
      };
      process.on(name, heard);
      this.#release.push(() => process.off(name, heard));
    }
    this.#outliveFileLimit();
  }

  /** Deno would be ended by a write beyond `ulimit -f`; where somebody hears the signal, the write fails with EFBIG, as on Bun. */
  #outliveFileLimit(): void {
    if (process.platform === "win32") return;
    const heard = (): void => {};
    process.on("SIGXFSZ", heard);
    this.#release.push(() => process.off("SIGXFSZ", heard));
  }

  /** Hears no signals any more, so that the process can end. */
  close(): void {
    this.clear();
    for (const release of this.#release.splice(0)) release();
  }

  /** Writes data to stdout, no faster than it is taken; a signal ends the wait for who takes none. */
  async write(text: string): Promise<void> {
    this.clear();
    const { Deno: deno } = globalThis as { readonly Deno?: { readonly stdout: Writer } };
    if (deno) return await until(writeAll(deno.stdout, text, this.signal), this.signal);
    if (writeOut(text)) return;
    await until(new Promise<void>((resolve) => process.stdout.once("drain", resolve)), this.signal);
  }

  /** Writes an object as one line of JSON. */
  async json(value: unknown): Promise<void> {
    await this.write(`${JSON.stringify(value)}\n`);
  }

  /** Tells something on stderr, unless it is to be quiet. */
  say(line: string): void {
    if (this.quiet) return;
    this.clear();
    writeError(`${line}\n`);
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
    throw unwritable(error);
  }
}

/** Deno's stdout. */
interface Writer {
  write(bytes: Uint8Array): Promise<number>;
}

/**
 * Writes all of a text. On Deno `process.stdout` waits for the reader within its call, and no signal is heard meanwhile. A stdout
 * that another program has made non-blocking takes nothing while it is full: then this asks again, until the signal comes.
 */
async function writeAll(stdout: Writer, text: string, signal: AbortSignal): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length && !signal.aborted;) {
    const piece = bytes.subarray(at, pieceEnd(bytes, at));
    try {
      at += await stdout.write(piece);
    } catch (error) {
      const { code, name } = error as NodeJS.ErrnoException;
      if (code === "EPIPE") process.exit(EXIT.done); // as for the stream's error
      const isFull = code === "EAGAIN" || name === "WouldBlock";
      if (!isFull || !isUntouched(piece)) throw unwritable(error);
      await pause(FULL, signal);
    }
  }
}

/** Milliseconds until a full stdout is asked again. */
const FULL = 10;
/** Bytes that a pipe takes together or not at all: POSIX says 512, Linux 4096. */
const ATOMIC = process.platform === "linux" ? 4096 : 512;
/** Bytes that Deno keeps back of a line without its break; more go straight to the system. */
const KEPT_BACK = 1024;
const LF = 10;

/**
 * Where what is written at once ends. Deno buffers what is behind a part that was taken, and tells only that the buffer cannot
 * be emptied: what it has of the rest nobody knows, and a second try would repeat it. Whole lines that a pipe takes together
 * have no such rest, and neither has a long part of a line.
 */
function pieceEnd(bytes: Uint8Array, at: number): number {
  const last = bytes.subarray(at, at + ATOMIC).lastIndexOf(LF);
  if (last >= 0) return at + last + 1;
  const next = bytes.indexOf(LF, at);
  return next < 0 ? bytes.length : next;
}

/** Whether nothing of a piece was taken, where a full stdout refused it. */
function isUntouched(piece: Uint8Array): boolean {
  return piece.at(-1) === LF ? piece.length <= ATOMIC : piece.length >= KEPT_BACK;
}

function unwritable(error: unknown): Failure {
  return new Failure(`Cannot write to stdout: ${(error as Error).message}`, undefined, { cause: error });
}

/** Writes to stderr. Who has closed it (`2>&1 | head`) wants no more words; the work goes on. */
export function writeError(text: string): void {
  try {
    process.stderr.write(text);
  } catch { // on Deno; on Bun the stream tells of it
    // there is nobody left to tell
  }
}

/** Colours a word, where stderr is a terminal that wants it (https://no-color.org). */
export function paint(word: string, colour: number): string {
  const plain = !process.stderr.isTTY || variable("NO_COLOR") || variable("TERM") === "dumb";
  return plain ? word : `\x1b[${colour}m${word}\x1b[0m`;
}
