// Moves to another llama.cpp: `deno run -A scripts/move_pin.ts vX.Y.Z [--source DIR] [--dry-run]`
//   --source DIR   a clean clone of that tag; else it is fetched
//   --dry-run      only lists what changed of what the shim uses, and changes no file
// Then build/pin.ts and ffi/version.ts are rewritten, the library is built and the gate is run.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { PACKAGE, REPOSITORY, TAG, TREE } from "../build/pin.ts";
import { pinnedSource, treeOf } from "../build/source.ts";
import { cacheDirectory } from "../ffi/host/paths.ts";
import { LLAMA_VERSION } from "../ffi/version.ts";
import { changes, type Declarations, declarations, usedNames } from "./declarations.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const [VERSION_FILE, PIN_FILE] = [join(ROOT, "ffi", "version.ts"), join(ROOT, "build", "pin.ts")];

/** ffi/version.ts with another version in it. */
export function pinVersion(text: string, version: string): string {
  return replaceOnce(text, /(LLAMA_VERSION: string = ")[^"]+/, version);
}

/** build/pin.ts with another tree in it. */
export function pinTree(text: string, tree: string): string {
  return replaceOnce(text, /(TREE: string = ")[^"]+/, tree);
}

/** The version that llama.cpp's CMakeLists.txt states. */
export function versionOf(cmake: string): string {
  return ["MAJOR", "MINOR", "PATCH"]
    .map((part) => new RegExp(`set\\(LLAMA_VERSION_${part}\\s+(\\d+)\\)`).exec(cmake)?.[1] ?? "?").join(".");
}

function replaceOnce(text: string, pattern: RegExp, value: string): string {
  if (!pattern.test(text)) throw new Error(`Cannot find ${pattern} in the file to change`);
  return text.replace(pattern, (_, before) => before + value);
}

/** Runs a program in view; false when it fails. */
function runs(command: string, ...args: string[]): boolean {
  console.log(`$ ${command} ${args.join(" ")}`);
  return spawnSync(command, args, { cwd: ROOT, stdio: "inherit" }).status === 0;
}

/** What the public headers of a tree declare. */
function readHeaders(tree: string): Declarations {
  const ggml = join(tree, "ggml", "include");
  const inC = readdirSync(ggml).filter((name) => name !== "ggml-cpp.h").sort();
  const files = [join(tree, "include", "llama.h"), ...inC.map((name) => join(ggml, name))];
  return declarations(files.map((file) => readFileSync(file, "utf8")).join("\n"));
}

/** Prints what changed of what the shim uses. */
function report(before: string, after: string): void {
  const folder = join(ROOT, "ffi", "cpp");
  const sources = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
    /\.(c|cpp|h)$/.test(name)
  );
  const used = usedNames(sources.map((name) => readFileSync(join(folder, name), "utf8")));
  const [old, now] = [readHeaders(before), readHeaders(after)];
  const found = changes(old, now, used);
  const known = [...used].filter((name) => old.has(name)).length;
  console.log(`of ${known} declarations that the shim uses, ${found.length} changed`);
  for (const { name, before, after } of found) console.log(`\n${name}\n  - ${before}\n  + ${after ?? "(gone)"}`);
}

async function move(tag: string, tree: string, given: boolean, dryRun: boolean): Promise<number> {
  const version = tag.slice(1);
  const stated = versionOf(readFileSync(join(tree, "CMakeLists.txt"), "utf8"));
  if (stated !== version) throw new Error(`${tree} is llama.cpp ${stated}, not ${version}: check out ${tag} there`);
  const found = await treeOf(tree);
  if ("reason" in found) throw new Error(`Cannot tell the git tree of ${tree}: ${found.reason}`);
  const cache = cacheDirectory();
  if (cache === undefined) throw new Error("Cannot tell the user's cache: set XDG_CACHE_HOME or HOME");
  const old = await pinnedSource(cache, console.log);
  console.log(`from ${TAG} (tree ${TREE})\n  to ${tag} (tree ${found.id})`);
  report(old.directory, tree);
  if (dryRun) return 0;

  writeFileSync(VERSION_FILE, pinVersion(readFileSync(VERSION_FILE, "utf8"), version));
  writeFileSync(PIN_FILE, pinTree(readFileSync(PIN_FILE, "utf8"), found.id));
  const built = runs("deno", "run", "-A", "build/mod.ts", ...(given ? ["--source", tree] : []));
  const passed = built && runs("deno", "task", "ok");
  console.log(
    passed
      ? `${tag} builds, and the gate is green`
      : `${tag} is pinned, but ${built ? "the gate" : "the build"} failed`,
  );
  console.log(
    `still to do by hand: PACKAGE in build/pin.ts (${PACKAGE.name}@${PACKAGE.version} carries ${TAG}), and wherever
the documents say ${LLAMA_VERSION}:`,
  );
  runs("git", "grep", "-nF", LLAMA_VERSION, "--", "*.md", ".github");
  return passed ? 0 : 1;
}

async function main(): Promise<number> {
  const { values, positionals: [tag = ""] } = parseArgs({
    allowPositionals: true,
    options: { source: { type: "string" }, "dry-run": { type: "boolean", default: false } },
  });
  if (!/^v\d+\.\d+\.\d+$/.test(tag)) throw new Error(`The tag is ${JSON.stringify(tag)}: use one such as ${TAG}`);
  if (values.source !== undefined) return await move(tag, resolve(values.source), true, values["dry-run"]);
  const scratch = mkdtempSync(join(tmpdir(), "llamasaur-pin-"));
  try {
    const tree = join(scratch, "llama.cpp");
    const clone = ["-c", "advice.detachedHead=false", "clone", "--quiet", "--depth", "1", "--branch", tag];
    if (!runs("git", ...clone, REPOSITORY, tree)) throw new Error(`Cannot fetch ${tag}: give a clone by --source`);
    return await move(tag, tree, false, values["dry-run"]);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  process.exitCode = await main().catch((error: Error) => {
    console.error(`error: ${error.message}`);
    return 1;
  });
}
