/** From what the user asks for to CMake's arguments. Pure: imports nothing, reads nothing. */

/** What a library can compute on; each has a flag of its name. */
export type Backend = "cpu" | "metal" | "cuda" | "vulkan" | "hip" | "sycl" | "blas";

/** Every {@link Backend}. */
export const BACKENDS: readonly Backend[] = ["cpu", "metal", "cuda", "vulkan", "hip", "sycl", "blas"];

/** Backends whose flag is passed to llama.cpp's build as it is; nobody here has run them. */
export const UNTESTED: readonly Backend[] = ["hip", "sycl", "blas"];

/** What a maintainers' program can be watched by: gcc's and clang's AddressSanitizer with UBSan, or ThreadSanitizer. */
export type Sanitizer = "address" | "thread";

/** Every {@link Sanitizer}. */
export const SANITIZERS: readonly Sanitizer[] = ["address", "thread"];

/** The machine that the library is built on and for, in Node's names (`process.platform`, `process.arch`). */
export interface Machine {
  readonly platform: string;
  readonly arch: string;
}

/** What decides how the library is compiled. */
export interface Flags extends Machine {
  readonly backend: Backend;
  /** For any machine of this architecture instead of this one (no `-march=native`). */
  readonly portable: boolean;
  readonly debug: boolean;
  /** For programs of maintainers only; a runtime cannot open a library that is built so. */
  readonly sanitize?: Sanitizer | undefined;
}

/** Metal on Apple Silicon, the processor elsewhere. */
export function defaultBackend(machine: Machine): Backend {
  return machine.platform === "darwin" && machine.arch === "arm64" ? "metal" : "cpu";
}

/** Why a backend cannot be built on a machine, or undefined when it can. */
export function unavailable(backend: Backend, machine: Machine): string | undefined {
  const mac = machine.platform === "darwin";
  if (backend === "metal" && !mac) return `--metal needs macOS, and this is ${machine.platform}`;
  if ((backend === "cuda" || backend === "hip" || backend === "sycl") && mac) {
    return `--${backend} does not exist on macOS; use --metal or --cpu`;
  }
  return undefined;
}

/** CMake's generator: Ninja when it is there, else make; on Windows CMake finds Visual Studio itself. */
export function generatorArguments(machine: Machine, ninja: boolean): string[] {
  if (machine.platform === "win32") return ["-A", machine.arch === "arm64" ? "ARM64" : "x64"];
  return ["-G", ninja ? "Ninja" : "Unix Makefiles"];
}

/** The `-D` arguments of CMake's configure step; every choice is written down, none left to a default that may move. */
export function cmakeArguments(flags: Flags): string[] {
  const { backend, platform, arch, portable, sanitize } = flags;
  const mac = platform === "darwin";
  const windows = platform === "win32";
  const settings: [name: string, value: boolean | string][] = [
    // Visual Studio is told the configuration when it builds, see buildArguments
    ...(windows ? [] : [["CMAKE_BUILD_TYPE", configuration(flags)] as [string, string]]),
    ["CMAKE_POSITION_INDEPENDENT_CODE", true],
    ["BUILD_SHARED_LIBS", false],
    ["LLAMA_BUILD_IS_DEV", false], // llama_version() says "0.5.0" and not "0.5.0-dev"
    ["GGML_OPENMP", false], // images lack libgomp, and one-thread lanes need no team
    ["GGML_NATIVE", !portable],
    ["GGML_METAL", backend === "metal"],
    ["GGML_CUDA", backend === "cuda"],
    ["GGML_VULKAN", backend === "vulkan"],
    ["GGML_HIP", backend === "hip"],
    ["GGML_SYCL", backend === "sycl"],
    ["GGML_BLAS", backend === "blas" || mac], // Accelerate is part of every macOS
  ];
  if (backend === "blas" && !mac) settings.push(["GGML_BLAS_VENDOR", "OpenBLAS"]);
  if (backend === "metal") settings.push(["GGML_METAL_EMBED_LIBRARY", true]);
  if (backend === "cuda") settings.push(["GGML_CUDA_NCCL", false]); // found by chance, it would be a dependency
  // llama.cpp's names; build/CMakeLists.txt gives the flags to ggml and to us too
  if (sanitize === "address") settings.push(["LLAMA_SANITIZE_ADDRESS", true], ["LLAMA_SANITIZE_UNDEFINED", true]);
  if (sanitize === "thread") settings.push(["LLAMA_SANITIZE_THREAD", true]);
  if (mac) settings.push(["CMAKE_OSX_ARCHITECTURES", arch === "arm64" ? "arm64" : "x86_64"]);
  if (portable && arch === "x64") {
    // llama.cpp's own choice for a build that is not native (any x64 processor since 2013), unless the variable
    // SOURCE_DATE_EPOCH happens to be set, so it is spelled out
    const features = ["SSE42", "AVX", "AVX2", "BMI2"];
    if (!windows) features.push("FMA", "F16C"); // part of AVX2 for Microsoft's compiler, no option there
    for (const feature of features) settings.push([`GGML_${feature}`, true]);
  }
  return settings.map(([name, value]) => `-D${name}=${typeof value === "string" ? value : value ? "ON" : "OFF"}`);
}

/** The arguments of CMake's build step, after `cmake --build <directory>`. */
export function buildArguments(flags: Flags, target: string, jobs: number): string[] {
  const windows = flags.platform === "win32";
  return [...(windows ? ["--config", configuration(flags)] : []), "--target", target, "--parallel", String(jobs)];
}

function configuration({ debug, sanitize }: Flags): string {
  if (debug) return "Debug";
  return sanitize ? "RelWithDebInfo" : "Release";
}
