/** Compiles the library for another platform, by the sources and settings of `build/mod.ts --portable`. */
import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BuildError } from "../build/failure.ts";
import { cmakeArguments } from "../build/flags.ts";
import { TREE } from "../build/pin.ts";
import { libraryExports } from "../build/plan.ts";
import { produce } from "../build/produce.ts";
import { run } from "../build/run.ts";
import { pinnedSource, type Source } from "../build/source.ts";
import { type Assets, libraryAssets, programAssets, stage } from "../build/stage.ts";
import { exists } from "../build/workspace.ts";
import { inputsHash } from "../build/key.ts";
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
  const { cache, say, signal, program } = options;
  const root = packageRoot();
  const own = await libraryAssets(root);
  const assets = program === undefined ? own : new Map([...own, ...await programAssets(root, program)]);
  const toolchain = fileURLToPath(new URL("packages/toolchain.cmake", root));
  const settings = settingsOf(platform);
  const key = createHash("sha256").update(await readFile(toolchain))
    .update(JSON.stringify([TREE, ZIG_VERSION, platform.target, settings])).digest("hex").slice(0, 12);
  const directory = join(cache, "prebuilt", `${platform.name}-${key}`);
  const product = join(directory, "cmake", "out", program ?? libraryFileName(platform.platform));
  const zig = await getZig(cache, say, signal);
  const source = await pinnedSource(cache, say, signal);
  const ours = [`-DSAUR_ABI=${abi()}`, `-DSAUR_EXPORTS=${libraryExports(platform.platform).join(";")}`];
  await produce({
    lock: join(cache, "prebuilt", `${platform.name}.lock`),
    directory,
    product,
    destinations: [],
    inputs: program === undefined ? inputsHash(assets, ours) : undefined,
    say,
    signal,
    make: async (stop) => {
      say(`${platform.name}: compiling in ${directory}`);
      const configure = [
        ...["cmake", "-S", join(directory, "stage"), "-B", join(directory, "cmake"), "-G", "Ninja"],
        ...["--toolchain", toolchain, `-DLLAMA_CPP_DIR=${source.directory}`, ...settings, ...ours],
      ];
      const target = program ?? "llamasaur";
      await compile({ platform, directory, assets, zig, configure, target, jobs: options.jobs, say }, stop);
    },
  });
  return { product, source, zig };
}

/** The settings that decide how llama.cpp is compiled. */
function settingsOf(platform: Platform): string[] {
  const flags = { ...platform, backend: "cpu", portable: true, debug: false } as const;
  return [...cmakeArguments(flags), ...crossSettings(platform)];
}

interface Work {
  readonly platform: Platform;
  readonly directory: string;
  readonly assets: Assets;
  readonly zig: Zig;
  readonly configure: readonly string[];
  readonly target: string;
  readonly jobs: number | undefined;
  readonly say: (line: string) => void;
}

async function compile(work: Work, signal: AbortSignal): Promise<void> {
  const { platform, directory, say } = work;
  await stage(work.assets, join(directory, "stage"));
  const tools = join(directory, "tools");
  await mkdir(tools, { recursive: true });
  const env = { SAUR_ZIG: work.zig.program, SAUR_ZIG_TARGET: platform.target, SAUR_ZIG_TOOLS: tools };
  const marker = join(directory, "configured");
  if (!await exists(marker)) await rm(join(directory, "cmake"), { recursive: true, force: true });
  const configured = await run(work.configure, { env, signal });
  if (configured.code !== 0) throw failure(platform, "cmake cannot configure the build", configured.output);
  await writeFile(marker, "");
  const jobs = work.jobs ?? availableParallelism();
  let told = performance.now();
  const onLine = (line: string): void => {
    if (performance.now() - told < 30_000) return;
    told = performance.now();
    say(`${platform.name}: ${line}`);
  };
  const command = ["cmake", "--build", join(directory, "cmake"), "--target", work.target, "--parallel", String(jobs)];
  const built = await run(command, { env, signal, onLine });
  await writeFile(join(directory, "build.log"), built.output);
  if (built.code !== 0) {
    throw failure(platform, `the compilation failed, see ${join(directory, "build.log")}`, built.output);
  }
}

function failure({ name }: Platform, what: string, output: string): BuildError {
  return new BuildError(`${output.trim().split("\n").slice(-60).join("\n")}\n\n${name}: ${what}`);
}
