/** Finds a llama.cpp that somebody else has built: a release archive, an npm platform package, an installation. */
import { readdir, realpath, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { printable } from "../ffi/host/printable.ts";
import { BuildError } from "./failure.ts";
import type { Backend, Machine } from "./flags.ts";

/** A built llama.cpp. */
export interface Prebuilt {
  /** The directory that has its libraries. */
  readonly directory: string;
  /** The paths of libllama, libggml and libggml-base. */
  readonly libraries: readonly string[];
  /** The paths of the backends, which libggml loads from beside itself. */
  readonly backends: readonly string[];
  /** The GPU backend that is there, else the processor. */
  readonly backend: Backend;
  /** Names, sizes and times of the libraries: what tells two of them apart. */
  readonly identity: string;
}

/** Libraries that are files of their own, by name; npm's have more between name and suffix: `libllama.v0.5.0.so`. */
const PARTS = ["llama", "ggml", "ggml-base"] as const;
const GPUS: readonly Backend[] = ["cuda", "metal", "hip", "sycl", "vulkan"];
/** Where archives (`build/bin`, `bin`), installations (`lib`) and npm packages (`bins/<name>`) have their libraries. */
const FOLDERS = ["", "lib", "bin", join("build", "bin"), "bins"];

/**
 * Looks for a built llama.cpp in a directory of the user's.
 *
 * @param path The directory, or one that holds it as archives and packages do.
 * @throws {BuildError} It is not there, has not every library that is needed, or the machine is one of Windows.
 */
export async function findPrebuilt(path: string, machine: Machine): Promise<Prebuilt> {
  if (machine.platform === "win32") {
    throw new BuildError("--llama does not work on Windows: the archives have no import libraries to link with");
  }
  const root = await realpath(resolve(path)).catch(() => {
    throw new BuildError(`--llama ${printable(path)} does not exist`);
  });
  const places = FOLDERS.map((folder) => join(root, folder));
  for (const name of await list(join(root, "bins"))) places.push(join(root, "bins", name));
  for (const directory of places) {
    const names = await list(directory);
    if (shortest(names, "llama") !== undefined) return await prebuiltIn(directory, names);
  }
  throw new BuildError(
    `--llama ${printable(path)} has no libllama: give the directory that holds libllama, libggml and the backends`,
  );
}

async function prebuiltIn(directory: string, names: readonly string[]): Promise<Prebuilt> {
  const found = PARTS.map((part) => {
    const name = shortest(names, part);
    if (name === undefined) throw new BuildError(`--llama: ${directory} has libllama, but no lib${part}`);
    return join(directory, name);
  });
  // Homebrew keeps the backends of its ggml in libexec beside its lib, and links to lib only.
  const libexec = join(dirname(await realpath(found[PARTS.indexOf("ggml")]!)), "..", "libexec");
  const place = names.some(isCpu) ? directory : libexec;
  const backends = (await list(place)).filter((name) => /^libggml-(?!base\b).*\.so$/.test(name));
  if (!backends.some(isCpu)) {
    throw new BuildError(
      `--llama: ${directory} has libllama, but no libggml-cpu: backends are loaded from there or ${libexec} alone`,
    );
  }
  const gpu = GPUS.find((backend) => shortest(backends, `ggml-${backend}`) !== undefined);
  const states = await Promise.all(found.map((file) => stat(file)));
  return {
    directory,
    libraries: found,
    backends: backends.map((name) => join(place, name)),
    backend: gpu ?? "cpu",
    identity: JSON.stringify(found.map((file, i) => [file, states[i]!.size, Math.floor(states[i]!.mtimeMs)])),
  };
}

function isCpu(name: string): boolean {
  return name.startsWith("libggml-cpu");
}

/** Of `libllama.so`, `libllama.so.0` and `libllama.v0.5.0.so`, the first; undefined when there is none. */
function shortest(names: readonly string[], part: string): string | undefined {
  const pattern = new RegExp(`^lib${part}(\\.[\\w.-]+)?\\.(so|dylib)(\\.[\\d.]+)?$`);
  return names.filter((name) => pattern.test(name)).sort((a, b) => a.length - b.length)[0];
}

function list(directory: string): Promise<string[]> {
  return readdir(directory).then((names) => names.sort(), () => []);
}
