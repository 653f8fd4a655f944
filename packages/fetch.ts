/** Gets folders of the user's cache, from PyPI, npm or wherever: whole or not at all. */
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BuildError } from "../build/failure.ts";
import { run, type RunOptions, shown } from "../build/run.ts";
import { exists } from "../build/workspace.ts";
import { packageRoot } from "../ffi/host/paths.ts";

/**
 * Makes a folder beside its place, and moves it there when it is whole. If another process is faster, its folder stays.
 *
 * @param make Fills a folder; it returns the one inside it that is to be kept, if that is not all of it.
 */
export async function getFolder(folder: string, make: (temporary: string) => Promise<string | void>): Promise<void> {
  if (await exists(folder)) return;
  await mkdir(dirname(folder), { recursive: true });
  const temporary = await mkdtemp(`${folder}.incomplete-`);
  try {
    const whole = await make(temporary) ?? temporary;
    await rename(whole, folder).catch(async (error) => {
      if (!await exists(folder)) throw error;
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/**
 * Unpacks a package of PyPI into a folder. pip checks its digest by itself; the index is the one that pip is configured for.
 *
 * @param requirement Such as `ziglang==0.17.1`.
 * @param sha256 The digest of its wheel.
 * @throws {BuildError} There is no pip, or no package index, or another wheel than the known one.
 */
export async function unpackWheel(
  requirement: string,
  sha256: string,
  folder: string,
  signal?: AbortSignal,
): Promise<void> {
  const requirements = join(folder, "requirements.txt");
  await writeFile(requirements, `${requirement} --hash=sha256:${sha256}\n`);
  const { code, output } = await run([
    ...["python3", "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"],
    ...["--no-compile", "--root-user-action=ignore", "--only-binary=:all:", "--require-hashes"],
    ...["--requirement", requirements, "--target", folder],
  ], { signal });
  if (code === 0) return;
  throw new BuildError(
    `Cannot get ${requirement} with pip: ${output.trim().split("\n").at(-1)}; ` +
      "it needs python3 with pip (apt-get install python3-pip) and a package index",
  );
}

/**
 * Unpacks a package of npm into `folder`/package; what is in it may be run.
 *
 * @param name Such as `@deno/win32-x64@2.9.6`.
 * @param integrity npm's digest of its file, if it is known: `sha512-` and base64.
 * @throws {BuildError} npm cannot get it, or gives another file than the known one.
 */
export async function unpackNpm(name: string, folder: string, integrity?: string): Promise<void> {
  await mkdir(folder);
  await must(["npm", "pack", "--silent", name], { cwd: folder });
  const [archive] = await readdir(folder);
  const digest = createHash("sha512").update(await readFile(join(folder, archive!))).digest("base64");
  if (integrity !== undefined && integrity !== `sha512-${digest}`) {
    throw new BuildError(`npm gives another ${name} than ours: sha512-${digest} is not ${integrity}`);
  }
  await must(["tar", "-xzf", archive!], { cwd: folder });
  await must(["chmod", "-R", "+x", "package"], { cwd: folder });
  await rm(join(folder, archive!));
}

/**
 * Runs a program that must end with 0.
 *
 * @throws {BuildError} It does not; the message has its last words.
 */
export async function must(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, output } = await run(command, options);
  if (code === 0) return output;
  throw new BuildError(`${shown(command)} failed: ${output.trim().split("\n").slice(-3).join("; ")}`);
}

/** The versions of Deno and Bun that everything is tested with. */
export async function pinnedRuntimes(): Promise<{ readonly deno: string; readonly bun: string }> {
  const pins = await readFile(fileURLToPath(new URL("scripts/env.sh", packageRoot())), "utf8");
  const pin = (name: string): string => new RegExp(`^LLAMASAUR_${name}=(.+)$`, "m").exec(pins)![1]!;
  return { deno: pin("DENO"), bun: pin("BUN") };
}
