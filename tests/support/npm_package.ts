// Prebuilt llama.cpp libraries of npm, for the tests: fetched by npm into the user cache, once.
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

/** The directory of one of node-llama-cpp's platform packages, or why it cannot be had. */
export async function platformPackage(
  name: keyof typeof INTEGRITY,
): Promise<{ readonly directory: string } | { readonly reason: string }> {
  if (`${process.platform}-${process.arch}` !== "linux-x64") return { reason: "this is not Linux on x64" };
  const cache = cacheDirectory();
  if (cache === undefined) return { reason: "the user cache is unknown" };
  const directory = join(cache, "packages", `node-llama-cpp-${name}-${VERSION}`);
  if (existsSync(directory)) return { directory };
  await mkdir(join(cache, "packages"), { recursive: true });
  const scratch = await mkdtemp(join(cache, "packages", ".installing."));
  try {
    const quiet = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1"];
    const install = ["install", "--prefix", scratch, ...quiet, `@node-llama-cpp/${name}@${VERSION}`];
    await promisify(execFile)("npm", install, { cwd: scratch, timeout: 300_000 });
    const installed = JSON.parse(await readFile(join(scratch, "node_modules", ".package-lock.json"), "utf8"));
    const path = `node_modules/@node-llama-cpp/${name}`;
    if (installed.packages[path].integrity !== INTEGRITY[name]) return { reason: "npm gave another package than ours" };
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
