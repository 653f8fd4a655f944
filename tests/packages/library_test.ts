// The packages of dist/ (deno task prebuilt), as a loader and npm see them. Without a platform's folder its tests are skipped,
// except in `deno task prebuilt:test NAME`.
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { libraryExports } from "../../build/plan.ts";
import { cacheDirectory, packageRoot } from "../../ffi/host/paths.ts";
import { foldersIn, inspect } from "../../packages/inspect.ts";
import { type Platform, PLATFORMS } from "../../packages/platforms.ts";
import { inDirectory } from "../support/checkpoint.ts";
import { folderOf, lackingOf, libraryOf, meant, packedSize, skipWithout } from "../support/dist.ts";
import { emptyHome, npm } from "../support/packaging.ts";

const ROOT = fileURLToPath(packageRoot());

/** The libraries of the system that a library may need, by its platform. */
const SYSTEM: Readonly<Record<string, RegExp>> = {
  linux: /^(lib(c|m|dl|pthread|rt)\.so\.\d|ld-linux-(x86-64|aarch64)\.so\.\d)$/,
  win32: /^(KERNEL32|ADVAPI32)\.dll$|^api-ms-win-crt-[\w-]+\.dll$/i,
  darwin: /^(\/usr\/lib\/libSystem\.B\.dylib|@rpath\/libllamasaur\.dylib)$/,
};

/** Operators of C++ that Apple's format exports whatever it is told, and names of its linker. */
const OF_THE_FORMAT = /^_(Zn[wa]|Zd[la])|^(mh_dylib_header|dyld_private|mh_execute_header|__dso_handle)$|^_mh_|^__mh_/;

for (const platform of meant(PLATFORMS)) {
  const [folder, library, skip] = [folderOf(platform), libraryOf(platform), skipWithout(platform)];

  test(
    `the library for ${platform.name} exports our functions and needs the system's libraries alone`,
    { skip: process.platform !== "linux" ? "it is read by tools of Linux" : skip },
    () => checkLoading(platform, library),
  );

  test(
    `the library for ${platform.name} is small, as its package says, and names no folder of its builder`,
    { skip },
    async () => {
      assertEquals(lackingOf(platform), undefined);
      assert(statSync(library).size < 7e6, `${statSync(library).size} bytes`);
      const json = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
      assertEquals([json.os, json.cpu, json.libc], [
        [platform.platform],
        [platform.arch],
        platform.libc && [platform.libc],
      ]);
      assertEquals(json.llamasaur.sha512, createHash("sha512").update(readFileSync(library)).digest("hex"));
      assertEquals(await foldersIn(library, [ROOT, homedir(), cacheDirectory()!]), []);
      const licences = readFileSync(join(folder, "LICENSES"), "utf8");
      for (const title of ["llama.cpp and ggml", "llamafile's sgemm (ggml)", "YaRN (ggml)", "libc++ (LLVM)"]) {
        assertStringIncludes(licences, `\n${title}\n`);
      }
      for (
        const whose of [/\(c\) [\d-]+ The ggml authors/, /2024 Mozilla Foundation/, /\(c\) 2023 Jeffrey Quesnelle/]
      ) {
        assertMatch(licences, whose);
      }
    },
  );

  test(
    `the package for ${platform.name} is at most 3 MB to download`,
    { skip: skip || (npm ? false : "it needs npm") },
    () =>
      inDirectory(async (directory) => {
        const size = await packedSize(npm!, folder, emptyHome(directory));
        console.log(`${platform.name}: ${(size / 1e6).toFixed(2)} MB packed`);
        assert(size > 5e5 && size <= 3e6, `${size} bytes`);
      }),
  );
}

async function checkLoading(platform: Platform, library: string): Promise<void> {
  assertEquals(lackingOf(platform), undefined);
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
  if (platform.name === "darwin-arm64") assertEquals(facts.signature, "ad-hoc");
}
