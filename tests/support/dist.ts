// The packages that `deno task prebuilt` makes in dist/: which are there, and which a run has to find there.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { libraryFileName } from "../../ffi/host/paths.ts";
import { abi } from "../../ffi/symbols.ts";
import { VERSION } from "../../ffi/version.ts";
import type { Target } from "../../packages/platforms.ts";
import { ROOT, runChild } from "./child.ts";

/** The package that `deno task prebuilt:test NAME` is about: it is not skipped. */
const named = process.env["LLAMASAUR_PACKAGE"] || undefined;

/** The folder of a package. */
export const folderOf = ({ name }: Target): string => join(ROOT, "dist", name);
/** The library in it. */
export const libraryOf = (target: Target): string => join(folderOf(target), libraryFileName(target.platform));

/** The packages that a run is about: the named one, else all. */
export function meant<T extends Target>(targets: readonly T[], one: string | undefined = named): T[] {
  return targets.filter(({ name }) => one === undefined || name === one);
}

/** Why a package cannot be tried, if so: it is not there, or was made before the functions or the version changed. */
export function lackingOf(target: Target): string | undefined {
  const remedy = `deno task prebuilt ${target.name} makes it`;
  const json = join(folderOf(target), "package.json");
  if (!existsSync(libraryOf(target)) || !existsSync(json)) return `${libraryOf(target)} is missing: ${remedy}`;
  const { version, llamasaur } = JSON.parse(readFileSync(json, "utf8"));
  const current = version === VERSION && llamasaur.abi === abi();
  return current ? undefined : `${folderOf(target)} is of another release: ${remedy}`;
}

/** The same as a reason to skip a test, which the named package never has. */
export function skipWithout(target: Target, name: string | undefined = named): string | false {
  return name === target.name ? false : lackingOf(target) ?? false;
}

/** How many bytes `npm pack` makes of a folder. */
export async function packedSize(npm: string, folder: string, env: Record<string, string>): Promise<number> {
  const { stdout } = await runChild(npm, ["pack", "--dry-run", "--json"], { cwd: folder, env, timeout: 60_000 });
  return JSON.parse(stdout)[0].size;
}
