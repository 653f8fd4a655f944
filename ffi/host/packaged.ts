/** Finds the library that an npm package brings for this system and processor: `@llamasaur/linux-x64-gnu` and the like. */
import { createRequire } from "node:module";
import { VERSION } from "../version.ts";
import { isCheckout, isCompiled, libraryFileName, packageRoot, targetName } from "./paths.ts";

/** The packages by system and processor; packages/platforms.ts makes them. */
export const PACKAGES: Readonly<Record<string, string>> = {
  "linux-x64": "@llamasaur/linux-x64-gnu",
  "linux-arm64": "@llamasaur/linux-arm64-gnu",
  "win32-x64": "@llamasaur/win32-x64",
  "darwin-arm64": "@llamasaur/darwin-arm64",
  "darwin-x64": "@llamasaur/darwin-x64",
};

/** The package that says where each library is, for Deno's users from JSR. */
export const NATIVE: string = `@llamasaur/native@${VERSION}`;

/** Where a package's library is, or why there is none. */
export interface Packaged {
  /** The library's path, or the package's name. */
  readonly path: string;
  readonly skipped?: string;
}

/** What a package says of itself in package.json. */
interface Manifest {
  readonly version: string;
  readonly llamasaur?: { readonly abi?: number };
}

/**
 * Looks for the package, and on Deno gets it by `npm:` where no package.json forbids that.
 *
 * @param abi The number of the symbol table.
 */
export async function packagedLibrary(abi: number): Promise<Packaged> {
  const name = PACKAGES[targetName()];
  if (name === undefined) return { path: "an npm package", skipped: `none has a library for ${targetName()}` };
  if (isCompiled()) return { path: name, skipped: "a compiled program cannot hold it: put the library beside it" };
  // Deno asks for the permission to read where a checkout's node_modules could be; a checkout builds a library of its own.
  const inDeno = "Deno" in globalThis;
  if (inDeno && isCheckout()) return { path: name, skipped: "a checkout builds its own" };
  return installed(name, abi) ?? (inDeno ? await imported(name, abi) : { path: name, skipped: "is not installed" });
}

/** The command that gets the package, for the runtime that runs. */
export function installCommand(): string {
  if ("Deno" in globalThis) return `deno add npm:${NATIVE}`;
  return `bun add ${PACKAGES[targetName()] ?? "@llamasaur/llamasaur"}@${VERSION}`;
}

/** The package in `node_modules`, or among those that Deno's npm package of ours came with; undefined where it is not. */
export function installed(name: string, abi: number): Packaged | undefined {
  const root = packageRoot();
  if (root.protocol !== "file:") return undefined;
  const load = createRequire(new URL("package.json", root));
  let manifest: Manifest;
  try {
    manifest = load(`${name}/package.json`) as Manifest;
  } catch {
    return undefined;
  }
  return judged(name, manifest, abi) ?? { path: load.resolve(`${name}/${libraryFileName()}`) };
}

/** What is wrong with a package of another release. */
function judged(name: string, { version, llamasaur }: Manifest, abi: number): Packaged | undefined {
  const remedy = `mend it with: ${installCommand()}`;
  if (version !== VERSION) {
    return { path: name, skipped: `its version is ${version}, and this is llamasaur ${VERSION}; ${remedy}` };
  }
  if (llamasaur?.abi === abi) return undefined;
  const theirs = llamasaur?.abi ?? "unknown";
  return {
    path: name,
    skipped: `${version} has the functions ${theirs}, and this llamasaur ${VERSION} ${abi}; ${remedy}`,
  };
}

/** The package by way of `npm:`. The specifier is computed: a literal one would be fetched by every import of ours. */
async function imported(name: string, abi: number): Promise<Packaged> {
  const specifier = `npm:${NATIVE}`;
  try {
    const { path, manifest } = await import(specifier) as { path?: string; manifest?: Manifest };
    if (path === undefined || manifest === undefined) {
      return { path: name, skipped: `${specifier} has none for this system` };
    }
    return judged(name, manifest, abi) ?? { path };
  } catch (error) {
    const words = (error as Error).message.split("\n")[0]!;
    const listed = /Could not find a matching package|not.*package\.json/.test(words);
    const remedy = listed ? `. Deno takes no package that package.json does not list: ${installCommand()}` : "";
    return { path: name, skipped: `${words.replace(/\.$/, "")}${remedy}` };
  }
}
