// Packages of npm that tests need: prebuilt llama.cpp libraries, compilers. They are fetched into the user cache, once.
import { execFile } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { cacheDirectory } from "../../ffi/host/paths.ts";
import { getFolder } from "../../packages/fetch.ts";
import { getLlama, type LlamaPackage } from "../../packages/llama.ts";

/** TypeScript's compilers and what a project installs beside them, by the names that they get in `node_modules`. */
const COMPILERS = {
  "typescript-5.9": "npm:typescript@5.9.3",
  "typescript-newest": "npm:typescript@7.0.2",
  "@types/bun": "1.4.5",
  "@types/node": "26.6.6",
} as const;

/** Where something is, or why it cannot be had. */
export type Found = { readonly directory: string } | { readonly reason: string };

/** The directory of one of node-llama-cpp's platform packages, or why it cannot be had. */
export async function platformPackage(name: LlamaPackage): Promise<Found> {
  if (`${process.platform}-${process.arch}` !== "linux-x64") return { reason: "this is not Linux on x64" };
  const cache = cacheDirectory();
  if (cache === undefined) return { reason: "the user cache is unknown" };
  return await getLlama(cache, name).then((directory) => ({ directory }), ({ message }) => ({ reason: message }));
}

/** A project with both compilers in its `node_modules`, or why it cannot be had. */
export async function compilers(): Promise<Found> {
  const packages = Object.entries(COMPILERS).map(([name, version]) => `${name}@${version}`);
  const name = `compilers-${Object.values(COMPILERS).map((version) => version.replace(/.*@/, "")).join("-")}`;
  return await install(name, packages);
}

/** Installs packages into a folder of the user cache, unless they are there. */
async function install(name: string, packages: readonly string[]): Promise<Found> {
  const cache = cacheDirectory();
  if (cache === undefined) return { reason: "the user cache is unknown" };
  const directory = join(cache, "packages", name);
  try {
    await getFolder(directory, async (scratch) => {
      const quiet = [
        "--no-save",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
        "--fetch-retries=1",
      ];
      const command = ["install", "--prefix", scratch, ...quiet, ...packages];
      await promisify(execFile)("npm", command, { cwd: scratch, timeout: 300_000 });
    });
    return { directory };
  } catch (error) {
    return { reason: `npm cannot install it: ${(error as Error).message.trim().split("\n").pop()}` };
  }
}
