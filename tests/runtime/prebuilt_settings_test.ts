// The table of docs/packaging: what each of Deno's settings does at the first load, where the library is in a package of npm.
import { test } from "node:test";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { assertEquals, assertMatch } from "@std/assert";
import { VERSION } from "../../ffi/version.ts";
import { inDirectory } from "../support/checkpoint.ts";
import { type Outcome, runChild } from "../support/child.ts";
import { serveNpm } from "../support/npm_registry.ts";
import { servePackage } from "../support/package_server.ts";
import { assertEmbedded, deno, embedder, emptyHome, noEmbedding, npm } from "../support/packaging.ts";
import { here, prebuiltPackages } from "../support/prebuilt_packages.ts";

const lacking = noEmbedding ?? (!npm || !here ? "it needs npm, and a platform that has a package" : undefined);
const skip = lacking ?? (deno && "Deno" in globalThis ? false : "the tests on Deno run it");

function assertCommand({ code, stderr }: Outcome): void {
  assertEquals(code, 1, stderr);
  assertMatch(stderr, new RegExp(`Get it with: deno add npm:@llamasaur/native@${VERSION}`));
}

test(
  "each of Deno's settings gives a vector at the first load, or the one command",
  { skip, timeout: 240_000 },
  async () => {
    await inDirectory(async (directory) => {
      await using server = await servePackage();
      await using registry = await serveNpm(await prebuiltPackages(directory));
      const env: Record<string, string> = {
        ...emptyHome(directory),
        NPM_CONFIG_REGISTRY: registry.url,
        npm_config_offline: "",
      };
      const allowed = ["--no-prompt", "--allow-ffi", "--allow-env=HOME,XDG_CACHE_HOME", "--allow-read"];
      /** Runs main.ts of a folder of its own, with or without what Deno has fetched before. */
      const run = (files: Record<string, string>, flags: string[] = [], fresh = true): Promise<Outcome> => {
        const cwd = join(directory, "project");
        rmSync(cwd, { recursive: true, force: true });
        if (fresh) rmSync(join(env["DENO_DIR"]!, "npm"), { recursive: true, force: true });
        mkdirSync(cwd);
        for (const [name, content] of Object.entries(files)) writeFileSync(join(cwd, name), content);
        const command = ["run", ...allowed, `--allow-import=${server.host}`, ...flags, "main.ts"];
        return runChild(deno!, command, { cwd, env: { ...env, PATH: dirname(deno!) }, timeout: 60_000 });
      };
      const main = { "main.ts": embedder(`${server.url}mod.ts`) };
      const imports = { "deno.json": "{}", "main.ts": `import "${server.url}mod.ts";` };
      const lock = `--lock=${join(directory, "deno.lock")}`;
      const manual = { "deno.json": '{ "nodeModulesDir": "manual" }' };
      const worker = {
        "worker.ts": main["main.ts"],
        "main.ts": `const worker = new Worker(new URL("worker.ts", import.meta.url), { type: "module" });
setTimeout(() => worker.terminate(), 4000);`,
      };
      assertEmbedded(await run(main)); // an empty folder; Deno keeps the modules for what follows
      assertEmbedded(await run(worker));
      assertCommand(await run(main, ["--cached-only"]));
      assertEmbedded(await run(main));
      assertEmbedded(await run(main, ["--cached-only"], false));
      assertEquals((await run(imports, [lock])).code, 0);
      assertCommand(await run({ ...imports, ...main }, [lock, "--frozen"]));
      assertEmbedded(await run({ ...imports, ...main }, [lock]));
      assertEmbedded(await run({ ...imports, ...main }, [lock, "--frozen"]));
      assertCommand(await run({ ...main, ...manual }));
      assertCommand(await run({ ...main, "package.json": "{}" }));

      const bundled = join(directory, "out.js");
      writeFileSync(join(directory, "one.ts"), main["main.ts"]);
      const bundle = ["bundle", "-q", "--no-check", `--allow-import=${server.host}`, "-o", bundled, "one.ts"];
      const made = await runChild(deno!, bundle, { cwd: directory, timeout: 60_000 }); // with esbuild of the user's cache
      if (made.code !== 0) return console.warn(`prebuilt_settings_test: NOT tried: ${made.stderr.split("\n")[0]}`);
      assertEmbedded(await run({ "main.ts": readFileSync(bundled, "utf8") }));
    });
  },
);
