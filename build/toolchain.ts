/** Looks for the tools of a build before anything is compiled, and says how to get what is missing. */
import { stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import process from "node:process";
import { BuildError } from "./failure.ts";
import { type Flags, generatorArguments } from "./flags.ts";
import { type Manager, MANAGERS, remedy, type Tool } from "./remedies.ts";
import { run } from "./run.ts";

/** CMake's own order (CMakeDetermineCCompiler.cmake, CMakeDetermineCXXCompiler.cmake), those that are in use. */
const C_COMPILERS = ["cc", "gcc", "clang"];
const CXX_COMPILERS = ["c++", "g++", "clang++"];

/** Needs C++17's library, and CMake's newest feature that CMakeLists.txt here or in llama.cpp asks for. */
const CXX17 = "#include <optional>\n#include <stdlib.h>\nstatic_assert(__cplusplus >= 201703L);\n" +
  "int main() { return std::optional<int>(0).value(); }\n";
const CMAKE_OLDEST: Partial<Record<Flags["backend"], number>> & { readonly other: number } = {
  vulkan: 19,
  hip: 21,
  other: 18,
};

/**
 * What an old glslc (Debian 12's) lacks. llama.cpp's CMake would go on without, and the library would run without
 * the shaders that make it fast, or the build end in the middle of the shaders.
 */
const COOPERATIVE_MATRIX = "#version 460\n#extension GL_KHR_cooperative_matrix : require\nvoid main() {}\n";

/** What ggml-vulkan.cpp uses of the headers that was added last (1.3.239 of Debian 12 has none of it). */
const OLD_HEADERS = "the Vulkan headers are too old";
const LAYER_SETTINGS =
  `#include <vulkan/vulkan_core.h>\n#ifndef VK_EXT_layer_settings\n#error ${OLD_HEADERS}\n#endif\n`;

/** The path of a program on PATH, or undefined. */
export async function which(name: string): Promise<string | undefined> {
  const suffixes = process.platform === "win32" ? (process.env.PATHEXT ?? ".EXE").split(";") : [""];
  for (const directory of (process.env.PATH ?? "").split(delimiter).filter(Boolean)) {
    for (const suffix of suffixes) {
      const path = join(directory, name + suffix);
      if (await isProgram(path)) return path;
    }
  }
  return undefined;
}

/** Whether a file may be run, as far as its mode tells: `access` asks Deno for a permission more, and dies without it. */
async function isProgram(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && found.isFile() && (process.platform === "win32" || (found.mode & 0o111) !== 0);
}

async function first(names: readonly string[]): Promise<string[] | undefined> {
  for (const name of names) if (await which(name)) return [name];
  return undefined;
}

/**
 * The generator for every CMake project that is configured here. Without `-G` CMake takes make and fails where there is
 * only ninja, so every program of this repository that calls CMake passes these arguments.
 */
export async function generatorHere(): Promise<string[]> {
  const { platform, arch } = process;
  return generatorArguments({ platform, arch }, await which("ninja") !== undefined);
}

/** The compilers that CMake will take, with what precedes their arguments (`CXX="ccache g++"`); none on Windows. */
async function compilers(): Promise<{ readonly c?: string[] | undefined; readonly cxx?: string[] | undefined }> {
  if (process.platform === "win32") return {}; // CMake finds Visual Studio, which is not on PATH
  const asked = (name: string) => process.env[name]?.split(" ").filter(Boolean);
  return { c: asked("CC") ?? await first(C_COMPILERS), cxx: asked("CXX") ?? await first(CXX_COMPILERS) };
}

/** nvcc where the CUDA toolkit puts it; CMake alone looks on PATH only. */
export async function findNvcc(): Promise<string | undefined> {
  const { CUDACXX, CUDA_PATH, CUDA_HOME } = process.env;
  if (CUDACXX) return CUDACXX;
  const roots = [CUDA_PATH, CUDA_HOME, "/usr/local/cuda"].filter((root) => root !== undefined);
  for (const path of [await which("nvcc"), ...roots.map((root) => join(root, "bin", "nvcc"))]) {
    if (path && await isProgram(path)) return path;
  }
  return undefined;
}

/** The versions of the compilers in their own words, for the key of a build; empty where one is missing. */
export async function compilerVersions(nvcc: string | undefined): Promise<string[]> {
  const { c, cxx } = await compilers();
  const asked = [c, cxx, nvcc === undefined ? undefined : [nvcc]].filter((command) => command !== undefined);
  return await Promise.all(asked.map(async (command) => (await run([...command, "--version"])).output));
}

/** How to get a tool on this machine. */
export async function remedyHere(tool: Tool): Promise<string> {
  const present: Manager[] = [];
  for (const manager of MANAGERS) if (await which(manager)) present.push(manager);
  return remedy(tool, process.platform, present);
}

/**
 * Checks everything that a build with these flags needs and that can be known before CMake runs.
 *
 * @param git Whether git is needed, to get the source or to look at it.
 * @throws {BuildError} Something is missing or too old; all of it is named, each with a remedy.
 */
export async function checkTools(flags: Flags, ninja: boolean, git: boolean): Promise<void> {
  const problems: [Tool, string | undefined][] = await Promise.all([
    ...(git ? [problem("git", checkGit())] : []),
    problem("cmake", checkCmake(flags)),
    problem("compiler", checkCompiler()),
    ...(ninja || process.platform === "win32" ? [] : [problem("make", checkMake())]),
    ...(flags.backend === "cuda" ? [problem("cuda", checkNvcc())] : []),
    ...(flags.backend === "vulkan" ? [problem("glslc", checkGlslc()), problem("vulkan", checkVulkanHeaders())] : []),
  ]);
  const lines: string[] = [];
  for (const [tool, text] of problems) {
    if (text !== undefined) lines.push(`${text}\n    get it: ${await remedyHere(tool)}`);
  }
  if (lines.length > 0) throw new BuildError(`nothing was compiled, tools are missing\n  ${lines.join("\n  ")}`);
}

async function problem(tool: Tool, check: Promise<string | undefined>): Promise<[Tool, string | undefined]> {
  return [tool, await check];
}

async function checkGit(): Promise<string | undefined> {
  return await which("git") ? undefined : "git is not installed";
}

async function checkMake(): Promise<string | undefined> {
  return await which("make") ? undefined : "neither ninja nor make is installed";
}

async function checkCmake(flags: Flags): Promise<string | undefined> {
  const { code, output } = await run(["cmake", "--version"]);
  if (code === 127) return "cmake is not installed";
  const [, major, minor] = /version (\d+)\.(\d+)/.exec(output) ?? [];
  const oldest = CMAKE_OLDEST[flags.backend] ?? CMAKE_OLDEST.other;
  const fits = Number(major) > 3 || Number(major) === 3 && Number(minor) >= oldest;
  return fits ? undefined : `cmake is ${major}.${minor}, and 3.${oldest} or later is needed`;
}

async function checkCompiler(): Promise<string | undefined> {
  if (process.platform === "win32") return undefined; // CMake says it, see hint() in mod.ts
  const { c, cxx } = await compilers();
  if (!c || !cxx) return `a ${c ? "C++" : "C"} compiler is not installed`;
  const tried = await run([...cxx, "-std=c++17", "-fsyntax-only", "-x", "c++", "-"], { input: CXX17 });
  if (tried.code === 127) return `${cxx.join(" ")} (from CXX) is not installed`;
  return tried.code === 0 ? undefined : `${cxx.join(" ")} cannot compile C++17: ${tried.output.split("\n")[0]}`;
}

async function checkNvcc(): Promise<string | undefined> {
  const nvcc = await findNvcc();
  if (nvcc === undefined) return "nvcc (CUDA toolkit) is neither on PATH nor below CUDA_PATH or /usr/local/cuda";
  return (await run([nvcc, "--version"])).code === 0 ? undefined : `${nvcc} does not run`;
}

async function checkGlslc(): Promise<string | undefined> {
  const command = ["glslc", "-fshader-stage=compute", "--target-env=vulkan1.3", "-o", "-", "-"];
  const tried = await run(command, { input: COOPERATIVE_MATRIX });
  if (tried.code === 127) return "glslc (Vulkan's shader compiler) is not installed";
  return tried.code === 0 ? undefined : `glslc is too old for llama.cpp's shaders: ${tried.output.split("\n")[0]}`;
}

/** Only says that headers are too old: that there are none CMake finds out better, before anything is compiled. */
async function checkVulkanHeaders(): Promise<string | undefined> {
  const { cxx } = await compilers();
  const sdk = process.env["VULKAN_SDK"];
  if (!cxx) return undefined;
  const include = sdk ? [`-I${join(sdk, "include")}`] : [];
  const { output } = await run([...cxx, ...include, "-fsyntax-only", "-x", "c++", "-"], { input: LAYER_SETTINGS });
  return output.includes(`#error ${OLD_HEADERS}`) ? `${OLD_HEADERS}: llama.cpp needs VK_EXT_layer_settings` : undefined;
}
