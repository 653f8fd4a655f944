import { readdirSync, statSync } from "node:fs";
import { mkdir, mkdtemp, readFile, realpath, rm, utimes } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { BuildError } from "../../build/failure.ts";
import { inputsHash, processorOf } from "../../build/key.ts";
import { plan } from "../../build/plan.ts";
import { libraryAssets, nativeSources, stage } from "../../build/stage.ts";
import { packageRoot } from "../../ffi/host/paths.ts";

let directory = "";
before(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), "llamasaur-stage-")));
});
after(() => rm(directory, { recursive: true, force: true }));

/** A directory for one test. */
async function fresh(name: string): Promise<string> {
  const path = join(directory, name);
  await mkdir(path, { recursive: true });
  return path;
}

test("nativeSources() of sources.cmake are the C and C++ files of ffi/cpp/", async () => {
  const folder = fileURLToPath(new URL("ffi/cpp", packageRoot()));
  const listed = nativeSources(await readFile(join(folder, "sources.cmake"), "utf8"));
  const there = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => /\.(c|cpp|h)$/.test(name));
  assertEquals(listed.sort(), there.map((name) => `ffi/cpp/${name.replaceAll("\\", "/")}`).sort());
  assertEquals(nativeSources("# a.cpp\nset(X\n  y/b-inl.h c.c) # d.h\n"), ["ffi/cpp/y/b-inl.h", "ffi/cpp/c.c"]);
});

test("inputsHash() changes with a file's name, its bytes and the settings", () => {
  const bytes = new TextEncoder().encode("int x;");
  const hashes = [
    inputsHash(new Map([["a.c", bytes]]), []),
    inputsHash(new Map([["b.c", bytes]]), []),
    inputsHash(new Map([["a.c", bytes.subarray(1)]]), []),
    inputsHash(new Map([["a.c", bytes]]), ["-DX"]),
  ];
  assertEquals(new Set(hashes).size, 4);
  assertEquals(inputsHash(new Map([["a.c", bytes]]), []), hashes[0]);
});

test("plan() gives every kind of build a directory of its own", async () => {
  const plans = await Promise.all([
    plan({}),
    plan({ debug: true }),
    plan({ portable: true }),
    plan({ backend: "vulkan" }),
    plan({ target: "harness", sanitize: "address" }),
    plan({ target: "harness", sanitize: "thread" }),
  ]);
  assertEquals(new Set(plans.map((each) => each.directory)).size, 6);
  assertEquals((await plan({ target: "harness" })).directory, plans[0]!.directory);
  assertEquals((await plan({ jobs: 7 })).directory, plans[0]!.directory);
});

test("plan() refuses a sanitizer that is unknown, and one for the library", async () => {
  await assertRejects(
    () => plan({ target: "harness", sanitize: "memory" as "address" }),
    RangeError,
    "address, thread",
  );
  await assertRejects(() => plan({ sanitize: "thread" }), BuildError, "--target");
});

test("processorOf() keeps what names the first processor and drops what changes", () => {
  const block = "processor\t: 0\nmodel name\t: A\nflags\t\t: fpu avx2\ncpu MHz\t\t: 2000.1";
  assertEquals(processorOf(`${block}\n\n${block}`), "model name\t: A\nflags\t\t: fpu avx2");
  assertEquals(
    processorOf("processor\t: 0\nFeatures\t: fp asimd\nCPU part\t: 0xd0c"),
    "Features\t: fp asimd\nCPU part\t: 0xd0c",
  );
});

test("stage() writes what has changed, keeps the time of the rest and removes what is gone", async () => {
  const root = await fresh("stage");
  const bytes = (text: string) => new TextEncoder().encode(text);
  await stage(new Map([["CMakeLists.txt", bytes("1")], ["ffi/a.c", bytes("a")], ["ffi/b.c", bytes("b")]]), root);
  const old = new Date(Date.now() - 60_000);
  for (const name of ["CMakeLists.txt", "ffi/a.c", "ffi/b.c"]) await utimes(join(root, name), old, old);
  await stage(new Map([["CMakeLists.txt", bytes("1")], ["ffi/a.c", bytes("changed")]]), root);
  assertEquals(readdirSync(join(root, "ffi")), ["a.c"]);
  assertEquals(await readFile(join(root, "ffi", "a.c"), "utf8"), "changed");
  assert(statSync(join(root, "CMakeLists.txt")).mtimeMs < Date.now() - 30_000);
  assert(statSync(join(root, "ffi", "a.c")).mtimeMs > Date.now() - 30_000);
});

test("libraryAssets() reads a package over HTTP too", async () => {
  const server = createServer((request, response) => {
    readFile(join(fileURLToPath(packageRoot()), request.url!)).then((bytes) => response.end(bytes), () => {
      response.statusCode = 404;
      response.end();
    });
  });
  const listening = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", () => listening.resolve());
  await listening.promise;
  const address = server.address();
  const root = new URL(`http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/`);
  try {
    const [remote, local] = await Promise.all([libraryAssets(root), libraryAssets(packageRoot())]);
    assertEquals(inputsHash(remote, []), inputsHash(local, []));
    await assertRejects(() => libraryAssets(new URL("none/", root)), Error, "cannot be fetched: 404");
  } finally {
    server.close();
  }
});
