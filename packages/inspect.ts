/** Reads out of a library what a loader would: which names it exports, what it needs, how it is signed. */
import { readFile } from "node:fs/promises";
import { BuildError } from "../build/failure.ts";
import { run } from "../build/run.ts";
import type { Target } from "./platforms.ts";

/** Who has signed a library's code: nobody, nobody by name (which opens on the Mac as it is), or somebody. */
export type Signature = "none" | "ad-hoc" | "identity";

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
  /** Who has signed its code; macOS alone. */
  readonly signature?: Signature;
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
  const names = await output(["llvm-nm", "--extern-only", "--defined-only", "--format=just-symbols", library]);
  return {
    exports: all(names, /^_(\w+)$/gm).sort(),
    needed: all(dylibs, /^\s+(\S+) \(compat/gm),
    signature: signatureOf(await readFile(library)),
  };
}

/**
 * Reads the signature of a 64-bit Mach-O file, by the structures of Apple's <mach-o/loader.h> and <kern/cs_blobs.h>: a load
 * command tells where it is, a code directory has its flags, and an identity has a message with its certificates besides.
 */
export function signatureOf(file: Uint8Array): Signature {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const [CODE_SIGNATURE, CODE_DIRECTORY, CERTIFICATES, ADHOC] = [0x1d, 0, 0x10000, 0x2];
  let command = 32; // behind the header; its numbers are little-endian, the signature's big-endian
  for (let left = view.getUint32(16, true); view.getUint32(command, true) !== CODE_SIGNATURE; left--) {
    if (left <= 1) return "none";
    command += view.getUint32(command + 4, true);
  }
  const start = view.getUint32(command + 8, true);
  const blobs = Array.from({ length: view.getUint32(start + 8) }, (_, i) => start + 12 + 8 * i);
  const blobOf = (type: number): number | undefined => {
    const found = blobs.find((at) => view.getUint32(at) === type);
    return found === undefined ? undefined : start + view.getUint32(found + 4);
  };
  const [directory, certificates] = [blobOf(CODE_DIRECTORY), blobOf(CERTIFICATES)];
  if (directory === undefined) return "none";
  const isSigned = certificates !== undefined && view.getUint32(certificates + 4) > 8; // an empty one may be there
  return isSigned || !(view.getUint32(directory + 12) & ADHOC) ? "identity" : "ad-hoc";
}

/** Folders of the builder's machine that stand in the library, of those that are looked for. */
export async function foldersIn(library: string, folders: readonly string[]): Promise<string[]> {
  const bytes = await readFile(library);
  return folders.filter((folder) => bytes.includes(folder));
}
