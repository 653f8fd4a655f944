/** What CMake compiles of ours, brought together in one directory: from disk, or over HTTP for a package of JSR. */
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { printable } from "../ffi/host/printable.ts";
import { abiHeader } from "./abi.ts";
import { BuildError } from "./failure.ts";

/** Where the C and C++ are, and the file there that CMake and this stage both take the names of the sources from. */
const SOURCES = "ffi/cpp";
const LIST = `${SOURCES}/sources.cmake`;

/** Programs for maintainers that `--target` builds, and the files of each; they are in a checkout only. */
export const PROGRAMS: ReadonlyMap<string, readonly string[]> = new Map([
  ["ceiling", ["bench/ceiling.cpp", "bench/ceiling_embedder.h"]],
  [
    "harness",
    [
      "harness.cpp",
      "script.h",
      "script.cpp",
      "library_checks.cpp",
      "checks.cpp",
      "first_passes.cpp",
      "schedule.cpp",
      "work.cpp",
    ].map((name) => `tests/native/harness/${name}`),
  ],
  ["kernels_check", [
    "tests/native/kernels_check/kernels_check.cpp",
    "tests/native/kernels_check/kernels_check.h",
    "tests/native/kernels_check/kernels_check_attention.h",
    "tests/native/kernels_check/kernels_check_products.h",
  ]],
  ["operators", ["bench/operators.cpp"]],
]);

/** Files by their path below the staging directory. */
export type Assets = ReadonlyMap<string, Uint8Array>;

/** Reads everything that the library is made of besides llama.cpp. */
export async function libraryAssets(root: URL): Promise<Assets> {
  const list = await read(root, LIST);
  const paths = [
    ["CMakeLists.txt", "build/CMakeLists.txt"],
    ["prebuilt.cmake", "build/prebuilt.cmake"],
    ...nativeSources(new TextDecoder().decode(list)).map((path) => [path, path]),
  ];
  const files = paths.map(async ([staged, path]) => [staged!, await read(root, path!)] as const);
  const abi = new TextEncoder().encode(abiHeader());
  return new Map([[LIST, list], [`${SOURCES}/abi.h`, abi], ...await Promise.all(files)]);
}

/** The C and C++ files that sources.cmake names, by their paths from the root of the package. */
export function nativeSources(list: string): string[] {
  const code = list.replaceAll(/#.*/g, "");
  return Array.from(code.matchAll(/[\w./-]+\.(?:cpp|c|h)\b/g), ([name]) => `${SOURCES}/${name}`);
}

/**
 * Reads one program's sources.
 *
 * @throws {BuildError} There is no such program.
 */
export async function programAssets(root: URL, name: string): Promise<Assets> {
  const paths = PROGRAMS.get(name);
  if (paths === undefined) {
    throw new BuildError(`--target ${printable(name)} is unknown: use one of ${[...PROGRAMS.keys()].join(", ")}`);
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
  for (const folder of folders) folders.add(dirname(folder)); // grows while it is walked: the folders above, too
  for (const folder of folders) {
    if (folder === ".") continue;
    await mkdir(join(directory, folder), { recursive: true });
    for (const entry of await readdir(join(directory, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      const kept = entry.isDirectory()
        ? [...folders].some((one) => `${one}/`.startsWith(`${path}/`))
        : assets.has(path);
      if (!kept) await rm(join(directory, path), { recursive: true });
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
    return await readFile(url).catch((error) => {
      if (error.code !== "ENOENT") throw error;
      throw new BuildError(`${url} is missing from this copy of the package`);
    });
  }
  const response = await fetch(url);
  if (!response.ok) throw new BuildError(`${url} cannot be fetched: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}
