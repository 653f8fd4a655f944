// The libraries of dist/ (deno task prebuilt), as a loader sees them. Without a platform's folder its tests are skipped.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { libraryExports } from "../../build/plan.ts";
import { cacheDirectory, libraryFileName, packageRoot } from "../../ffi/host/paths.ts";
import { abi } from "../../ffi/symbols.ts";
import { foldersIn, inspect } from "../../packages/inspect.ts";
import { type Platform, PLATFORMS } from "../../packages/platforms.ts";

const ROOT = fileURLToPath(packageRoot());

/** The libraries of the system that a library may need, by its platform. */
const SYSTEM: Readonly<Record<string, RegExp>> = {
  linux: /^(lib(c|m|dl|pthread|rt)\.so\.\d|ld-linux-(x86-64|aarch64)\.so\.\d)$/,
  win32: /^(KERNEL32|ADVAPI32)\.dll$|^api-ms-win-crt-[\w-]+\.dll$/i,
  darwin: /^(\/usr\/lib\/libSystem\.B\.dylib|@rpath\/libllamasaur\.dylib)$/,
};

/** Operators of C++ that Apple's format exports whatever it is told, and names of its linker. */
const OF_THE_FORMAT = /^_(Zn[wa]|Zd[la])|^(mh_dylib_header|dyld_private|mh_execute_header|__dso_handle)$|^_mh_|^__mh_/;

/** Whether a folder has a library, made since the table of functions last changed. */
function isCurrent(folder: string, library: string): boolean {
  return existsSync(library) && JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).llamasaur.abi === abi();
}

for (const platform of PLATFORMS) {
  const folder = join(ROOT, "dist", platform.name);
  const library = join(folder, libraryFileName(platform.platform));
  const skip = isCurrent(folder, library) ? false : `deno task prebuilt ${platform.name} makes it`;

  test(
    `the library for ${platform.name} exports our functions and needs the system's libraries alone`,
    { skip: process.platform !== "linux" ? "it is read by tools of Linux" : skip },
    () => checkLoading(platform, library),
  );

  test(
    `the library for ${platform.name} is small, as its package says, and names no folder of its builder`,
    { skip },
    async () => {
      assert(statSync(library).size < 7e6, `${statSync(library).size} bytes`);
      const json = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
      assertEquals([json.os, json.cpu, json.libc], [
        [platform.platform],
        [platform.arch],
        platform.libc && [platform.libc],
      ]);
      assertEquals(json.llamasaur.sha512, createHash("sha512").update(readFileSync(library)).digest("hex"));
      assertEquals(await foldersIn(library, [ROOT, homedir(), cacheDirectory()!]), []);
      assertMatch(readFileSync(join(folder, "LICENSES"), "utf8"), /llama\.cpp and ggml[^]*libc\+\+ \(LLVM\)/);
    },
  );
}

async function checkLoading(platform: Platform, library: string): Promise<void> {
  const facts = await inspect(platform, library);
  const more = facts.exports.filter((name) => platform.platform !== "darwin" || !OF_THE_FORMAT.test(name));
  assertEquals(more, libraryExports(platform.platform).sort());
  assertEquals(facts.needed.filter((name) => !SYSTEM[platform.platform]!.test(name)), []);
  assert(facts.needed.length > 0);
  if (platform.platform === "linux") {
    const [major, minor] = facts.glibc!.split(".").map(Number);
    assert(major === 2 && minor! <= 17, `glibc ${facts.glibc}`);
  }
  // An arm64 Mac opens no library without one; an ad-hoc signature is enough.
  if (platform.name === "darwin-arm64") assert(facts.signed);
}
