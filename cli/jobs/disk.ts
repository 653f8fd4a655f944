/** Writes a job's files so that what was told to be on the disk is there: appended, flushed, and renamed in that order. */
import { constants } from "node:fs";
import { type FileHandle, open, rename, rm, stat, truncate } from "node:fs/promises";
import { constants as systemConstants } from "node:os";
import { dirname } from "node:path";
import { Failure } from "../failure.ts";
import { shown } from "../quote.ts";

/** A moment between two states of the disk: a process may end at each, and the next one goes on. */
export type Point =
  | "before header"
  | "after header"
  | "before folder sync"
  | "before output"
  | "after output"
  | "before output sync"
  | "after output sync"
  | "before errors sync"
  | "after errors sync"
  | "before journal"
  | "half journal"
  | "before journal sync"
  | "after journal sync"
  | "before end of part"
  | "after end of part"
  | "before closing"
  | "after closing"
  | "before rename"
  | "after rename"
  | "before complete"
  | "after complete";

let watch: ((point: Point, path?: string) => void) | undefined;

/**
 * Calls a function at each point from now on; tests end the process there, or throw what a full disk throws.
 *
 * @param reached Told which point it is, and of which folder.
 */
export function watchPoints(reached: (point: Point, path?: string) => void): void {
  watch = reached;
}

/** Says that a point is reached. */
export function reach(point: Point, path?: string): void {
  watch?.(point, path);
}

/** A file that grows at its end. */
export class Appended {
  readonly path: string;
  readonly #file: FileHandle;
  #size: number;
  #closed = false;

  private constructor(path: string, file: FileHandle, size: number) {
    [this.path, this.#file, this.#size] = [path, file, size];
  }

  /** Opens a file, made if need be, and cuts what is behind its first `size` bytes. */
  static async open(path: string, size: number): Promise<Appended> {
    const flags = constants.O_RDWR | (size === 0 ? constants.O_CREAT : 0); // what was there must not be made up
    const file = await told(path, () => open(path, flags));
    try {
      const { size: there } = await file.stat();
      if (there < size) {
        throw new Failure(
          `Cannot go on: ${shown(path)} has ${there} bytes, and the job wrote ${size}; --restart begins anew`,
        );
      }
      if (there > size) {
        await told(path, () => file.truncate(size));
        await told(path, () => file.sync()); // nothing may ever be appended, and what was cut must not come back
      }
      return new Appended(path, file, size);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Bytes of the file. */
  get size(): number {
    return this.#size;
  }

  /** Appends bytes. */
  async append(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const { bytesWritten } = await told(this.path, () => this.#file.write(bytes, at, bytes.length - at, this.#size));
      at += bytesWritten;
      this.#size += bytesWritten;
    }
  }

  /** Waits until everything is on the disk. */
  async sync(): Promise<void> {
    await told(this.path, () => this.#file.sync());
  }

  /** Closes the file, if it is open. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#file.close();
  }
}

/** Renames a file or folder, and waits until that is on the disk. */
export async function move(from: string, to: string): Promise<void> {
  await told(to, () => rename(from, to));
  await syncFolder(dirname(to));
}

/** Waits until a folder's names are on the disk, where the system can do so. */
export async function syncFolder(path: string): Promise<void> {
  reach("before folder sync", path);
  const folder = await open(path === "" ? "." : path, "r").catch(() => undefined);
  await folder?.sync().catch(() => {});
  await folder?.close();
}

/**
 * Bytes of a file; undefined where there is none.
 *
 * @throws {Failure} where nobody may look: a job that is there must not be begun anew.
 */
export async function sizeOf(path: string): Promise<number | undefined> {
  return await stat(path).then(({ size }) => size, (error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw refused("look at", path, error);
  });
}

/** Whether there is something at a path; throws as {@linkcode sizeOf}. */
export async function exists(path: string): Promise<boolean> {
  return await sizeOf(path) !== undefined;
}

export { rm as remove, truncate };

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the quota of the disk is used up",
  EROFS: "the file system is read-only",
  EACCES: "there is no permission",
  EPERM: "there is no permission",
  EFBIG: "the file is larger than the system allows",
  EIO: "the disk failed",
  ENOENT: "there is no such folder; make it first",
  EISDIR: "it is a folder; move it away, or give another -o",
  ERR_FS_EISDIR: "it is a folder; move it away, or give another -o",
};

/** Does something to a file, and says in words why it could not. */
export async function told<T>(path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw refused("write", path, error);
  }
}

/** The error for what the system refuses; what Deno does not allow stays its own, which is told with the command that does. */
export function refused(what: string, path: string, error: unknown): Error {
  const { name } = error as Error;
  if (name === "NotCapable") return error as Error;
  return new Failure(`Cannot ${what} ${shown(path)}: ${reasonOf(error)}`, undefined, { cause: error });
}

/** Why the system refused something, in words. */
export function reasonOf(error: unknown): string {
  return REASONS[codeOf(error)] ?? (error as Error).message;
}

/** The system's code of an error. Deno knows none of some, such as EFBIG, and has the system's number in its message. */
function codeOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const [, number] = /\(os error (\d+)\)$/.exec(message) ?? [];
  return code ?? Object.entries(systemConstants.errno).find(([, one]) => one === Number(number))?.[0] ?? "";
}
