import { test } from "node:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { assertEquals, assertMatch } from "@std/assert";
import { packagedLibrary, packageTarget } from "../../../ffi/host/packaged.ts";
import { targetName } from "../../../ffi/host/paths.ts";
import { abi } from "../../../ffi/symbols.ts";
import { inDirectory } from "../../support/checkpoint.ts";

test("packagedLibrary() names no command for a system that has no package, or for a checkout", async () => {
  for (const target of ["win32-arm64", "linux-x64-musl", "linux-arm64-musl", "freebsd-x64"]) {
    assertEquals(await packagedLibrary(abi(), target), {
      path: "an npm package",
      skipped: `none has a library for ${target}`,
    });
  }
  const { path, skipped, remedy } = await packagedLibrary(abi(), "darwin-arm64");
  assertEquals([path, remedy], ["@llamasaur/darwin-arm64", undefined]);
  assertMatch(skipped!, /^(a checkout builds its own|is not installed)$/);
});

test("packageTarget() is targetName(), and another name on musl, which a program's loader tells", {
  skip: process.platform !== "linux",
}, async () => {
  const here = packageTarget();
  assertMatch(here, new RegExp(`^${targetName()}(-musl)?$`));
  if ("Deno" in globalThis) return; // says itself what it was made for
  await inDirectory((directory) => {
    const program = join(directory, "program");
    writeFileSync(program, `\x7fELF${"\0".repeat(600)}/lib/ld-musl-x86_64.so.1\0`);
    assertEquals(packageTarget(program), `${targetName()}-musl`);
    writeFileSync(program, `\x7fELF${"\0".repeat(600)}/lib64/ld-linux-x86-64.so.2\0`);
    assertEquals(packageTarget(program), targetName());
  });
});
