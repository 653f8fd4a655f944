import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import process from "node:process";
import { after, before, test } from "node:test";
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { dirname, join } from "@std/path";
import { BuildError } from "../../build/failure.ts";
import { build } from "../../build/mod.ts";
import { plan } from "../../build/plan.ts";
import { findPrebuilt } from "../../build/prebuilt.ts";
import { libraryFileName, targetName } from "../../ffi/host/paths.ts";

const MACHINE = { platform: "linux", arch: "x64" };
const windows = process.platform === "win32";

let directory = "";
before(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), "llamasaur-prebuilt-")));
});
after(() => rm(directory, { recursive: true, force: true }));

/** A directory with empty files of these names. */
async function having(name: string, ...files: string[]): Promise<string> {
  const path = join(directory, name);
  for (const file of files) {
    await mkdir(dirname(join(path, file)), { recursive: true });
    await writeFile(join(path, file), "");
  }
  return path;
}

test("findPrebuilt() finds the libraries of a release archive, its GPU, and not its links", async () => {
  const bin = ["libllama.so", "libllama.so.0", "libllama.so.0.5.0", "libllama-common.so", "libggml.so", "libggml.so.0"];
  const files = [...bin, "libggml-base.so", "libggml-cpu-haswell.so", "libggml-vulkan.so", "llama-cli"];
  const archive = await having("archive", ...files.map((file) => join("build", "bin", file)));
  const found = await findPrebuilt(archive, MACHINE);
  const place = join(archive, "build", "bin");
  assertEquals([found.directory, found.backend], [place, "vulkan"]);
  assertEquals(found.libraries, ["libllama.so", "libggml.so", "libggml-base.so"].map((name) => join(place, name)));
});

test("findPrebuilt() finds the libraries of an npm package by their long names", async () => {
  const names = [
    "libllama.v0.5.0.so",
    "libllama-common.so",
    "libggml.v0.5.0.so",
    "libggml-base.so",
    "libggml-cpu-x64.so",
  ];
  const root = await having("npm", "package.json", ...names.map((name) => join("bins", "linux-x64", name)));
  const { backend, libraries } = await findPrebuilt(root, MACHINE);
  assertEquals(backend, "cpu");
  const place = join(root, "bins", "linux-x64");
  assertEquals(libraries, [names[0]!, names[2]!, names[3]!].map((name) => join(place, name)));
});

test("findPrebuilt() finds the backends of Homebrew's ggml in its libexec", { skip: windows }, async () => {
  const keg = await having("keg", "lib/libggml.dylib", "lib/libggml-base.dylib", "libexec/libggml-cpu-apple_m1.so");
  const prefix = await having("prefix", "lib/libllama.dylib");
  for (const name of ["libggml.dylib", "libggml-base.dylib"]) {
    await symlink(join(keg, "lib", name), join(prefix, "lib", name));
  }
  const found = await findPrebuilt(prefix, { platform: "darwin", arch: "arm64" });
  assertEquals([found.directory, found.backend], [join(prefix, "lib"), "cpu"]);
});

test("findPrebuilt() says what is missing", async () => {
  const find = (path: string) => () => findPrebuilt(path, MACHINE);
  await assertRejects(find(join(directory, "none")), BuildError, "none does not exist");
  await assertRejects(find(await having("empty", "a.txt")), BuildError, "empty has no libllama");
  await assertRejects(find(await having("alone", "libllama.so")), BuildError, "libllama, but no libggml");
  const linked = await having("linked", "libllama.so", "libggml.so", "libggml-base.so");
  await assertRejects(find(linked), BuildError, "no libggml-cpu: backends are loaded from there or");
  await assertRejects(() => findPrebuilt(linked, { platform: "win32", arch: "x64" }), BuildError, "Windows");
});

test("build --llama refuses what only a whole build decides", { skip: windows }, async () => {
  const llama = await having("whole", "libllama.so", "libggml.so", "libggml-base.so", "libggml-cpu.so");
  for (const asked of [{ backend: "cuda" }, { portable: true }, { target: "ceiling" }] as const) {
    await assertRejects(() => plan({ llama, ...asked }), BuildError, "exclude each other");
  }
});

test("build --llama compiles no llama.cpp and names the result by what is there", { skip: windows }, async () => {
  const llama = await having(
    "cuda",
    "libllama.so",
    "libggml.so",
    "libggml-base.so",
    "libggml-cpu.so",
    "libggml-cuda.so",
  );
  const lines: string[] = [];
  const out = join(directory, "out");
  const result = await build({ llama, out, dryRun: true, onLine: (line) => lines.push(line) });
  assertEquals([result.backend, result.path], ["cuda", join(out, targetName(), libraryFileName())]);
  const text = lines.join("\n");
  assertStringIncludes(text, `-DSAUR_PREBUILT=${join(llama, "libllama.so")};`);
  assertStringIncludes(text, "-DGGML_CUDA=OFF");
  assertStringIncludes(text, join(out, `${targetName()}-prebuilt-cuda`, libraryFileName()));
});
