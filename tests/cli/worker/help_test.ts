import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { runChild } from "../../support/child.ts";
import { runProgram } from "../../support/program.ts";

interface Module {
  readonly specifier: string;
  readonly dependencies?: readonly { readonly code?: { readonly specifier: string }; readonly isDynamic?: boolean }[];
}

/** What is loaded before a verb runs. */
async function loadedAtOnce(path: string): Promise<string[]> {
  const { stdout } = await runChild("deno", ["info", "--no-remote", "--json", path]);
  const { roots, modules } = JSON.parse(stdout) as { roots: string[]; modules: Module[] };
  const found = new Set(roots);
  for (const specifier of found) { // grows while it is walked
    for (const { code, isDynamic } of modules.find((one) => one.specifier === specifier)?.dependencies ?? []) {
      if (code && !isDynamic) found.add(code.specifier);
    }
  }
  return [...found];
}

for (const verb of ["backfill", "worker", "jobs"]) {
  test(`llamasaur ${verb} --help loads no driver, no queue and no model`, async () => {
    const { code, stdout, stderr } = await runProgram([verb, "--help"]);
    assertEquals([code, stderr], [0, ""]);
    assert(stdout.includes("--database <url>"), stdout);
    const loaded = await loadedAtOnce(`cli/verbs/${verb}.ts`);
    assert(loaded.length > 3, loaded.join());
    assertEquals(loaded.filter((one) => /pg-boss|postgres|opentelemetry|\/cli\/worker\/|cli\/\.\.\/mod/.test(one)), []);
  });
}
