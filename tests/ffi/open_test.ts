import { test } from "node:test";
import { execFileSync } from "node:child_process";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { LibraryNotFoundError, LlamaError } from "../../ffi/errors.ts";
import {
  buildCommand,
  cacheDirectory,
  isCheckout,
  libraryCachePath,
  libraryFileName,
  packageRoot,
  targetName,
} from "../../ffi/host/paths.ts";
import { candidates, open } from "../../ffi/open.ts";
import { abi, SYMBOLS } from "../../ffi/symbols.ts";
import { LLAMA_VERSION, VERSION } from "../../ffi/version.ts";
import { inDirectory } from "../support/checkpoint.ts";

const FOREIGN = { linux: "libm.so.6", darwin: "/usr/lib/libSystem.B.dylib", win32: "kernel32.dll" }[
  process.platform as string
];
const noCompiler = process.platform === "win32" || !runs("cc", "--version");

function runs(...[command, ...args]: [string, ...string[]]): boolean {
  try {
    execFileSync(command, args, { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Compiles C to a shared object. */
function compile(directory: string, name: string, c: string, ...flags: string[]): string {
  const path = join(directory, name);
  execFileSync("cc", ["-shared", "-fPIC", "-w", "-x", "c", "-", "-x", "none", "-o", path, ...flags], { input: c });
  return path;
}

/** C with every function of the table, so that all but the answers of the given ones is right. */
function everyFunction(answers: Record<string, string>): string {
  const names = Object.keys(SYMBOLS);
  return "#include <string.h>\n" + names.map((name) => answers[name] ?? `int ${name}(void) { return 0; }`).join("\n");
}

function versions(built: string, loaded: string): string {
  return `int saur_versions(char * out, int size) { memcpy(out, "${built}\\0" "${loaded}", ${
    built.length + loaded.length + 2
  }); return 0; }`;
}

/** Runs with environment variables changed; undefined removes one. */
async function withEnv(changes: Record<string, string | undefined>, run: () => unknown): Promise<void> {
  const before = Object.keys(changes).map((name) => [name, process.env[name]] as const);
  const set = ([name, value]: readonly [string, string | undefined]) => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  Object.entries(changes).forEach(set);
  try {
    await run();
  } finally {
    before.forEach(set);
  }
}

/** That the library of this checkout opens, after whatever was tried before. */
async function assertOpens(): Promise<void> {
  const { functions } = await open();
  assertEquals(functions.saur_abi(), abi());
}

test("open() gives every function of the table, those too that are opened when one of them is asked for", async () => {
  const { functions } = await open();
  const kinds = Object.keys(SYMBOLS).map((name) => [name, typeof functions[name as keyof typeof functions]]);
  assertEquals(kinds, Object.keys(SYMBOLS).map((name) => [name, "function"]));
  assertEquals(Object.keys(functions).sort(), Object.keys(SYMBOLS).sort());
});

/** Tries to open a library that must be refused as not found, and returns the one line that says why. */
async function reason(path: string): Promise<string> {
  const error = await assertRejects(() => open(path), LibraryNotFoundError);
  assertEquals(error.tried.length, 1);
  assertStringIncludes(error.message, `Cannot find ${libraryFileName()}; looked at:\n  ${error.tried[0]}`);
  assertStringIncludes(error.message, `Build it with: ${buildCommand()}`);
  assertEquals(error.remedy, buildCommand());
  assert(error.tried[0]!.startsWith(`${path}: `), error.tried[0]);
  await assertOpens();
  return error.tried[0]!.slice(path.length + 2);
}

test("targetName() and libraryFileName() name the systems as the build does", () => {
  assertEquals(targetName("linux", "x64"), "linux-x64");
  assertEquals(targetName("darwin", "arm64"), "darwin-arm64");
  assertEquals(targetName(), `${process.platform}-${process.arch}`);
  assertEquals(["linux", "darwin", "win32"].map(libraryFileName), [
    "libllamasaur.so",
    "libllamasaur.dylib",
    "llamasaur.dll",
  ]);
});

test("cacheDirectory() is where each system keeps caches, and undefined without the variables", async () => {
  await withEnv({ XDG_CACHE_HOME: undefined, HOME: "/home/me", LOCALAPPDATA: "/local" }, () => {
    assertEquals(["linux", "darwin", "win32"].map(cacheDirectory), [
      join("/home/me", ".cache", "llamasaur"),
      join("/home/me", "Library/Caches", "llamasaur"),
      join("/local", "llamasaur", "Cache"),
    ]);
  });
  await withEnv({ XDG_CACHE_HOME: "/xdg" }, () => assertEquals(cacheDirectory("linux"), join("/xdg", "llamasaur")));
  await withEnv({ XDG_CACHE_HOME: "", HOME: "", LOCALAPPDATA: undefined }, () => {
    assertEquals(["linux", "darwin", "win32"].map(cacheDirectory), [undefined, undefined, undefined]);
    assertEquals(libraryCachePath(LLAMA_VERSION, abi()), undefined);
  });
});

test("libraryCachePath() has the release, the llama.cpp version and the table's number in it", async () => {
  await withEnv({ XDG_CACHE_HOME: "/xdg" }, () => {
    const parts = [`${VERSION}-${LLAMA_VERSION}-${abi()}`, "lib", targetName(), libraryFileName()];
    assertEquals(libraryCachePath(LLAMA_VERSION, abi()), join("/xdg", "llamasaur", ...parts));
  });
});

test("buildCommand() tells the script from a folder that the checkout is in, and else its whole path", () => {
  const root = fileURLToPath(packageRoot());
  const script = join(root, "build", "mod.ts");
  const shown = (here: string) => buildCommand(here).replace(/^(deno run -A|bun) /, "");
  assertEquals(shown(root), join("build", "mod.ts"));
  assertEquals(shown(root.slice(0, -1)), join("build", "mod.ts"));
  assertEquals(shown(root.slice(0, -3)), script); // the beginning of its name is no folder above it
  assertEquals(shown(join(root, "src")), script);
});

test("candidates() is the option alone, as path or file: URL", () => {
  const url = pathToFileURL(join(process.cwd(), "some where.so"));
  for (const option of [url, url.href]) {
    assertEquals(candidates(option), [{ path: join(process.cwd(), "some where.so") }]);
  }
  assertEquals(candidates("lib.so"), [{ path: "lib.so" }]);
});

test("open() of a place that was named says first to correct or leave out what named it", async () => {
  const named = await assertRejects(() => open("/none/lib.so"), LibraryNotFoundError);
  assertMatch(named.message, /lib\.so: .*\nCorrect the option library, or leave it out: .*\nBuild it with: /);
  await withEnv({ LLAMASAUR_LIBRARY: "/none/lib.so" }, async () => {
    const error = await assertRejects(() => open(), LibraryNotFoundError);
    assertMatch(error.message, /lib\.so: .*\nCorrect LLAMASAUR_LIBRARY, or leave it out: /);
  });
});

test("candidates() are the variable alone, else lib/ and the cache, each skipped with its reason", async () => {
  const beside = join(fileURLToPath(packageRoot()), "lib", targetName(), libraryFileName());
  assert(isCheckout() && packageRoot().pathname.endsWith("/"));
  await withEnv({ LLAMASAUR_LIBRARY: "/mine.so", XDG_CACHE_HOME: "/xdg" }, () => {
    assertEquals(candidates(), [{ path: "/mine.so" }]);
  });
  await withEnv({ LLAMASAUR_LIBRARY: undefined, XDG_CACHE_HOME: "/xdg" }, () => {
    assertEquals(candidates().slice(1), [{ path: beside }, { path: libraryCachePath(LLAMA_VERSION, abi())! }]);
  });
  await withEnv(
    { LLAMASAUR_LIBRARY: undefined, XDG_CACHE_HOME: undefined, HOME: undefined, LOCALAPPDATA: undefined },
    () => {
      const [variable, lib, cache] = candidates();
      assertMatch(`${variable!.path} ${variable!.skipped}`, /LLAMASAUR_LIBRARY unset/);
      assertEquals(lib, { path: beside });
      assertEquals(variable!.skipped, "unset"); // where everything may be read, no permission is named
      assertMatch(`${cache!.path} ${cache!.skipped}`, /cache XDG_CACHE_HOME and (HOME|LOCALAPPDATA) are unset$/);
    },
  );
});

test("open() of a missing path, a directory or a text file says what each is, and then opens the right one", async () => {
  await inDirectory(async (directory) => {
    const text = join(directory, "text.so");
    writeFileSync(text, "This is a text file with enough bytes for the header of a library.\n".repeat(20));
    const wrong = process.platform === "linux"
      ? [/No such file/, /invalid ELF header/, /Is a directory/]
      : [/./, /./, /./];
    const paths = [join(directory, "missing.so"), text, directory];
    for (const [i, path] of paths.entries()) assertMatch(await reason(path), wrong[i]!);
  });
});

test("open() of a library that is not ours says so, and then opens the right one", async () => {
  assertMatch(await reason(FOREIGN!), /^it is not a llamasaur library \(.*saur_/);
});

test("open() of a stale library is a version mismatch with the remedy", { skip: noCompiler }, async () => {
  const [right, v] = [abi(), LLAMA_VERSION];
  const cases: [string, number, string, string, string][] = [
    ["abi.so", right + 1, v, v, "its functions are those of another llamasaur version"],
    ["mixed.so", right, v, "0.4.9", `compiled for llama.cpp ${v}, but it holds 0.4.9`],
    ["old.so", right, "0.4.9", "0.4.9", `it holds llama.cpp 0.4.9, but this version needs ${v}`],
  ];
  await inDirectory(async (directory) => {
    for (const [name, number, built, loaded, words] of cases) {
      const c = `#include <string.h>\nint saur_abi(void) { return ${number}; }\n${versions(built, loaded)}`;
      const path = compile(directory, name, c);
      const error = await assertRejects(() => open(path), LlamaError, `Cannot use the library ${path}: `);
      assertEquals(error.code, "version-mismatch");
      assertStringIncludes(error.message, words);
      assertStringIncludes(error.message, `Build it again: ${buildCommand()}`);
      assertEquals(error.remedy, buildCommand());
      await assertOpens();
    }
  });
});

test("open() of a library for another CPU is a version mismatch that names what is lacking", {
  skip: noCompiler,
}, async () => {
  const c = everyFunction({
    saur_abi: `int saur_abi(void) { return ${abi()}; }`,
    saur_versions: versions(LLAMA_VERSION, LLAMA_VERSION),
    saur_cpu_missing: `int saur_cpu_missing(char * out, int n, int also) { strcpy(out, "AVX9, AMX_2"); return 11; }`,
    saur_init: `int saur_init(const char * dir) { __builtin_trap(); }`,
  });
  await inDirectory(async (directory) => {
    const path = compile(directory, "cpu.so", c);
    const error = await assertRejects(() => open(path), LlamaError, "for a CPU with AVX9, AMX_2, which this one lacks");
    assertEquals(error.code, "version-mismatch");
    // not "or with --portable": such a library needs AVX2, too, and an older CPU would refuse it again
    assertStringIncludes(error.message, `which this one lacks. Build it on this machine: ${buildCommand()}`);
    assertEquals(error.remedy, buildCommand());
    await assertOpens();
  });
});

test("open() of a library that needs one the system lacks names that one", { skip: noCompiler }, async () => {
  await inDirectory(async (directory) => {
    const gone = compile(directory, "libsaur_gone.so", "int saur_gone(void) { return 1; }");
    const path = compile(
      directory,
      "needs.so",
      "int saur_gone(void); int saur_abi(void) { return saur_gone(); }",
      gone,
    );
    rmSync(gone);
    assertMatch(await reason(path), /libsaur_gone\.so/);
  });
});

test("open() lists every place with its reason when the package has no library at all", async () => {
  await inDirectory(async (directory) => {
    cpSync(new URL("../../ffi", import.meta.url), join(directory, "ffi"), { recursive: true });
    const copy: typeof import("../../ffi/mod.ts") = await import(pathToFileURL(join(directory, "ffi", "mod.ts")).href);
    let error: LibraryNotFoundError | undefined; // the copy's own class
    await withEnv({ LLAMASAUR_LIBRARY: undefined, XDG_CACHE_HOME: directory }, async () => {
      error = await copy.open().then(() => undefined, (error) => error);
    });
    assertEquals(error?.name, "LibraryNotFoundError");
    const cached = join(directory, "llamasaur", `${VERSION}-${LLAMA_VERSION}-${abi()}`);
    for (const [i, folder] of [undefined, directory, cached].entries()) {
      const path = folder ? join(folder, "lib", targetName(), libraryFileName()) : "$LLAMASAUR_LIBRARY";
      assert(error!.tried[i]!.startsWith(`${path}: `), error!.message);
    }
    assertMatch(error!.tried[3]!, /^(@llamasaur\/[\w-]+|an npm package): /);
    assertEquals(error!.tried.length, 4);
    for (const line of error!.tried) assertStringIncludes(error!.message, `\n  ${line}`);
    assertMatch(error!.message, /Build it with: (deno run -A|bun) .*build.mod\.ts$/);
  });
});

test("open() gives the same library for the same path", async () => {
  const first = await open();
  assertEquals((await open()) === first && (await open(first.path)) === first, true);
  assertEquals((await open(pathToFileURL(first.path))) === first, true);
});

const CPU_CHECK = readFileSync(new URL("../../ffi/cpp/guard/cpu_check.cpp", import.meta.url), "utf8");
const FEATURES = [.../NAMES\[\] = \{([^}]*)\}/.exec(CPU_CHECK)![1]!.matchAll(/"([^"]+)"/g)].map(([, name]) => name!);

test("saur_cpu_missing() names the bits of cpu_features.h, and cpu_features.c sets them by the compiler's names", () => {
  const read = (name: string) => readFileSync(new URL(`../../ffi/cpp/guard/${name}`, import.meta.url), "utf8");
  const plain = (name: string) => name.replace(/[^A-Z0-9]/g, "");
  const bits = [...read("cpu_features.h").matchAll(/SAUR_CPU_(\w+)\s*= 1 << (\d+)/g)];
  assertEquals(bits.map(([, name, bit]) => [plain(name!), Number(bit)]), FEATURES.map((name, i) => [plain(name), i]));
  const compiled = [...read("cpu_features.c").matchAll(/#if defined\(__(\w+)__\)\s*\| SAUR_CPU_(\w+)/g)];
  assertEquals(compiled.length, FEATURES.length);
  for (const [, macro, name] of compiled) assertEquals(plain(macro!), plain(name!));
});

test("saur_cpu_missing() names exactly the asked features that /proc/cpuinfo lacks", {
  skip: process.platform !== "linux" || process.arch !== "x64",
}, async () => {
  const flags = new Set(/^flags\s*: (.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))![1]!.split(" "));
  const { functions } = await open();
  const missing = (also: number): string => {
    const out = new Uint8Array(512);
    const n = functions.saur_cpu_missing(out, out.length, also);
    const text = new TextDecoder().decode(out.subarray(0, out.indexOf(0)));
    assertEquals(n, text.length);
    return text;
  };
  const lacking = FEATURES.filter((name) => !flags.has(name.toLowerCase().replace(".", "_")));
  assertEquals(missing(0), "");
  assertEquals(missing(2 ** FEATURES.length - 1), lacking.join(", "));
  FEATURES.forEach((name, bit) => assertEquals(missing(1 << bit), lacking.includes(name) ? name : "", name));
});
