// What a user's compiler makes of npm's package, whatever its settings: no error of ours, and the user's own at its place.
import { test } from "node:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assertEquals } from "@std/assert";
import * as building from "../../build/mod.ts";
import * as converting from "../../convert.ts";
import * as main from "../../mod.ts";
import type { Llama } from "../../mod.ts";
import * as models from "../../models.ts";
import { callsOf, optionsOf } from "../support/calls.ts";
import { inDirectory } from "../support/checkpoint.ts";
import { runChild } from "../support/child.ts";
import { AS_BUN_INIT, errorsOf, linkTypes, noCompilers } from "../support/compilers.ts";
import { serveNpm } from "../support/npm_registry.ts";
import {
  assertExample,
  bun,
  deno,
  emptyHome,
  firstExample,
  installPacked,
  LIBRARY,
  noEmbedding,
  npm,
  pack,
  withoutPrebuilt,
} from "../support/packaging.ts";

const missing = noCompilers ?? (!npm || !deno ? "npm or deno is not on PATH" : undefined);
if (missing) console.warn(`compilers_test: NOT tried: ${missing}`);

// A compiler finds the same whoever starts it, and takes its time: each of the two runtimes starts a part.
const inBun = "Bun" in globalThis;
const onDeno = { timeout: 300_000, skip: missing ?? (inBun && "the run on Deno does this one") };
const onBun = { timeout: 300_000, skip: missing ?? (!inBun && "the run on Bun does this one") };

const BUNDLER = { module: "ESNext", moduleResolution: "bundler" };
/** What all have: the compiler's own library needs no check. */
const COMMON = {
  target: "ES2022",
  types: [],
  strict: true,
  skipLibCheck: false,
  skipDefaultLibCheck: true,
  outDir: "dist",
};

/**
 * What differs from project to project. `skipLibCheck: false` makes a compiler look for errors in our declarations, too. Two
 * have the types of a runtime, whose check takes tsc 5.9 seconds each.
 */
const PROJECTS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "Node's resolution, emitting": { module: "NodeNext", lib: ["ESNext"], types: ["node"], outDir: "dist" },
  "as bun init writes it": AS_BUN_INIT,
  "a bundler's resolution, emitting": { ...BUNDLER, lib: ["ESNext", "DOM"], declaration: true },
  "no types of any runtime": { module: "NodeNext", lib: ["ESNext"] },
  "a library of 2022": { ...BUNDLER, lib: ["ES2022", "DOM"], allowImportingTsExtensions: true, noEmit: true },
  "a library of 2015": { ...BUNDLER, target: "ES2020", lib: ["ES2015"] },
  "all that is strict": {
    module: "NodeNext",
    lib: ["ESNext", "DOM"],
    exactOptionalPropertyTypes: true,
    isolatedDeclarations: true,
    declaration: true,
    erasableSyntaxOnly: true,
    verbatimModuleSyntax: true,
    noPropertyAccessFromIndexSignature: true,
    noUncheckedIndexedAccess: true,
    noUncheckedSideEffectImports: true,
    noUnusedLocals: true,
    noUnusedParameters: true,
  },
};

const PROGRAM = `import { Llama, type EmbedOptions } from "@llamasaur/llamasaur";
import * as build from "@llamasaur/llamasaur/build";
import * as convert from "@llamasaur/llamasaur/convert";
import * as models from "@llamasaur/llamasaur/models";

const options: EmbedOptions = { truncate: "start" };
export async function one(): Promise<Float32Array> {
  await using llama = await Llama.load("model.gguf", { contexts: 1 });
  return llama.embed("a", options);
}
export function either(llama: Llama, input: string | string[]): Promise<Float32Array | Float32Array[]> {
  return llama.embed(input);
}
export function rows(llama: Llama, items: { body: string }[]): Promise<{ body: string }[]> {
  return llama.rerank("a", items, { text: ({ body }) => body }).then((ranked) => ranked.map((one) => one.document));
}
export const rest: unknown[] = [build, convert, models];
`;

/** Makes a project of a user, with npm's package and the types of the runtimes installed. */
function makeProject(folder: string, installed: string, options: object, program: string): void {
  mkdirSync(join(folder, "node_modules"), { recursive: true });
  linkTypes(folder);
  symlinkSync(join(installed, "node_modules", "@llamasaur"), join(folder, "node_modules", "@llamasaur"));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  const settings = { compilerOptions: { ...COMMON, ...options }, files: ["main.ts"] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(settings));
  writeFileSync(join(folder, "main.ts"), program);
}

test("no setting of a user's compiler finds an error in npm's package", onDeno, async () => {
  await inDirectory(async (directory) => {
    await installPacked(await pack(directory), directory);
    const wrong: string[] = [];
    for (const [index, [name, options]] of Object.entries(PROJECTS).entries()) {
      const folder = join(directory, `project-${index}`);
      makeProject(folder, directory, options, PROGRAM);
      for (const compiler of ["typescript-5.9", "typescript-newest"]) {
        for (const line of await errorsOf(compiler, folder)) wrong.push(`${name}, ${compiler}: ${line}`);
      }
    }
    assertEquals(wrong, []);
  });
});

test("README's first example compiles in a project of Node's resolution, and what the compiler made runs", {
  ...onBun,
  skip: onBun.skip || noEmbedding || false,
}, async () => {
  await inDirectory(async (directory) => {
    await installPacked(await pack(directory), directory);
    const folder = join(directory, "project");
    const options = PROJECTS["Node's resolution, emitting"]!;
    makeProject(folder, directory, options, firstExample("@llamasaur/llamasaur"));
    assertEquals(await errorsOf("typescript-newest", folder), []);
    for (const [program, ...args] of [[deno!, "run", "-A"], [bun!]]) {
      const env = { ...emptyHome(directory), LLAMASAUR_LIBRARY: LIBRARY };
      assertExample(await runChild(program!, [...args, join("dist", "main.js")], { env, cwd: folder }));
    }
  });
});

/** What Deno takes of these settings. It has a library, a resolution and a way to emit of its own. */
const OF_DENO = /^(lib|exactOptional|isolatedDecl|verbatim|no[A-Z].*)/;

test("deno check of npm's package finds no error, whatever a project's compilerOptions are", onBun, async () => {
  await inDirectory(async (directory) => {
    const packed = await pack(directory);
    await using registry = await serveNpm([withoutPrebuilt(packed)]);
    const env = { ...emptyHome(directory), NPM_CONFIG_REGISTRY: registry.url };
    const { name, version } = packed.manifest;
    const program = PROGRAM.replaceAll(`"${name}`, `"npm:${name}@${version}`);
    const wrong: string[] = [];
    for (const [index, [project, options]] of Object.entries(PROJECTS).entries()) {
      const folder = join(directory, `project-${index}`);
      mkdirSync(folder);
      const known = Object.entries(options).filter(([name]) => OF_DENO.test(name) && name !== "noEmit");
      writeFileSync(join(folder, "deno.json"), JSON.stringify({ compilerOptions: Object.fromEntries(known) }));
      writeFileSync(join(folder, "main.ts"), program);
      const checked = await runChild(deno!, ["check", "-q", "main.ts"], { env, cwd: folder, timeout: 60_000 });
      if (checked.code !== 0 || checked.stderr !== "") wrong.push(`${project}: ${checked.stderr}`);
    }
    assertEquals(wrong, []);
    assertEquals(registry.log.filter((line) => !line.startsWith("200 ")), []);
  });
});

/** The entries with functions that take options; the others are methods of a Llama. */
const ENTRIES: Readonly<Record<string, object>> = {
  "@llamasaur/llamasaur": main,
  "@llamasaur/llamasaur/build": building,
  "@llamasaur/llamasaur/convert": converting,
  "@llamasaur/llamasaur/models": models,
};

test("an option that does not exist is an error at that option, for each option of each function", onBun, async () => {
  const calls = callsOf({ info: { contextLength: 8, dimensions: 8 } } as unknown as Llama, "");
  const wanting = ["Llama", ...calls.filter(({ options }) => options !== undefined).map(({ name }) => name)];
  const lines = Object.entries(ENTRIES).map(([from, entry]) =>
    `import { ${wanting.filter((name) => name in entry).join(", ")} } from "${from}";`
  );
  lines.push("declare const llama: Llama;");
  const wanted: string[] = [];
  const add = (before: string, option: string, after: string): void => {
    lines.push(`${before}${option}: 1 as never${after}`);
    wanted.push(`main.ts(${lines.length},${before.length + 1})`);
  };
  for (const call of calls) {
    const { at } = call.options ?? {};
    if (at === undefined) continue;
    const isFunction = Object.values(ENTRIES).some((entry) => call.name in entry);
    const callee = isFunction || call.name.includes(".") ? call.name : `llama.${call.name}`;
    const args = call.args.slice(0, at).map((arg) => `${JSON.stringify(arg)}, `).join("");
    for (const option of optionsOf(call)) add(`${callee}(${args}{ `, `${option}x`, " });");
  }
  add('llama.rerank("one", [{ body: "two" }], { text: ({ body }) => body, ', "topK", " });");
  add('llama.embedStreamDetailed([{ body: "two" }], { text: ({ body }) => body, ', "dimension", " });");
  lines.push('llama.rerank("one", [{ body: "two" }]);', 'llama.embedStreamDetailed([{ body: "two" }], {});');
  wanted.push(`main.ts(${lines.length - 1},7)`, `main.ts(${lines.length},${lines.at(-1)!.indexOf("{}") + 1})`);
  await inDirectory(async (directory) => {
    await installPacked(await pack(directory), directory);
    const folder = join(directory, "project");
    makeProject(folder, directory, PROJECTS["a bundler's resolution, emitting"]!, lines.join("\n"));
    const found = await errorsOf("typescript-newest", folder);
    assertEquals(found.map((line) => line.split(":")[0]), wanted, found.join("\n"));
  });
});
