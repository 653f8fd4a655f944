/** Draws how far the work is: one line on a terminal, as `download()` draws its own; ten times a second at most. */
import process from "node:process";

/** How far the work is. */
export interface Standing {
  readonly done: number;
  /** Undefined while nobody knows. */
  readonly total: number | undefined;
  /** What part of the work is done, from 0 to 1, where that is known and the total is not. */
  readonly part?: number | undefined;
  /** Tokens that were computed since the start of this process. */
  readonly tokens?: number;
  /** What of `done` was there when this process started: it counts for no rate. */
  readonly before?: number;
  /** The same of `part`. */
  readonly partBefore?: number;
}

/** Where a line is drawn. */
export interface Terminal {
  write(text: string): unknown;
  readonly columns?: number | undefined;
}

const WIDTH = 24;
const INTERVAL = 100;

/** A line of progress. */
export class ProgressLine {
  readonly #unit: string;
  readonly #terminal: Terminal;
  readonly #now: () => number;
  readonly #start: number;
  #next = 0;
  #drawn = "";

  /** @param unit What is counted: "texts", "MB". */
  constructor(unit: string, terminal: Terminal = process.stderr, now: () => number = () => performance.now()) {
    this.#unit = unit;
    this.#terminal = terminal;
    this.#now = now;
    this.#start = now();
  }

  /** Draws, unless it did so a moment ago. */
  show(standing: Standing): void {
    if (this.#now() < this.#next) return;
    this.#next = this.#now() + INTERVAL;
    const line = this.#line(standing).slice(0, Math.max(20, (this.#terminal.columns ?? 80) - 1));
    this.#terminal.write(`\r${line.padEnd(this.#drawn.length)}`);
    this.#drawn = line;
  }

  /** Takes the line away, so that another can be written. */
  clear(): void {
    if (this.#drawn !== "") this.#terminal.write(`\r${" ".repeat(this.#drawn.length)}\r`);
    this.#drawn = "";
  }

  #line({ done, total, tokens, before = 0, ...standing }: Standing): string {
    const seconds = Math.max(1e-3, (this.#now() - this.#start) / 1000);
    const rate = (done - before) / seconds;
    const parts = [tokens === undefined ? `${count(rate)} ${this.#unit}/s` : `${count(tokens / seconds)} tokens/s`];
    const of = total === undefined ? "" : ` of ${count(total)}`;
    const part = standing.part ?? (total === undefined ? undefined : total === 0 ? 1 : done / total);
    if (part === undefined) return `${count(done)} ${this.#unit}  ${parts}`;
    const gained = part - (standing.partBefore ?? (total ? before / total : 0));
    if (gained > 0 && part < 1) parts.push(`${duration((1 - part) * seconds / gained)} left`);
    const bar = "#".repeat(Math.round(Math.min(1, part) * WIDTH)).padEnd(WIDTH, ".");
    const percent = String(Math.floor(Math.min(1, part) * 100)).padStart(3);
    return `[${bar}] ${count(done)}${of} ${this.#unit} ${percent} %  ${parts.join("  ")}`;
  }
}

/** A number with its thousands apart. */
export function count(value: number): string {
  return Math.round(value).toString().replaceAll(/\B(?=(\d{3})+$)/g, ",");
}

/** A number of things, such as `1 text` or `2,000 texts`. */
export function counted(value: number, thing: string): string {
  return `${count(value)} ${thing}${Math.round(value) === 1 ? "" : "s"}`;
}

/** Seconds as `1:02:03` or `2:03`. */
export function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${hours > 0 ? `${hours}:${two(minutes)}` : minutes}:${two(whole % 60)}`;
}
