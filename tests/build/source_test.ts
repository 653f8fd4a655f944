import { existsSync, readdirSync } from "node:fs";
import { chmod, mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import process from "node:process";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { Buffer } from "node:buffer";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { BuildError } from "../../build/failure.ts";
import { REPOSITORY, TAG, TREE } from "../../build/pin.ts";
import { run } from "../../build/run.ts";
import { givenSource, pinnedSource, sourcePath, treeOf } from "../../build/source.ts";
import { readTarEntry } from "../../build/tar.ts";
import { cacheDirectory } from "../../ffi/host/paths.ts";
import { findProgram } from "../support/child.ts";

const windows = process.platform === "win32";
const noGit = findProgram("git") ? false : "it needs git";
const cache = cacheDirectory();
const cached = cache !== undefined && existsSync(sourcePath(cache));
if (!cached) console.warn("source_test: the pinned source is NOT looked at, it is not in the cache yet (run a build)");

async function inTemporary<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), "llamasaur-source-")));
  try {
    return await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Two files by which a directory looks like llama.cpp. */
async function pretend(directory: string): Promise<void> {
  await mkdir(join(directory, "include"), { recursive: true });
  await writeFile(join(directory, "CMakeLists.txt"), "project(llama.cpp)\n");
  await writeFile(join(directory, "include", "llama.h"), "#pragma once\n");
}

async function git(directory: string, ...args: string[]): Promise<string> {
  const identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"];
  const { code, output } = await run(["git", ...identity, "-C", directory, ...args]);
  assertEquals(code, 0, output);
  return output.trim();
}

async function commit(directory: string): Promise<void> {
  await git(directory, "init", "--quiet");
  await git(directory, "add", "-A");
  await git(directory, "commit", "--quiet", "-m", "test");
}

/** A .tgz as npm makes them: POSIX ustar headers. */
function archive(files: Record<string, Uint8Array>): Uint8Array {
  const blocks: Uint8Array[] = [];
  for (const [path, bytes] of Object.entries(files)) {
    const header = Buffer.alloc(512);
    const slash = path.lastIndexOf("/");
    header.write(path.length > 100 ? path.slice(slash + 1) : path, 0);
    header.write(bytes.length.toString(8).padStart(11, "0"), 124);
    header.write("0", 156);
    header.write("ustar\0" + "00", 257);
    if (path.length > 100) header.write(path.slice(0, slash), 345);
    blocks.push(header, bytes, Buffer.alloc((512 - bytes.length % 512) % 512));
  }
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(1024)]));
}

test("givenSource() rejects a path that does not exist or is not llama.cpp", async () => {
  await inTemporary(async (directory) => {
    await assertRejects(() => givenSource(join(directory, "none")), BuildError, "does not exist");
    await assertRejects(() => givenSource(directory), BuildError, "is not llama.cpp");
  });
});

test("givenSource() says not verified for a directory that is no git tree", { skip: noGit }, async () => {
  await inTemporary(async (directory) => {
    await pretend(directory);
    const source = await givenSource(directory);
    assertEquals(source.tree, undefined);
    assertStringIncludes(source.description, "not verified (no git tree)");
  });
});

test("givenSource() says not verified for a folder of another repository", { skip: noGit }, async () => {
  await inTemporary(async (directory) => {
    await pretend(join(directory, "vendor"));
    await commit(directory);
    assertStringIncludes((await givenSource(join(directory, "vendor"))).description, "not verified (no git tree)");
  });
});

test("givenSource() refuses a clean git tree that is not the pinned one", { skip: noGit }, async () => {
  await inTemporary(async (directory) => {
    await pretend(directory);
    await commit(directory);
    const id = await git(directory, "rev-parse", "HEAD^{tree}");
    const error = await assertRejects(() => givenSource(directory), BuildError, id);
    assertStringIncludes(error.message, TREE);
    assertStringIncludes(error.message, `check out ${TAG}`);
  });
});

test("givenSource() says not verified for a git tree with changes", { skip: noGit }, async () => {
  await inTemporary(async (directory) => {
    await pretend(directory);
    await commit(directory);
    await writeFile(join(directory, "include", "llama.h"), "// changed\n");
    assertStringIncludes((await givenSource(directory)).description, "not verified (it has changes");
    await git(directory, "checkout", "--quiet", ".");
    await writeFile(join(directory, "new.c"), "");
    assertStringIncludes((await givenSource(directory)).description, "not verified (it has changes");
  });
});

test("givenSource() verifies a copy of the pinned release", { skip: !cached }, async () => {
  const source = await givenSource(sourcePath(cache!));
  assertEquals(source.tree, TREE);
  assertStringIncludes(source.description, `git tree ${TREE} matches`);
});

test("pinnedSource() takes what the cache has, and says that it matched", { skip: !cached }, async () => {
  const source = await pinnedSource(cache!, () => {});
  assertEquals(source.directory, sourcePath(cache!));
  assertStringIncludes(source.description, "from the cache");
  assertStringIncludes(source.description, `git tree ${TREE} matches`);
});

test("treeOf() is not led astray by the variables of a git hook", { skip: noGit }, async () => {
  await inTemporary(async (directory) => {
    await pretend(directory);
    await commit(directory);
    process.env["GIT_DIR"] = join(directory, "elsewhere");
    try {
      assert("id" in await treeOf(directory));
    } finally {
      delete process.env["GIT_DIR"];
    }
  });
});

/**
 * Gets the pinned source in an empty cache, with a git that reaches no network and an npm that packs what is given.
 * Changes PATH for as long as it runs.
 */
async function fetchWith(directory: string, tarball: Uint8Array | undefined, report: string[]): Promise<unknown> {
  const bin = join(directory, "bin");
  await mkdir(bin);
  const real = (await run(["sh", "-c", "command -v git"])).output.trim();
  const npm = tarball
    ? `cp '${join(directory, "packed")}' node-llama-cpp-3.22.1.tgz`
    : "echo 'E404 not found' >&2; exit 1";
  await writeFile(
    join(bin, "git"),
    `#!/bin/sh\n[ "$1" = ls-remote ] && { echo "fatal: no network" >&2; exit 128; }\nexec '${real}' "$@"\n`,
  );
  await writeFile(join(bin, "npm"), `#!/bin/sh\n${npm}\n`);
  if (tarball) await writeFile(join(directory, "packed"), tarball);
  for (const name of ["git", "npm"]) await chmod(join(bin, name), 0o755);
  const path = process.env["PATH"];
  process.env["PATH"] = `${bin}:${path}`;
  try {
    return await pinnedSource(join(directory, "cache"), (line) => report.push(line));
  } finally {
    process.env["PATH"] = path;
  }
}

test("pinnedSource() tells both reasons when neither git nor npm can fetch", { skip: windows }, async () => {
  await inTemporary(async (directory) => {
    const report: string[] = [];
    const error = await assertRejects(() => fetchWith(directory, undefined, report), BuildError, "cannot be fetched");
    assertStringIncludes(error.message, "no network");
    assertStringIncludes(error.message, "E404 not found");
    assertStringIncludes(error.message, "--source DIR");
    assertStringIncludes(report.join("\n"), "npm package node-llama-cpp@");
    assertEquals(readdirSync(join(directory, "cache", "source")), []);
  });
});

test("pinnedSource() refuses a package that is not the pinned one and leaves nothing", { skip: windows }, async () => {
  await inTemporary(async (directory) => {
    const tarball = archive({ "package/llama/gitRelease.bundle": Buffer.from("a bundle") });
    await assertRejects(() => fetchWith(directory, tarball, []), BuildError, "its sha512 is ");
    assertEquals(readdirSync(join(directory, "cache", "source")), []);
  });
});

test(
  "pinnedSource() refuses a clone whose tree is not the pinned one and leaves nothing",
  { skip: noGit },
  async () => {
    await inTemporary(async (directory) => {
      const fake = join(directory, "fake");
      await pretend(fake);
      await commit(fake);
      await git(fake, "tag", TAG);
      // git goes there instead of to the repository
      const config = {
        GIT_CONFIG_COUNT: "1",
        GIT_CONFIG_KEY_0: `url.${fake}.insteadOf`,
        GIT_CONFIG_VALUE_0: REPOSITORY,
      };
      Object.assign(process.env, config);
      try {
        await assertRejects(() => pinnedSource(join(directory, "cache"), () => {}), BuildError, `and not ${TREE}`);
      } finally {
        for (const name of Object.keys(config)) delete process.env[name];
      }
      assertEquals(readdirSync(join(directory, "cache", "source")), []);
    });
  },
);

test("readTarEntry() comes to an end whatever the sizes in the headers", () => {
  for (const size of ["-7777777777", "zzz", "77777777777", ""]) {
    const header = Buffer.alloc(1024);
    header.write("package/a", 0);
    header.write(size, 124);
    const bytes = gzipSync(Buffer.concat([Buffer.alloc(512, "x"), header]));
    assertEquals(readTarEntry(bytes, "package/none"), undefined);
    assert((readTarEntry(gzipSync(header), "package/a")?.length ?? 0) <= 512);
  }
});

test("readTarEntry() finds one entry among others, also below a long prefix", () => {
  const long = `package/${"d".repeat(90)}/${"e".repeat(40)}/file`;
  const bytes = archive({
    "package/a": Buffer.alloc(700, "a"),
    "package/b": Buffer.from("bee"),
    [long]: Buffer.from("long"),
  });
  const text = (name: string) => new TextDecoder().decode(readTarEntry(bytes, name));
  assertEquals(text("package/b"), "bee");
  assertEquals(text("package/a"), "a".repeat(700));
  assertEquals(text(long), "long");
  assertEquals(readTarEntry(bytes, "package/none"), undefined);
});
