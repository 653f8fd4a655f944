// deno run -A scripts/upstream/mod.ts [DIR]: whether the patches of this folder apply to the pinned llama.cpp; with DIR, a new
// directory, a copy with all of them is made there, for `deno task build --source DIR`.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readdirSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { pinnedSource } from "../../build/source.ts";
import { cacheDirectory } from "../../ffi/host/paths.ts";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));

/** The patches, in their order. */
export function patches(): string[] {
  return readdirSync(FOLDER).filter((name) => name.endsWith(".patch")).sort();
}

/**
 * Applies a patch to a directory, or only looks whether it can be.
 *
 * @returns What git said against it, or undefined.
 */
export function apply(patch: string, directory: string, { check }: { check: boolean }): string | undefined {
  // without a repository around it, git takes the patch's paths as they are
  const options = {
    cwd: directory,
    encoding: "utf8",
    env: { ...process.env, GIT_CEILING_DIRECTORIES: directory },
  } as const;
  const args = ["apply", ...(check ? ["--check"] : []), FOLDER + patch];
  const { status, stderr, error } = spawnSync("git", args, options);
  return status === 0 ? undefined : stderr || String(error);
}

async function main(copy: string | undefined): Promise<number> {
  const { directory } = await pinnedSource(cacheDirectory()!, console.error);
  if (copy !== undefined && existsSync(copy)) throw new Error(`${copy} is there already`);
  if (copy !== undefined) cpSync(directory, copy, { recursive: true });
  let wrong = 0;
  for (const patch of patches()) {
    const words = apply(patch, copy ?? directory, { check: copy === undefined });
    console.log(words === undefined ? `ok      ${patch}` : `FAILED  ${patch}\n${words}`);
    if (words !== undefined) wrong++;
  }
  return wrong === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main(process.argv[2]);
