/** Puts the library of npm's package into its place instead of compiling one: `--prebuilt`. */
import { createHash } from "node:crypto";
import { access, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { installed, NATIVE, packagedLibrary, PACKAGES, packageTarget } from "../ffi/host/packaged.ts";
import { libraryFileName } from "../ffi/host/paths.ts";
import { abi } from "../ffi/symbols.ts";
import { VERSION } from "../ffi/version.ts";
import { BuildError } from "./failure.ts";
import type { BuildOptions } from "./options.ts";
import { run } from "./run.ts";
import { replace } from "./workspace.ts";

/** What decides how a library is compiled, and so cannot be asked for of one that is there. */
const EXCLUDED = ["portable", "jobs", "source", "llama", "debug", "clean", "target", "sanitize", "dryRun"] as const;

/**
 * Gets the package's library, and copies it.
 *
 * @param destination Where it is looked for.
 * @returns Whether it was not there yet.
 * @throws {BuildError} No package has one for this system, the registry does not give it, or another library is there.
 */
export async function installPackaged(destination: string, options: BuildOptions): Promise<boolean> {
  const asked = EXCLUDED.find((name) => options[name] !== undefined && options[name] !== false);
  if (asked !== undefined || options.backend !== undefined && options.backend !== "cpu") {
    const flag = asked === undefined ? options.backend : asked === "dryRun" ? "dry-run" : asked;
    throw new BuildError(`--prebuilt and --${flag} exclude each other: nothing is compiled`);
  }
  const target = packageTarget();
  const name = PACKAGES[target];
  if (name === undefined) {
    throw new BuildError(`--prebuilt: no package has a library for ${target}; without the flag it is compiled`);
  }
  const found = await packagedLibrary(abi());
  if (found.skipped === undefined) return await place(found.path, destination);
  return await fetched(NATIVE, name, options.signal, (library) => place(library, destination));
}

/**
 * Uses the library of a package of this release: of an installed one, else of one that is fetched for this alone.
 *
 * @throws {BuildError} The registry does not give it.
 */
export async function packageFile<T>(
  name: string,
  signal: AbortSignal | undefined,
  use: (library: string) => Promise<T>,
): Promise<T> {
  const found = installed(name, abi());
  if (found !== undefined && found.skipped === undefined) return await use(found.path);
  return await fetched(`${name}@${VERSION}`, name, signal, use);
}

/**
 * Copies the library, unless one that somebody built is there. Its digest is noted in a file beside it: by that the library of
 * an older package is known again, and replaced.
 */
async function place(library: string, destination: string): Promise<boolean> {
  const note = `${destination}.prebuilt`;
  const bytes = await readFile(library);
  const there = await readFile(destination).catch(() => undefined);
  const same = there?.equals(bytes) ?? false;
  if (there !== undefined && !same) {
    const noted = await readFile(note, "utf8").catch(() => "");
    if (!noted.split("\n").includes(sha512(there))) {
      throw new BuildError(
        `${destination} is another library, built here perhaps: remove it first, then run this again`,
      );
    }
  }
  if (!same) {
    const both = [...(there === undefined ? [] : [there]), bytes]; // so that either is known if this process ends between
    await mkdir(dirname(note), { recursive: true });
    await writeFile(note, both.map((one) => `${sha512(one)}\n`).join(""));
    await replace(library, destination);
  }
  await writeFile(note, `${sha512(bytes)}\n`);
  return !same;
}

function sha512(bytes: Uint8Array): string {
  return createHash("sha512").update(bytes).digest("hex");
}

/** Has the runtime get a package in an empty folder, where no package.json of the user has a say, and uses its library. */
async function fetched<T>(
  specifier: string,
  name: string,
  signal: AbortSignal | undefined,
  use: (library: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "llamasaur-"));
  try {
    await writeFile(join(folder, "package.json"), '{ "private": true }');
    const inDeno = "Deno" in globalThis;
    const command = inDeno
      ? [process.execPath, "eval", "--no-config", "--quiet", `console.log((await import("npm:${specifier}")).path)`]
      : [process.execPath, "add", "--silent", specifier];
    const env = inDeno ? { DENO_NO_PACKAGE_JSON: "1" } : undefined;
    const { code, output } = await run(command, { cwd: folder, env, signal });
    const last = output.trim().split("\n").at(-1) ?? "";
    const path = inDeno ? last : join(folder, "node_modules", name, libraryFileName());
    const there = code === 0 && await access(path).then(() => true, () => false);
    if (there) return await use(path);
    throw new BuildError(`npm:${specifier} has no library that can be had (${last || `exit code ${code}`})`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
