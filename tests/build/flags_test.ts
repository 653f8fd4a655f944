import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { HELP, parseCommandLine } from "../../build/cli.ts";
import { BuildError } from "../../build/failure.ts";
import {
  BACKENDS,
  buildArguments,
  cmakeArguments,
  defaultBackend,
  type Flags,
  generatorArguments,
  SANITIZERS,
  unavailable,
} from "../../build/flags.ts";
import { remedy } from "../../build/remedies.ts";
import { sourcePath } from "../../build/source.ts";
import { cacheDirectory } from "../../ffi/host/paths.ts";

const MACHINES = ["linux", "darwin", "win32"].flatMap((platform) =>
  ["x64", "arm64"].map((arch) => ({ platform, arch }))
);
const EVERY: Flags[] = MACHINES.flatMap((machine) =>
  BACKENDS.flatMap((backend) =>
    [false, true].flatMap((portable) =>
      [false, true].flatMap((debug) =>
        [undefined, ...SANITIZERS].map((sanitize) => ({ ...machine, backend, portable, debug, sanitize }))
      )
    )
  )
);
const LINUX: Flags = { platform: "linux", arch: "x64", backend: "cpu", portable: false, debug: false };
const tree = cacheDirectory() && sourcePath(cacheDirectory()!);
const noTree = tree === undefined || !existsSync(tree);
if (noTree) {
  console.warn("flags_test: the option names are NOT compared, llama.cpp is not in the cache yet (run a build)");
}

function settings(flags: Flags): Map<string, string> {
  return new Map(cmakeArguments(flags).map((argument) => argument.slice(2).split("=") as [string, string]));
}

test("cmakeArguments() gives each -D once, with a value, for every backend on every system", () => {
  for (const flags of EVERY) {
    const list = cmakeArguments(flags);
    for (const argument of list) assert(/^-D[A-Z][A-Z0-9_]*=\w+$/.test(argument), argument);
    assertEquals(settings(flags).size, list.length);
  }
});

test("cmakeArguments() turns on exactly the backend that is asked for", () => {
  const gpus = ["METAL", "CUDA", "VULKAN", "HIP", "SYCL"];
  for (const flags of EVERY) {
    const on = gpus.filter((name) => settings(flags).get(`GGML_${name}`) === "ON");
    assertEquals(on, gpus.filter((name) => name.toLowerCase() === flags.backend), JSON.stringify(flags));
    const blas = settings(flags).get("GGML_BLAS") === "ON";
    assertEquals(blas, flags.backend === "blas" || flags.platform === "darwin", JSON.stringify(flags));
  }
});

test("cmakeArguments() gives one static library without OpenMP on Linux", () => {
  assertEquals(cmakeArguments(LINUX), [
    "-DCMAKE_BUILD_TYPE=Release",
    "-DCMAKE_POSITION_INDEPENDENT_CODE=ON",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DLLAMA_BUILD_IS_DEV=OFF",
    "-DGGML_OPENMP=OFF",
    "-DGGML_NATIVE=ON",
    "-DGGML_METAL=OFF",
    "-DGGML_CUDA=OFF",
    "-DGGML_VULKAN=OFF",
    "-DGGML_HIP=OFF",
    "-DGGML_SYCL=OFF",
    "-DGGML_BLAS=OFF",
  ]);
});

test("cmakeArguments() adds a sanitizer and debug information, and nothing when there is none", () => {
  const plain = cmakeArguments(LINUX);
  const debug = plain.map((argument) => argument.replace("=Release", "=RelWithDebInfo"));
  assertEquals(cmakeArguments({ ...LINUX, sanitize: undefined }), plain);
  assertEquals(cmakeArguments({ ...LINUX, sanitize: "thread" }), [...debug, "-DLLAMA_SANITIZE_THREAD=ON"]);
  assertEquals(
    cmakeArguments({ ...LINUX, sanitize: "address" }),
    [...debug, "-DLLAMA_SANITIZE_ADDRESS=ON", "-DLLAMA_SANITIZE_UNDEFINED=ON"],
  );
});

test("cmakeArguments() names the processor features of a portable x64 library and no -march=native", () => {
  const portable = settings({ ...LINUX, portable: true });
  assertEquals(portable.get("GGML_NATIVE"), "OFF");
  for (const name of ["SSE42", "AVX", "AVX2", "BMI2", "FMA", "F16C"]) assertEquals(portable.get(`GGML_${name}`), "ON");
  assertEquals(settings({ ...LINUX, portable: true, arch: "arm64" }).has("GGML_AVX2"), false);
  assertEquals(settings({ ...LINUX, portable: true, platform: "win32" }).has("GGML_FMA"), false);
});

test("cmakeArguments() embeds Metal's shaders and builds for the runtime's architecture on macOS", () => {
  const metal = settings({ ...LINUX, platform: "darwin", arch: "arm64", backend: "metal" });
  assertEquals(metal.get("GGML_METAL_EMBED_LIBRARY"), "ON");
  assertEquals(metal.get("CMAKE_OSX_ARCHITECTURES"), "arm64");
  assertEquals(settings({ ...LINUX, platform: "darwin" }).get("CMAKE_OSX_ARCHITECTURES"), "x86_64");
});

test("cmakeArguments() emits only names that are options of the pinned llama.cpp", { skip: noTree }, () => {
  const files = ["CMakeLists.txt", join("ggml", "CMakeLists.txt")];
  const text = files.map((file) => readFileSync(join(tree!, file), "utf8")).join("\n");
  const options = new Set(
    [...text.matchAll(/^\s*(?:option|set)\s*\((\w+)[^)]*/gm)]
      .filter(([call]) => /^\s*option/.test(call) || call.includes(" CACHE ")).map(([, name]) => name),
  );
  const names = new Set(EVERY.flatMap((flags) => [...settings(flags).keys()]));
  const unknown = [...names].filter((name) => !name.startsWith("CMAKE_") && !options.has(name));
  assertEquals(unknown, []);
});

test("generatorArguments() takes ninja, else make, and leaves Windows to CMake", () => {
  assertEquals(generatorArguments(LINUX, true), ["-G", "Ninja"]);
  assertEquals(generatorArguments({ platform: "darwin", arch: "arm64" }, false), ["-G", "Unix Makefiles"]);
  assertEquals(generatorArguments({ platform: "win32", arch: "x64" }, true), ["-A", "x64"]);
});

test("buildArguments() tells Visual Studio the configuration and everyone the jobs", () => {
  assertEquals(buildArguments(LINUX, "llamasaur", 3), ["--target", "llamasaur", "--parallel", "3"]);
  const windows = buildArguments({ ...LINUX, platform: "win32", debug: true }, "llamasaur", 3);
  assertEquals(windows, ["--config", "Debug", "--target", "llamasaur", "--parallel", "3"]);
});

test("defaultBackend() is Metal on Apple Silicon and the processor elsewhere", () => {
  const metal = MACHINES.filter((machine) => defaultBackend(machine) === "metal");
  assertEquals(metal, [{ platform: "darwin", arch: "arm64" }]);
  assertEquals(MACHINES.filter((machine) => defaultBackend(machine) === "cpu").length, MACHINES.length - 1);
});

test("unavailable() refuses what a system cannot have, and never the default", () => {
  assertStringIncludes(unavailable("metal", LINUX)!, "macOS");
  assertStringIncludes(unavailable("cuda", { platform: "darwin", arch: "arm64" })!, "--metal");
  for (const machine of MACHINES) assertEquals(unavailable(defaultBackend(machine), machine), undefined);
});

test("parseCommandLine() reads every flag", () => {
  const options = parseCommandLine(
    "--vulkan --portable --debug --clean --dry-run --jobs 3 --source a --llama c --prebuilt --out b --target ceiling --sanitize thread"
      .split(" "),
  );
  assertEquals(options, {
    backend: "vulkan",
    portable: true,
    debug: true,
    clean: true,
    dryRun: true,
    jobs: 3,
    source: "a",
    llama: "c",
    prebuilt: true,
    out: "b",
    target: "ceiling",
    sanitize: "thread",
  });
  assertEquals(parseCommandLine([])?.backend, undefined);
  for (const backend of BACKENDS) assertEquals(parseCommandLine([`--${backend}`])?.backend, backend);
  assertEquals(parseCommandLine(["--help"]), undefined);
});

test("parseCommandLine() refuses unknown flags, stray words and two backends", () => {
  assertThrows(() => parseCommandLine(["--fast"]), BuildError, "--fast");
  assertThrows(() => parseCommandLine(["cpu"]), BuildError, "cpu");
  assertThrows(() => parseCommandLine(["--cpu", "--cuda"]), BuildError, "--cpu and --cuda exclude each other");
  assertThrows(() => parseCommandLine(["--jobs"]), BuildError, "jobs");
});

test("HELP names every flag", () => {
  const flags = [
    ...BACKENDS,
    "portable",
    "jobs",
    "source",
    "llama",
    "prebuilt",
    "out",
    "debug",
    "clean",
    "dry-run",
    "help",
  ];
  for (const flag of flags) assertStringIncludes(HELP, `--${flag}`);
});

test("remedy() names the package managers at hand, else those of the system", () => {
  assertEquals(remedy("cmake", "linux", []), "apt install cmake, or dnf install cmake");
  assertEquals(remedy("cmake", "linux", ["dnf"]), "dnf install cmake");
  assertEquals(remedy("git", "win32", []), "winget install Git.Git");
  assertStringIncludes(remedy("compiler", "darwin", ["brew"]), "xcode-select");
  assertStringIncludes(remedy("cuda", "linux", ["apt"]), "https://developer.nvidia.com");
  assertStringIncludes(remedy("hip", "linux", ["apt"]), "https://rocm");
});
