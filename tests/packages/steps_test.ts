import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { type Platform, PLATFORMS } from "../../packages/platforms.ts";
import { stepsOf, WITH_SOURCE } from "../../packages/steps.ts";
import { ROOT } from "../support/child.ts";
import { folderOf, lackingOf, meant, skipWithout } from "../support/dist.ts";

const platformOf = (name: string): Platform => PLATFORMS.find((one) => one.name === name)!;
const skip = process.platform === "linux" && process.arch === "x64" ? false : "packages are made on Linux x64";

test("stepsOf() this machine's package has every folder of tests, the kernels' names, and parity as README has it", {
  skip,
}, async () => {
  const { how, steps } = await stepsOf(platformOf("linux-x64-gnu"), "/library.so", "/cache");
  const names = steps.map(({ name }) => name);
  assertEquals([how, new Set(names).size], ["natively", names.length]);
  const of = (word: string) => steps.filter(({ command }) => command.some((one) => one.includes(word)));
  assertEquals(of("kernel_names.ts").map(({ env }) => env), [{ LLAMASAUR_LIBRARY: "/library.so" }]);
  assertEquals(of("bench/parity.ts").map(({ command }) => command.at(-1)), ["--as-noted"]);
  assertEquals(of("--compare").length, 2);
  for (const runtime of ["Deno", "Bun"]) assert(names.includes(`tests/src on ${runtime}`));
  const withTests = steps.filter(({ command }) => command.includes("test"));
  assert(withTests.every(({ tests }) => tests === true), "each must have a test that passed");
});

test("stepsOf() a package that cannot be run looks at that one, which has to be there", { skip }, async () => {
  const { how, steps } = await stepsOf(platformOf("darwin-arm64"), "/library.dylib", "/cache");
  assertEquals([how, steps.map(({ env, tests }) => [env, tests])], ["never run", [[
    { LLAMASAUR_PACKAGE: "darwin-arm64" },
    true,
  ]]]);
});

test("a package of dist/ that is missing is skipped, and never the one that a run is about", () => {
  const nowhere: Platform = { ...PLATFORMS[0]!, name: "nowhere" };
  assertEquals(skipWithout(nowhere, undefined), lackingOf(nowhere));
  assertEquals(skipWithout(nowhere, "linux-x64-gnu"), lackingOf(nowhere));
  assert(lackingOf(nowhere)!.includes(folderOf(nowhere)), lackingOf(nowhere));
  assertEquals(skipWithout(nowhere, "nowhere"), false);
  assertEquals(meant(PLATFORMS, "win32-x64").map(({ name }) => name), ["win32-x64"]);
  assertEquals(meant(PLATFORMS, undefined).length, PLATFORMS.length);
});

test("every file of tests that runs emulated is there, and starts no process", () => {
  for (const name of WITH_SOURCE) {
    const file = join(ROOT, "tests", `${name}_test.ts`);
    assert(existsSync(file), file);
    assertEquals(/runChild|node:child_process|new Worker/.exec(readFileSync(file, "utf8")), null, name);
  }
});
