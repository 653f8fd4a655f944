/** Compiles the library for another platform, by the sources and settings of `build/mod.ts --portable`. */
import { mkdir, readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compile } from "../build/compile.ts";
import { buildArguments, cmakeArguments, type Flags } from "../build/flags.ts";
import { buildKey, inputsHash } from "../build/key.ts";
import { TREE } from "../build/pin.ts";
import { libraryExports } from "../build/plan.ts";
import { produce } from "../build/produce.ts";
import { pinnedSource, type Source } from "../build/source.ts";
import { libraryAssets, programAssets } from "../build/stage.ts";
import { libraryFileName, packageRoot } from "../ffi/host/paths.ts";
import { abi } from "../ffi/symbols.ts";
import { crossSettings, type Platform } from "./platforms.ts";
import { getZig, type Zig, ZIG_VERSION } from "./zig.ts";

/** What a library was made of, and where it is. */
export interface Crossed {
  readonly product: string;
  readonly source: Source;
  readonly zig: Zig;
}

/** How a platform is to be built. */
export interface CrossOptions {
  readonly cache: string;
  readonly jobs?: number | undefined;
  /** A program for maintainers instead of the library, such as `kernels_check`. */
  readonly program?: string | undefined;
  readonly say: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Compiles one platform's library, unless nothing has changed. */
export async function cross(platform: Platform, options: CrossOptions): Promise<Crossed> {
  const { cache, say, signal, program, jobs = availableParallelism() } = options;
  const { name, target } = platform;
  const root = packageRoot();
  const [assets, programs] = [await libraryAssets(root), program && await programAssets(root, program)];
  const toolchain = fileURLToPath(new URL("packages/toolchain.cmake", root));
  const flags: Flags = { ...platform, backend: "cpu", portable: true, debug: false };
  const settings = [...cmakeArguments(flags), ...crossSettings(platform)];
  const key = buildKey([TREE, ZIG_VERSION, target, settings, await readFile(toolchain, "utf8")]);
  const directory = join(cache, "prebuilt", `${name}-${key}`);
  const [cmake, tools] = [join(directory, "cmake"), join(directory, "tools")];
  const product = join(cmake, "out", program ?? libraryFileName(platform.platform));
  const zig = await getZig(cache, say, signal);
  const source = await pinnedSource(cache, say, signal);
  const ours = [`-DSAUR_ABI=${abi()}`, `-DSAUR_EXPORTS=${libraryExports(platform.platform).join(";")}`];
  const work = {
    ...{ directory, assets, programs: programs || undefined },
    configure: [
      ...["cmake", "-S", join(directory, "stage"), "-B", cmake, "-G", "Ninja", "--toolchain", toolchain],
      ...[`-DLLAMA_CPP_DIR=${source.directory}`, ...settings, ...ours],
    ],
    compile: ["cmake", "--build", cmake, ...buildArguments(flags, program ?? "llamasaur", jobs)],
    env: { SAUR_ZIG: zig.program, SAUR_ZIG_TARGET: target, SAUR_ZIG_TOOLS: tools },
  };
  await produce({
    ...{ lock: join(cache, "prebuilt", `${name}.lock`), directory, product, destinations: [], say, signal },
    inputs: program === undefined ? inputsHash(assets, ours) : undefined,
    make: async (stop) => {
      say(`${name}: compiling in ${directory}`);
      await mkdir(tools, { recursive: true });
      await compile(work, everyHalfMinute(name, say), stop);
    },
  });
  return { product, source, zig };
}

/** A line of the compiler's every half a minute, to show that it is alive. */
function everyHalfMinute(name: string, say: (line: string) => void): (line: string) => void {
  let told = performance.now();
  return (line) => {
    if (performance.now() - told < 30_000) return;
    told = performance.now();
    say(`${name}: ${line}`);
  };
}
