// From an empty folder, without a compiler, to the first vector: the library comes in a package of npm.
import { test } from "node:test";
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { libraryFileName, targetName } from "../../ffi/host/paths.ts";
import { abi } from "../../ffi/symbols.ts";
import { LLAMA_VERSION, VERSION } from "../../ffi/version.ts";
import { PACKAGES } from "../../ffi/host/packaged.ts";
import { optionalDependencies, SCOPE } from "../../packages/manifest.ts";
import { PLATFORMS } from "../../packages/platforms.ts";
import { inDirectory } from "../support/checkpoint.ts";
import { type Outcome, ROOT, runChild } from "../support/child.ts";
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
import { notePermissions } from "../support/permissions.ts";
import { here, placePackage, prebuiltPackages } from "../support/prebuilt_packages.ts";

const lacking = noEmbedding ?? (!npm || !here ? "it needs npm, and a platform that has a package" : undefined);
// Each journey starts processes alone, so the tests on its own runtime are enough.
const onBun = { timeout: 120_000, skip: lacking ?? (bun && "Bun" in globalThis ? false : "the tests on Bun run it") };
const onDeno = {
  timeout: 120_000,
  skip: lacking ?? (deno && "Deno" in globalThis ? false : "the tests on Deno run it"),
};
/** What README promises to be enough; nothing can be asked for, since a test has no terminal. */
const GRANTED = ["run", "--allow-ffi"];
/** What else it takes to find the user's cache. */
const CACHE = "--allow-env=HOME,XDG_CACHE_HOME";

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

/** Where the library of this release is in the cache of an empty home. */
function cachedLibrary({ XDG_CACHE_HOME = "" }: Record<string, string>): string {
  const folder = `${VERSION}-${LLAMA_VERSION}-${abi()}`;
  return join(XDG_CACHE_HOME, "llamasaur", folder, "lib", targetName(), libraryFileName());
}

/** Asks the package that Bun has installed in a folder which library it opens. */
function whichLibrary(cwd: string, env: Record<string, string>): () => Promise<string> {
  const code =
    `import { open } from "./node_modules/@llamasaur/llamasaur/ffi/mod.ts"; console.log((await open()).path);`;
  writeFileSync(join(cwd, "which.ts"), code);
  return async () => {
    const { stdout, stderr } = await runChild(bun!, ["which.ts"], { cwd, env });
    return stdout.trim() || stderr;
  };
}

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
    writeFileSync(join(cwd, "main.ts"), embedder("@llamasaur/llamasaur"));
    const start = performance.now();
    const added = await runChild(bun!, ["add", "@llamasaur/llamasaur"], { cwd, env });
    assertEquals(added.code, 0, added.stderr);
    const adding = performance.now() - start;
    assertEquals(fetched(registry.log), [here!.name, "llamasaur"].sort());
    await registry[Symbol.asyncDispose]();
    assertEmbedded(await runChild(bun!, ["main.ts"], { cwd, env }));
    const whole = performance.now() - start;
    console.log(`first vector on Bun after ${whole.toFixed(0)} ms, ${adding.toFixed(0)} of them bun add`);
    const taken = await runChild(bun!, ["x", "llamasaur-build", "--prebuilt", "--out", join(directory, "out")], {
      cwd,
      env,
    });
    assertMatch(taken.stderr, /^taken from npm's package: /m);
  });
});

test(
  "build --prebuilt on Bun gets the package that is not installed, and puts it into the user's cache",
  onBun,
  async () => {
    await inDirectory(async (directory) => {
      const registry = await serveNpm(await prebuiltPackages(directory));
      const { cwd, env } = empty(directory, registry.url);
      await installPacked(await pack(directory), cwd); // without what it depends on
      writeFileSync(join(cwd, "main.ts"), embedder("@llamasaur/llamasaur"));
      const run = (...args: string[]) => runChild(bun!, args, { cwd, env });
      const missing = await run("main.ts");
      assertStringIncludes(missing.stderr, `Get it with: bun add @llamasaur/${here!.name}@${VERSION}`);
      const build = "node_modules/@llamasaur/llamasaur/build/mod.ts";
      const taken = await run(build, "--prebuilt");
      assertMatch(taken.stderr, /^taken from npm's package: /m);
      assertEquals(taken.stdout.trim(), cachedLibrary(env));
      assertEquals(fetched(registry.log), [here!.name, "native"].sort());
      await registry[Symbol.asyncDispose]();
      assertEmbedded(await run("main.ts"));
    });
  },
);

test(
  "a library of build --prebuilt gives way to the next release's, and what somebody built does not",
  onBun,
  async () => {
    await inDirectory(async (directory) => {
      const { cwd, env } = empty(directory, "http://127.0.0.1:9/");
      await installPacked(await pack(directory), cwd);
      await placePackage(cwd);
      const ours = join(cwd, "node_modules", "@llamasaur", "llamasaur");
      const theirs = join(cwd, "node_modules", "@llamasaur", here!.name, libraryFileName());
      const out = join(directory, "out", targetName(), libraryFileName());
      const build = (...args: string[]) =>
        runChild(bun!, [join(ours, "build/mod.ts"), "--prebuilt", ...args], { cwd, env });
      const which = whichLibrary(cwd, env);

      assertMatch((await build()).stderr, /^taken from npm's package: /);
      assertEquals(await which(), cachedLibrary(env));
      assertMatch((await build("--out", join(directory, "out"))).stderr, /^taken from npm's package: /);

      // the next release: a library of one size and time, as in each package of npm, that has other C++ behind the same symbols
      const file = join(theirs, "..", "package.json");
      for (const path of [file, join(ours, "ffi", "version.ts")]) {
        writeFileSync(path, readFileSync(path, "utf8").replace(`"${VERSION}"`, '"0.99.0"'));
      }
      assertEquals(await which(), theirs); // and not the one that the last release has put into the cache
      const { atime, mtime } = statSync(theirs);
      const next = readFileSync(LIBRARY);
      next[next.length - 1]! ^= 1;
      writeFileSync(theirs, next);
      utimesSync(theirs, atime, mtime);
      appendFileSync(`${out}.prebuilt`, "another\n"); // as one that ended before its library was in its place has left it
      assertMatch((await build("--out", join(directory, "out"))).stderr, /^taken from npm's package: /);
      assertEquals(readFileSync(out).equals(next), true);
      assertMatch((await build("--out", join(directory, "out"))).stderr, /^nothing has changed: /);
      writeFileSync(out, "built otherwise");
      assertMatch(
        (await build("--out", join(directory, "out"))).stderr,
        /is another library, built here perhaps: remove it/,
      );
    });
  },
);

test("a package without its file, or of another system, is told with the command that mends it", onBun, async () => {
  await inDirectory(async (directory) => {
    await using registry = await serveNpm(await prebuiltPackages(directory));
    const { cwd, env } = empty(directory, registry.url);
    await installPacked(await pack(directory), cwd);
    writeFileSync(join(cwd, "package.json"), '{ "name": "empty", "type": "module" }');
    writeFileSync(join(cwd, "main.ts"), embedder("@llamasaur/llamasaur"));
    const run = () => runChild(bun!, ["main.ts"], { cwd, env });
    const mend = async (told: Outcome, words: string) => {
      assertStringIncludes(told.stderr, `LibraryNotFoundError: Cannot find ${libraryFileName()}; looked at:`);
      assertStringIncludes(told.stderr, `@llamasaur/${here!.name}: ${words}`);
      const command = /^Get it with: bun (.*)$/m.exec(told.stderr)?.[1];
      assert(command !== undefined, told.stderr);
      const mended = await runChild(bun!, command.split(" "), { cwd, env });
      assertEquals(mended.code, 0, mended.stderr);
      assertEmbedded(await run());
    };
    const other = PLATFORMS.find((one) => one.platform !== here!.platform)!;
    const foreign = join(cwd, "node_modules", SCOPE, other.name);
    mkdirSync(foreign, { recursive: true });
    writeFileSync(join(foreign, "package.json"), JSON.stringify({ name: `${SCOPE}/${other.name}`, version: VERSION }));
    await mend(await run(), `is not installed; ${SCOPE}/${other.name} is for another platform; mend it with: bun add`);
    rmSync(join(cwd, "node_modules", SCOPE, here!.name, libraryFileName()));
    await mend(await run(), `${libraryFileName()} is missing in it; mend it with: bun add --force`);
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
    const noted = notePermissions(directory);
    writeFileSync(join(cwd, "main.ts"), embedder("npm:@llamasaur/llamasaur"));
    assertEmbedded(
      await runChild(deno!, [...GRANTED, "main.ts"], { cwd, env: { ...env, ...noted.env }, timeout: 60_000 }),
    );
    assertEquals(fetched(registry.log), [here!.name, "llamasaur"].sort());
    assertEquals(noted.besides("ffi"), []);
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
      const flags = [...GRANTED, CACHE, `--allow-import=${server.host}`, "main.ts"];
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
      const lib = join(
        cwd,
        "node_modules",
        "@llamasaur",
        "llamasaur",
        "lib",
        targetName(),
        libraryFileName(),
      );
      const which = whichLibrary(cwd, env);
      assert((await which()).includes(join("@llamasaur", here!.name)));
      for (const place of [cachedLibrary(env), lib]) {
        mkdirSync(dirname(place), { recursive: true });
        copyFileSync(LIBRARY, place);
        assertEquals(await which(), place);
      }
    });
  },
);

test(
  "a listed package of another version or with other functions is named with both on Deno, and the command mends it",
  onDeno,
  async () => {
    await inDirectory(async (directory) => {
      await using server = await servePackage();
      const older = join(directory, "older");
      mkdirSync(older);
      await using registry = await serveNpm([
        ...await prebuiltPackages(directory),
        ...await prebuiltPackages(older, "0.0.9"),
      ]);
      const { cwd, env } = empty(directory, registry.url);
      writeFileSync(join(cwd, "package.json"), '{ "dependencies": { "@llamasaur/native": "0.0.9" } }');
      writeFileSync(join(cwd, "main.ts"), embedder(`${server.url}mod.ts`));
      const call = (...args: string[]) => runChild(deno!, args, { cwd, env, timeout: 60_000 });
      const run = (...flags: string[]) => call(...GRANTED, ...flags, `--allow-import=${server.host}`, "main.ts");
      const installation = await call("install");
      assertEquals(installation.code, 0, installation.stderr);

      const add = `deno add npm:@llamasaur/native@${VERSION}`;
      const told = await run();
      assertStringIncludes(
        told.stderr,
        `@llamasaur/${here!.name}: its version is 0.0.9, and this is llamasaur ${VERSION}; mend it with: ${add}`,
      );
      assertStringIncludes(told.stderr, `\nGet it with: ${add}\n`);
      const added = await call(...add.split(" ").slice(1));
      assertEquals(added.code, 0, added.stderr);
      assertEmbedded(await run());

      const file = join(realpathSync(join(cwd, "node_modules", SCOPE, "native")), "..", here!.name, "package.json");
      const json = JSON.parse(readFileSync(file, "utf8"));
      rmSync(file); // Deno's cache may share its bytes
      writeFileSync(file, JSON.stringify({ ...json, llamasaur: { ...json.llamasaur, abi: 12 } }));
      const other = await run();
      assertStringIncludes(other.stderr, `${VERSION} has the functions 12, and this llamasaur ${VERSION} ${abi()}`);

      const cached = cachedLibrary(env);
      mkdirSync(dirname(cached), { recursive: true });
      copyFileSync(LIBRARY, cached);
      assertEmbedded(await run(CACHE)); // what somebody built goes first
    });
  },
);
