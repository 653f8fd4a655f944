// Who may import whom, and how long a file may be: `deno task imports [ROOT]` lists what breaks the rules of design and house.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";

/** One import: what the source says, the file it means ("src/llama.ts") or else the specifier again, and if only types come. */
export interface Import {
  specifier: string;
  target: string;
  typeOnly: boolean;
}

/** The imports of every file of the product, by its path relative to the root. */
export type Graph = ReadonlyMap<string, readonly Import[]>;

const PURE = ["src/pool/plan.ts", "src/vectors.ts", "build/flags.ts"];
const BOUNDARY = ["ffi/mod.ts", "ffi/errors.ts"];
const PLACES = ["ffi/errors.ts", "ffi/symbols.ts", "ffi/version.ts"];
const LIMIT = 500;
const SOURCE = /\.(ts|cpp|h|c|py|sh)$/;
const CATCH_ALL = /^(utils?|helpers?|types|common|misc)(_test)?$/;
const SKIPPED = /^(\.git|node_modules|lib|models|__pycache__|\.installing\..*)$/;

/** Every import of `graph` that is not allowed, each as one line. */
export function importViolations(graph: Graph): string[] {
  const lines: string[] = [];
  for (const [path, imports] of graph) {
    for (const { specifier, target, typeOnly } of imports) {
      const reason = refusal(path, specifier, target, typeOnly);
      if (reason !== undefined) lines.push(`${path} imports "${specifier}": ${reason}`);
    }
  }
  return [...lines, ...reachViolations(graph)];
}

/** What is wrong with the length and the name of a file. */
export function fileViolations(path: string, content: string): string[] {
  const lines = content.split("\n").length - 1;
  const found = lines >= LIMIT ? [`${path} has ${lines} lines: split it, the limit is ${LIMIT - 1}`] : [];
  const name = path.split("/").find((part) => CATCH_ALL.test(part.replace(SOURCE, "")));
  if (name !== undefined) found.push(`${path}: "${name}" names no noun or verb, say what is in it`);
  return found;
}

function refusal(path: string, specifier: string, target: string, typeOnly: boolean): string | undefined {
  const folder = path.includes("/") ? path.slice(0, path.indexOf("/")) : "";
  if (PURE.includes(path)) return "this file is pure and imports nothing";
  if (specifier.startsWith("node:")) return undefined;
  if (specifier === "bun:ffi") return path === "ffi/runtime/bun.ts" ? undefined : "only ffi/runtime/bun.ts may";
  if (!/^\.\.?\//.test(specifier)) return "product code imports relative files and node: built-ins only";
  if (folder === "" ? !target.includes("/") || target.startsWith("src/") : target.startsWith(`${folder}/`)) {
    return undefined;
  }
  switch (folder) {
    case "ffi":
      return "ffi imports only ffi";
    case "build":
      if (PLACES.includes(target) || target.startsWith("ffi/host/")) return undefined;
      return `build imports only build and, of ffi, host and ${PLACES.join(", ")}`;
    default:
      if (target.startsWith("ffi/host/") && folder === "src") return undefined;
      if (BOUNDARY.includes(target) || (typeOnly && target.startsWith("ffi/"))) return undefined;
      return `${folder || "an entry"} imports only src, ${BOUNDARY.join(", ")} and (\`import type\`) types of ffi`;
  }
}

/** What mod.ts must not load: code that downloads or converts. */
function reachViolations(graph: Graph): string[] {
  const chains = new Map([["mod.ts", "mod.ts"]]);
  for (const [path, chain] of chains) { // grows while it is walked
    for (const { target } of graph.get(path) ?? []) {
      if (!chains.has(target)) chains.set(target, `${chain} -> ${target}`);
    }
  }
  return [...chains]
    .filter(([path]) => /^src\/(convert|models\/hub)\//.test(path))
    .map(([, chain]) => `mod.ts must not reach src/convert or src/models/hub: ${chain}`);
}

/** The files below `root` that are ours to keep short. */
function sourceFiles(root: string, folder = ""): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder + entry.name;
    if (SKIPPED.test(entry.name)) return [];
    if (entry.isDirectory()) return sourceFiles(root, `${path}/`);
    return SOURCE.test(entry.name) ? [path] : [];
  }).sort();
}

/** The import graph of the product's files, as Deno sees it. */
function readGraph(root: string, files: readonly string[]): Graph {
  const graph = new Map<string, Import[]>();
  const product = files.filter((path) => /^([^/]+|(src|ffi|build)\/.*)\.ts$/.test(path));
  for (const path of ["mod.ts", ...product]) { // one run of Deno covers what mod.ts reaches, the others what is left
    if (graph.has(path) || !existsSync(join(root, path))) continue;
    for (const [found, imports] of inspect(root, path)) {
      if (product.includes(found)) graph.set(found, imports);
    }
  }
  return graph;
}

interface Resolution {
  specifier?: string;
}
interface DenoInfo {
  modules: {
    specifier: string;
    error?: string;
    dependencies?: { specifier: string; code?: Resolution; type?: Resolution }[];
  }[];
}

function inspect(root: string, path: string): [string, Import[]][] {
  const options = { cwd: root, encoding: "utf8", maxBuffer: 2 ** 30 } as const;
  const result = spawnSync("deno", ["info", "--no-remote", "--json", path], options);
  if (result.status !== 0) throw new Error(`Cannot run deno info ${path}: ${result.error?.message ?? result.stderr}`);
  const base = pathToFileURL(join(root, "/")).href;
  const relative = (url: string) => url.startsWith(base) ? decodeURIComponent(url.slice(base.length)) : url;
  const info: DenoInfo = JSON.parse(result.stdout);
  return info.modules.map((module) => [
    relative(module.specifier),
    (module.dependencies ?? []).map(({ specifier, code, type }) => ({
      specifier,
      target: relative((code ?? type)?.specifier ?? specifier),
      typeOnly: code === undefined,
    })),
  ]);
}

function main(root: string): number {
  const files = sourceFiles(root);
  const graph = readGraph(root, files);
  const found = [
    ...importViolations(graph).sort(),
    ...files.flatMap((path) => fileViolations(path, readFileSync(join(root, path), "utf8"))),
  ];
  for (const line of found) console.error(line);
  console.log(`${found.length} violations in the imports of ${graph.size} files and the length of ${files.length}`);
  return found.length > 0 ? 1 : 0;
}

if (import.meta.main) {
  process.exitCode = main(process.argv[2] ?? fileURLToPath(new URL("..", import.meta.url)));
}
