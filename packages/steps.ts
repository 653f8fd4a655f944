/** Says what is tried of a platform's package on this machine, and by which commands. */
import { copyFile, readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { findPrebuilt } from "../build/prebuilt.ts";
import { linkBeside } from "../build/shipped.ts";
import { which } from "../build/toolchain.ts";
import { packageRoot } from "../ffi/host/paths.ts";
import { getArm64 } from "./arm64.ts";
import { cross } from "./cross.ts";
import { getLlama, type LlamaPackage } from "./llama.ts";
import { type Platform, PLATFORMS, type Shim, type Target } from "./platforms.ts";
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
  /** Whether it runs tests, of which one must pass at least: one that finds no library skips all. */
  readonly tests?: boolean;
  /** What the output has when the emulator is at fault, now and then: the step is begun again. */
  readonly fault?: RegExp;
}

/** What can be run of a platform here, in order, and how it is run. */
export interface Steps {
  readonly how: string;
  readonly steps: readonly Step[];
}

/** The steps for a package's library; what they need is fetched and compiled. */
export async function stepsOf(target: Target, library: string, cache: string): Promise<Steps> {
  const platform = PLATFORMS.find((one) => one === target);
  return platform ? await whole(platform, library, cache) : await ofShim(target as Shim, library, cache);
}

async function whole(platform: Platform, library: string, cache: string): Promise<Steps> {
  const inspected = {
    name: "what a loader and npm see",
    command: [...DENO_TEST, "tests/packages/library_test.ts"],
    env: { LLAMASAUR_PACKAGE: platform.name },
    tests: true,
  };
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

/** A shim, with the llama.cpp of node-llama-cpp: on this machine all the way from `build --llama`, emulated from there on. */
async function ofShim(shim: Shim, library: string, cache: string): Promise<Steps> {
  const say = (line: string): void => console.error(line);
  const tests = "tests/packages/shim_test.ts";
  const env = { LLAMASAUR_SLOW: "1", LLAMASAUR_PACKAGE: shim.name };
  const links = (name: LlamaPackage): Step => ({
    name: `every name that it takes is in ${name}'s`,
    command: ["deno", "run", "-A", "tests/packages/links.ts", library, name],
  });
  const tried = [
    { name: "what a loader sees, and build --llama, on Deno", command: [...DENO_TEST, tests] },
    { name: "what a loader sees, and build --llama, on Bun", command: ["bun", "test", ...PATIENCE, `./${tests}`] },
  ].map((step) => ({ ...step, env, tests: true }));
  if (shim.arch === process.arch) return { how: "natively", steps: [links("linux-x64-cuda"), ...tried] };
  const { deno, bun } = await getArm64(cache, say);
  const folder = join(cache, "prebuilt", `${shim.name}.beside`);
  const placed = join(folder, basename(library));
  await linkBeside(placed, await findPrebuilt(await getLlama(cache, shim.against), shim));
  await copyFile(library, placed);
  return {
    how: "under qemu",
    steps: [links("linux-arm64"), ...alone({ deno, bun }, ["models/tiny_bert"], { LLAMASAUR_LIBRARY: placed })],
  };
}

/** The files with tests, below tests/. */
async function testFiles(): Promise<string[]> {
  return (await readdir(join(ROOT, "tests"), { recursive: true })).filter((name) => /_test\.ts$/.test(name)).sort();
}

/** The folders of tests that have any, each a step, so that a run can be broken off between two. */
async function folders(): Promise<string[]> {
  return [...new Set((await testFiles()).map((name) => name.split(/[\\/]/)[0]!))];
}

/** Everything that there is, with the package's library in place of this machine's. */
async function native({ platform, arch }: Platform, library: string): Promise<Step[]> {
  const env = { LLAMASAUR_LIBRARY: library };
  const kernels = { name: KERNELS, command: ["deno", ...KERNEL_NAMES], env };
  const all = (await folders()).flatMap((folder) => [
    { name: `tests/${folder} on Deno`, command: [...DENO_TEST, `tests/${folder}`], env, tests: true },
    { name: `tests/${folder} on Bun`, command: ["bun", "test", ...PATIENCE, `./tests/${folder}/`], env, tests: true },
  ]);
  const parity = { name: PARITY, command: ["deno", "run", "-A", "bench/parity.ts", "--as-noted"], env };
  if (platform !== "linux" || arch !== "x64") return [kernels, ...all, parity];
  const own = await which("bun") ?? "bun";
  const qemu = ["qemu-x86_64-static", "-cpu", "max", own]; // with AVX2, without AVX-512
  const old = "tests/packages/processors_test.ts";
  return [
    { name: "old processors", command: [...DENO_TEST, old], env: { LLAMASAUR_PACKAGE: "linux-x64-gnu" }, tests: true },
    kernels,
    { name: WITHIN, command: [...COMPARE, own, ...VECTORS], env },
    {
      name: "f32 vectors of qemu's max within 1e-6 of this machine's",
      command: [...COMPARE, ...qemu, ...VECTORS],
      env,
    },
    ...all,
    parity,
  ];
}

/** Tests that start no other process, which an emulated one could not. */
export const ALONE: readonly string[] = [
  ...["tiny_bert", "roberta", "cross_encoder", "causal", "one_label", "silent", "windows", "code_points", "rules"]
    .map((name) => `models/${name}`),
  ...["ffi/cpp/guard", "ffi/cpp/call_guard"],
];
/** The same where llama.cpp's source is in the cache, which under wine it is not. */
export const WITH_SOURCE: readonly string[] = [...ALONE, "models/vocabularies"];
const RERANKER = "examples/reranker.ts";
const KERNELS = "the kernels that it has to have";
const KERNEL_NAMES = ["run", "-A", "tests/packages/kernel_names.ts"];
const PARITY = "parity, and f32 as near as README says";
const WITHIN = "f32 vectors within 1e-6 of this machine's";
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
  return [
    ...["cortex-a53", "max"].map((cpu) => ({
      name: `the kernels on ${cpu}`,
      command: ["deno", "run", "-A", "tests/packages/kernels.ts", ...program(cpu), product],
    })),
    ...alone({ deno, bun }, WITH_SOURCE, { LLAMASAUR_LIBRARY: library }),
  ];
}

/** What an emulated runtime can do: the reranker, vectors, and tests that start no other process. */
function alone(
  { deno, bun }: { readonly deno: readonly string[]; readonly bun: readonly string[] },
  tests: readonly string[],
  env: Readonly<Record<string, string>>,
): Step[] {
  return [
    { name: KERNELS, command: [...deno, ...KERNEL_NAMES], env },
    { name: "the reranker on Deno", command: [...deno, "run", "-A", RERANKER], env },
    { name: "the reranker on Bun", command: [...bun, RERANKER], env },
    ...tests.map((name) => ({
      name: `tests/${name}_test.ts on Bun`,
      command: [...bun, "test", ...PATIENCE, `./tests/${name}_test.ts`],
      env,
      tests: true,
    })),
    // the longest of them
    { name: WITHIN, command: [...COMPARE, ...bun, ...VECTORS], env },
  ];
}

/** Where a program ends that it reads from, wine may tell Deno twice, which then ends by this. */
const PIPE_TOLD_TWICE = /named_pipe\.rs:\d+:\d+:\ninternal error: entered unreachable code/;

/** The same, and all tests on Deno, file by file: wine lets a program start others. */
async function onWindows(library: string, cache: string, say: (line: string) => void): Promise<Step[]> {
  const root = ROOT.replace(/\/$/, "");
  // where it is looked for first: some tests start programs without LLAMASAUR_LIBRARY
  const { deno, bun } = await getWindows(cache, [root, `${dirname(library)}=${root}/lib/win32-x64`], say);
  return [
    ...alone({ deno, bun }, ALONE, {}),
    ...(await testFiles()).map((file) => ({
      name: `tests/${file} on Deno`,
      command: [...deno, "test", "-A", "--quiet", "--no-check", `tests/${file}`],
      fault: PIPE_TOLD_TWICE,
    })),
  ];
}
