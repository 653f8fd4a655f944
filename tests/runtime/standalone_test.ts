// Programs of one file, and two versions of the package in one process.
import { test } from "node:test";
import { copyFileSync, cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { libraryFileName, targetName } from "../../ffi/host/paths.ts";
import { open } from "../../ffi/mod.ts";
import { Llama } from "../../mod.ts";
import { inDirectory } from "../support/checkpoint.ts";
import { ROOT, runChild } from "../support/child.ts";
import {
  assertEmbedded,
  bun,
  deno,
  embedder,
  emptyHome,
  LIBRARY,
  MODEL,
  noCompiling,
  noEmbedding,
} from "../support/packaging.ts";
import { farthest } from "../support/references.ts";

if (noEmbedding) console.warn(`standalone_test: nothing can be embedded: ${noEmbedding}`);

const slow = { timeout: 120_000 };
const RANKED = /^query: .*\n 1\. score=0\.\d{4} document=Rust/;

test("examples/reranker.ts compiled by Bun into one file finds the library by LLAMASAUR_LIBRARY or beside it", {
  ...slow,
  skip: noEmbedding ?? (!bun || noCompiling),
}, async () => {
  await inDirectory(async (directory) => {
    const program = join(directory, "reranker");
    const built = await runChild(bun!, ["build", "--compile", "examples/reranker.ts", "--outfile", program]);
    assertEquals(built.code, 0, built.stderr);
    const env = emptyHome(directory);
    const run = (more = {}) => runChild(program, [MODEL], { env: { ...env, ...more }, cwd: directory });
    const missing = await run();
    assertEquals([missing.code, missing.stdout], [1, ""]);
    assertStringIncludes(missing.stderr, `  ${join(directory, libraryFileName())}: `);
    assertStringIncludes(missing.stderr, "a compiled program cannot hold it: put the library beside it");
    assertStringIncludes(missing.stderr, "Build it with: bunx llamasaur-build");
    assertEquals(/^Get it with/m.test(missing.stderr), false, missing.stderr); // no package would be looked at
    const named = await run({ LLAMASAUR_LIBRARY: LIBRARY });
    assertMatch(named.stdout, RANKED, named.stderr);
    copyFileSync(LIBRARY, join(directory, libraryFileName()));
    const beside = await run();
    assertMatch(beside.stdout, RANKED, beside.stderr);
  });
});

test("a program compiled by Bun may carry the library in its file", {
  ...slow,
  skip: noEmbedding ?? (!bun || noCompiling),
}, async () => {
  await inDirectory(async (directory) => {
    const [program, main] = [join(directory, "embed"), join(directory, "main.ts")];
    const carried = `import library from ${JSON.stringify(LIBRARY)} with { type: "file" };\n`;
    writeFileSync(main, carried + embedder(join(ROOT, "mod.ts"), "{ library }"));
    const built = await runChild(bun!, ["build", "--compile", main, "--outfile", program]);
    assertEquals(built.code, 0, built.stderr);
    assertEmbedded(await runChild(program, [], { env: emptyHome(directory), cwd: directory }));
  });
});

test("examples/reranker.ts compiled by Deno into one file runs with LLAMASAUR_LIBRARY", {
  ...slow,
  skip: noEmbedding !== undefined || !deno || await cannotCompile(),
}, async () => {
  await inDirectory(async (directory) => {
    const program = join(directory, "reranker");
    const flags = ["--allow-ffi", "--allow-env=LLAMASAUR_LIBRARY", "--output", program];
    const built = await runChild(deno!, ["compile", ...flags, "examples/reranker.ts"], { timeout: 60_000 });
    assertEquals(built.code, 0, built.stderr);
    const { stdout, stderr } = await runChild(program, [MODEL], {
      env: { LLAMASAUR_LIBRARY: LIBRARY },
      cwd: directory,
    });
    assertMatch(stdout, RANKED, stderr);
  });
});

/** Whether `deno compile` fails for want of its own runtime, which it downloads from dl.deno.land. */
async function cannotCompile(): Promise<boolean> {
  let reason = "";
  await inDirectory(async (directory) => {
    writeFileSync(join(directory, "empty.ts"), "");
    const flags = ["compile", "--output", join(directory, "empty"), "empty.ts"];
    const { code, stderr } = await runChild(deno ?? "deno", flags, { cwd: directory });
    if (code !== 0) reason = (/error sending request .*/.exec(stderr) ?? /^error: .*/m.exec(stderr))?.[0] ?? stderr;
  });
  if (reason) console.warn(`standalone_test: deno compile is NOT tried: ${reason}`);
  return reason !== "";
}

test("two versions of the package in one process, each with its own library, do not disturb each other", {
  ...slow,
  skip: noEmbedding !== undefined,
}, async () => {
  await inDirectory(async (directory) => {
    for (const name of ["src", "ffi", "mod.ts"]) {
      cpSync(new URL(`../../${name}`, import.meta.url), join(directory, name), { recursive: true });
    }
    const beside = join(directory, "lib", targetName());
    mkdirSync(beside, { recursive: true });
    const [library, other] = [join(beside, libraryFileName()), join(directory, `other-${libraryFileName()}`)];
    for (const path of [library, other]) copyFileSync(LIBRARY, path);
    const copy: typeof import("../../mod.ts") = await import(pathToFileURL(join(directory, "mod.ts")).href);

    const texts = Array.from({ length: 12 }, (_, i) => `text ${i} ${"word ".repeat(i)}`);
    await using plain = await Llama.load(MODEL, { library: LIBRARY });
    const wanted = await plain.embed(texts);
    const first = await Llama.load(MODEL, { library: other });
    const second = await copy.Llama.load(MODEL, { library });
    const paths = new Set([(await open(LIBRARY)).path, (await open(other)).path, library]);
    assertEquals([copy.Llama === Llama, paths.size], [false, 3]);

    const check = (vectors: Float32Array[]) => {
      const off = Math.max(...vectors.map((vector, i) => farthest(vector, wanted[i]!)));
      assert(off < 1e-5, `the vectors differ by up to ${off}`);
    };
    const [mine, theirs, again] = await Promise.all([first.embed(texts), second.embed(texts), plain.embed(texts)]);
    [mine, theirs, again].forEach(check);

    const running = second.embed(texts); // while the other one closes
    await first.close();
    check(await running);
    check(await second.embed(texts));
    await using reopened = await Llama.load(MODEL, { library: other });
    const together = Promise.all([reopened.embed(texts), second.embed(texts)]);
    (await together).forEach(check);
    await second.close();
    check(await reopened.embed(texts));
  });
});
