/** What tells two builds apart, so that each has a directory of its own in the cache. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import process from "node:process";
import { run } from "./run.ts";
import type { Assets } from "./stage.ts";

/** Variables that CMake or the compilers read, and by which the result differs. */
// deno-fmt-ignore
const VARIABLES = [
  "CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "CPATH", "LIBRARY_PATH", "CUDACXX", "CUDAARCHS", "CUDAFLAGS",
  "CUDA_PATH", "ROCM_PATH", "HIPCXX", "ONEAPI_ROOT", "VULKAN_SDK", "CMAKE_PREFIX_PATH", "CMAKE_TOOLCHAIN_FILE",
  "MACOSX_DEPLOYMENT_TARGET", "SDKROOT", "SOURCE_DATE_EPOCH",
];

/** A short hash of the parts of a build's identity. */
export function buildKey(parts: readonly unknown[]): string {
  const variables = VARIABLES.map((name) => process.env[name] ?? null);
  return createHash("sha256").update(JSON.stringify([parts, variables])).digest("hex").slice(0, 12);
}

/** A hash of everything of ours that goes into the library. */
export function inputsHash(assets: Assets, settings: readonly string[]): string {
  const hash = createHash("sha256").update(JSON.stringify(settings));
  for (const [path, bytes] of assets) hash.update(`\0${path}\0${bytes.length}\0`).update(bytes);
  return hash.digest("hex");
}

/** What `-march=native` depends on: the processor's name and features, as the system tells them. */
export async function processor(): Promise<string> {
  switch (process.platform) {
    case "linux":
      return processorOf(await readFile("/proc/cpuinfo", "utf8").catch(() => ""));
    case "darwin":
      return (await run(["sysctl", "machdep.cpu.brand_string", "hw.optional"])).output;
    default:
      return process.env.PROCESSOR_IDENTIFIER ?? "";
  }
}

/** The lines of /proc/cpuinfo that name the first processor and its features, whatever the architecture. */
export function processorOf(cpuinfo: string): string {
  const block = cpuinfo.split("\n\n", 1).join("");
  const names =
    /^(vendor_id|cpu family|model|model name|flags|Features|CPU (implementer|architecture|part)|isa|cpu)\s*:/;
  return block.split("\n").filter((line) => names.test(line)).join("\n");
}
