// Programs that a bundler put into one file: they start on Deno and Bun, reach the message on Node, and find the library.
import { test } from "node:test";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { libraryFileName } from "../../ffi/host/paths.ts";
import { inDirectory } from "../support/checkpoint.ts";
import { findProgram, ROOT, runChild } from "../support/child.ts";
import { assertEmbedded, bun, deno, embedder, emptyHome, LIBRARY, noEmbedding } from "../support/packaging.ts";

const node = findProgram("node");
const slow = { timeout: 120_000 };

/** Bundlers with what they are asked for; they print the bundle. `deno bundle` is esbuild. */
const BUNDLERS: Readonly<Record<string, { readonly program: string | undefined; readonly flags: readonly string[] }>> =
  {
    "deno bundle": { program: deno, flags: ["bundle", "-q", "--no-check"] },
    "deno bundle --minify": { program: deno, flags: ["bundle", "-q", "--no-check", "--minify"] },
    "bun build for Bun": { program: bun, flags: ["build", "--target=bun"] },
    "bun build for Node": { program: bun, flags: ["build", "--target=node"] },
  };

/** As the other packaging tests' program, without `await using`, which Node 20 does not know. */
const PROGRAM = embedder(join(ROOT, "mod.ts")).replace("await using", "const") + "await llama.close();\n";

/** Bundles a program of a folder; Deno keeps its esbuild in the user's own cache. */
async function bundle(name: string, folder: string, output: string): Promise<string | undefined> {
  const { program, flags } = BUNDLERS[name]!;
  // Under wine Bun bundles in the checkout alone, and cannot write a file.
  const { code, stdout, stderr } = await runChild(program!, [...flags, join(folder, "main.ts")], { timeout: 60_000 });
  if (code === 0) return void writeFileSync(join(folder, output), stdout);
  assertMatch(stderr, /esbuild|registry|download/i); // it cannot be had
  console.warn(`bundles_test: NOT tried: ${name}: ${stderr.trim().split("\n")[0]}`);
  return stderr;
}

/** Whether a bundle for Bun starts on this Deno: it names Node's modules without `node:`, which Deno takes since 2.9. */
async function takesBareNames(directory: string): Promise<boolean> {
  writeFileSync(join(directory, "bare.mjs"), 'import "fs/promises";\n');
  return (await runChild(deno!, ["run", "bare.mjs"], { cwd: directory })).code === 0;
}

for (const [name, { program }] of Object.entries(BUNDLERS)) {
  test(`a bundle of ${name} embeds on both runtimes, and tells Node what it needs`, {
    ...slow,
    skip: noEmbedding !== undefined || !program || !deno || !bun,
  }, async () => {
    await inDirectory(async (directory) => {
      writeFileSync(join(directory, "main.ts"), PROGRAM);
      if (await bundle(name, directory, "out.mjs")) return;
      const env = emptyHome(directory);
      const run = (command: string[], more = {}) =>
        runChild(command[0]!, [...command.slice(1), "out.mjs"], { env: { ...env, ...more }, cwd: directory });
      const named = { LLAMASAUR_LIBRARY: LIBRARY };
      const onDeno = name !== "bun build for Bun" || await takesBareNames(directory) ? [[deno!, "run", "-A"]] : [];
      for (const command of [...onDeno, [bun!]]) assertEmbedded(await run(command, named));
      if (node) assertStringIncludes((await run([node], named)).stderr, "Cannot load a model on Node v");

      const missing = await run([bun!]);
      assertStringIncludes(missing.stderr, `  ${join(directory, libraryFileName())}: `);
      assertStringIncludes(missing.stderr, "Build it with: bunx llamasaur-build");
      copyFileSync(LIBRARY, join(directory, libraryFileName()));
      for (const command of onDeno) assertEmbedded(await run(command));
    });
  });
}

test("the entry for vectors is bundled for a browser without any other code", { ...slow, skip: !bun }, async () => {
  await inDirectory(async (directory) => {
    writeFileSync(
      join(directory, "main.ts"),
      `import * as vectors from ${JSON.stringify(join(ROOT, "vectors.ts"))};
(globalThis as any).done = [vectors.topK([1, 0], [[0, 1], [1, 0]], 1), vectors.hamming(vectors.toBinary([1]), vectors.toBinary([0]))];
`,
    );
    const built = await runChild(bun!, ["build", join(directory, "main.ts"), "--target=browser", "--format=iife"]);
    assertEquals(built.code, 0, built.stderr);
    const names = ["globalThis", "process", "require", "Deno", "Bun", "Buffer"];
    const page: { done?: unknown } = {};
    new Function(...names, built.stdout)(page); // what a browser lacks is undefined
    assertEquals(page.done, [[{ index: 1, score: 1 }], 1]);
  });
});
