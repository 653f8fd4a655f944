// models/ in the checkout: hard links to the files in the cache, or copies where the cache is on another file system.
import { copyFile, link, mkdir, realpath, stat, utimes } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { cacheDirectory } from "../../ffi/host/paths.ts";
import { replaceFile } from "../../src/files.ts";

/** The folder of models in this checkout; LLAMASAUR_MODELS names another. */
export function modelDirectory(): string {
  return process.env["LLAMASAUR_MODELS"] || fileURLToPath(new URL("../../models", import.meta.url));
}

/** The folder of models in the user's cache. */
export function modelCache(): string {
  const cache = cacheDirectory();
  if (cache === undefined) throw new Error("Cannot tell where the user's cache is: set HOME or XDG_CACHE_HOME");
  return join(cache, "models");
}

/** Whether there is a file of this name. Files get their name when they are whole. */
export async function exists(path: string): Promise<boolean> {
  return await stat(path).then((found) => found.isFile(), () => false);
}

/** Puts a file of a cache into a folder under its own name, unless it is there already. */
export async function place(file: string, folder: string): Promise<void> {
  const path = join(folder, basename(file));
  const cached = await realpath(file); // the hub's cache has links
  const source = await stat(cached);
  const there = await stat(path).catch(() => undefined);
  if (there?.size === source.size && there.mtimeMs === source.mtimeMs) return;
  await mkdir(dirname(path), { recursive: true });
  await replaceFile(path, async (temporary) => {
    await link(cached, temporary).catch(async () => {
      await copyFile(cached, temporary);
      await utimes(temporary, source.atime, source.mtime);
    });
  });
}
