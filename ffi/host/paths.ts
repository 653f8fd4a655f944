/** Where this package, its caches and its library are on this machine. */
import process from "node:process";
import { join, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { VERSION } from "../version.ts";
import { env } from "./permission.ts";

/** Where this very file is; a bundler that writes CommonJS leaves nothing. */
const SELF: string = import.meta.url ?? "";

/** The name of a system and processor, such as `linux-x64`. */
export function targetName(platform: string = process.platform, arch: string = process.arch): string {
  return `${platform}-${arch}`;
}

/** The library's file name on a platform. */
export function libraryFileName(platform: string = process.platform): string {
  return platform === "win32" ? "llamasaur.dll" : platform === "darwin" ? "libllamasaur.dylib" : "libllamasaur.so";
}

/** Our folder in the user's cache, or undefined when the variables that name it may not be read. */
export function cacheDirectory(platform: string = process.platform): string | undefined {
  const xdg = env("XDG_CACHE_HOME");
  if (xdg) return join(xdg, "llamasaur");
  if (platform === "win32") {
    const local = env("LOCALAPPDATA");
    return local && join(local, "llamasaur", "Cache");
  }
  const home = env("HOME");
  return home && join(home, platform === "darwin" ? "Library/Caches" : ".cache", "llamasaur");
}

/**
 * The root of this package, as a URL that ends in a slash; of a bundle, which holds a part of the package alone, the folder
 * that it is in. npm's package has its JavaScript in `js/`.
 */
export function packageRoot(): URL {
  return new URL(isBundled() ? "./" : isPacked() ? "../../../" : "../../", SELF || pathToFileURL(process.execPath));
}

/** Whether this package is a working copy on disk, whose `lib/` a build may write to. */
export function isCheckout(): boolean {
  const root = packageRoot();
  const whole = !isBundled() && !isPacked();
  return whole && root.protocol === "file:" && !root.pathname.split("/").includes("node_modules");
}

/** Whether this package is npm's, which scripts/pack made. */
export function isPacked(): boolean {
  return SELF.endsWith("/js/ffi/host/paths.js");
}

/** Whether a bundler put this package into another file: it is alone there, and may have been moved. */
export function isBundled(): boolean {
  return !isPacked() && !SELF.endsWith("/ffi/host/paths.ts");
}

/** Whether this package is inside a program that `bun build --compile` or `deno compile` made. */
export function isCompiled(): boolean {
  const deno = (globalThis as { Deno?: { readonly build: { readonly standalone: boolean } } }).Deno;
  return deno ? deno.build.standalone : /^file:\/\/\/(\$bunfs|[A-Z]:\/~BUN)\//i.test(SELF);
}

/**
 * Where a build puts the library when the package is no working copy; undefined without a cache directory. Each release has a
 * place of its own: the C++ of the next one may differ where no symbol does.
 *
 * @param version llama.cpp's version.
 * @param abi The number of the symbol table.
 */
export function libraryCachePath(version: string, abi: number): string | undefined {
  const cache = cacheDirectory();
  return cache && join(cache, `${VERSION}-${version}-${abi}`, "lib", targetName(), libraryFileName());
}

/**
 * The command that builds the library for whoever runs this package from where it is.
 *
 * @param here The folder that the command's path is told from, if the package is below it.
 */
export function buildCommand(here: string = process.cwd()): string {
  const root = packageRoot();
  const inDeno = "Deno" in globalThis;
  if (isCompiled() || isBundled()) {
    return inDeno ? "deno run -A jsr:@llamasaur/llamasaur/build" : "bunx llamasaur-build";
  }
  if (root.protocol !== "file:") return `deno run -A ${new URL("build/mod.ts", root)}`;
  if (!isCheckout()) {
    return inDeno ? `deno run -A npm:@llamasaur/llamasaur@${VERSION}/build` : "bunx llamasaur-build";
  }
  const script = join(fileURLToPath(root), "build", "mod.ts");
  const shown = script.startsWith(join(here, sep)) ? script.slice(join(here, sep).length) : script;
  return inDeno ? `deno run -A ${shown}` : `bun ${shown}`;
}
