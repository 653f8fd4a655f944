/** Finds the library that an npm package brings for this system and processor: `@llamasaur/linux-x64-gnu` and the like. */
import { createRequire } from "node:module";
import process from "node:process";
import { VERSION } from "../version.ts";
import { isCheckout, isCompiled, isPacked, libraryFileName, packageRoot, targetName } from "./paths.ts";
import { fileSystem } from "./permission.ts";

/** The packages by `packageTarget()`; packages/platforms.ts makes them. */
export const PACKAGES: Readonly<Record<string, string>> = {
  "linux-x64": "@llamasaur/linux-x64-gnu",
  "linux-arm64": "@llamasaur/linux-arm64-gnu",
  "win32-x64": "@llamasaur/win32-x64",
  "darwin-arm64": "@llamasaur/darwin-arm64",
  "darwin-x64": "@llamasaur/darwin-x64",
};

/** The package that says where each library is, for Deno's users from JSR. */
const NATIVE_NAME = "@llamasaur/native";
/** The same at this version. */
export const NATIVE: string = `${NATIVE_NAME}@${VERSION}`;

/** Where a package's library is, or why there is none. */
export interface Packaged {
  /** The library's path, or the package's name. */
  readonly path: string;
  readonly skipped?: string;
  /** The command that gets the package; undefined where no package helps. */
  readonly remedy?: string;
}

/** What a package says of itself in package.json. */
interface Manifest {
  readonly version: string;
  readonly llamasaur?: { readonly abi?: number };
}

/** What `@llamasaur/native` exports. */
interface Native {
  readonly path?: string;
  readonly manifest?: Manifest;
}

/**
 * Looks for the package, and on Deno gets it by `npm:` where no package.json forbids that.
 *
 * @param abi The number of the symbol table.
 * @param target For which system and processor.
 */
export async function packagedLibrary(abi: number, target: string = packageTarget()): Promise<Packaged> {
  const name = PACKAGES[target];
  if (name === undefined) return { path: "an npm package", skipped: `none has a library for ${target}` };
  if (isCompiled()) return { path: name, skipped: "a compiled program cannot hold it: put the library beside it" };
  const inDeno = "Deno" in globalThis;
  if (inDeno && isCheckout()) return { path: name, skipped: "a checkout builds its own" };
  // Deno lets what came from npm look in node_modules; of anything else, such as a bundle, it asks for the permission to read.
  const found = inDeno && !isPacked() ? undefined : installed(name, abi);
  if (found !== undefined) return found;
  if (inDeno) return await imported(name, abi);
  return isCheckout() ? { path: name, skipped: "is not installed" } : lacking(name, absence(name));
}

/**
 * The system and processor as the packages have them: `linux-x64`, and `linux-x64-musl` where there is no glibc.
 *
 * @param runtime The program that runs; a library has to be for its C library.
 */
export function packageTarget(runtime: string = process.execPath): string {
  return isForMusl(runtime) ? `${targetName()}-musl` : targetName();
}

/** Whether a program of Linux was made for musl: Deno says so without a permission, of Bun the program names its loader. */
function isForMusl(program: string): boolean {
  if (process.platform !== "linux") return false;
  const deno = (globalThis as { Deno?: { readonly build: { readonly target: string } } }).Deno;
  if (deno) return deno.build.target.endsWith("musl");
  const { openSync, readSync, closeSync } = fileSystem();
  const file = openSync(program, "r");
  const beginning = new Uint8Array(4096);
  readSync(file, beginning);
  closeSync(file);
  return new TextDecoder("latin1").decode(beginning).includes("/ld-musl-");
}

/** The package in `node_modules`, or among those that Deno's npm package of ours came with; undefined where it is not. */
export function installed(name: string, abi: number): Packaged | undefined {
  const load = requirer();
  let manifest: Manifest | undefined;
  try {
    manifest = load?.(`${name}/package.json`) as Manifest | undefined;
  } catch {
    return undefined;
  }
  if (load === undefined || manifest === undefined) return undefined;
  const wrong = judged(name, manifest, abi);
  if (wrong) return wrong;
  try {
    return { path: load.resolve(`${name}/${libraryFileName()}`) };
  } catch {
    return lacking(name, `${libraryFileName()} is missing in it`, true);
  }
}

/** What finds packages from where this one is; undefined where it did not come as files. */
function requirer(): ReturnType<typeof createRequire> | undefined {
  const root = packageRoot();
  return root.protocol === "file:" ? createRequire(new URL("package.json", root)) : undefined;
}

/** In which way a package is not there: a node_modules of another system has the package of that one. */
function absence(name: string): string {
  const load = requirer();
  const others = Object.values(PACKAGES).filter((other) => {
    try {
      return other !== name && load?.resolve(`${other}/package.json`) !== undefined;
    } catch {
      return false;
    }
  });
  return others.length === 0 ? "is not installed" : `is not installed; ${others.join(" and ")} is for another platform`;
}

/** A package that the command gets, or gets `again` where one of this version is there. */
function lacking(name: string, reason: string, again = false): Packaged {
  const [ofDeno, ofBun] = again
    ? [`cache --reload=npm:${name} npm:${NATIVE}`, `add --force ${name}@${VERSION}`]
    : [`add npm:${NATIVE}`, `add ${name}@${VERSION}`];
  const remedy = "Deno" in globalThis ? `deno ${ofDeno}` : `bun ${ofBun}`;
  return { path: name, skipped: `${reason}; mend it with: ${remedy}`, remedy };
}

/** What is wrong with a package of another release. */
function judged(name: string, { version, llamasaur }: Manifest, abi: number): Packaged | undefined {
  if (version !== VERSION) return lacking(name, `its version is ${version}, and this is llamasaur ${VERSION}`);
  if (llamasaur?.abi === abi) return undefined;
  const theirs = llamasaur?.abi ?? "unknown";
  return lacking(name, `${version} has the functions ${theirs}, and this llamasaur ${VERSION} ${abi}`, true);
}

/** The package by way of `npm:`. The specifier is computed: a literal one would be fetched by every import of ours. */
async function imported(name: string, abi: number): Promise<Packaged> {
  const bring = async (specifier: string): Promise<Packaged> => {
    const { path, manifest } = await import(specifier) as Native;
    if (path === undefined || manifest === undefined) {
      return lacking(name, `did not come whole with ${specifier}`, true);
    }
    return judged(name, manifest, abi) ?? { path };
  };
  try {
    return await bring(`npm:${NATIVE}`);
  } catch (error) {
    const words = (error as Error).message.split("\n")[0]!.replace(/\.$/, "");
    if (!/Could not find a matching package|not.*package\.json/.test(words)) return lacking(name, words);
    // package.json may list another version, which alone Deno takes
    const listed = await bring(`npm:${NATIVE_NAME}`).catch(() => undefined);
    return listed ?? lacking(name, `${words}. Deno takes no package that package.json does not list`);
  }
}
