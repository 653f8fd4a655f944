/** What is seen while the library compiles: one line that is rewritten on a terminal, a line now and then elsewhere. */

/** The part of a stream that is used; `process.stderr` is one. */
export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Seconds between two lines where lines cannot be rewritten. */
const INTERVAL = 10;

/** The step that a line of ninja (`[3/75] Building ...`) or make (`[ 12%] Building ...`) tells of, or undefined. */
export function step(line: string): { readonly count: string; readonly what: string } | undefined {
  const [, count, text = ""] = /^\[\s*(\d+\/\d+|\d+%)\]\s+(.*)$/.exec(line) ?? [];
  if (count === undefined) return undefined;
  const name = text.split(/[\s/\\]/).pop() ?? "";
  return { count, what: name.replace(/\.(o|obj)$/, "") };
}

/** Minutes and seconds, as 2:05. */
export function elapsed(seconds: number): string {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** Shows steps and the time that they have taken. */
export class Progress {
  readonly #output: Output;
  readonly #start = performance.now();
  #shown = -INTERVAL;
  #open = false;

  constructor(output: Output) {
    this.#output = output;
  }

  /** Seconds since the start. */
  get seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  /** Takes one line of the program that builds. */
  line(line: string): void {
    const at = step(line);
    if (!at) return;
    const text = `  [${at.count}] ${elapsed(this.seconds)} ${at.what}`;
    if (this.#output.isTTY) {
      this.#output.write(`\r\x1b[K${text.slice(0, (this.#output.columns ?? 80) - 1)}`);
      this.#open = true;
    } else if (this.seconds - this.#shown >= INTERVAL) {
      this.#output.write(`${text}\n`);
      this.#shown = this.seconds;
    }
  }

  /** Clears the line that is rewritten. */
  end(): void {
    if (this.#open) this.#output.write("\r\x1b[K");
    this.#open = false;
  }
}
