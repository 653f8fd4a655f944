/** Where the native library is: the places looked at, in order, and what is not looked at and why. */
import process from "node:process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { env, granted } from "./permission.ts";
import { abi } from "../symbols.ts";
import { LLAMA_VERSION } from "../version.ts";

/** A place where the library may be, or the reason why it was not looked at. */
export interface Candidate {
  readonly path: string;
  readonly skipped?: string;
}

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

/** The root of this package, as a URL that ends in a slash. */
export function packageRoot(): URL {
  return new URL("../../", import.meta.url);
}

/** Whether this package is a working copy on disk, whose `lib/` a build may write to. */
export function isCheckout(): boolean {
  const root = packageRoot();
  return root.protocol === "file:" && !root.pathname.split("/").includes("node_modules");
}

/** Whether this package is inside a program that `bun build --compile` or `deno compile` made. */
function isCompiled(): boolean {
  const deno = (globalThis as { Deno?: { readonly build: { readonly standalone: boolean } } }).Deno;
  return deno ? deno.build.standalone : /^\/(\$bunfs|[A-Z]:\/~BUN)\//i.test(new URL(import.meta.url).pathname);
}

/** Where a build puts the library when the package is no working copy; undefined without a cache directory. */
export function libraryCachePath(): string | undefined {
  const cache = cacheDirectory();
  return cache && join(cache, `${LLAMA_VERSION}-${abi()}`, "lib", targetName(), libraryFileName());
}

/**
 * The places where the library is looked for, first to last.
 *
 * @param option The `library` option: a path or a `file:` URL. When given, it is the only place.
 */
export function candidates(option?: string | URL): Candidate[] {
  // A place that was named is the only one: falling back to another would hide that it is wrong.
  const named = option ?? env("LLAMASAUR_LIBRARY");
  if (named !== undefined) {
    return [{ path: named instanceof URL || named.startsWith("file:") ? fileURLToPath(named) : named }];
  }
  const places: Candidate[] = [];
  const add = (path: string | undefined, place: string, reason: string): void => {
    if (path === undefined) places.push({ path: place, skipped: reason });
    else if (!granted({ name: "ffi", path })) places.push({ path, skipped: "no permission (--allow-ffi)" });
    else places.push({ path });
  };
  add(undefined, "$LLAMASAUR_LIBRARY", "unset, or no permission to read it (--allow-env)");
  const root = packageRoot();
  const beside = isCompiled()
    ? join(dirname(process.execPath), libraryFileName())
    : root.protocol === "file:"
    ? join(fileURLToPath(root), "lib", targetName(), libraryFileName())
    : undefined;
  add(beside, "lib/ beside the package", `the package was loaded from ${root.protocol}//${root.host}`);
  add(libraryCachePath(), "the user's cache", "no permission to read HOME or XDG_CACHE_HOME (--allow-env)");
  return places;
}

/** The command that builds the library for whoever runs this package from where it is. */
export function buildCommand(): string {
  const root = packageRoot();
  const inDeno = "Deno" in globalThis;
  if (isCompiled()) return inDeno ? "deno run -A jsr:@llamasaur/llamasaur/build" : "bunx llamasaur-build";
  if (root.protocol !== "file:") return `deno run -A ${new URL("build/mod.ts", root)}`;
  if (!isCheckout()) return "bunx llamasaur-build";
  const script = join(fileURLToPath(root), "build", "mod.ts");
  const shown = script.startsWith(process.cwd()) ? script.slice(process.cwd().length + 1) : script;
  return inDeno ? `deno run -A ${shown}` : `bun ${shown}`;
}
