// The command line from a registry into an empty folder, without a compiler: install, a model from the hub, and every verb that a
// newcomer meets. With LLAMASAUR_SLOW=1 also all that can be broken, and the program of one file that carries the library.
import { test } from "node:test";
import { copyFileSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { catalogue } from "../../models.ts";
import { inDirectory } from "../support/checkpoint.ts";
import { type Outcome, ROOT, runChild } from "../support/child.ts";
import { HubServer } from "../support/hub_server.ts";
import { serveNpm } from "../support/npm_registry.ts";
import {
  bun,
  deno,
  emptyHome,
  LIBRARY,
  MODEL,
  noEmbedding,
  npm,
  pack,
  packDependencies,
} from "../support/packaging.ts";
import { here, prebuiltPackages } from "../support/prebuilt_packages.ts";
import { slow } from "../support/slow.ts";

const lacking = noEmbedding ??
  (!npm || !here || !bun || !deno ? "it needs npm, both runtimes and a platform with a package" : undefined);
const onBun = { timeout: 600_000, skip: lacking ?? ("Bun" in globalThis ? false : "the tests on Bun run it") };
const onDeno = { timeout: 600_000, skip: lacking ?? ("Deno" in globalThis ? false : "the tests on Deno run it") };
const compiled = {
  timeout: 600_000,
  skip: lacking ?? ("Bun" in globalThis && slow ? false : "only with LLAMASAUR_SLOW=1, on Bun"),
};
const { repository, file } = catalogue["all-minilm-l6-v2"];
const MOST_SECONDS = 30; // an installation, of which most is what npm's registry would send

/** How a command of the program ended. */
type Run = (words: readonly string[], more?: Record<string, string>) => Promise<Outcome>;

/** An empty folder with an empty home, a hub that has MiniLM, and a registry with all packages of ours. */
async function inEmptyFolder(
  run: (place: { cwd: string; env: Record<string, string>; directory: string }) => Promise<void>,
  packages: (directory: string) => Promise<Parameters<typeof serveNpm>[0]> = everything,
): Promise<void> {
  await inDirectory(async (directory) => {
    await using registry = await serveNpm(await packages(directory));
    await using hub = await HubServer.start({ [`${repository}/${file}`]: readFileSync(MODEL) });
    const cwd = join(directory, "empty");
    mkdirSync(cwd);
    const PATH = [bun!, deno!].map((program) => dirname(program)).join(":");
    const places = { HOME: directory, HF_HUB_CACHE: join(directory, "hub"), LLAMASAUR_MODELS: join(directory, "none") };
    const npmOf = { NPM_CONFIG_REGISTRY: registry.url, npm_config_offline: "" };
    await run({
      cwd,
      directory,
      env: { ...emptyHome(directory), ...places, ...npmOf, HF_ENDPOINT: hub.endpoint, PATH },
    });
  });
}

async function everything(directory: string) {
  const own = [await pack(directory), await pack(directory, "cli")];
  return [...own, ...await prebuiltPackages(directory), ...await packDependencies(directory)];
}

function assertDone({ code, stdout, stderr }: Outcome, told: RegExp): void {
  assertEquals(code, 0, stderr);
  assertMatch(stdout, told, stderr);
}

/** What a newcomer does. */
async function firstSteps(run: Run): Promise<void> {
  const missing = await run(["embed", "--model", "all-minilm-l6-v2", "--text", "a cat"]);
  assertEquals(missing.code, 3, missing.stderr);
  assertStringIncludes(missing.stderr, "\n  llamasaur pull all-minilm-l6-v2\n");
  assertDone(await run(["pull", "all-minilm-l6-v2"]), new RegExp(`^.*${file.replaceAll(".", "\\.")}\n$`));
  assertDone(await run(["embed", "--model", "all-minilm-l6-v2", "--text", "a cat"]), /^\{"id":"text:1","embedding":\[/);
  const query = ["rerank", "yellow fruit", "--model", "all-minilm-l6-v2"];
  assertDone(
    await run([...query, "--text", "Paris is a city.", "--text", "Bananas are yellow."]),
    /^0\.\d+ {2}"Bananas/,
  );
  assertDone(await run(["inspect", "all-minilm-l6-v2"]), /\narchitecture +bert/);
  assertDone(await run(["doctor"]), /\nok +self-test: 3 stored vectors/);
  assertDone(
    await run(["serve", "--embed", "all-minilm-l6-v2", "--print-config"]),
    /"names": ?\[\s*"all-minilm-l6-v2"/,
  );
}

/** A program that serves by `createHandler` of the package; it prints the status of a readiness probe. */
function writeHandler(cwd: string, specifier: string): string {
  const path = join(cwd, "handler.ts");
  writeFileSync(
    path,
    `import { createHandler } from "${specifier}";
const handler = createHandler([{ role: "embed", model: "all-minilm-l6-v2" }]);
await handler.ready();
const { status } = await handler.fetch(new Request("http://localhost/readyz"));
await handler.close();
console.log("readyz", status);
`,
  );
  return path;
}

/** What `doctor` says of each thing that can be broken: the check that fails, and its remedy. */
async function brokenIn(
  ways: readonly (readonly [env: Record<string, string>, check: string, remedy: RegExp])[],
  run: Run,
): Promise<void> {
  for (const [env, check, remedy] of ways) {
    const { code, stdout, stderr } = await run(["doctor", "--json"], env);
    assertEquals(code, 1, stderr);
    const { findings } = JSON.parse(stdout) as {
      findings: { check: string; state: string; message: string; remedy?: string }[];
    };
    const failed = findings.filter(({ state }) => state === "failed");
    console.log(failed.map(({ check, message, remedy }) => `failed ${check}: ${message}; ${remedy}`).join("\n"));
    assertEquals(failed.map((finding) => finding.check), [check]);
    assertMatch(failed[0]!.remedy!, remedy);
  }
}

/** A library that says it holds another llama.cpp, and a file where a cache should be. */
function breakThings(directory: string): { other: string; file: string } {
  const [other, file] = [join(directory, "other.so"), join(directory, "file")];
  writeFileSync(file, "");
  const bytes = readFileSync(LIBRARY);
  const version = "0.5.0\0";
  for (let at = 0; (at = bytes.indexOf(version, at)) >= 0; at++) bytes[at] = "9".charCodeAt(0);
  writeFileSync(other, bytes);
  return { other, file };
}

/** The ways that are the same wherever the program comes from. */
function waysOf(directory: string): Parameters<typeof brokenIn>[0] {
  const { other, file } = breakThings(directory);
  return [
    [{ LLAMASAUR_LIBRARY: join(directory, "none.so") }, "library", /build|add/],
    [{ LLAMASAUR_LIBRARY: other }, "library", /build/],
    [{ HF_HUB_CACHE: join(file, "hub"), LLAMASAUR_MODEL: "" }, "models' cache", /^export HF_HUB_CACHE=/],
  ];
}

test(
  "bun add llamasaur brings all, and bunx llamasaur pulls, embeds, ranks, inspects and examines itself",
  onBun,
  async () => {
    await inEmptyFolder(async ({ cwd, env, directory }) => {
      writeFileSync(join(cwd, "package.json"), '{ "name": "empty", "type": "module" }');
      const start = performance.now();
      const added = await runChild(bun!, ["add", "llamasaur"], { cwd, env, timeout: 120_000 });
      const seconds = (performance.now() - start) / 1000;
      assertEquals(added.code, 0, added.stderr);
      console.log(`bun add llamasaur took ${seconds.toFixed(1)} s`);
      if (slow) assert(seconds < MOST_SECONDS, `${seconds} s`); // alone on the machine
      const run: Run = (words, more) =>
        runChild(bun!, ["x", "llamasaur", ...words], { cwd, env: { ...env, ...more }, timeout: 60_000 });
      await firstSteps(run);
      const handler = writeHandler(cwd, "llamasaur/serve");
      assertDone(await runChild(bun!, [handler], { cwd, env, timeout: 60_000 }), /^readyz 200$/m);
      if (!slow) return;
      await brokenIn(waysOf(directory), run);
      truncateSync((await run(["models", "path", "all-minilm-l6-v2"])).stdout.trim(), 3_000_000);
      await brokenIn(
        [[{}, "model", /^llamasaur models rm all-minilm-l6-v2 --yes && llamasaur pull all-minilm-l6-v2$/]],
        run,
      );
    });
  },
);

test("npm:llamasaur on Deno pulls, embeds, ranks, inspects and examines itself", onDeno, async () => {
  await inEmptyFolder(async ({ cwd, env, directory }) => {
    const run: Run = (words, more) =>
      runChild(deno!, ["run", "-A", "--quiet", "npm:llamasaur", ...words], {
        cwd,
        env: { ...env, ...more },
        timeout: 120_000,
      });
    const start = performance.now();
    assertDone(await run(["--version"]), /^llamasaur \d/);
    const seconds = (performance.now() - start) / 1000;
    console.log(`the first deno run npm:llamasaur took ${seconds.toFixed(1)} s`);
    if (slow) assert(seconds < MOST_SECONDS, `${seconds} s`);
    await firstSteps(run);
    const handler = ["run", "-A", "--quiet", writeHandler(cwd, "npm:llamasaur/serve")];
    assertDone(await runChild(deno!, handler, { cwd, env, timeout: 60_000 }), /^readyz 200$/m);
    if (!slow) return;
    await brokenIn(waysOf(directory), run);
    const permitted = ["--allow-read", "--allow-env", "--allow-sys", "--allow-write", "--allow-net", "--allow-run"];
    const unopened: Run = (words, more) =>
      runChild(deno!, ["run", "--no-prompt", "--quiet", ...permitted, "npm:llamasaur", ...words], {
        cwd,
        env: { ...env, ...more },
      });
    await brokenIn([[{}, "permissions", /^deno run -A npm:.*llamasaur.* doctor$/]], unopened);
  });
});

test("deno task compile makes one program that does the same, with nothing beside it", compiled, async () => {
  await inEmptyFolder(async ({ cwd, env, directory }) => {
    const program = join(cwd, "llamasaur");
    const made = await runChild(deno!, ["run", "-A", join(ROOT, "scripts", "compile.ts"), "--out", program], {
      timeout: 300_000,
    });
    assertEquals(made.code, 0, made.stderr);
    const moved = join(directory, "llamasaur");
    copyFileSync(program, moved);
    const run: Run = (words, more) =>
      runChild(moved, words, { cwd, env: { ...env, PATH: "", ...more }, timeout: 60_000 });
    await firstSteps(run);
    await brokenIn(waysOf(directory), run);
    truncateSync((await run(["models", "path", "all-minilm-l6-v2"])).stdout.trim(), 3_000_000);
    await brokenIn([[{}, "model", /^llamasaur models rm/]], run);
  }, () => Promise.resolve([]));
});
