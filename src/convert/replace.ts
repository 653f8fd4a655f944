/** Writing a file so that its name never holds half of it. */
import { rename, rm } from "node:fs/promises";
import process from "node:process";

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
 */
export async function withTemporary(path: string, use: (temporary: string) => Promise<void>): Promise<void> {
  // Unique, so that two processes that make the same file do not write into each other's.
  const temporary = `${path}.${process.pid}-${crypto.randomUUID().slice(0, 8)}.incomplete`;
  try {
    await use(temporary);
  } finally {
    await rm(temporary, { force: true });
  }
}
