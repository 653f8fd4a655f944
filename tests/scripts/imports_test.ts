import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, fromFileUrl, join } from "@std/path";
import { fileViolations, importViolations } from "../../scripts/imports.ts";

/** The violations of one import, planted alone. */
function planted(from: string, specifier: string, target = specifier, typeOnly = false): string[] {
  return importViolations(new Map([[from, [{ specifier, target, typeOnly }]]]));
}

const ALLOWED: [from: string, specifier: string, target?: string, typeOnly?: boolean][] = [
  ["mod.ts", "./src/llama.ts", "src/llama.ts"],
  ["mod.ts", "./ffi/errors.ts", "ffi/errors.ts"],
  ["convert.ts", "./src/convert/bert.ts", "src/convert/bert.ts"],
  ["src/llama.ts", "./pool/plan.ts", "src/pool/plan.ts"],
  ["src/llama.ts", "../ffi/mod.ts", "ffi/mod.ts"],
  ["src/llama.ts", "../ffi/model.ts", "ffi/model.ts", true],
  ["src/check.ts", "../ffi/host/options.ts", "ffi/host/options.ts"],
  ["src/convert/bert.ts", "node:fs"],
  ["ffi/mod.ts", "./host/paths.ts", "ffi/host/paths.ts"],
  ["ffi/runtime/bun.ts", "bun:ffi"],
  ["build/mod.ts", "./flags.ts", "build/flags.ts"],
  ["build/mod.ts", "../ffi/host/paths.ts", "ffi/host/paths.ts"],
  ["build/produce.ts", "../ffi/host/lock.ts", "ffi/host/lock.ts"],
  ["build/mod.ts", "../ffi/errors.ts", "ffi/errors.ts"],
  ["build/mod.ts", "../ffi/symbols.ts", "ffi/symbols.ts"],
  ["build/pin.ts", "../ffi/version.ts", "ffi/version.ts"],
];

const REFUSED: [message: RegExp, from: string, specifier: string, target?: string, typeOnly?: boolean][] = [
  [/imports only src/, "src/llama.ts", "../ffi/model.ts", "ffi/model.ts"],
  [/imports only src/, "src/llama.ts", "../build/mod.ts", "build/mod.ts"],
  [/imports only src/, "src/llama.ts", "../tests/x.ts", "tests/x.ts"],
  [/imports only src/, "src/llama.ts", "../mod.ts", "mod.ts"],
  [/an entry imports only/, "mod.ts", "./build/mod.ts", "build/mod.ts"],
  [/an entry imports only/, "mod.ts", "./ffi/model.ts", "ffi/model.ts"],
  [/ffi imports only ffi/, "ffi/mod.ts", "../src/options.ts", "src/options.ts", true],
  [/build imports only build/, "build/mod.ts", "../ffi/open.ts", "ffi/open.ts"],
  [/build imports only build/, "build/mod.ts", "../src/pool/plan.ts", "src/pool/plan.ts"],
  [/pure/, "src/pool/plan.ts", "../options.ts", "src/options.ts", true],
  [/pure/, "src/vectors.ts", "node:buffer"],
  [/pure/, "build/flags.ts", "node:os"],
  [/only ffi\/runtime\/bun\.ts/, "ffi/runtime/deno.ts", "bun:ffi"],
  [/relative files/, "src/llama.ts", "@std/path", "tests/std/path.ts"],
  [/relative files/, "src/llama.ts", "@llamasaur/llamasaur", "mod.ts"],
  [/relative files/, "build/mod.ts", "npm:zod"],
  [/relative files/, "ffi/mod.ts", "https://example.com/x.ts"],
];

test("importViolations() accepts every edge of the design", () => {
  for (const edge of ALLOWED) assertEquals(planted(...edge), []);
});

test("importViolations() names file, import and reason when an edge is not in the design", () => {
  for (const [message, ...edge] of REFUSED) {
    const [line = "", ...more] = planted(...edge);
    assertMatch(line, message);
    assertMatch(line, new RegExp(`^${edge[0]} imports "${edge[1]}"`));
    assertEquals(more, []);
  }
});

test("importViolations() shows the way when mod.ts reaches a converter or a downloader", () => {
  const edge = (target: string) => ({ specifier: "./x.ts", target, typeOnly: false });
  const graph = new Map([
    ["mod.ts", [edge("src/llama.ts")]],
    ["src/llama.ts", [edge("src/models/catalogue.ts"), edge("src/models/hub/client.ts"), edge("mod.ts")]],
    ["src/models/hub/client.ts", [edge("src/convert/gguf.ts")]],
  ]);
  const reached = importViolations(graph).filter((line) => line.startsWith("mod.ts must not reach"));
  assertEquals(reached.map((line) => line.slice(line.lastIndexOf(": ") + 2)), [
    "mod.ts -> src/llama.ts -> src/models/hub/client.ts",
    "mod.ts -> src/llama.ts -> src/models/hub/client.ts -> src/convert/gguf.ts",
  ]);
});

test("fileViolations() refuses 500 lines and catch-all names", () => {
  assertEquals(fileViolations("src/llama.ts", "\n".repeat(499)), []);
  assertMatch(
    fileViolations("ffi/cpp/shim/library.cpp", "\n".repeat(500))[0] ?? "",
    /ffi\/cpp\/shim\/library\.cpp has 500 lines/,
  );
  for (const path of ["src/utils.ts", "src/helpers/x.ts", "ffi/types.h", "tests/util_test.ts"]) {
    assertMatch(fileViolations(path, "")[0] ?? "", /names no noun or verb/);
  }
});

test("imports.ts fails on a tree with planted violations and passes without them", () => {
  const root = mkdtempSync(join(tmpdir(), "llamasaur imports ")); // a space, as in many home directories
  const script = fromFileUrl(new URL("../../scripts/imports.ts", import.meta.url));
  const run = () => spawnSync("deno", ["run", "-A", script, root], { encoding: "utf8" });
  const write = (path: string, content: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  };
  try {
    write("deno.json", "{}");
    write("mod.ts", `export { x } from "./src/llama.ts";\n// import "npm:zod";\n`);
    write("src/llama.ts", `import type { Y } from "../ffi/model.ts";\nexport const x: Y = 1;\n`);
    write("ffi/model.ts", "export type Y = number;\n");
    const clean = run();
    assertEquals([clean.status, clean.stderr], [0, ""]);
    write("src/llama.ts", `export { y as x } from "../ffi/model.ts";\n`);
    write("ffi/model.ts", `export const y = (): Promise<unknown> => import("../src/orphan.ts");\n`);
    write("src/alone.ts", `import "./missing.ts";\nimport zod from "zod";\n${"\n".repeat(498)}`);
    const dirty = run();
    assertEquals(dirty.status, 1);
    assertEquals(dirty.stderr.trim().split("\n").map((line) => line.split(":")[0]), [
      `ffi/model.ts imports "../src/orphan.ts"`,
      `src/alone.ts imports "zod"`,
      `src/llama.ts imports "../ffi/model.ts"`,
      "src/alone.ts has 500 lines",
    ]);
  } finally {
    rmSync(root, { recursive: true });
  }
});
