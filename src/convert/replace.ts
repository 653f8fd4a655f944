/** Writing a file so that its name never holds half of it. */
import { lstat, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import process from "node:process";
import { LlamaError } from "../../ffi/errors.ts";
import { isFolder, LONGEST_REASON, printable, unexpanded } from "../check.ts";

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
    await rename(temporary, file);
  });
}

/**
 * The file that a path means: behind a link the one that it leads to, since `rename` would put a file in the link's place.
 *
 * @throws {LlamaError} With code `"model-invalid"` for a device, a pipe or a socket: `rename` would put a file there, too.
 */
async function targetOf(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined); // not there yet
  if (found === undefined) return path;
  if (!found.isFile() && !found.isDirectory()) cannotWrite(path, "it is a device, a pipe or a socket; name a file");
  return (await lstat(path)).isSymbolicLink() ? await realpath(path) : path;
}

function cannotWrite(path: string, why: string): never {
  throw new LlamaError("model-invalid", `Cannot write ${printable(path, undefined, LONGEST_REASON)}: ${why}`);
}

/**
 * Lends a name for a file that is needed only for a while, and removes the file afterwards, whatever happens.
 *
 * @param path A name beside which the file may lie.
 * @param use Writes the file to the path it is given and uses it.
 * @throws {LlamaError} With code `"model-invalid"` if its folder is not there, or the name is a folder's: before any work.
 */
export async function withTemporary(path: string, use: (temporary: string) => Promise<void>): Promise<void> {
  if (isFolder(path)) cannotWrite(path, "it is a directory; name the file to make in it");
  if (isFolder(dirname(path)) === false) {
    cannotWrite(path, unexpanded(path) || "there is no such directory; make it first");
  }
  // Unique, so that two processes that make the same file do not write into each other's.
  const temporary = `${path}.${process.pid}-${crypto.randomUUID().slice(0, 8)}.incomplete`;
  try {
    await use(temporary);
  } finally {
    await rm(temporary, { force: true });
  }
}
