/** Tells what changes a result, or does not do what was asked: by `onLog`, else by console.warn, once a model and kind. */
import { printable } from "./check.ts";
import type { LogLine } from "./options.ts";

// What console.warn was told in this program: a model may be loaded again, and a call made for each text.
const told = new Set<string>();

/** The warnings of a loaded model. */
export class Warnings {
  readonly #model: string;
  readonly #onLog: ((line: LogLine) => void) | undefined;
  readonly #once = new Set<string>();

  /**
   * @param model The path of the model's file.
   * @param onLog Takes every warning; without it they go to console.warn.
   */
  constructor(model: string, onLog: ((line: LogLine) => void) | undefined) {
    this.#model = model;
    this.#onLog = onLog;
  }

  /**
   * Warns of what a call met.
   *
   * @param kind What console.warn is told of once for a model.
   */
  warn(kind: string, message: string): void {
    if (this.#onLog) {
      this.#onLog({ level: "warn", message });
      return;
    }
    const key = `${this.#model}\0${kind}`;
    if (told.has(key)) return;
    told.add(key);
    const name = printable(
      this.#model.slice(Math.max(this.#model.lastIndexOf("/"), this.#model.lastIndexOf("\\")) + 1),
    );
    console.warn(`llamasaur: ${name}: ${message} (told once; the option onLog gets all)`);
  }

  /** Warns of what is the same in every call: once, also by `onLog`. */
  warnOnce(kind: string, message: string): void {
    if (this.#once.has(kind)) return;
    this.#once.add(kind);
    this.warn(kind, message);
  }
}
