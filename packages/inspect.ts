/** Reads out of a library what a loader would: which names it exports, what it needs, how it is signed. */
import { readFile } from "node:fs/promises";
import { BuildError } from "../build/failure.ts";
import { run } from "../build/run.ts";
import type { Target } from "./platforms.ts";

/** What is in a library. */
export interface Facts {
  /** The names that it exports, in order. */
  readonly exports: readonly string[];
  /** The libraries that it needs. */
  readonly needed: readonly string[];
  /** The names that it takes from others; Linux alone. */
  readonly imports?: readonly string[];
  /** Where its loader looks first; Linux alone. */
  readonly runpath?: string;
  /** The newest version of glibc that a symbol of it asks for, such as `2.17`; Linux alone. */
  readonly glibc?: string;
  /** Whether it has a code signature; macOS alone. */
  readonly signed?: boolean;
}

/**
 * Reads a library by the tools of binutils (Linux) and LLVM (the others).
 *
 * @throws {BuildError} A tool is missing, or does not know the file.
 */
export function inspect(platform: Target, library: string): Promise<Facts> {
  if (platform.platform === "linux") return readElf(library);
  return platform.platform === "win32" ? readPe(library) : readMachO(library);
}

async function output(command: readonly string[]): Promise<string> {
  const { code, output } = await run(command);
  if (code === 0) return output;
  const remedy = "readelf is of binutils, the llvm- tools are of LLVM (apt-get install binutils llvm)";
  throw new BuildError(`${command.join(" ")} failed: ${output.trim().split("\n").at(-1)}; ${remedy}`);
}

const all = (text: string, pattern: RegExp): string[] => Array.from(text.matchAll(pattern), (match) => match[1]!);

async function readElf(library: string): Promise<Facts> {
  const symbols = await output(["readelf", "-W", "--dyn-syms", library]);
  const dynamic = await output(["readelf", "-W", "-d", library]);
  const versions = all(await output(["readelf", "-W", "-V", library]), /Name: GLIBC_([\d.]+)/g);
  return {
    exports: all(symbols, /(?:GLOBAL|WEAK)\s+DEFAULT\s+\d+ (\w+)/g).sort(),
    imports: all(symbols, /\sUND (\w+)/g).sort(),
    runpath: all(dynamic, /\((?:RUNPATH|RPATH)\).*\[(.*)\]/g)[0] ?? "",
    needed: all(dynamic, /\(NEEDED\).*\[(.+)\]/g),
    glibc: newest(versions),
  };
}

/** The newest of some versions, such as `2.2.5` and `2.17`; empty where there is none. */
export function newest(versions: readonly string[]): string {
  const parts = (version: string): number[] => version.split(".").map(Number);
  const order = (a: number[], b: number[]): number => {
    const at = a.findIndex((part, i) => part !== (b[i] ?? 0));
    return at < 0 ? a.length - b.length : a[at]! - (b[at] ?? 0);
  };
  return versions.toSorted((a, b) => order(parts(a), parts(b))).at(-1) ?? "";
}

async function readPe(library: string): Promise<Facts> {
  const exported = await output(["llvm-readobj", "--coff-exports", library]);
  const imported = await output(["llvm-readobj", "--coff-imports", library]);
  return {
    exports: all(exported, /^\s*Name: (\w+)$/gm).sort(),
    needed: all(imported, /^\s*Name: (\S+\.\w+)$/gm),
  };
}

async function readMachO(library: string): Promise<Facts> {
  const dylibs = await output(["llvm-objdump", "--macho", "--dylibs-used", library]);
  const headers = await output(["llvm-objdump", "--macho", "--private-headers", library]);
  const names = await output(["llvm-nm", "--extern-only", "--defined-only", "--format=just-symbols", library]);
  return {
    exports: all(names, /^_(\w+)$/gm).sort(),
    needed: all(dylibs, /^\s+(\S+) \(compat/gm),
    signed: /LC_CODE_SIGNATURE/.test(headers),
  };
}

/** Folders of the builder's machine that stand in the library, of those that are looked for. */
export async function foldersIn(library: string, folders: readonly string[]): Promise<string[]> {
  const bytes = await readFile(library);
  return folders.filter((folder) => bytes.includes(folder));
}
