/**
 * Checks who imports whom and how long functions are: `deno task imports [ROOT]` lists what breaks the rules of the house.
 * A file of 500 lines is warned of, a function of more than 70 is refused.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { functionsOf } from "./functions.ts";

/** One import: what the source says, and the file it means ("src/llama.ts") or else the specifier again. */
export interface Import {
  readonly specifier: string;
  readonly target: string;
  /** Whether only types come. */
  readonly typeOnly: boolean;
  /** Whether it is `import()`, which runs when it is called. */
  readonly dynamic: boolean;
}

/** The imports of every file of the product, by its path relative to the root. */
export type Graph = ReadonlyMap<string, readonly Import[]>;

// A room is a folder; these files are rooms of their own.
const ALONE = ["ffi/mod.ts", "ffi/errors.ts", "ffi/symbols.ts", "ffi/version.ts"];
const TOOLS = ["options", "check", "progress", "vectors", "scores", "slices", "files", "warnings"].map((name) =>
  `src/${name}.ts`
);

/**
 * The house: what each room may import besides node: and, but for the entries, itself. "types of" a room allows `import type` alone,
 * "import() of" one what runs when it is called.
 * mod.ts, models.ts and the like of the root are the entries, src/llama.ts and its like the calls, options.ts and its like the tools.
 */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  "entries": [
    ...["calls", "tools", "src/engine", "src/pool", "src/text", "src/models", "src/models/hub", "src/convert"],
    "ffi/errors.ts",
  ],
  "calls": [
    ...["src/engine", "src/pool", "src/text", "src/models", "tools", "ffi/mod.ts", "ffi/errors.ts", "ffi/host"],
    "import() of src/models/hub", // for `download: true` alone
  ],
  "tools": ["ffi/errors.ts", "ffi/host"],
  "src/engine": ["src/pool", "src/text", "src/models", "tools", "ffi/mod.ts", "ffi/errors.ts"],
  "src/pool": ["src/text", "tools", "ffi/mod.ts", "ffi/errors.ts"],
  "src/text": ["tools", "types of ffi/mod.ts", "ffi/errors.ts"],
  "src/models": ["tools", "ffi/host", "ffi/errors.ts"],
  "src/models/hub": ["src/models", "tools", "ffi/host", "ffi/errors.ts"],
  "src/convert": ["tools", "ffi/mod.ts", "ffi/errors.ts"],
  "src/adapters": ["types of entries"],
  "ffi/mod.ts": ["ffi", "ffi/host", "ffi/symbols.ts", "ffi/version.ts"],
  "ffi": ["ffi/runtime", "ffi/host", "ffi/symbols.ts", "ffi/version.ts", "ffi/errors.ts"],
  "ffi/errors.ts": ["ffi/host", "ffi/symbols.ts"],
  "ffi/symbols.ts": [],
  "ffi/version.ts": [],
  "ffi/runtime": ["ffi/symbols.ts"],
  "ffi/host": ["ffi/version.ts"],
  "build": ["ffi/host", "ffi/symbols.ts", "ffi/version.ts", "ffi/errors.ts"],
  "packages": ["build", "ffi/host", "ffi/symbols.ts", "ffi/version.ts"],
  // The second package. Of the first its rooms take only what a stranger can, so they name no room of it.
  "cli": ["import() of cli/verbs"],
  "cli/verbs": [
    "cli",
    ...["jobs", "data", "serve", "worker", "doctor"].flatMap((
      room,
    ) => [`import() of cli/${room}`, `types of cli/${room}`]),
  ],
  "cli/jobs": ["cli", "cli/data"],
  "cli/data": ["cli"],
  "cli/doctor": ["cli"],
  "cli/serve": ["cli", "cli/data"],
  "cli/worker": ["cli", "cli/data", "cli/serve"],
};

/** The public entries of the first package, as the second one names them. */
const ENTRIES = ["", "/build", "/convert", "/models", "/vectors"].map((entry) => `@llamasaur/llamasaur${entry}`);
/** Packages that the second package may import: those of cli/package.json. */
const PACKAGES = [
  ...["commander", "csv-parse", "hyparquet", "hyparquet-compressors", "hyparquet-writer"],
  ...["@hono/zod-openapi", "hono", "prom-client", "zod"],
  ...["@opentelemetry/api", "pg-boss", "postgres"],
];
/** What `--help` of a verb may load of them: everything else comes when the verb runs. */
const LIGHT = ["commander"];

const PURE = ["src/pool/plan.ts", "src/vectors.ts", "build/flags.ts"];
/** What mod.ts must not load: code that converts or uses the network. */
const AFAR = /^src\/(convert|models\/hub)\//;
const LONG_FILE = 500;
const LONG_FUNCTION = 70;
const SOURCE = /\.(ts|cpp|h|c|py|sh)$/;
const CATCH_ALL = /^(utils?|helpers?|types|common|misc)(_test)?$/;
const SKIPPED = /^(\.git|node_modules|__pycache__|\.installing\..*)$/;
const SKIPPED_IN_ROOT = /^(dist|js|cli\/js|lib|models|bench-results)$/;

/** Every import of `graph` that is not allowed and every circle, each as one line. */
export function importViolations(graph: Graph): string[] {
  const lines: string[] = [];
  for (const [path, imports] of graph) {
    for (const one of imports) {
      const reason = refusal(path, one);
      if (reason !== undefined) lines.push(`${path} imports "${one.specifier}": ${reason}`);
    }
  }
  return [...lines, ...reachViolations(graph), ...circles(graph)];
}

/** What is wrong with the name of a file and the length of its functions. */
export function fileViolations(path: string, content: string): string[] {
  const name = path.split("/").find((part) => CATCH_ALL.test(part.replace(SOURCE, "")));
  const found = name === undefined ? [] : [`${path}: "${name}" names no noun or verb, say what is in it`];
  if (!/\.(ts|cpp|h|c)$/.test(path)) return found;
  const long = functionsOf(path, content).filter(({ lines }) => lines > LONG_FUNCTION);
  return [
    ...found,
    ...long.map(({ line, head, lines }) => `${path}:${line} has ${lines} lines, split it at ${LONG_FUNCTION}: ${head}`),
  ];
}

/** A warning that a file is long, if it is. */
export function fileWarnings(path: string, content: string): string[] {
  const lines = content.split("\n").length - 1;
  return lines >= LONG_FILE ? [`warning: ${path} has ${lines} lines, see whether two files tell more`] : [];
}

function roomOf(path: string): string {
  if (ALONE.includes(path)) return path;
  if (TOOLS.includes(path)) return "tools";
  const folder = dirname(path);
  return folder === "." ? "entries" : folder === "src" ? "calls" : folder;
}

function refusal(path: string, { specifier, target, typeOnly, dynamic }: Import): string | undefined {
  if (PURE.includes(path)) return "this file is pure and imports nothing";
  if (specifier.startsWith("node:")) return undefined;
  if (path.startsWith("cli/") && !/^\.\.?\//.test(specifier)) {
    return strangerRefusal(path, specifier, typeOnly || dynamic);
  }
  if (specifier === "bun:ffi") return "a bundle of it starts on Bun alone; take it as ffi/runtime/bun.ts does";
  if (!/^\.\.?\//.test(specifier)) return "product code imports relative files and node: built-ins only";
  const [from, to] = [roomOf(path), roomOf(target)];
  const allowed = ROOMS[from];
  if (allowed === undefined) return `${from} is no room in the table of scripts/imports.ts`;
  const own = to === from && from !== "entries";
  if (own || allowed.includes(to) || (typeOnly && allowed.includes(`types of ${to}`))) return undefined;
  if (dynamic && allowed.includes(`import() of ${to}`)) return undefined;
  return `${from} may import ${allowed.join(", ") || "nothing but itself"}, and this is in ${to}`;
}

/** What is wrong with an import of the second package that names another one. */
function strangerRefusal(path: string, specifier: string, later: boolean): string | undefined {
  const name = /^(?:@[^/]+\/)?[^/]+/.exec(specifier)![0];
  if (!ENTRIES.includes(specifier) && !PACKAGES.includes(name)) {
    return `cli/ imports ${[...ENTRIES, ...PACKAGES].join(", ")} and nothing else`;
  }
  const early = /^cli\/(verbs\/)?[^/]+$/.test(path); // loaded for --help
  if (!early || later || LIGHT.includes(name)) return undefined;
  return `--help would load it: import() it where the verb runs`;
}

/** What mod.ts loads at once and must not. */
function reachViolations(graph: Graph): string[] {
  const chains = new Map([["mod.ts", "mod.ts"]]);
  for (const [path, chain] of chains) { // grows while it is walked
    for (const { target, dynamic } of graph.get(path) ?? []) {
      if (!dynamic && !chains.has(target)) chains.set(target, `${chain} -> ${target}`);
    }
  }
  return [...chains].filter(([path]) => AFAR.test(path))
    .map(([, chain]) => `mod.ts must not reach src/convert or src/models/hub: ${chain}`);
}

/** Each file that imports itself by way of others, types included, with the shortest way; a circle is told once. */
function circles(graph: Graph): string[] {
  const told = new Set<string>();
  const lines: string[] = [];
  for (const start of graph.keys()) {
    const chain = told.has(start) ? undefined : wayBack(graph, start);
    if (chain === undefined) continue;
    for (const path of chain) told.add(path);
    lines.push(`a circle of imports: ${[...chain, start].join(" -> ")}`);
  }
  return lines;
}

function wayBack(graph: Graph, start: string): string[] | undefined {
  const ways = new Map<string, string[]>([[start, [start]]]);
  for (const [path, way] of ways) { // grows while it is walked
    for (const { target } of graph.get(path) ?? []) {
      if (target === start) return way;
      if (!ways.has(target)) ways.set(target, [...way, target]);
    }
  }
  return undefined;
}

/** The files below `root` that are ours. */
function sourceFiles(root: string, folder = ""): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder + entry.name;
    if (SKIPPED.test(entry.name) || SKIPPED_IN_ROOT.test(path)) return [];
    if (entry.isDirectory()) return sourceFiles(root, `${path}/`);
    return SOURCE.test(entry.name) ? [path] : [];
  }).sort();
}

/** The import graph of the product's files, as Deno sees it. */
function readGraph(root: string, files: readonly string[]): Graph {
  const graph = new Map<string, Import[]>();
  const product = files.filter((path) => /^([^/]+|(src|ffi|build|packages|cli)\/.*)\.ts$/.test(path));
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
    dependencies?: { specifier: string; code?: Resolution; type?: Resolution; isDynamic?: boolean }[];
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
    (module.dependencies ?? []).map(({ specifier, code, type, isDynamic = false }) => ({
      specifier,
      target: relative((code ?? type)?.specifier ?? specifier),
      typeOnly: code === undefined,
      dynamic: isDynamic,
    })),
  ]);
}

function main(root: string): number {
  const files = sourceFiles(root);
  const graph = readGraph(root, files);
  const found = importViolations(graph).sort();
  for (const path of files) {
    const content = readFileSync(join(root, path), "utf8");
    found.push(...fileViolations(path, content));
    for (const line of fileWarnings(path, content)) console.log(line);
  }
  for (const line of found) console.error(line);
  console.log(`${found.length} violations in the imports of ${graph.size} files and the functions of ${files.length}`);
  return found.length > 0 ? 1 : 0;
}

if (import.meta.main) {
  process.exitCode = main(process.argv[2] ?? fileURLToPath(new URL("..", import.meta.url)));
}
