/** Everything that a build will do, decided before it does anything. */
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import {
  cacheDirectory,
  isCheckout,
  libraryCachePath,
  libraryFileName,
  packageRoot,
  targetName,
} from "../ffi/host/paths.ts";
import { printable } from "../ffi/host/printable.ts";
import { abi, SYMBOLS } from "../ffi/symbols.ts";
import { LLAMA_VERSION } from "../ffi/version.ts";
import { BuildError } from "./failure.ts";
import {
  type Backend,
  BACKENDS,
  buildArguments,
  cmakeArguments,
  defaultBackend,
  type Flags,
  type Sanitizer,
  SANITIZERS,
  unavailable,
} from "./flags.ts";
import { buildKey, inputsHash, processor } from "./key.ts";
import type { BuildOptions } from "./options.ts";
import { TREE } from "./pin.ts";
import { findPrebuilt, type Prebuilt } from "./prebuilt.ts";
import { givenSource, type Source, sourcePath } from "./source.ts";
import { type Assets, libraryAssets, programAssets } from "./stage.ts";
import { compilerVersions, findNvcc, generatorHere } from "./toolchain.ts";

/** What the library exports besides our own functions: a test reads these structs by value and compares. */
const LLAMA_EXPORTS = ["llama_model_default_params", "llama_context_default_params"];

/** The names that a library of our own build exports. llama.cpp's are hidden on macOS, whose linker exports all that is not. */
export function libraryExports(platform: string): string[] {
  return [...Object.keys(SYMBOLS), ...(platform === "darwin" ? [] : LLAMA_EXPORTS)];
}

/** A build that is decided on. */
export interface Plan {
  readonly flags: Flags;
  readonly ninja: boolean;
  readonly jobs: number;
  readonly cache: string;
  /** The source that the user gave; undefined for the pinned one, which is fetched when it is needed. */
  readonly given: Source | undefined;
  /** The built llama.cpp that the user gave; only the shim is compiled then. */
  readonly prebuilt: Prebuilt | undefined;
  /** The build's own directory in the cache. */
  readonly directory: string;
  readonly assets: Assets;
  readonly programs: Assets | undefined;
  /** A hash of all inputs, or undefined when the source may have changed unseen. */
  readonly inputs: string | undefined;
  readonly configure: readonly string[];
  readonly compile: readonly string[];
  /** What CMake makes. */
  readonly product: string;
  /** Where the library is copied to, the place where it is looked for first. */
  readonly destinations: readonly string[];
}

/**
 * Decides on a build.
 *
 * @throws {RangeError} An option's value is not one that it takes.
 * @throws {BuildError} The backend does not exist here, or `source` is not llama.cpp.
 */
export async function plan(options: BuildOptions): Promise<Plan> {
  const prebuilt = options.llama === undefined ? undefined : await findPrebuilt(options.llama, process);
  if (prebuilt) checkAlone(options);
  const flags = flagsOf(options, prebuilt);
  const { backend } = flags;
  const jobs = checkJobs(options.jobs) ?? availableParallelism();
  const cache = userCache();
  const root = packageRoot();
  const nvcc = backend === "cuda" && !prebuilt ? await findNvcc() : undefined;
  const programs = options.target === undefined ? undefined : await programAssets(root, options.target);
  const [given, assets, generator, compilers, cpu] = await Promise.all([
    options.source === undefined ? undefined : givenSource(options.source, options.signal),
    libraryAssets(root),
    generatorHere(),
    compilerVersions(nvcc),
    flags.portable || prebuilt ? "" : processor(),
  ]);
  const source = given?.directory ?? sourcePath(cache);
  const settings = settingsOf(flags, prebuilt, nvcc);
  const tree = given ? given.tree ?? null : TREE;
  const key = buildKey([
    source,
    tree,
    generator,
    settings,
    compilers,
    cpu,
    ...(prebuilt ? [prebuilt.identity] : []),
    // no setting there, since Visual Studio has it in the build step: one directory would be taken for both
    ...(flags.platform === "win32" ? [flags.debug] : []),
  ]);
  const name = prebuilt ? `prebuilt-${backend}` : flags.sanitize ? `${backend}-${flags.sanitize}` : backend;
  const directory = join(cache, "build", `${name}-${key}`);
  const cmake = join(directory, "cmake");
  // not in the key: they concern our own few files, and llama.cpp need not be compiled again for them
  const exported = prebuilt ? Object.keys(SYMBOLS) : libraryExports(flags.platform);
  const ours = [`-DSAUR_ABI=${abi()}`, `-DSAUR_EXPORTS=${exported.join(";")}`];
  return {
    flags,
    ninja: generator.includes("Ninja"),
    jobs,
    cache,
    given,
    prebuilt,
    directory,
    assets,
    programs,
    // CMake alone knows whether an unknown source or a program has changed
    inputs: programs || given && given.tree === undefined ? undefined : inputsHash(assets, ours),
    configure: [
      "cmake",
      "-S",
      join(directory, "stage"),
      "-B",
      cmake,
      ...generator,
      `-DLLAMA_CPP_DIR=${source}`,
      ...settings,
      ...ours,
    ],
    compile: ["cmake", "--build", cmake, ...buildArguments(flags, options.target ?? "llamasaur", jobs)],
    product: join(cmake, "out", options.target === undefined ? libraryFileName() : programFileName(options.target)),
    destinations: options.target === undefined ? destinations(name, options.out) : [],
  };
}

/** What the library is compiled for, by the options and else by this machine. */
function flagsOf(options: BuildOptions, prebuilt: Prebuilt | undefined): Flags {
  const { platform, arch } = process;
  const backend = prebuilt?.backend ?? checkBackend(options.backend) ?? defaultBackend({ platform, arch });
  const impossible = unavailable(backend, { platform, arch });
  if (impossible !== undefined) throw new BuildError(impossible);
  const { portable = false, debug = false } = options;
  return { backend, platform, arch, portable, debug, sanitize: checkSanitizer(options) };
}

function userCache(): string {
  const cache = cacheDirectory();
  if (cache !== undefined) return cache;
  throw new BuildError(
    "the user cache is unknown: set XDG_CACHE_HOME, HOME or LOCALAPPDATA, and allow to read it (--allow-env)",
  );
}

/** The `-D` arguments that llama.cpp is compiled by; with a built one, those that our own files are. */
function settingsOf(flags: Flags, prebuilt: Prebuilt | undefined, nvcc: string | undefined): string[] {
  if (prebuilt === undefined) {
    return [...cmakeArguments(flags), ...(nvcc === undefined ? [] : [`-DCMAKE_CUDA_COMPILER=${nvcc}`])];
  }
  const ours = cmakeArguments({ ...flags, backend: "cpu", portable: false });
  return [...ours, `-DSAUR_PREBUILT=${prebuilt.libraries.join(";")}`];
}

function programFileName(name: string): string {
  return process.platform === "win32" ? `${name}.exe` : name;
}

/** Where the library is looked for first, below `out` if that is given. */
export function destination(out: string | undefined): string {
  userCache(); // throws where it is unknown
  return destinations("", out)[0]!;
}

function destinations(name: string, out: string | undefined): string[] {
  const lib = out !== undefined
    ? resolve(out)
    : isCheckout()
    ? fileURLToPath(new URL("lib", packageRoot()))
    : dirname(dirname(libraryCachePath(LLAMA_VERSION, abi())!)); // the cache directory is known here
  return ["", `-${name}`].map((suffix) => join(lib, targetName() + suffix, libraryFileName()));
}

/** What a built llama.cpp has decided already cannot be asked for. */
function checkAlone({ backend, portable, target }: BuildOptions): void {
  const asked = backend ? `--${backend}` : portable ? "--portable" : target === undefined ? undefined : "--target";
  if (asked) throw new BuildError(`--llama and ${asked} exclude each other: only our own few files are compiled`);
}

function checkBackend(backend: Backend | undefined): Backend | undefined {
  if (backend === undefined || BACKENDS.includes(backend)) return backend;
  throw new RangeError(`backend is ${JSON.stringify(printable(backend))}: use one of ${BACKENDS.join(", ")}`);
}

function checkSanitizer({ sanitize, target }: BuildOptions): Sanitizer | undefined {
  if (sanitize === undefined) return undefined;
  if (!SANITIZERS.includes(sanitize)) {
    throw new RangeError(`sanitize is ${JSON.stringify(printable(sanitize))}: use one of ${SANITIZERS.join(", ")}`);
  }
  if (target === undefined) throw new BuildError("--sanitize is for a program: give --target too");
  return sanitize;
}

function checkJobs(jobs: number | undefined): number | undefined {
  if (jobs === undefined || Number.isSafeInteger(jobs) && jobs > 0) return jobs;
  throw new RangeError(`jobs is ${jobs}: use a whole number of 1 or more`);
}
