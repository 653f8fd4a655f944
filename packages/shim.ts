/**
 * Compiles our own files alone, for a libllama that somebody else has built: a library for a GPU, whose user has no compiler.
 * By Debian's g++, since the libllama of others has its C++ runtime: zig's would be a second one, and an exception of the one
 * passes through the other's `catch`.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { compile } from "../build/compile.ts";
import { BuildError } from "../build/failure.ts";
import { buildArguments, cmakeArguments, type Flags } from "../build/flags.ts";
import { buildKey, inputsHash } from "../build/key.ts";
import { TREE } from "../build/pin.ts";
import { findPrebuilt } from "../build/prebuilt.ts";
import { produce } from "../build/produce.ts";
import { run } from "../build/run.ts";
import { pinnedSource, type Source } from "../build/source.ts";
import { libraryAssets } from "../build/stage.ts";
import { LINKED } from "../build/shipped.ts";
import { libraryFileName, packageRoot } from "../ffi/host/paths.ts";
import { abi, SYMBOLS } from "../ffi/symbols.ts";
import type { CrossOptions } from "./cross.ts";
import { must } from "./fetch.ts";
import { getLlama, llamaPackage } from "./llama.ts";
import type { Shim } from "./platforms.ts";

/** A shim, what it was made by, and from where. */
export interface Shimmed {
  readonly product: string;
  readonly source: Source;
  /** The compiler, in its own words. */
  readonly compiler: string;
}

/** Compiles one processor's shim, unless nothing has changed. */
export async function shim(to: Shim, options: CrossOptions): Promise<Shimmed> {
  const { cache, say, signal, jobs = availableParallelism() } = options;
  const compiler = await compilerOf(to);
  const llama = await getLlama(cache, to.against);
  const source = await pinnedSource(cache, say, signal);
  const assets = await libraryAssets(packageRoot());
  const flags: Flags = { ...to, backend: "cpu", portable: false, debug: false };
  const settings = [...cmakeArguments(flags), ...systemOf(to), "-DSAUR_SHIPPED=ON"];
  const directory = join(
    cache,
    "prebuilt",
    `${to.name}-${buildKey([TREE, compiler, llamaPackage(to.against), settings])}`,
  );
  const [cmake, standIns] = [join(directory, "cmake"), join(directory, "stand-ins")];
  const ours = [`-DSAUR_ABI=${abi()}`, `-DSAUR_EXPORTS=${Object.keys(SYMBOLS).join(";")}`];
  const product = join(cmake, "out", libraryFileName("linux"));
  const work = {
    ...{ directory, assets },
    configure: [
      ...["cmake", "-S", join(directory, "stage"), "-B", cmake, "-G", "Ninja", `-DLLAMA_CPP_DIR=${source.directory}`],
      ...[...settings, ...ours, `-DSAUR_PREBUILT=${LINKED.map((name) => join(standIns, name)).join(";")}`],
    ],
    compile: ["cmake", "--build", cmake, ...buildArguments(flags, "llamasaur", jobs)],
  };
  await produce({
    ...{ lock: join(cache, "prebuilt", `${to.name}.lock`), directory, product, destinations: [], say, signal },
    inputs: inputsHash(assets, ours),
    make: async (stop) => {
      say(`${to.name}: compiling in ${directory}`);
      await makeStandIns(to, llama, standIns);
      await compile(work, () => {}, stop);
    },
  });
  return { product, source, compiler };
}

async function compilerOf({ triple }: Shim): Promise<string> {
  const { code, output } = await run([`${triple}-g++`, "--version"]);
  if (code === 0) return output.split("\n")[0]!;
  throw new BuildError(`${triple}-g++ is missing: apt-get install g++-${triple.replaceAll("_", "-")}`);
}

/** What tells CMake of the compiler and, where it is another's, of the processor. */
function systemOf({ triple }: Shim): string[] {
  const settings = [`C_COMPILER=${triple}-gcc`, `CXX_COMPILER=${triple}-g++`];
  if (triple.startsWith("aarch64")) settings.push("SYSTEM_NAME=Linux", "SYSTEM_PROCESSOR=aarch64");
  return settings.map((setting) => `-DCMAKE_${setting}`);
}

/**
 * Makes libraries to link with: they have every name of the package's libraries and do nothing. The linker takes the names of
 * needed files from them, which are another's in each package (libllama.v0.5.0.so, libllama.vulkan.v0.5.0.so), and here always
 * those that `build --llama` links to the user's.
 */
async function makeStandIns({ triple }: Shim, llama: string, folder: string): Promise<void> {
  const { libraries } = await findPrebuilt(llama, { platform: "linux", arch: "x64" });
  await mkdir(folder, { recursive: true });
  for (const [i, library] of libraries.entries()) {
    const code = (await exportsOf(library)).map((name) => `.globl ${name}\n.type ${name}, @function\n${name}:\n`);
    const file = join(folder, LINKED[i]!);
    await writeFile(`${file}.s`, `.text\n${code.join("")}.section .note.GNU-stack,"",@progbits\n`);
    await must([`${triple}-gcc`, "-shared", "-nostdlib", `-Wl,-soname,${LINKED[i]}`, "-o", file, `${file}.s`]);
  }
}

/** The names that a library for Linux exports. */
export async function exportsOf(library: string): Promise<string[]> {
  await readFile(library); // nm says of a missing one that it is no object
  const output = await must(["nm", "--dynamic", "--defined-only", "--format=just-symbols", library]);
  return output.split("\n").filter(Boolean).map((name) => name.replace(/@.*/, ""));
}
