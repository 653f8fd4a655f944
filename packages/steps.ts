/** Says what is tried of a platform's package on this machine, and by which commands. */
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { packageRoot } from "../ffi/host/paths.ts";
import { getArm64 } from "./arm64.ts";
import { cross } from "./cross.ts";
import type { Platform } from "./platforms.ts";
import { getWindows } from "./windows.ts";

const ROOT = fileURLToPath(packageRoot());
const DENO_TEST = ["deno", "test", "-A", "--quiet"];
/** In milliseconds: an emulated test takes many times as long. */
const PATIENCE = ["--timeout", "1200000"];

/** One command that must end with 0. */
export interface Step {
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** What can be run of a platform here, in order, and how it is run. */
export interface Steps {
  readonly how: string;
  readonly steps: readonly Step[];
}

/** The steps for a platform's library; what they need is fetched and compiled. */
export async function stepsOf(platform: Platform, library: string, cache: string): Promise<Steps> {
  const inspected = { name: "what a loader sees", command: [...DENO_TEST, "tests/packages/library_test.ts"] };
  const say = (line: string): void => console.error(line);
  if (platform.platform === process.platform && platform.arch === process.arch) {
    return { how: "natively", steps: [inspected, ...await native(platform, library)] };
  }
  if (process.platform === "linux" && platform.name === "linux-arm64-gnu") {
    return { how: "under qemu", steps: [inspected, ...await onArm(platform, library, cache, say)] };
  }
  if (process.platform === "linux" && platform.platform === "win32") {
    return { how: "under wine 10", steps: [inspected, ...await onWindows(library, cache, say)] };
  }
  return { how: "never run", steps: [inspected] };
}

/** The folders of tests that have any, each a step, so that a run can be broken off between two. */
async function folders(): Promise<string[]> {
  const names = (await readdir(join(ROOT, "tests"), { recursive: true })).filter((name) => /_test\.ts$/.test(name));
  return [...new Set(names.map((name) => name.split(/[\\/]/)[0]!))].sort();
}

/** Everything that there is, with the package's library in place of this machine's. */
async function native({ platform }: Platform, library: string): Promise<Step[]> {
  const env = { LLAMASAUR_LIBRARY: library };
  const all = (await folders()).flatMap((folder) => [
    { name: `tests/${folder} on Deno`, command: [...DENO_TEST, `tests/${folder}`], env },
    { name: `tests/${folder} on Bun`, command: ["bun", "test", ...PATIENCE, `./tests/${folder}/`], env },
  ]);
  const parity = { name: "parity", command: ["deno", "run", "-A", "bench/parity.ts"], env };
  if (platform !== "linux") return [...all, parity];
  return [{ name: "old processors", command: [...DENO_TEST, "tests/packages/processors_test.ts"] }, ...all, parity];
}

/** Tests that start no other process, which an emulated one could not. */
const ALONE = ["models/tiny_bert", "models/roberta", "models/cross_encoder", "ffi/cpp/guard", "ffi/cpp/call_guard"];
const RERANKER = "examples/reranker.ts";
const VECTORS = ["tests/packages/vectors.ts", "models/all-minilm-l6-v2-f32.gguf"];
const COMPARE = ["deno", "run", "-A", "tests/packages/vectors.ts", "--compare"];

/** Programs for another processor, one by one. */
async function onArm(
  platform: Platform,
  library: string,
  cache: string,
  say: (line: string) => void,
): Promise<Step[]> {
  const { deno, bun, program } = await getArm64(cache, say);
  const { product } = await cross(platform, { cache, program: "kernels_check", say });
  const env = { LLAMASAUR_LIBRARY: library };
  return [
    ...["cortex-a53", "max"].map((cpu) => ({
      name: `the kernels on ${cpu}`,
      command: ["deno", "run", "-A", "tests/packages/kernels.ts", ...program(cpu), product],
    })),
    { name: "the reranker on Deno", command: [...deno, "run", "-A", RERANKER], env },
    { name: "the reranker on Bun", command: [...bun, RERANKER], env },
    { name: "f32 vectors within 1e-6 of this machine's", command: [...COMPARE, ...bun, ...VECTORS], env },
    ...ALONE.map((name) => ({
      name: `tests/${name}_test.ts on Bun`,
      command: [...bun, "test", ...PATIENCE, `./tests/${name}_test.ts`],
      env,
    })),
  ];
}

/** The same, and all tests on Deno: wine lets a program start others. */
async function onWindows(library: string, cache: string, say: (line: string) => void): Promise<Step[]> {
  const root = ROOT.replace(/\/$/, "");
  // where it is looked for first: some tests start programs without LLAMASAUR_LIBRARY
  const { deno, bun } = await getWindows(cache, [root, `${dirname(library)}=${root}/lib/win32-x64`], say);
  return [
    { name: "the reranker on Deno", command: [...deno, "run", "-A", RERANKER] },
    { name: "the reranker on Bun", command: [...bun, RERANKER] },
    { name: "f32 vectors within 1e-6 of this machine's", command: [...COMPARE, ...bun, ...VECTORS] },
    ...ALONE.map((name) => ({
      name: `tests/${name}_test.ts on Bun`,
      command: [...bun, "test", ...PATIENCE, `./tests/${name}_test.ts`],
    })),
    ...(await folders()).map((folder) => ({
      name: `tests/${folder} on Deno`,
      command: [...deno, "test", "-A", "--quiet", `tests/${folder}`],
    })),
  ];
}
