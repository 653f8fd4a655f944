// From an empty folder, without a compiler, to the first vector: the library comes in a package of npm.
import { test } from "node:test";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { libraryCachePath, libraryFileName } from "../../ffi/host/paths.ts";
import { abi } from "../../ffi/symbols.ts";
import { LLAMA_VERSION, VERSION } from "../../ffi/version.ts";
import { PACKAGES } from "../../ffi/host/packaged.ts";
import { optionalDependencies, SCOPE } from "../../packages/manifest.ts";
import { PLATFORMS } from "../../packages/platforms.ts";
import { inDirectory } from "../support/checkpoint.ts";
import { ROOT, runChild } from "../support/child.ts";
import { serveNpm } from "../support/npm_registry.ts";
import { servePackage } from "../support/package_server.ts";
import {
  assertEmbedded,
  bun,
  deno,
  embedder,
  emptyHome,
  installPacked,
  LIBRARY,
  noEmbedding,
  npm,
  pack,
} from "../support/packaging.ts";
import { here, placePackage, prebuiltPackages } from "../support/prebuilt_packages.ts";

const lacking = noEmbedding ?? (!npm || !here ? "it needs npm, and a platform that has a package" : undefined);
// Each journey starts processes alone, so the tests on its own runtime are enough.
const onBun = { timeout: 120_000, skip: lacking ?? (bun && "Bun" in globalThis ? false : "the tests on Bun run it") };
const onDeno = {
  timeout: 120_000,
  skip: lacking ?? (deno && "Deno" in globalThis ? false : "the tests on Deno run it"),
};
const GRANTED = ["run", "--no-prompt", "--allow-ffi", "--allow-env=HOME,XDG_CACHE_HOME"];

/** An empty folder, and variables with an empty home and no program on PATH but the two runtimes. */
function empty(directory: string, registry: string): { cwd: string; env: Record<string, string> } {
  const cwd = join(directory, "empty");
  mkdirSync(cwd);
  const path = [bun, deno].filter((program) => program !== undefined).map((program) => dirname(program)).join(":");
  return { cwd, env: { ...emptyHome(directory), PATH: path, NPM_CONFIG_REGISTRY: registry, npm_config_offline: "" } };
}

/** The packages whose files a registry was asked for. */
const fetched = (log: readonly string[]): string[] =>
  log.filter((line) => /\.tgz$/.test(line)).map((line) => line.replace(/^.*\/llamasaur-(.*)-\d.*$/, "$1")).sort();

test("package.json has every library at its own version, and for that system alone", () => {
  const json = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  assertEquals(json.optionalDependencies, optionalDependencies(VERSION));
  assertEquals(
    PACKAGES,
    Object.fromEntries(PLATFORMS.map((one) => [`${one.platform}-${one.arch}`, `${SCOPE}/${one.name}`])),
  );
  const locked = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")).packages;
  for (const name of Object.keys(json.optionalDependencies)) {
    assertEquals([locked[`node_modules/${name}`].version, locked[`node_modules/${name}`].optional], [VERSION, true]);
  }
});

test("bun add brings this system's library alone, and it embeds, also without the registry", onBun, async () => {
  await inDirectory(async (directory) => {
    const registry = await serveNpm([await pack(directory), ...await prebuiltPackages(directory)]);
    const { cwd, env } = empty(directory, registry.url);
    writeFileSync(join(cwd, "package.json"), '{ "name": "empty", "type": "module" }');
    const added = await runChild(bun!, ["add", "@llamasaur/llamasaur"], { cwd, env });
    assertEquals(added.code, 0, added.stderr);
    assertEquals(fetched(registry.log), [here!.name, "llamasaur"].sort());
    await registry[Symbol.asyncDispose]();
    writeFileSync(join(cwd, "main.ts"), embedder("@llamasaur/llamasaur"));
    const taken = await runChild(bun!, ["x", "llamasaur-build", "--prebuilt", "--out", join(directory, "out")], {
      cwd,
      env,
    });
    assertMatch(taken.stderr, /^taken from npm's package: /m);
    const start = performance.now();
    assertEmbedded(await runChild(bun!, ["main.ts"], { cwd, env }));
    console.log(`first vector on Bun after ${(performance.now() - start).toFixed(0)} ms`);
  });
});

test(
  "an import over HTTP fetches no library on Deno, the first load this system's, and the next none",
  onDeno,
  async () => {
    await inDirectory(async (directory) => {
      await using server = await servePackage();
      const registry = await serveNpm(await prebuiltPackages(directory));
      const { cwd, env } = empty(directory, registry.url);
      const run = (file: string) =>
        runChild(deno!, [...GRANTED, `--allow-import=${server.host}`, file], { cwd, env, timeout: 60_000 });
      writeFileSync(join(cwd, "import.ts"), `import { dot } from "${server.url}mod.ts"; console.log(dot([1], [2]));`);
      assertEquals((await run("import.ts")).stdout, "2\n");
      assertEquals(registry.log, []);
      writeFileSync(join(cwd, "main.ts"), embedder(`${server.url}mod.ts`));
      const start = performance.now();
      assertEmbedded(await run("main.ts"));
      console.log(`first vector on Deno after ${(performance.now() - start).toFixed(0)} ms, with all fetched`);
      assertEquals(fetched(registry.log), [here!.name, "native"].sort());
      await registry[Symbol.asyncDispose]();
      assertEmbedded(await run("main.ts"));
    });
  },
);

test("npm: of a registry brings this system's library, and embeds on Deno", onDeno, async () => {
  await inDirectory(async (directory) => {
    await using registry = await serveNpm([await pack(directory), ...await prebuiltPackages(directory)]);
    const { cwd, env } = empty(directory, registry.url);
    writeFileSync(join(cwd, "main.ts"), embedder("npm:@llamasaur/llamasaur"));
    assertEmbedded(await runChild(deno!, [...GRANTED, "main.ts"], { cwd, env, timeout: 60_000 }));
    assertEquals(fetched(registry.log), [here!.name, "llamasaur"].sort());
  });
});

test(
  "beside a package.json without it Deno takes no package, and the error has the command that adds it",
  onDeno,
  async () => {
    await inDirectory(async (directory) => {
      await using server = await servePackage();
      await using registry = await serveNpm(await prebuiltPackages(directory));
      const { cwd, env } = empty(directory, registry.url);
      writeFileSync(join(cwd, "package.json"), '{ "name": "mine" }');
      writeFileSync(join(cwd, "main.ts"), embedder(`${server.url}mod.ts`));
      const run = (...args: string[]) => runChild(deno!, args, { cwd, env, timeout: 60_000 });
      const flags = [...GRANTED, `--allow-import=${server.host}`, "main.ts"];
      const missing = await run(...flags);
      assertEquals(missing.code, 1);
      const command = /Get it with: deno (add \S+)/.exec(missing.stderr)?.[1];
      assertEquals(command, `add npm:@llamasaur/native@${VERSION}`, missing.stderr);
      assertStringIncludes(missing.stderr, "Deno takes no package that package.json does not list");
      const prebuilt = ["run", "-q", "-A", `${server.url}build/mod.ts`, "--prebuilt"];
      const taken = await run(...prebuilt);
      assertMatch(taken.stderr, /^taken from npm's package: /);
      assertEmbedded(await run(...flags));
      assertMatch((await run(...prebuilt)).stderr, /^nothing has changed: /);
      writeFileSync(taken.stdout.trim(), "built otherwise");
      assertMatch((await run(...prebuilt)).stderr, /is another library, built here perhaps: remove it first/);
      assertMatch((await run(...prebuilt, "--portable")).stderr, /--prebuilt and --portable exclude each other/);
      rmSync(taken.stdout.trim());
      const added = await run(...command!.split(" "));
      assertEquals(added.code, 0, added.stderr);
      assertEmbedded(await run(...flags));
    });
  },
);

test(
  "a package of another version or with other functions is named with both, and lib/ and the cache go first",
  onBun,
  async () => {
    await inDirectory(async (directory) => {
      const { cwd, env } = empty(directory, "http://127.0.0.1:9/");
      await installPacked(await pack(directory), cwd);
      writeFileSync(join(cwd, "main.ts"), embedder("@llamasaur/llamasaur"));
      const run = () => runChild(bun!, ["main.ts"], { cwd, env });

      await placePackage(cwd, "0.0.9");
      const older = await run();
      assertMatch(
        older.stderr,
        new RegExp(`its version is 0\\.0\\.9, and this is llamasaur ${VERSION}; mend it with: bun add`),
      );
      await placePackage(cwd, VERSION, 12);
      assertMatch((await run()).stderr, new RegExp(`has the functions 12, and this llamasaur ${VERSION} ${abi()}`));
      await placePackage(cwd);
      assertEmbedded(await run());

      // what someone built goes before what was shipped: a marked library in the cache opens, and one in lib/ before it
      const before = process.env["XDG_CACHE_HOME"];
      process.env["XDG_CACHE_HOME"] = env.XDG_CACHE_HOME!;
      const cached = libraryCachePath(LLAMA_VERSION, abi())!;
      if (before === undefined) delete process.env["XDG_CACHE_HOME"];
      else process.env["XDG_CACHE_HOME"] = before;
      const lib = join(
        cwd,
        "node_modules",
        "@llamasaur",
        "llamasaur",
        "lib",
        `${process.platform}-${process.arch}`,
        libraryFileName(),
      );
      writeFileSync(
        join(cwd, "which.ts"),
        `import { open } from "./node_modules/@llamasaur/llamasaur/ffi/mod.ts"; console.log((await open()).path);`,
      );
      const which = async () => (await runChild(bun!, ["which.ts"], { cwd, env })).stdout.trim();
      assert((await which()).includes(join("@llamasaur", here!.name)));
      for (const place of [cached, lib]) {
        mkdirSync(dirname(place), { recursive: true });
        copyFileSync(LIBRARY, place);
        assertEquals(await which(), place);
      }
    });
  },
);
