/** Finds the inputs that paths, folders and globs mean, and the format of each. */
import type { Stats } from "node:fs";
import { glob, readdir, stat } from "node:fs/promises";
import { join, resolve, sep } from "node:path";
import process from "node:process";
import { UsageError } from "../failure.ts";
import { quoted, shown } from "../quote.ts";

/** A format of inputs. */
export type InputFormat = "lines" | "text" | "jsonl" | "csv" | "parquet" | "given";

/** An input. */
export interface Input {
  /** As it was given or found, `-` for stdin. */
  readonly path: string;
  readonly format: InputFormat;
  readonly gzip: boolean;
  /** Bytes on the disk; undefined for stdin and pipes. */
  readonly size: number | undefined;
  /** The texts themselves, where they were given as such. */
  readonly texts?: readonly string[];
}

/** The words of `--input-format`. */
export const INPUT_FORMATS = ["txt", "md", "jsonl", "csv", "parquet"] as const;

const FORMATS: ReadonlyMap<string, InputFormat> = new Map([
  ["txt", "lines"],
  ["md", "text"],
  ["jsonl", "jsonl"],
  ["ndjson", "jsonl"],
  ["csv", "csv"],
  ["parquet", "parquet"],
]);
/** The suffixes that are known, as they are told. */
export const SUFFIXES = ".txt, .md, .jsonl, .csv, .parquet; text formats also .gz";

/**
 * The inputs, sorted by path, each once.
 *
 * @param given Paths, folders (all files below with a known suffix), globs, or `-`.
 * @param format What `--input-format` says, for all of them.
 * @param isNone Whether a file is none, though it lies in a folder that is: the output's own.
 */
export async function findInputs(
  given: readonly string[],
  format: string | undefined,
  isNone: (path: string) => boolean = () => false,
): Promise<Input[]> {
  const found = new Map<string, Input>(); // by where they are: ./a.txt and a.txt are one
  for (const path of given) {
    for (const input of await meant(path, format)) {
      const place = input.path === "-" ? "-" : resolve(input.path);
      if (!isNone(input.path) && !found.has(place)) found.set(place, input);
    }
  }
  return [...found.values()].sort((a, b) => a.path < b.path ? -1 : a.path > b.path ? 1 : 0);
}

/** Whether a path is one of these, or below one. */
export function liesIn(path: string, places: readonly string[]): boolean {
  const full = resolve(path);
  return path !== "-" && places.some((place) => full === resolve(place) || full.startsWith(resolve(place) + sep));
}

/** Whether an input can be read once only: stdin, or a pipe that has a path. */
export function isStream({ size, texts }: Input): boolean {
  return size === undefined && texts === undefined;
}

async function meant(path: string, format: string | undefined): Promise<Input[]> {
  if (path === "-") return [{ path, ...formatOf("-", format ?? "txt")!, size: undefined }];
  const there = await found(path);
  if (there?.isDirectory()) {
    const inputs = await Promise.all((await filesBelow(path)).map((file) => fileInput(withSlashes(file), format)));
    return inputs.filter((input) => input !== undefined);
  }
  if (there) {
    const input = await fileInput(path, format);
    if (input) return [input];
    throw new UsageError(
      `Cannot tell the format of ${shown(path)}: the suffixes are ${SUFFIXES}; or give --input-format`,
    );
  }
  // a pattern's backslash would quote what follows it
  const paths = /[*?[{]/.test(path) ? await Array.fromAsync(glob(withSlashes(path)), (one) => withSlashes(one)) : [];
  const inputs = (await Promise.all(paths.map((one) => fileInput(one, format)))).filter((input) => input !== undefined);
  if (inputs.length > 0) return inputs;
  throw new UsageError(
    `Cannot read ${quoted(path)}: there is no such file${paths.length > 0 ? ` with a suffix of ${SUFFIXES}` : ""}`,
  );
}

/**
 * Everything below a folder that is no folder itself. Links to folders are not followed, so that each file is there once:
 * `readdir` with `recursive` follows them on Bun, and a circle of them has no end.
 */
async function filesBelow(folder: string): Promise<string[]> {
  const files: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true }).catch((error) => unreadable(folder, error))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) files.push(...await filesBelow(path));
    else files.push(path);
  }
  return files;
}

/** A path that is the same on every system, as the ids of its rows are: on Windows, too, slashes separate folders. */
export function withSlashes(path: string, platform: string = process.platform): string {
  return platform === "win32" ? path.replaceAll("\\", "/") : path;
}

/** The input that a file is; undefined where its format is not known, and for a link that leads nowhere. */
async function fileInput(path: string, format: string | undefined): Promise<Input | undefined> {
  const of = formatOf(path, format);
  const file = of && await found(path);
  return of && file && !file.isDirectory() ? { path, ...of, size: file.isFile() ? file.size : undefined } : undefined;
}

/** What is at a path; undefined where nothing is. */
async function found(path: string): Promise<Stats | undefined> {
  return await stat(path).catch((error: NodeJS.ErrnoException) => {
    return error.code === "ENOENT" || error.code === "ENOTDIR" ? undefined : unreadable(path, error);
  });
}

/** Throws the error for what the system does not let be read; what Deno does not allow stays its own. */
function unreadable(path: string, error: NodeJS.ErrnoException): never {
  if (error.name === "NotCapable") throw error;
  throw new UsageError(`Cannot read ${shown(path)}: ${error.code ?? error.message}`);
}

function formatOf(path: string, given: string | undefined): Pick<Input, "format" | "gzip"> | undefined {
  const [, suffix = "", gz] = /\.([a-z0-9]+?)(\.gz)?$/i.exec(path) ?? [];
  const format = FORMATS.get((given ?? suffix).toLowerCase());
  const gzip = gz !== undefined || suffix.toLowerCase() === "gz";
  return format && !(format === "parquet" && gzip) ? { format, gzip } : undefined;
}
