/** Puts npm's package of our own files in place for somebody else's libllama, where there is no compiler: `--llama`. */
import { lstat, mkdir, readdir, readFile, rm, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { targetName } from "../ffi/host/paths.ts";
import { BuildError } from "./failure.ts";
import { packageFile } from "./packaged.ts";
import type { Prebuilt } from "./prebuilt.ts";
import { replace } from "./workspace.ts";

/** The packages by system and processor; packages/platforms.ts makes them. */
export const SHIM_PACKAGES: Readonly<Record<string, string>> = {
  "linux-x64": "@llamasaur/shim-linux-x64-gnu",
  "linux-arm64": "@llamasaur/shim-linux-arm64-gnu",
};

/** The names by which a shipped shim looks for libllama, libggml and libggml-base beside itself. */
export const LINKED: readonly string[] = ["libllama.so", "libggml.so", "libggml-base.so"];

/**
 * Copies the package's library to where it is looked for, and links the libraries of llama.cpp beside it.
 *
 * @param lacking What is said of the tools that a compilation would need.
 * @throws {BuildError} No package is for this system, or it cannot be had; it says so after `lacking`.
 */
export async function installShim(
  prebuilt: Prebuilt,
  destinations: readonly string[],
  lacking: BuildError,
  signal?: AbortSignal,
): Promise<void> {
  const name = SHIM_PACKAGES[targetName()];
  if (name === undefined) throw lacking;
  try {
    await packageFile(name, signal, async (library) => {
      for (const destination of destinations) {
        await copy(library, destination);
        await linkBeside(destination, prebuilt);
      }
    });
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    throw new BuildError(`${lacking.message}\n  and without them: ${error.message}`);
  }
}

/** Copies a file unless its bytes are there. */
async function copy(library: string, destination: string): Promise<void> {
  const there = await readFile(destination).catch(() => undefined);
  if (!there?.equals(await readFile(library))) await replace(library, destination);
}

/** Makes the links that a shipped library needs beside it, in place of those of another llama.cpp; none for a compiled one. */
export async function linkBeside(destination: string, prebuilt: Prebuilt | undefined): Promise<void> {
  const folder = dirname(destination);
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) {
    const file = join(folder, name);
    if (/^lib(llama|ggml)\b.*\.so/.test(name) && (await lstat(file)).isSymbolicLink()) await rm(file);
  }
  if (prebuilt === undefined) return;
  for (const [i, library] of prebuilt.libraries.entries()) await symlink(library, join(folder, LINKED[i]!));
  for (const backend of prebuilt.backends) await symlink(backend, join(folder, basename(backend)));
}
