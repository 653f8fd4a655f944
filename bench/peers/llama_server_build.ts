/** llama-server, made of the pinned source as its own user would make it on this machine, but for what crashes. */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { buildArguments, cmakeArguments, defaultBackend, type Flags } from "../../build/flags.ts";
import { buildKey, processor } from "../../build/key.ts";
import { TREE } from "../../build/pin.ts";
import { produce } from "../../build/produce.ts";
import { pinnedSource, sourcePath } from "../../build/source.ts";
import { compilerVersions, generatorHere } from "../../build/toolchain.ts";
import { cacheDirectory } from "../../ffi/host/paths.ts";
import { benchCache } from "../models.ts";
import { must } from "./install.ts";

const TARGET = "llama-server";

/** After our own flags: what the server needs more of llama.cpp, and what it can do without. OpenMP is llama.cpp's default. */
const SETTINGS: Readonly<Record<string, boolean>> = {
  GGML_OPENMP: true,
  LLAMA_BUILD_COMMON: true,
  LLAMA_BUILD_TOOLS: true,
  LLAMA_BUILD_SERVER: true,
  LLAMA_BUILD_TESTS: false,
  LLAMA_BUILD_EXAMPLES: false,
  LLAMA_BUILD_APP: false,
  LLAMA_BUILD_UI: false,
  LLAMA_USE_PREBUILT_UI: false,
  LLAMA_CURL: false,
  LLAMA_OPENSSL: false,
};

// With gcc 12 ggml's products by AMX end the process at the first of q8_0 (see build/CMakeLists.txt).
const NO_AMX = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16";

/**
 * Builds the server in the user's cache, unless it is there; minutes.
 *
 * @param portable For any processor with AVX2, not for this very one.
 * @returns The program's path.
 * @throws {Error} The source cannot be had, or cmake or the compiler failed: with their last words.
 */
export async function buildServer(portable = false): Promise<string> {
  const cache = cacheDirectory()!; // benchCache() says so if it is unknown
  const { platform, arch } = process;
  const flags: Flags = {
    backend: defaultBackend({ platform, arch }),
    platform,
    arch,
    portable,
    debug: false,
  };
  const [generator, compilers, cpu] = await Promise.all([
    generatorHere(),
    compilerVersions(undefined),
    portable ? "" : processor(),
  ]);
  const settings = [
    ...cmakeArguments(flags),
    ...(arch === "x64" && platform === "linux" ? [`-DCMAKE_C_FLAGS=${NO_AMX}`, `-DCMAKE_CXX_FLAGS=${NO_AMX}`] : []),
    ...Object.entries(SETTINGS).map(([name, on]) => `-D${name}=${on ? "ON" : "OFF"}`),
  ];
  const directory = join(benchCache(), `${TARGET}-${buildKey([TREE, generator, settings, compilers, cpu])}`);
  const cmake = join(directory, "cmake");
  const product = join(cmake, "bin", platform === "win32" ? `Release/${TARGET}.exe` : TARGET);
  const say = (line: string): void => void process.stderr.write(`${TARGET}: ${line}\n`);
  await produce({
    lock: join(benchCache(), "lock"),
    directory,
    product,
    destinations: [],
    inputs: TREE, // the key has the rest
    say,
    make: async (signal) => {
      await pinnedSource(cache, say, signal);
      say(`building it in ${directory}`);
      const source = sourcePath(cache);
      await must(["cmake", "-S", source, "-B", cmake, ...generator, ...settings], undefined, signal);
      const jobs = Number(process.env["LLAMASAUR_BENCH_JOBS"]) || availableParallelism();
      await must(["cmake", "--build", cmake, ...buildArguments(flags, TARGET, jobs)], undefined, signal);
    },
  });
  return product;
}

if (import.meta.main) console.log(await buildServer());
