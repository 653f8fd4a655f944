/** The platforms that libraries are made for, and what tells them apart. Pure: imports types alone, reads nothing. */
import type { Machine } from "../build/flags.ts";
import type { LlamaPackage } from "./llama.ts";

/** What every package of a library has. */
export interface Target extends Machine {
  /** The folder of dist/, and the last part of the package's name. */
  readonly name: string;
  /** npm's field: which C library; Linux alone. */
  readonly libc?: "glibc";
  /** The oldest system, in words. */
  readonly needs: string;
}

/** A library that is whole, for one system and processor. */
export interface Platform extends Target {
  /** What zig calls it, with the oldest system that the library runs on. */
  readonly target: string;
}

/** A library of our own files alone, for a llama.cpp that somebody else has built. */
export interface Shim extends Target {
  /** What the names of Debian's compilers begin with. */
  readonly triple: string;
  /** The llama.cpp whose names it is linked by. */
  readonly against: LlamaPackage;
}

/** Every platform of a release. musl is not here: Deno looks at `os` and `cpu` of a dependency, not at `libc`. */
export const PLATFORMS: readonly Platform[] = [
  {
    ...{ name: "linux-x64-gnu", target: "x86_64-linux-gnu.2.17", platform: "linux", arch: "x64", libc: "glibc" },
    needs: "glibc 2.17 and a processor with AVX2",
  },
  {
    ...{ name: "linux-arm64-gnu", target: "aarch64-linux-gnu.2.17", platform: "linux", arch: "arm64", libc: "glibc" },
    needs: "glibc 2.17",
  },
  {
    ...{ name: "win32-x64", target: "x86_64-windows-gnu", platform: "win32", arch: "x64" },
    needs: "Windows 10 and a processor with AVX2",
  },
  { name: "darwin-arm64", target: "aarch64-macos.11.0", platform: "darwin", arch: "arm64", needs: "macOS 11" },
  {
    ...{ name: "darwin-x64", target: "x86_64-macos.11.0", platform: "darwin", arch: "x64" },
    needs: "macOS 11 and a processor with AVX2",
  },
];

/** Every shim of a release: where npm has a llama.cpp to link with, whatever GPU it is for. */
export const SHIMS: readonly Shim[] = [
  {
    ...{ name: "shim-linux-x64-gnu", platform: "linux", arch: "x64", libc: "glibc", triple: "x86_64-linux-gnu" },
    ...{ against: "linux-x64", needs: "glibc 2.34 and somebody's libllama" },
  },
  {
    ...{ name: "shim-linux-arm64-gnu", platform: "linux", arch: "arm64", libc: "glibc", triple: "aarch64-linux-gnu" },
    ...{ against: "linux-arm64", needs: "glibc 2.34 and somebody's libllama" },
  },
];

/**
 * What CMake is told for a platform besides the settings of every portable build: zig has clang where Windows has Microsoft's
 * compiler, and of macOS libSystem's headers and nothing else.
 */
export function crossSettings({ platform, arch }: Platform): string[] {
  const more: string[] = [];
  // An instruction that a processor of ARMv8.0 lacks would end the process: nothing is asked for beyond zig's baseline.
  if (platform === "win32") more.push("CMAKE_BUILD_TYPE=Release");
  if (platform === "win32" && arch === "x64") more.push("GGML_FMA=ON", "GGML_F16C=ON");
  if (platform === "darwin") more.push("GGML_METAL=OFF", "GGML_ACCELERATE=OFF", "GGML_BLAS=OFF");
  return more.map((setting) => `-D${setting}`);
}
