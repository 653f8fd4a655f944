// The table of docs/packaging: what each of Deno's settings does at the first load, where the library is in a package of npm.
import { after, before, test } from "node:test";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { assertEquals, assertMatch } from "@std/assert";
import { VERSION } from "../../ffi/version.ts";
import { type Outcome, runChild } from "../support/child.ts";
import { type NpmRegistry, serveNpm } from "../support/npm_registry.ts";
import { type PackageServer, servePackage } from "../support/package_server.ts";
import { assertEmbedded, deno, embedder, emptyHome, noEmbedding, npm } from "../support/packaging.ts";
import { type Noted, notePermissions } from "../support/permissions.ts";
import { here, prebuiltPackages } from "../support/prebuilt_packages.ts";

const lacking = noEmbedding ?? (!npm || !here ? "it needs npm, and a platform that has a package" : undefined);
const skip = lacking ?? (deno && "Deno" in globalThis ? false : "the tests on Deno run it");
const journey = { skip, timeout: 120_000 };

let directory = "";
let server: PackageServer;
let registry: NpmRegistry;
let noted: Noted;
let env: Record<string, string> = {};
let cwd = "";
/** The program that embeds. */
let main = "";
before(async () => {
  if (skip) return;
  directory = realpathSync(mkdtempSync(join(tmpdir(), "llamasaur-settings-")));
  server = await servePackage();
  registry = await serveNpm(await prebuiltPackages(directory));
  noted = notePermissions(directory);
  const variables = { NPM_CONFIG_REGISTRY: registry.url, npm_config_offline: "", PATH: dirname(deno!) };
  env = { ...emptyHome(directory), ...variables };
  cwd = join(directory, "project");
  main = embedder(`${server.url}mod.ts`);
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
  await registry?.[Symbol.asyncDispose]();
  if (directory) rmSync(directory, { recursive: true });
});

/** Makes a project of these files alone; Deno has nothing of npm from before, and keeps what is imported over HTTP. */
function project(files: Readonly<Record<string, string>>): void {
  rmSync(cwd, { recursive: true, force: true });
  rmSync(join(env["DENO_DIR"]!, "npm"), { recursive: true, force: true });
  mkdirSync(cwd);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(cwd, name), content);
}

/** Runs the project's main.ts with what README promises to be enough, and looks that no other permission is used. */
async function run(
  flags: readonly string[] = [],
  { file = "main.ts", ffi = "--allow-ffi", hosts = [server.host] } = {},
): Promise<Outcome> {
  const command = ["run", ffi, `--allow-import=${hosts}`, ...flags, file];
  const outcome = await runChild(deno!, command, { cwd, env: { ...env, ...noted.env }, timeout: 60_000 });
  const granted = flags.includes("--allow-read") ? ["read"] : [];
  assertEquals(noted.besides("ffi", "import", ...granted), [], outcome.stderr);
  return outcome;
}

/** That an error names the one command, and that after it the same run embeds. */
async function assertMended(
  { code, stderr }: Outcome,
  flags: readonly string[] = [],
  command = `add npm:@llamasaur/native@${VERSION}`,
): Promise<void> {
  assertEquals(code, 1, stderr);
  assertEquals(/^Get it with: deno (.*)$/m.exec(stderr)?.[1], command, stderr);
  const mended = await runChild(deno!, command.split(" "), { cwd, env, timeout: 60_000 });
  assertEquals(mended.code, 0, mended.stderr);
  assertEmbedded(await run(flags));
}

/** Where the library is that the project's program has got. */
async function libraryGot(): Promise<string> {
  const code = `console.log((await import("npm:@llamasaur/native@${VERSION}")).path);`;
  const { stdout, stderr } = await runChild(deno!, ["eval", "--quiet", code], { cwd, env });
  assertMatch(stdout, /llamasaur\.(so|dylib|dll)\n$/, stderr);
  return stdout.trim();
}

test("an empty folder gives a vector at the first load with --allow-ffi, and with the one path", journey, async () => {
  project({ "main.ts": main });
  assertEmbedded(await run());
  assertEmbedded(await run([], { ffi: `--allow-ffi=${await libraryGot()}` }));
});

test("a package whose file is gone gives the command that mends it", journey, async () => {
  project({ "main.ts": main });
  assertEmbedded(await run());
  rmSync(await libraryGot());
  const command = `cache --reload=npm:@llamasaur/${here!.name} npm:@llamasaur/native@${VERSION}`;
  await assertMended(await run(), [], command);
});

test("a Worker gives a vector at the first load", journey, async () => {
  const program = `const worker = new Worker(new URL("worker.ts", import.meta.url), { type: "module" });
worker.onmessage = () => worker.terminate();`;
  project({ "worker.ts": `${main}postMessage("done");`, "main.ts": program });
  assertEmbedded(await run(["--allow-read"])); // which Deno asks for the worker's own file
});

test("a main module over HTTP gives a vector at the first load", journey, async () => {
  const pages = createServer((_, response) => {
    response.setHeader("content-type", "application/typescript");
    response.end(main);
  });
  await new Promise<void>((resolve) => pages.listen(0, "127.0.0.1", resolve));
  try {
    const host = `127.0.0.1:${(pages.address() as AddressInfo).port}`;
    project({});
    assertEmbedded(await run([], { file: `http://${host}/main.ts`, hosts: [host, server.host] }));
  } finally {
    pages.closeAllConnections();
    pages.close();
  }
});

test("--cached-only gives a vector after a load, else the command that mends it", journey, async () => {
  project({ "main.ts": main });
  assertEmbedded(await run());
  assertEmbedded(await run(["--cached-only"]));
  project({ "main.ts": main });
  await assertMended(await run(["--cached-only"]), ["--cached-only"]);
});

test("a frozen lock gives a vector after a load, else the command that mends it", journey, async () => {
  const lock = async () => {
    project({ "deno.json": "{}", "main.ts": `import "${server.url}mod.ts";` });
    const made = await runChild(deno!, ["run", `--allow-import=${server.host}`, "main.ts"], { cwd, env });
    assertEquals([made.code, readFileSync(join(cwd, "deno.lock"), "utf8").includes("mod.ts")], [0, true], made.stderr);
    writeFileSync(join(cwd, "main.ts"), main);
  };
  await lock();
  assertEmbedded(await run());
  assertEmbedded(await run(["--frozen"]));
  await lock();
  await assertMended(await run(["--frozen"]), ["--frozen"]);
});

test("a folder that lists no package of ours gives the command that mends it", journey, async () => {
  project({ "main.ts": main, "deno.json": '{ "nodeModulesDir": "manual" }' });
  await assertMended(await run());
  project({ "main.ts": main, "package.json": "{}" });
  await assertMended(await run());
});

test("a bundle of deno bundle gives a vector at the first load, and asks for nothing", journey, async () => {
  const bundled = join(directory, "out.js");
  writeFileSync(join(directory, "one.ts"), main);
  // With esbuild of the user's cache, where another run's modules may have this very port.
  const flags = ["-q", "--no-check", `--allow-import=${server.host}`, `--reload=${server.url}`, "-o", bundled];
  const made = await runChild(deno!, ["bundle", ...flags, "one.ts"], { cwd: directory, timeout: 60_000 });
  if (made.code !== 0) return console.warn(`prebuilt_settings_test: NOT tried: ${made.stderr.split("\n")[0]}`);
  project({ "main.ts": readFileSync(bundled, "utf8") });
  assertEmbedded(await run());
});
