/** Writing a file so that its name never holds half of it. */
import { rename, rm } from "node:fs/promises";
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
  await withTemporary(path, async (temporary) => {
    await write(temporary);
    await rename(temporary, path);
  });
}

/**
 * Lends a name for a file that is needed only for a while, and removes the file afterwards, whatever happens.
 *
 * @param path A name beside which the file may lie.
 * @param use Writes the file to the path it is given and uses it.
 * @throws {LlamaError} With code `"model-invalid"` if its folder is not there, or the name is a folder's: before any work.
 */
export async function withTemporary(path: string, use: (temporary: string) => Promise<void>): Promise<void> {
  const cannot = (why: string): never => {
    throw new LlamaError("model-invalid", `Cannot write ${printable(path, undefined, LONGEST_REASON)}: ${why}`);
  };
  if (isFolder(path)) cannot("it is a directory; name the file to make in it");
  if (isFolder(dirname(path)) === false) cannot(unexpanded(path) || "there is no such directory; make it first");
  // Unique, so that two processes that make the same file do not write into each other's.
  const temporary = `${path}.${process.pid}-${crypto.randomUUID().slice(0, 8)}.incomplete`;
  try {
    await use(temporary);
  } finally {
    await rm(temporary, { force: true });
  }
}
