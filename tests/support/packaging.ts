// What the packaging tests share: a folder without anything in it, a cache that is warm, and what a user would write.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { copyFile, mkdir, stat, utimes } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import process from "node:process";
import { assertEquals } from "@std/assert";
import { type Plan, plan } from "../../build/plan.ts";
import { isCurrent } from "../../build/workspace.ts";
import { libraryFileName, targetName } from "../../ffi/host/paths.ts";
import { findProgram, type Outcome, ROOT, runChild } from "./child.ts";
import type { Packed } from "./npm_registry.ts";

/** The small model of these tests. */
export const MODEL: string = join(ROOT, "models", "all-minilm-l6-v2-q8_0.gguf");
/** The library that the checkout's build has put into lib/. */
export const BUILT: string = join(ROOT, "lib", targetName(), libraryFileName());
/** The library that the tests are about: that one, or the one that LLAMASAUR_LIBRARY names. */
export const LIBRARY: string = resolve(process.env["LLAMASAUR_LIBRARY"] || BUILT);
/** Deno, this one or on PATH. */
export const deno: string | undefined = findProgram("deno");
/** Bun, this one or on PATH. */
export const bun: string | undefined = findProgram("bun");
/** Why Bun compiles no program of one file, if so. */
export const noCompiling: string | false = process.env["WINELOADER"] !== undefined &&
  "under wine Bun's bundler opens no file by its folder's handle";
/** npm, if it is on PATH. */
export const npm: string | undefined = findProgram("npm");

const work: Plan = await plan({});

/** Why nothing can be embedded here, if so. */
export const noEmbedding: string | undefined = [LIBRARY, MODEL].filter((path) => !existsSync(path))
  .map((path) => `there is no ${path}`)[0];

/** Why the build cannot be tried without compiling llama.cpp again, if so. */
export const noBuild: string | undefined = await isCurrent(work.directory, work.product, work.inputs ?? "")
  ? noEmbedding
  : "the library is not up to date: build/mod.ts would compile it";

/** Variables of a user who has an empty home in `directory`: no cache of ours, Deno's, Bun's or npm's. */
export function emptyHome(directory: string): Record<string, string> {
  return {
    XDG_CACHE_HOME: join(directory, "cache"),
    DENO_DIR: join(directory, "deno"),
    BUN_INSTALL_CACHE_DIR: join(directory, "bun"),
    npm_config_cache: join(directory, "npm"),
    npm_config_offline: "true", // nothing is to be fetched
    NPM_CONFIG_REGISTRY: "http://127.0.0.1:9/",
    GIT_ALLOW_PROTOCOL: "none",
    LLAMASAUR_LIBRARY: "",
  };
}

/**
 * Puts what the checkout's build has compiled into the cache of an empty home, without a library in it. A build
 * there then has nothing to compile, if and only if its inputs are the same bytes as the checkout's.
 */
export async function warmCache({ XDG_CACHE_HOME = "" }: Record<string, string>): Promise<void> {
  const before = process.env["XDG_CACHE_HOME"];
  process.env["XDG_CACHE_HOME"] = XDG_CACHE_HOME;
  const { directory, product } = await plan({}).finally(() => {
    if (before === undefined) delete process.env["XDG_CACHE_HOME"];
    else process.env["XDG_CACHE_HOME"] = before;
  });
  await mkdir(dirname(product), { recursive: true });
  await copyFile(join(work.directory, "stamp.json"), join(directory, "stamp.json"));
  await copyFile(work.product, product);
  const { atime, mtime } = await stat(work.product); // the stamp has the library's time in it
  await utimes(product, atime, mtime);
}

/** A program that embeds a text and says how many numbers came and how long the vector is. */
export function embedder(specifier: string, options = "{}"): string {
  return `import { dot, Llama } from ${JSON.stringify(specifier)};
await using llama = await Llama.load(${JSON.stringify(MODEL)}, ${options});
const vector = await llama.embed("a text");
console.log(vector.length, dot(vector, vector).toFixed(3));
`;
}

/** Tarballs by what they were made of. */
const made = new Map<string, Promise<{ readonly packed: Packed; readonly bytes: Uint8Array }>>();

/** What is packed into a directory; what was packed before is copied: a file's tests have the same package more than once. */
export async function once(of: string, directory: string, packing: () => Promise<Packed>): Promise<Packed> {
  const making = made.get(of) ?? packing().then((packed) => ({ packed, bytes: readFileSync(packed.tarball) }));
  made.set(of, making);
  const { packed, bytes } = await making;
  const tarball = join(directory, basename(packed.tarball));
  writeFileSync(tarball, bytes);
  return { manifest: packed.manifest, tarball };
}

/** npm's package of this checkout, or of a folder in it, as `npm pack` makes it, in a directory. */
export async function pack(directory: string, of = ""): Promise<Packed> {
  const folder = join(ROOT, of);
  return await once(folder, directory, () => packFolder(directory, folder));
}

/** A folder's package as `npm pack` makes it in a directory. */
export async function packFolder(directory: string, folder: string): Promise<Packed> {
  const packed = await runChild(npm!, ["pack", "--silent", "--pack-destination", directory], {
    cwd: folder,
    env: emptyHome(directory),
    timeout: 180_000,
  });
  assertEquals(packed.code, 0, packed.stderr);
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return { manifest, tarball: join(directory, packed.stdout.trim()) };
}

/** A package of the lock, as far as it is used. */
interface Locked {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** The packages that the command line needs, made of what is in `node_modules`. */
export async function packDependencies(directory: string): Promise<Packed[]> {
  const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Readonly<Record<string, Locked>>;
  };
  const found = new Set<string>();
  const add = (from: string): void => {
    const { dependencies, optionalDependencies } = packages[from] ?? {};
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const nested = `${from}/node_modules/${name}`;
      const place = nested in packages ? nested : `node_modules/${name}`;
      if (name === "@llamasaur/llamasaur" || found.has(place)) continue;
      found.add(place);
      add(place);
    }
  };
  add("cli");
  const packed = [...found].map(async (place): Promise<Packed> => {
    const manifest = JSON.parse(readFileSync(join(ROOT, place, "package.json"), "utf8"));
    const tarball = join(directory, `${manifest.name.replaceAll(/[@/]/g, "_")}-${manifest.version}.tgz`);
    const flags = ["--exclude=./node_modules", "--transform=s,^\\.,package,", "-C", join(ROOT, place), "."];
    await tar("--use-compress-program=gzip -1", "-cf", tarball, ...flags);
    return { manifest, tarball };
  });
  // The newest version first; a nested one is an older one.
  return (await Promise.all(packed)).sort((a, b) => Number(b.manifest.version > a.manifest.version) - 0.5);
}

/** Runs tar to its end. */
export async function tar(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await runChild("tar", args);
  assertEquals(code, 0, stderr);
}

/** The same for a registry that has no prebuilt packages: Deno takes nothing whose dependency no registry knows. */
export function withoutPrebuilt({ manifest, tarball }: Packed): Packed {
  const { optionalDependencies: _, ...rest } = manifest as Packed["manifest"] & { optionalDependencies?: unknown };
  return { manifest: rest, tarball };
}

/** Unpacks npm's package into the `node_modules` of a folder, as an installation does. */
export async function installPacked(packed: Packed, folder: string): Promise<void> {
  const place = join(folder, "node_modules", packed.manifest.name);
  mkdirSync(place, { recursive: true });
  await tar("-xzf", packed.tarball, "--strip-components=1", "-C", place);
}

/** README's first example, with the package by a name of the test and the model by its path. */
export function firstExample(specifier: string): string {
  const example = /```ts\n(.*?)```/s.exec(readFileSync(join(ROOT, "README.md"), "utf8"))![1]!;
  const program = example.replace('"@llamasaur/llamasaur"', JSON.stringify(specifier))
    .replace(/"models\/[^"]+"/, JSON.stringify(MODEL));
  assertEquals([program.includes(specifier), program.includes(MODEL)], [true, true], program);
  return program;
}

/** That README's first example printed what stands beside it there. */
export function assertExample({ code, stdout, stderr }: Outcome): void {
  assertEquals([code, stdout], [0, '384 [ "0.69", "-0.02" ]\n'], stderr);
}

/** That a program embedded. */
export function assertEmbedded({ code, stdout, stderr }: Outcome): void {
  assertEquals([code, stdout], [0, "384 1.000\n"], stderr);
}

/** That a build found everything compiled and put the library into the user's cache; gives its path. */
export function assertBuilt(
  { code, stdout, stderr }: Outcome,
  { XDG_CACHE_HOME = "" }: Record<string, string>,
): string {
  const path = stdout.trim();
  assertEquals([code, stderr], [0, `nothing has changed: ${path}\n`]);
  assertEquals([path.startsWith(XDG_CACHE_HOME), basename(path), existsSync(path)], [true, libraryFileName(), true]);
  return path;
}
