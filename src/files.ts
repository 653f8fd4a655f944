/** Opens files that come from elsewhere and writes those that must be whole, and says in words why either cannot be done. */
import { lstat, open, readdir, readFile, readlink, realpath, rename, rm, stat } from "node:fs/promises";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { constants } from "node:os";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { LlamaError } from "../ffi/errors.ts";
import { granted } from "../ffi/host/permission.ts";
import { isFolder, LONGEST_REASON, printable, unexpanded } from "./check.ts";

/** What the system's codes say to people, and the remedy. */
const REASONS: ReadonlyMap<string, string> = new Map(Object.entries({
  EACCES: "there is no permission; change its mode or owner",
  EDQUOT: "the quota of the disk is used up; make room",
  EEXIST: "a file is where a folder must be; move it away",
  EFBIG: "the file is larger than the system allows; use another disk",
  EIO: "the disk failed; use another",
  EISDIR: "a directory is in the way; move it away",
  ELOOP: "its links lead in a circle; name the file itself",
  EMFILE: "too many files are open; close some, or raise `ulimit -n`",
  ENAMETOOLONG: "its name is longer than the system allows; shorten it",
  ENOSPC: "the disk is full; make room",
  ENOTDIR: "a file is where a folder must be; move it away",
  EPERM: "there is no permission; change its mode or owner",
  EROFS: "the file system is read-only; use another",
}));

/** Why the system refused, in words; undefined of an error that is not the system's, such as Deno's of a permission. */
export function refusal(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.name === "NotCapable" || error instanceof LlamaError) return undefined;
  const code = codeOf(error);
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) return undefined;
  return REASONS.get(code) ?? `the system says ${code}`;
}

function codeOf(error: unknown): string | undefined {
  const { code, message = "" } = error as NodeJS.ErrnoException;
  if (typeof code === "string") return code;
  const [, number] = /\(os error (\d+)\)$/.exec(message) ?? []; // Deno knows no code of some, such as EFBIG
  return Object.entries(constants.errno).find(([, one]) => one === Number(number))?.[0];
}

/** Whether an error says that there is nothing at a path. */
export function isMissing(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes(codeOf(error) ?? "");
}

/**
 * Reads what is at a path, if it is a file: to open a pipe would wait for who writes to it, and a device has no end.
 *
 * @param read Opens the path.
 * @throws {LlamaError} With code `"model-invalid"` for what is no file, or where the system refuses. That there is none is
 * the system's own error, see `isMissing`.
 */
export async function readingFile<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    const found = await stat(path);
    if (found.isDirectory()) cannot("read", path, "it is a directory; name a file");
    if (!found.isFile()) cannot("read", path, "it is a pipe or a device; name a file");
    return await read();
  } catch (error) {
    const reason = refusal(error);
    if (reason === undefined || isMissing(error)) throw error;
    cannot("read", path, reason, error);
  }
}

/** What is used of a file that is open for reading: a `FileHandle`, by whose name the declarations would need Node's types. */
export interface OpenFile {
  read(
    bytes: Uint8Array<ArrayBuffer>,
    offset: number,
    length: number,
    position: number | null,
  ): Promise<{ readonly bytesRead: number }>;
  stat(): Promise<{ readonly size: number }>;
  stat(options: { readonly bigint: true }): Promise<
    { readonly dev: bigint; readonly ino: bigint; readonly size: bigint; readonly mtimeNs: bigint }
  >;
  close(): Promise<void>;
}

/** Opens a file for reading, as `readingFile`. */
export async function openFile(path: string): Promise<OpenFile> {
  return await readingFile(path, () => open(path, "r"));
}

/**
 * Does something of the system's to a path that is written.
 *
 * @throws {LlamaError} With code `"model-invalid"` where the system refuses; the message has the path and why.
 */
export async function writing<T>(path: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    const reason = refusal(error);
    if (reason === undefined) throw error;
    cannot("write", path, reason, error);
  }
}

/** Refuses a path that cannot be read or written, with why and what to do. */
export function cannot(what: "read" | "write", path: string, why: string, cause?: unknown): never {
  const named = printable(path.replace(TEMPORARY, ""), undefined, LONGEST_REASON);
  throw new LlamaError("model-invalid", `Cannot ${what} ${named}: ${why}`, cause === undefined ? undefined : { cause });
}

/**
 * Writes a file under a temporary name beside it, and gives it its name when it is whole.
 *
 * Whatever had the name stays until then, and stays if writing fails.
 *
 * @param path The name in the end.
 * @param write Writes the file to the path it is given, in the same directory.
 */
export async function replaceFile(path: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const file = await targetOf(path);
  await withTemporary(file, async (temporary) => {
    await write(temporary);
    await writing(file, () => moveFile(temporary, file));
  });
}

/**
 * Gives a file the name of another, which is gone then. Windows refuses that while anybody has the other open, if only to read
 * it for a moment: it is tried for two seconds.
 */
export async function moveFile(from: string, to: string): Promise<void> {
  for (let left = process.platform === "win32" ? 100 : 0;; left--) {
    try {
      return await rename(from, to);
    } catch (error) {
      if (left === 0 || !["EPERM", "EACCES", "EBUSY"].includes((error as NodeJS.ErrnoException).code ?? "")) {
        throw error;
      }
      await sleep(20);
    }
  }
}

/**
 * Refuses to make a file in the place of one that it is made of, by whatever path: spelt otherwise, behind a link, a hard link.
 *
 * @param out What is to be made; messages call it so.
 * @param inputs The files of which it is made; what is not there is none.
 * @throws {RangeError} naming both paths.
 */
export async function checkApart(out: string, inputs: Iterable<string>): Promise<void> {
  const identity = await identityOf(out);
  for (const input of inputs) {
    const same = input === out || identity !== undefined && await identityOf(input) === identity;
    if (!same) continue;
    const [to, from] = [out, input].map((path) => printable(path, undefined, LONGEST_REASON));
    const also = from === to ? "it is the input itself" : `it is the same file as the input ${from}`;
    throw new RangeError(`Cannot write out ${to}: ${also}, which would be lost; give another path`);
  }
}

/** How llama.cpp names the parts of a split model. */
const PART = /-(\d{5})-of-(\d{5})\.gguf$/i;

/** The paths of all parts of a split model, whichever of them is named, one after the other; of any other its own. */
export function* partNames(path: string): Generator<string, void> {
  const count = Number(PART.exec(path)?.[2] ?? 0);
  if (count === 0) yield path;
  for (let i = 1; i <= count; i++) {
    yield path.replace(PART, (part) => `-${String(i).padStart(5, "0")}${part.slice(6)}`);
  }
}

/** What a path leads to, as the system counts files; undefined where nothing is there, or nobody may look. */
async function identityOf(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found && `${found.dev}:${found.ino}`;
}

/**
 * The file that a path means: behind a link the one that it leads to, since `rename` would put a file in the link's place.
 *
 * @throws {LlamaError} With code `"model-invalid"` for a device, a pipe or a socket: `rename` would put a file there, too; and
 * for a path that the system does not take.
 */
async function targetOf(path: string): Promise<string> {
  try {
    const found = await stat(path);
    if (!found.isFile() && !found.isDirectory()) {
      cannot("write", path, "it is a device, a pipe or a socket; name a file");
    }
    return (await lstat(path)).isSymbolicLink() ? await realpath(path) : path;
  } catch (error) {
    const reason = refusal(error);
    if (error instanceof LlamaError) throw error;
    if (reason === undefined || isMissing(error)) return path; // not there yet, or may not be looked at
    cannot("write", path, reason, error);
  }
}

/**
 * Lends a name for a file that is needed only for a while, and removes the file afterwards, whatever happens. What a process
 * left that was ended before is removed first.
 *
 * @param path A name beside which the file may lie.
 * @param use Writes the file to the path it is given and uses it.
 * @throws {LlamaError} With code `"model-invalid"` if its folder is not there, or the name is a folder's or none that the
 * system takes: before any work.
 */
export async function withTemporary(path: string, use: (temporary: string) => Promise<void>): Promise<void> {
  await targetOf(path); // for what it refuses
  if (isFolder(path)) cannot("write", path, "it is a directory; name the file to make in it");
  if (isFolder(dirname(path)) === false) {
    cannot("write", path, unexpanded(path) || "there is no such directory; make it first");
  }
  const stem = shortened(basename(path).replace(TEMPORARY, ""));
  const { start = "0", place = "0" } = await self();
  await removeLeft(dirname(path), stem, place);
  // Unique, so that two processes that make the same file do not write into each other's.
  const unique = crypto.randomUUID().slice(0, 8);
  const temporary = join(dirname(path), `${stem}.${process.pid}-${start}-${place}-${unique}.incomplete`);
  try {
    await use(temporary);
  } finally {
    await rm(temporary, { force: true }).catch(() => {}); // a read-only disk refuses that, too; it was told above
  }
}

/** The end of a temporary name: process, its start, where it ran, and what makes it unique. */
const TEMPORARY = /\.(\d+)-(\d+)-([0-9a-f]+)-[0-9a-f]{8}\.incomplete$/;
/** Bytes of a name, of the 255 that file systems take, which leave room for that end. */
const LONGEST_STEM = 180;
/** Milliseconds without a write after which a file is left over, whose process cannot be looked for. */
const LEFT = 24 * 3600 * 1000;

function shortened(name: string): string {
  const bytes = Buffer.from(name);
  return bytes.length <= LONGEST_STEM ? name : bytes.subarray(0, LONGEST_STEM).toString().replace(/\ufffd+$/, "");
}

/**
 * Removes the temporary files of one name whose processes have ended: at once those of this boot and this space of process ids,
 * where that can be seen. Others may be of another machine on a shared disk: after a day.
 */
async function removeLeft(folder: string, stem: string, place: string): Promise<void> {
  if (!granted({ name: "read", path: folder })) return;
  for (const name of await readdir(folder).catch(() => [])) {
    const [end, pid, start, where] = TEMPORARY.exec(name) ?? [];
    if (end === undefined || name !== stem + end) continue;
    const path = join(folder, name);
    const near = place !== "0" && where === place;
    const ended = near ? await startOf(pid!) !== start : Date.now() - await lastWrite(path) > LEFT;
    if (ended) await rm(path, { force: true }).catch(() => {});
  }
}

async function lastWrite(path: string): Promise<number> {
  return await stat(path).then(({ mtimeMs }) => mtimeMs, () => Infinity);
}

/** When this process began, and of which boot and space of process ids it is; both undefined where that may not be read. */
async function self(): Promise<{ readonly start?: string; readonly place?: string }> {
  const start = await startOf("self");
  if (start === undefined) return {};
  try {
    const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8");
    const space = await readlink("/proc/self/ns/pid");
    return { start, place: createHash("sha256").update(boot + space).digest("hex").slice(0, 8) };
  } catch {
    return {};
  }
}

/** Field 22 of proc(5)'s stat, behind a name that may have spaces; undefined for a process that has ended, waited for or not. */
async function startOf(pid: string): Promise<string | undefined> {
  if (process.platform !== "linux" || !granted({ name: "read", path: "/proc" })) return undefined;
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  const [state = "Z", ...fields] = text?.slice(text.lastIndexOf(")") + 2).split(" ") ?? [];
  return state === "Z" || state === "X" ? undefined : fields[18];
}
