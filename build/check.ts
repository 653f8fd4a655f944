/** What is wrong with the options of `build()`, before anything is done. */
import type { BuildOptions } from "./options.ts";

const PATHS = ["source", "llama", "out"] as const;
const TEXTS = [...PATHS, "backend", "target"] as const;
const BOOLEANS = ["portable", "debug", "clean", "dryRun"] as const;

/**
 * Checks the kinds of all options, and the paths.
 *
 * @throws {TypeError} One is of the wrong type.
 * @throws {RangeError} A path is empty or has a NUL, behind which the system would not look.
 */
export function checkBuildOptions(options: BuildOptions): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    refuse("options", "an object", options);
  }
  for (const name of TEXTS) check(name, "a string", options[name], (value) => typeof value === "string");
  for (const name of BOOLEANS) check(name, "true or false", options[name], (value) => typeof value === "boolean");
  const { onednn } = options;
  check("onednn", "true, false or a path", onednn, (value) => typeof value === "boolean" || typeof value === "string");
  check("jobs", "an integer", options.jobs, (value) => typeof value === "number");
  check("signal", "an AbortSignal", options.signal, (value) => value instanceof AbortSignal);
  check("onLine", "a function", options.onLine, (value) => typeof value === "function");
  for (const name of [...PATHS, "onednn"] as const) {
    const path = options[name];
    if (typeof path === "string" && (path === "" || path.includes("\0") || !path.isWellFormed())) {
      throw new RangeError(
        `${name} is ${JSON.stringify(path)}: use a path, not empty, without NUL and lone surrogates`,
      );
    }
  }
}

function check(name: string, kind: string, value: unknown, right: (value: unknown) => boolean): void {
  if (value !== undefined && !right(value)) refuse(name, kind, value);
}

function refuse(name: string, kind: string, value: unknown): never {
  throw new TypeError(`${name} is ${value === null ? "null" : typeof value}: use ${kind}`);
}
