import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { homedir, hostname, tmpdir } from "node:os";
import process from "node:process";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { dirname, join } from "@std/path";
import { build } from "../../build/mod.ts";
import { plan } from "../../build/plan.ts";
import { run } from "../../build/run.ts";
import { isCurrent } from "../../build/workspace.ts";
import { libraryFileName, packageRoot, targetName } from "../../ffi/host/paths.ts";
import { SYMBOLS } from "../../ffi/symbols.ts";

const RUNTIME = "Deno" in globalThis ? [process.execPath, "run", "-A"] : [process.execPath];
const BUILD = fileURLToPath(new URL("../../build/mod.ts", import.meta.url));

const linux = process.platform === "linux";
const library = fileURLToPath(new URL(`lib/${targetName()}-cpu/${libraryFileName()}`, packageRoot()));
const noLibrary = !linux || !existsSync(library);
if (noLibrary) console.warn(`build_test: the library's symbols are NOT looked at: no ${library}, or not Linux`);
const work = await plan({});
const outdated = !(await isCurrent(work.directory, work.product, work.inputs ?? ""));
if (outdated) {
  console.warn("build_test: the time of a build without changes is NOT looked at: the library is out of date");
}

let directory = "";
before(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), "llamasaur-build-")));
});
after(() => rm(directory, { recursive: true, force: true }));

/** A directory for one test. */
async function fresh(name: string): Promise<string> {
  const path = join(directory, name);
  await mkdir(path, { recursive: true });
  return path;
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the build's command line in a process of its own, with a cache of its own. */
async function cli(args: string[], env: Record<string, string> = {}): Promise<Ended> {
  const cache = await fresh("cache");
  const [program = "", ...rest] = [...RUNTIME, BUILD, ...args];
  const child = spawn(program, rest, { env: { ...process.env, NO_COLOR: "1", XDG_CACHE_HOME: cache, ...env } });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (bytes) => stdout += bytes);
  child.stderr.on("data", (bytes) => stderr += bytes);
  const { promise, resolve } = Promise.withResolvers<number | null>();
  child.on("close", resolve);
  return { code: await promise, stdout, stderr };
}

// the command line

test("build --help prints the flags and ends well", async () => {
  const { code, stdout, stderr } = await cli(["--help"]);
  assertEquals([code, stderr], [0, ""]);
  for (const flag of ["--cpu", "--portable", "--jobs N", "--dry-run"]) assertStringIncludes(stdout, flag);
});

test("build --dry-run prints the commands and touches nothing", async () => {
  const out = join(await fresh("dry"), "out");
  const { code, stdout, stderr } = await cli(["--dry-run", "--cpu", "--jobs", "3", "--out", out]);
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /^cmake -S \S+ -B \S+ .*-DGGML_OPENMP=OFF/m);
  assertMatch(stdout, /^cmake --build \S+ .*--target llamasaur --parallel 3$/m);
  assertStringIncludes(stdout, join(out, `${targetName()}-cpu`, libraryFileName()));
  assertEquals(existsSync(out), false);
  assertEquals(existsSync(join(await fresh("cache"), "llamasaur")), false);
});

test("build refuses an unknown flag, a wrong number and a target that is not there", async () => {
  const unknown = await cli(["--fast"]);
  assertEquals(unknown.code, 1);
  assertMatch(unknown.stderr, /^error: .*--fast.*--help/);
  assertMatch((await cli(["--jobs", "0"])).stderr, /^error: jobs is 0: use a whole number of 1 or more/);
  for (const name of ["nothing", "constructor"]) { // an object has a "constructor" by itself
    assertMatch(
      (await cli(["--target", name])).stderr,
      new RegExp(`^error: --target ${name} is unknown: use one of ceiling`),
    );
  }
});

test(
  "build names every tool that is missing and how to get it, before anything is compiled",
  { skip: !linux },
  async () => {
    const { code, stdout, stderr } = await cli(["--cpu"], { PATH: await fresh("empty") });
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(stderr, "nothing was compiled");
    for (const what of ["git is not installed", "cmake is not installed", "compiler is not installed"]) {
      assertStringIncludes(stderr, what);
    }
    assertStringIncludes(stderr, "neither ninja nor make");
    for (const remedy of ["apt install cmake", "dnf install cmake", "apt install g++"]) {
      assertStringIncludes(
        stderr,
        remedy,
      );
    }
  },
);

test("build --cuda stops when there is no nvcc", { skip: !linux || existsSync("/usr/local/cuda") }, async () => {
  const { code, stderr } = await cli(["--cuda"], { CUDACXX: "", CUDA_PATH: "", CUDA_HOME: "" });
  assertEquals(code, 1);
  assertStringIncludes(stderr, "nvcc");
  assertStringIncludes(stderr, "developer.nvidia.com");
});

test("build --vulkan stops when glslc is too old for the shaders", { skip: !linux }, async () => {
  const bin = await fresh("bin");
  const words = "<stdin>:2: error: '#extension' : extension not supported: GL_KHR_cooperative_matrix";
  await writeFile(join(bin, "glslc"), `#!/bin/sh\necho "${words}" >&2\nexit 1\n`);
  await chmod(join(bin, "glslc"), 0o755);
  const { code, stderr } = await cli(["--vulkan"], { PATH: `${bin}:${process.env["PATH"]}` });
  assertEquals(code, 1);
  assertStringIncludes(stderr, `glslc is too old for llama.cpp's shaders: ${words}`);
  assertStringIncludes(stderr, "get it:");
});

test("build --metal stops anywhere but on macOS", { skip: process.platform === "darwin" }, async () => {
  assertMatch((await cli(["--metal"])).stderr, /^error: --metal needs macOS/);
});

test("build --source stops for a directory that is not llama.cpp", async () => {
  assertMatch((await cli(["--source", await fresh("other")])).stderr, /^error: --source .* is not llama\.cpp/);
});

test("build() refuses options that it does not know", async () => {
  await assertRejects(() => build({ jobs: 1.5, dryRun: true }), RangeError, "jobs is 1.5");
  // deno-lint-ignore no-explicit-any -- what JavaScript could pass
  await assertRejects(() => build({ backend: "gpu" as any, dryRun: true }), RangeError, 'backend is "gpu"');
});

test("build() says within 2 s that nothing has changed", { skip: outdated }, async () => {
  const lines: string[] = [];
  const start = performance.now();
  const { built, path } = await build({ onLine: (line) => lines.push(line) });
  const seconds = (performance.now() - start) / 1000;
  assertEquals([built, lines], [false, [`nothing has changed: ${path}`]]);
  assert(seconds < 2, `it took ${seconds} s`);
});

// the library

test(
  "the library exports the table's symbols and llama.cpp's default params, nothing else",
  { skip: noLibrary },
  async () => {
    const { output } = await run(["nm", "-D", "--defined-only", library]);
    const exported = output.split("\n").map((line) => line.split(" ").pop()).sort();
    const wanted = [...Object.keys(SYMBOLS), "llama_context_default_params", "llama_model_default_params"].sort();
    assertEquals(exported, wanted);
  },
);

test(
  "the library needs libc, libm, libstdc++ and what belongs to them, nothing else",
  { skip: noLibrary },
  async () => {
    const { output } = await run(["objdump", "-p", library]);
    const needed = [...output.matchAll(/NEEDED\s+(\S+)/g)].map(([, name]) => name!);
    const usual =
      /^(libc\.so\.6|libm\.so\.6|libstdc\+\+\.so\.6|libgcc_s\.so\.1|ld-linux-.*|libpthread\.so\.0|libdl\.so\.2)$/;
    assertEquals(needed.filter((name) => !usual.test(name)), []);
    assertStringIncludes(needed.join(" "), "libc.so.6");
  },
);

test("the library holds no path and no name of the machine that built it", { skip: noLibrary }, () => {
  const bytes = readFileSync(library);
  const places = [work.directory, work.cache, homedir(), fileURLToPath(packageRoot()), `${tmpdir()}/`];
  if (hostname().length > 5) places.push(hostname()); // a short one is in other words
  assertEquals(places.filter((place) => bytes.includes(place)), []);
  assert(bytes.includes("llama.cpp/ggml/src/"), "assertions name files below llama.cpp/");
});

test("the library is the same file under the backend's name", { skip: noLibrary }, () => {
  const last = join(dirname(dirname(library)), targetName(), libraryFileName());
  assert(existsSync(last), `${last} is there`);
  for (const path of [last, library]) {
    assertEquals(
      readdirSync(dirname(path)).filter((name) => name !== libraryFileName()),
      [],
      "no temporary file is left",
    );
  }
});
