// The package as a stranger gets it: over HTTP on Deno as from JSR, as a tarball on Bun as from npm.
import { test } from "node:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { VERSION } from "../../ffi/version.ts";
import { inDirectory } from "../support/checkpoint.ts";
import { findProgram, ROOT, runChild } from "../support/child.ts";
import { AS_BUN_INIT, errorsOf, linkTypes, noCompilers } from "../support/compilers.ts";
import { isPublished, servePackage } from "../support/package_server.ts";
import { serveNpm } from "../support/npm_registry.ts";
import {
  assertBuilt,
  assertEmbedded,
  assertExample,
  bun,
  deno,
  embedder,
  emptyHome,
  firstExample,
  installPacked,
  noBuild,
  npm,
  pack,
  warmCache,
  withoutPrebuilt,
} from "../support/packaging.ts";

if (noBuild) console.warn(`packaging_test: builds of the package are NOT tried: ${noBuild}`);
if (noCompilers) console.warn(`packaging_test: a project on Bun is NOT type-checked: ${noCompilers}`);
if (!npm) console.warn("packaging_test: the npm tarball is NOT tried: npm is not on PATH");

const slow = { timeout: 180_000 };
const node = findProgram("node");

/** Makes an empty folder below one that is thrown away. */
function emptyFolder(directory: string): string {
  const path = join(directory, "empty");
  mkdirSync(path);
  return path;
}

test("isPublished() is what the patterns of deno.json name", () => {
  const include = ["deno.json", "*.ts", "src"];
  assert(["deno.json", "mod.ts", "src/a.ts", "src/models/b.ts"].every((path) => isPublished(path, include)));
  assert(!["", "a.json", "tests/a.ts", "src/../.npmrc", "srcs/a.ts"].some((path) => isPublished(path, include)));
});

test(
  "both packages hold the entries, src, ffi, build, the pages, and nothing else",
  { ...slow, skip: !npm },
  async () => {
    const entries = readdirSync(ROOT).filter((name) => name.endsWith(".ts"));
    const pages = ["CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", "docs"]; // README's links lead to docs
    const held = ["build", "ffi", "src", ...entries, ...pages];
    const ofNpm = ["js", "package.json"];
    await inDirectory(async (directory) => {
      const packed = await runChild(npm!, ["pack", "--dry-run", "--json"], {
        env: emptyHome(directory),
        timeout: 90_000,
      });
      assertEquals(packed.code, 0, packed.stderr);
      const [{ files }] = JSON.parse(packed.stdout);
      const paths: string[] = files.map(({ path }: { path: string }) => path);
      assertEquals([...new Set(paths.map((path) => path.split("/")[0]!))].sort(), [...held, ...ofNpm].sort());
      const kinds =
        /(\.(ts|schema\.json|cpp|h|c|md|svg|cmake)|LICENSE|CMakeLists\.txt|package\.json|js\/.*\.(js|map))$/;
      const sources = paths.filter((path) => /^([^/]+|(src|ffi|build)\/.*)\.ts$/.test(path)).map((path) =>
        path.slice(0, -3)
      );
      const made = sources.flatMap((path) => ["js", "js.map", "d.ts", "d.ts.map"].map((kind) => `js/${path}.${kind}`));
      assertEquals(paths.filter((path) => path.startsWith("js/")).sort(), ["js/globals.d.ts", ...made].sort());
      assertEquals(paths.filter((path) => !kinds.test(path) || /_(test|worker)\.ts$/.test(path)), []);
    });
    const { publish } = JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8"));
    const wanted = [...held.filter((name) => !entries.includes(name)), "*.ts", "deno.json"];
    assertEquals([...publish.include].sort(), wanted.sort());
  },
);

test("package.json and deno.json have the version that messages name, and the same entries", () => {
  const [ofNpm, ofJsr] = ["package.json", "deno.json"].map((name) =>
    JSON.parse(readFileSync(join(ROOT, name), "utf8"))
  );
  assertEquals([ofNpm.version, ofJsr.version], [VERSION, VERSION]);
  const entries = Object.entries<{ bun: string }>(ofNpm.exports).filter(([name]) => name !== "./package.json");
  assertEquals(Object.fromEntries(entries.map(([name, { bun }]) => [name, bun])), ofJsr.exports);
});

test("the package over HTTP builds into the user's cache, and embeds from an empty folder on Deno", {
  ...slow,
  skip: noBuild !== undefined || !deno,
}, async () => {
  await using server = await servePackage();
  await inDirectory(async (directory) => {
    const [env, cwd] = [emptyHome(directory), emptyFolder(directory)];
    await warmCache(env);
    const run = (...args: string[]) => runChild(deno!, ["run", "--no-prompt", ...args], { env, cwd, timeout: 60_000 });
    const imports = `--allow-import=${server.host}`;

    const module = `${server.url}mod.ts`;
    writeFileSync(join(cwd, "embed.ts"), embedder(module));
    const missing = await run(imports, "--allow-ffi", "--allow-env=HOME,XDG_CACHE_HOME", "embed.ts");
    assertEquals(missing.code, 1);
    assertStringIncludes(missing.stderr, `Build it with: deno run -A ${server.url}build/mod.ts`);

    const built = await run("-q", "-A", `${server.url}build/mod.ts`);
    const library = assertBuilt(built, env);
    assertEmbedded(await run(imports, "--allow-ffi", "--allow-env=HOME,XDG_CACHE_HOME", "embed.ts"));
    assertEmbedded(await run(imports, `--allow-ffi=${library}`, "--allow-env=HOME,XDG_CACHE_HOME", "embed.ts"));
    writeFileSync(join(cwd, "main.ts"), firstExample(module));
    assertExample(await run(imports, "--check", "--allow-ffi", "--allow-env=HOME,XDG_CACHE_HOME", "main.ts"));

    writeFileSync(join(cwd, "library.ts"), embedder(module, JSON.stringify({ library })));
    assertEmbedded(await run(imports, "--allow-ffi", "library.ts"));
    assertEmbedded(await run(imports, `--allow-ffi=${library}`, "library.ts"));
    assertEquals(server.log.filter((line) => !line.startsWith("200 ")), []);
  });
});

test("the package over HTTP has every entry of deno.json", { ...slow, skip: !deno }, async () => {
  await using server = await servePackage();
  await inDirectory(async (directory) => {
    const entries = Object.values<string>(JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8")).exports);
    const code = entries.map((path) => `import ${JSON.stringify(new URL(path, server.url))};`).join("\n");
    writeFileSync(join(directory, "all.ts"), code);
    const flags = ["run", "-q", "--no-prompt", `--allow-import=${server.host}`, "all.ts"];
    const outcome = await runChild(deno!, flags, { env: emptyHome(directory), cwd: directory, timeout: 60_000 });
    assertEquals([outcome.code, outcome.stdout, outcome.stderr], [0, "", ""]); // and importing does nothing
  });
});

test("the tarball in an empty project has a command that builds, and checks and runs README's first example on Bun", {
  ...slow,
  skip: noBuild !== undefined || !bun || !npm,
}, async () => {
  await inDirectory(async (directory) => {
    const [env, cwd] = [emptyHome(directory), emptyFolder(directory)];
    await warmCache(env);
    const run = (program: string, ...args: string[]) => runChild(program, args, { env, cwd, timeout: 60_000 });

    const { tarball } = await pack(directory);
    writeFileSync(join(cwd, "package.json"), '{ "name": "empty", "type": "module" }');
    const added = await run(bun!, "add", tarball);
    assertEquals(added.code, 0, added.stderr);

    writeFileSync(join(cwd, "main.ts"), firstExample("@llamasaur/llamasaur"));
    if (noCompilers === undefined) {
      const compilerOptions = { ...AS_BUN_INIT, skipLibCheck: false, skipDefaultLibCheck: true };
      writeFileSync(join(cwd, "tsconfig.json"), JSON.stringify({ compilerOptions }));
      linkTypes(cwd);
      assertEquals(await errorsOf("typescript-newest", cwd), []);
    }
    const missing = await run(bun!, "main.ts");
    assertEquals(missing.code, 1);
    assertStringIncludes(missing.stderr, "Build it with: bunx llamasaur-build");

    assertBuilt(await run(join(cwd, "node_modules", ".bin", "llamasaur-build")), env);
    const again = await run(bun!, "x", "llamasaur-build", "--dry-run");
    assertMatch(again.stdout, /^cmake --build /m, again.stderr);
    assertExample(await run(bun!, "main.ts"));
    const entries = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")).exports;
    for (const name of Object.keys(entries)) {
      const specifier = JSON.stringify(`@llamasaur/llamasaur${name.slice(1)}`);
      const entry = await run(bun!, "-e", `console.log(typeof await import(${specifier}))`);
      assertEquals(entry.stdout, "object\n", entry.stderr);
    }
  });
});

test("npm: of a registry has a command that builds, and checks and runs README's first example on Deno", {
  ...slow,
  skip: noBuild !== undefined || !deno || !npm,
}, async () => {
  await inDirectory(async (directory) => {
    const cwd = emptyFolder(directory);
    const packed = await pack(directory);
    await using registry = await serveNpm([withoutPrebuilt(packed)]);
    const env = { ...emptyHome(directory), NPM_CONFIG_REGISTRY: registry.url };
    await warmCache(env);
    const run = (...args: string[]) => runChild(deno!, args, { env, cwd, timeout: 60_000 });

    const specifier = `npm:@llamasaur/llamasaur@${packed.manifest.version}`;
    writeFileSync(join(cwd, "main.ts"), firstExample(specifier));
    const permissions = ["--no-prompt", "--allow-ffi", "--allow-env=HOME,XDG_CACHE_HOME"];
    const missing = await run("run", ...permissions, "main.ts");
    assertEquals(missing.code, 1);
    const command = /Build it with: deno (run -A \S+)/.exec(missing.stderr)?.[1];
    assertEquals(command, `run -A ${specifier}/build`, missing.stderr);

    const [verb = "", ...rest] = command!.split(" ");
    assertBuilt(await run(verb, "-q", ...rest), env);
    const checked = await run("check", "-q", "main.ts");
    assertEquals([checked.code, checked.stderr], [0, ""]);
    assertExample(await run("run", ...permissions, "main.ts"));
    writeFileSync(
      join(cwd, "package.json"),
      JSON.stringify({ dependencies: { [packed.manifest.name]: packed.manifest.version } }),
    );
    writeFileSync(join(cwd, "main.ts"), firstExample(packed.manifest.name));
    const installed = await run("install", "-q");
    assertEquals(installed.code, 0, installed.stderr);
    assertExample(await run("run", ...permissions, "main.ts"));
    assertEquals(registry.log.filter((line) => !line.startsWith("200 ")), []);
  });
});

test("Node is told in one sentence what to run instead", { ...slow, skip: !npm || !node }, async () => {
  await inDirectory(async (directory) => {
    const cwd = emptyFolder(directory);
    await installPacked(await pack(directory), cwd);
    const code = `import { Llama } from "@llamasaur/llamasaur";
await Llama.load("model.gguf").catch((error) => console.log(error.message));
`;
    writeFileSync(join(cwd, "main.mjs"), code);
    const { stdout, stderr } = await runChild(node!, ["main.mjs"], { cwd });
    const { engines } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    const told = /^Cannot load a model on Node v[\d.]+: llamasaur runs on Deno (\S+) or Bun (\S+), or newer\n$/.exec(
      stdout,
    );
    assertEquals(engines, { bun: `>=${told?.[2]}.0`, deno: `>=${told?.[1]}.0` }, stdout + stderr);
  });
});
