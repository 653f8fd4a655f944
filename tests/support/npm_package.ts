// Packages of npm that tests need: prebuilt llama.cpp libraries, compilers. npm fetches them into the user cache, once.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { cacheDirectory } from "../../ffi/host/paths.ts";

const VERSION = "3.22.1"; // llama.cpp v0.5.0
const INTEGRITY = {
  "linux-x64": "sha512-5uCCDNqWCNfaAm8aR/Uzxbo4HBpKgNF91kCHPepKhgMgV2OAmatoefbOlMihsqCiH2Od35E/eUHQCFbfRBJuOg==",
  "linux-x64-vulkan": "sha512-bBxqU+JOcBu1nb5Qj2zcMci+JByT1E8EajHvYodyNfVIPkEhXh+/HMwR1/BT7xP08YK0hks+kM8fglER0P8JEg==",
} as const;

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
export async function platformPackage(name: keyof typeof INTEGRITY): Promise<Found> {
  if (`${process.platform}-${process.arch}` !== "linux-x64") return { reason: "this is not Linux on x64" };
  const path = join("node_modules", "@node-llama-cpp", name);
  const packages = [`@node-llama-cpp/${name}@${VERSION}`];
  return await install(`node-llama-cpp-${name}-${VERSION}`, path, packages, (lock) => {
    return lock[`node_modules/@node-llama-cpp/${name}`]?.integrity === INTEGRITY[name];
  });
}

/** A project with both compilers in its `node_modules`, or why it cannot be had. */
export async function compilers(): Promise<Found> {
  const packages = Object.entries(COMPILERS).map(([name, version]) => `${name}@${version}`);
  const name = `compilers-${Object.values(COMPILERS).map((version) => version.replace(/.*@/, "")).join("-")}`;
  return await install(name, "", packages, () => true);
}

type Lock = Readonly<Record<string, { readonly integrity?: string }>>;

/**
 * Installs packages into the user cache, unless they are there.
 *
 * @param path What is kept of the folder that npm installs into.
 * @param isRight Whether npm installed what was meant.
 */
async function install(
  name: string,
  path: string,
  packages: readonly string[],
  isRight: (lock: Lock) => boolean,
): Promise<Found> {
  const cache = cacheDirectory();
  if (cache === undefined) return { reason: "the user cache is unknown" };
  const directory = join(cache, "packages", name);
  if (existsSync(directory)) return { directory };
  await mkdir(join(cache, "packages"), { recursive: true });
  const scratch = await mkdtemp(join(cache, "packages", ".installing."));
  try {
    const quiet = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1"];
    const command = ["install", "--prefix", scratch, ...quiet, ...packages];
    await promisify(execFile)("npm", command, { cwd: scratch, timeout: 300_000 });
    const installed = JSON.parse(await readFile(join(scratch, "node_modules", ".package-lock.json"), "utf8"));
    if (!isRight(installed.packages)) return { reason: "npm gave another package than ours" };
    await rename(join(scratch, path), directory).catch((error) => {
      if (!existsSync(directory)) throw error; // another process was faster
    });
    return { directory };
  } catch (error) {
    return { reason: `npm cannot install it: ${(error as Error).message.trim().split("\n").pop()}` };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
