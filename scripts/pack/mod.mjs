// Makes what npm's packages have beside the sources: `js/` with the JavaScript, the declarations and the maps of both.
// `npm pack` and `npm publish` run it (package.json, "prepack"); node runs it, so it is no TypeScript. `mod.mjs cli` makes
// the second package's.
//
// Each file is made from itself alone (isolatedDeclarations, erasable syntax). Types are checked by the gate, not here.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** The folder of the package below the root. */
const PACKAGE = process.argv[2] ?? "";
const OUT = "js";
const GLOBALS = join(ROOT, "scripts/pack/globals.d.ts");
/** What the files of the last run were made of: nothing is made again that has not changed. */
const NOTE = join(OUT, ".made.json");
/** The sources of the package: what lies in its folder, and in these. */
const FOLDERS = PACKAGE === "" ? ["src", "ffi", "build"] : foldersWithSources();

/** Old enough for each runtime that package.json names in "engines". */
const TARGET = "ES2022";

function main() {
  process.chdir(join(ROOT, PACKAGE));
  const files = sources();
  const self = readFileSync(fileURLToPath(import.meta.url));
  const inputs = [
    self,
    readFileSync(join(ROOT, "package-lock.json")),
    readFileSync(GLOBALS),
    ...files.map((path) => readFileSync(path)),
  ];
  const hash = createHash("sha256");
  for (const input of [...files, ...inputs]) hash.update(`${input.length}\n`).update(input);
  const digest = hash.digest("hex");
  const noted = existsSync(NOTE) ? JSON.parse(readFileSync(NOTE, "utf8")) : undefined;
  if (noted?.digest === digest && noted.made.every((path) => existsSync(path))) return Promise.resolve();
  return make(files, digest);
}

function sources() {
  const entries = readdirSync(".").filter((name) => name.endsWith(".ts"));
  const below = FOLDERS.flatMap((folder) =>
    readdirSync(folder, { recursive: true }).map((path) => `${folder}/${path.replaceAll("\\", "/")}`)
  );
  return [...entries, ...below.filter((path) => path.endsWith(".ts"))].sort();
}

/** The folders of a package that has nothing else in its own. */
function foldersWithSources() {
  const entries = readdirSync(join(ROOT, PACKAGE), { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory() && !["js", "node_modules"].includes(entry.name))
    .map(({ name }) => name);
}

async function make(files, digest) {
  const ts = (await import("typescript").catch((error) => {
    throw new Error("Cannot pack without the development dependencies: `. scripts/env.sh` or `npm ci` installs them", {
      cause: error,
    });
  })).default;
  const options = {
    target: ts.ScriptTarget[TARGET],
    lib: ["lib.esnext.d.ts"],
    types: ["node"],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    verbatimModuleSyntax: true,
    rewriteRelativeImportExtensions: true,
    isolatedDeclarations: true,
    noCheck: true,
    declaration: true,
    declarationMap: true,
    sourceMap: true,
    rootDir: ".",
    outDir: OUT,
  };
  const made = new Map([[join(OUT, "globals.d.ts"), readFileSync(GLOBALS, "utf8")]]);
  const emitted = new Map();
  const { diagnostics: [wrong] } = ts.createProgram(files, options).emit(undefined, (path, text) => {
    emitted.set(normalize(path), text);
  });
  if (wrong) throw new Error(`Cannot pack: ${ts.flattenDiagnosticMessageText(wrong.messageText, "\n")}`);
  // Most of the second package is a program, whose declarations nobody reads; they may name types of Node.
  const seen = PACKAGE === "" ? new Set(emitted.keys()) : seenByUsers(emitted);
  for (const [path, text] of emitted) {
    const types = path.replace(/\.map$/, "");
    if (!types.endsWith(".d.ts")) made.set(path, path.endsWith(".js") ? script(text) : text);
    else if (seen.has(types)) made.set(path, types === path ? declaration(text, relative(OUT, path)) : text);
  }
  write(made, digest);
}

/** The declarations that a user's compiler reads: those of the package's entries, and of what they import. */
function seenByUsers(emitted) {
  const { exports } = JSON.parse(readFileSync("package.json", "utf8"));
  const waiting = Object.values(exports).flatMap(({ types }) => types ? [normalize(types)] : []);
  const seen = new Set();
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (seen.has(path) || !emitted.has(path)) continue;
    seen.add(path);
    for (const [, to] of emitted.get(path).matchAll(/(?:from |import\(|import )"(\.{1,2}\/[^"]+)\.(?:ts|js)"/g)) {
      waiting.push(normalize(join(dirname(path), `${to}.d.ts`)));
    }
  }
  return seen;
}

/**
 * A script whose imports name JavaScript. TypeScript 6.0 leaves an import() as it is that stands in a function with `await using`, which
 * it rewrites for ES2022.
 */
function script(text) {
  return text.replaceAll(/(\bimport\("\.{1,2}\/[^"]+)\.ts"\)/g, '$1.js")'); // as long as it was: the map holds
}

/** A declaration file whose imports name JavaScript, as Deno's and Node's resolution want it, and that finds its globals. */
function declaration(text, path) {
  const names = ["URL", "AbortSignal", "Headers", "Response", "fetch"];
  const code = text.replaceAll(/\/\*.*?\*\//gs, "").replaceAll(/\/\/.*/g, "");
  if (/["']node:|\bNodeJS\./.test(code)) {
    throw new Error(
      `Cannot pack ${path}: it names types of Node, which a user may not have; say what is used of them there`,
    );
  }
  const used = names.filter((name) => new RegExp(`[:|<] *(?:typeof )?${name}\\b(?! *:)`).test(code));
  const up = "../".repeat(path.split(/[/\\]/).length - 1) || "./";
  const globals = used.length > 0 || /asyncDispose|AsyncGenerator|ErrorOptions/.test(code);
  const imported = used.length > 0
    ? `import type { ${used.join(", ")} } from "${up}globals.js";\n`
    : `import type {} from "${up}globals.js";\n`;
  const renamed = text.replaceAll(/((?:from |import\()"\.{1,2}\/[^"]+)\.ts"/g, '$1.js"'); // as long as it was: the map holds
  return globals ? renamed.replace(/(?=\/\/# sourceMappingURL=)/, imported) : renamed;
}

/** Puts the files in their places one by one, each whole: another `npm pack` may be reading. Takes away what is left of before. */
function write(made, digest) {
  for (const [path, text] of made) {
    if (existsSync(path) && readFileSync(path, "utf8") === text) continue;
    mkdirSync(dirname(path), { recursive: true });
    const beside = `${path}.${process.pid}`;
    writeFileSync(beside, text);
    renameSync(beside, path);
  }
  const kept = [...made.keys()];
  for (const name of readdirSync(OUT, { recursive: true })) {
    const path = join(OUT, name);
    if (/\.(js|ts|map)$/.test(path) && !made.has(path)) rmSync(path, { force: true });
  }
  writeFileSync(NOTE, JSON.stringify({ digest, made: kept }));
}

await main();
