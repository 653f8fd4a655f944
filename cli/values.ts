/** Reads the values of options: numbers, sizes. What is wrong is a UsageError that says what is wanted. */
import process from "node:process";
import { UsageError } from "./failure.ts";
import { quoted } from "./quote.ts";

/** Reads a whole number from `least` to `most`. */
export function integer(
  name: string,
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
): (value: string) => number {
  return (value) => {
    const number = /^[+-]?\d+$/.test(value) ? Number(value) : NaN;
    if (number >= least && number <= most) return number;
    const wanted = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`;
    throw new UsageError(`Cannot read ${name} ${quoted(value)}: it must be a whole number ${wanted}`);
  };
}

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};

/** The number of bytes: of `2000000000`, `500MB`, `2GiB`; undefined if it is none. */
export function sizeOf(value: string): number | undefined {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(value) ?? [];
  const factor = UNITS[unit.toLowerCase()];
  const size = Math.round(Number(number) * (factor ?? NaN));
  return number !== "" && Number.isSafeInteger(size) && size > 0 ? size : undefined;
}

/** Reads a number of bytes. */
export function bytes(name: string): (value: string) => number {
  return (value) => {
    const size = sizeOf(value);
    if (size !== undefined) return size;
    throw new UsageError(`Cannot read ${name} ${quoted(value)}: it must be bytes, such as 2000000000, 500MB or 2GiB`);
  };
}

/** Collects the values of an option that may be given several times. */
export function collected(value: string, before: unknown): string[] {
  return [...(Array.isArray(before) ? before as string[] : []), value];
}

/** Collects values that stand in one, with a mark between them: a variable of the environment has room for one value only. */
export function collectedApart(mark: string): (value: string, before: unknown) => string[] {
  return (value, before) => {
    const found = value.split(mark).map((one) => one.trim()).filter((one) => one !== "");
    return found.reduce((all, one) => collected(one, all), collected("", before).slice(0, -1));
  };
}

/** Reads names with commas between them. */
export function names(name: string): (value: string) => string[] {
  return (value) => {
    const found = value.split(",").map((one) => one.trim());
    if (found.every((one) => one !== "")) return found;
    throw new UsageError(`Cannot read ${name} ${quoted(value)}: it must be names with commas between them`);
  };
}

/** The path of an output: of a folder of parts it may have the mark of a folder at its end. */
export function withoutMark(path: string): string {
  return path.replace(process.platform === "win32" ? /(?<=.)[\\/]+$/ : /(?<=.)\/+$/, "");
}

/** A variable of the environment; undefined where Deno may not read it, which `doctor` tells. */
export function variable(name: string): string | undefined {
  return mayRead(name) ? process.env[name] : undefined;
}

/** Whether a variable of the environment may be read. */
export function mayRead(name: string): boolean {
  try {
    void process.env[name];
    return true;
  } catch {
    return false;
  }
}
