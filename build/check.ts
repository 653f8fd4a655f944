/** What is wrong with the options of `build()`, before anything is done. */
import { type Check, type Checked, type Checks, readOptions } from "../ffi/host/options.ts";
import { printable } from "../ffi/host/printable.ts";
import type { BuildOptions } from "./options.ts";

// One line an option: what kind it must be, and so that it exists. plan() checks the values.
const OPTIONS: Checks<BuildOptions> = {
  backend: kind("a string", isString),
  portable: kind("true or false", isBoolean),
  jobs: kind("an integer", (value) => typeof value === "number"),
  source: path,
  llama: path,
  prebuilt: kind("true or false", isBoolean),
  out: path,
  debug: kind("true or false", isBoolean),
  clean: kind("true or false", isBoolean),
  dryRun: kind("true or false", isBoolean),
  target: kind("a string", isString),
  sanitize: kind("a string", isString),
  signal: kind("an AbortSignal", (value) => value instanceof AbortSignal),
  onLine: kind("a function", (value) => typeof value === "function"),
};

/**
 * Checks the kinds of all options, and the paths, and copies them.
 *
 * @throws {TypeError} One is of the wrong type, or does not exist.
 * @throws {RangeError} A path is empty or has a NUL, behind which the system would not look.
 */
export function checkBuildOptions(options: BuildOptions): Checked<BuildOptions> {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    refuse("options", "an object", options);
  }
  return readOptions(options, OPTIONS);
}

function kind<T>(words: string, right: (value: unknown) => boolean): Check<T> {
  return (name, value) => right(value) ? value as T : refuse(name, words, value);
}

function path(name: string, value: unknown): string {
  if (!isString(value)) return refuse(name, "a string", value);
  if (value !== "" && !value.includes("\0") && value.isWellFormed()) return value;
  throw new RangeError(
    `${name} is ${JSON.stringify(printable(value))}: use a path, not empty, without NUL and lone surrogates`,
  );
}

function isString(value: unknown): value is string {
  return typeof value === "string";
}

function isBoolean(value: unknown): value is boolean {
  return typeof value === "boolean";
}

function refuse(name: string, words: string, value: unknown): never {
  throw new TypeError(`${name} is ${value === null ? "null" : typeof value}: use ${words}`);
}
