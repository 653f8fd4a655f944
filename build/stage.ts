/** What CMake compiles of ours, brought together in one directory: from disk, or over HTTP for a package of JSR. */
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { BuildError } from "./failure.ts";

/** The C and C++ of ffi/, for where a directory cannot be listed; tests/build_test.ts compares it with the directory. */
export const NATIVE_SOURCES: readonly string[] = [
  "batch.cpp",
  "causal.cpp",
  "causal.h",
  "context.cpp",
  "context_memory.cpp",
  "cores.cpp",
  "cpu_check.cpp",
  "cpu_features.c",
  "device.cpp",
  "device.h",
  "gguf_check.cpp",
  "gguf_check.h",
  "gguf_header.cpp",
  "gguf_header.h",
  "gguf_limits.h",
  "guard.cpp",
  "guard.h",
  "kernels.cpp",
  "kernels.h",
  "kernels_amx.h",
  "kernels_attention.h",
  "kernels_attention_amx.h",
  "kernels_avx2.cpp",
  "kernels_avx512.cpp",
  "kernels_bf16.h",
  "kernels_f32.h",
  "kernels_gelu.h",
  "kernels_graph.cpp",
  "kernels_mask.h",
  "kernels_neon.cpp",
  "kernels_onednn.cpp",
  "kernels_panels.h",
  "kernels_q8.h",
  "kernels_rows.h",
  "kernels_vector.h",
  "kernels_weights.cpp",
  "kernels_weights.h",
  "lane.cpp",
  "lane.h",
  "loaded_model.cpp",
  "loaded_model.h",
  "long_runs.cpp",
  "long_runs.h",
  "memory.cpp",
  "model.cpp",
  "model_file.cpp",
  "model_file.h",
  "owner.cpp",
  "owner.h",
  "pages.h",
  "pass.cpp",
  "pass.h",
  "pooling.h",
  "reordered.h",
  "shim.cpp",
  "shim.h",
  "vocab.cpp",
  "vocab_load.cpp",
  "weights_memory.cpp",
  "weights_memory.h",
];

/** Programs for maintainers that `--target` builds, and the files of each; they are in a checkout only. */
export const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  ceiling: ["scripts/bench/ceiling.cpp", "scripts/bench/ceiling_embedder.h"],
  harness: [
    "harness.cpp",
    "script.h",
    "script.cpp",
    "library_checks.cpp",
    "checks.cpp",
    "first_passes.cpp",
    "schedule.cpp",
    "work.cpp",
  ].map((name) => `scripts/torture/harness/${name}`),
  kernels_check: [
    "tests/kernels_check.cpp",
    "tests/kernels_check.h",
    "tests/kernels_check_attention.h",
    "tests/kernels_check_products.h",
  ],
};

/** Files by their path below the staging directory. */
export type Assets = ReadonlyMap<string, Uint8Array>;

/** Reads everything that the library is made of besides llama.cpp. */
export async function libraryAssets(root: URL): Promise<Assets> {
  const sources = root.protocol === "file:" ? await nativeSources(root) : NATIVE_SOURCES;
  const paths = [
    ["CMakeLists.txt", "build/CMakeLists.txt"],
    ["onednn.cmake", "build/onednn.cmake"],
    ["prebuilt.cmake", "build/prebuilt.cmake"],
    ...sources.map((name) => [`ffi/${name}`, `ffi/${name}`]),
  ];
  return new Map(await Promise.all(paths.map(async ([staged, path]) => [staged!, await read(root, path!)] as const)));
}

/** The names of the C and C++ files in ffi/ of a package on disk, sorted. */
export async function nativeSources(root: URL): Promise<string[]> {
  return (await readdir(new URL("ffi", root))).filter((name) => /\.(c|cpp|h)$/.test(name)).sort();
}

/**
 * Reads one program's sources.
 *
 * @throws {BuildError} There is no such program.
 */
export async function programAssets(root: URL, name: string): Promise<Assets> {
  const paths = PROGRAMS[name];
  if (paths === undefined) {
    throw new BuildError(`--target ${name} is unknown: use one of ${Object.keys(PROGRAMS).join(", ")}`);
  }
  return new Map(
    await Promise.all(
      paths.map(async (path) => [`programs/${name}/${path.split("/").at(-1)}`, await read(root, path)] as const),
    ),
  );
}

/** Makes the folders of the staging directory hold exactly these files; what has not changed keeps its time. */
export async function stage(assets: Assets, directory: string): Promise<void> {
  const folders = new Set([...assets.keys()].map((path) => dirname(path)));
  for (const folder of folders) {
    if (folder === ".") continue;
    await mkdir(join(directory, folder), { recursive: true });
    for (const name of await readdir(join(directory, folder))) {
      if (!assets.has(`${folder}/${name}`)) await rm(join(directory, folder, name), { recursive: true });
    }
  }
  for (const [path, bytes] of assets) {
    const file = join(directory, path);
    const old = await readFile(file).catch(() => undefined);
    if (!old?.equals(bytes)) await writeFile(file, bytes);
  }
}

async function read(root: URL, path: string): Promise<Uint8Array> {
  const url = new URL(path, root);
  if (url.protocol === "file:") {
    return await readFile(url).catch(() => {
      throw new BuildError(`${url} is missing from this copy of the package`);
    });
  }
  const response = await fetch(url);
  if (!response.ok) throw new BuildError(`${url} cannot be fetched: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}
