import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, fromFileUrl, join } from "@std/path";
import { fileViolations, fileWarnings, type Import, importViolations } from "../../scripts/imports.ts";

/** An import as Deno sees it. */
function edge(target: string, more: Partial<Import> = {}): Import {
  return { specifier: `./${target}`, target, typeOnly: false, dynamic: false, ...more };
}

/** The violations of one import, planted alone. */
function planted(from: string, one: Import): string[] {
  return importViolations(new Map([[from, [one]]]));
}

// One file of each room; of the files that are a room each, all.
const FILES: Readonly<Record<string, string>> = {
  "entries": "models.ts",
  "calls": "src/embed.ts",
  "tools": "src/check.ts",
  "src/engine": "src/engine/load.ts",
  "src/pool": "src/pool/pool.ts",
  "src/text": "src/text/tokens.ts",
  "src/models": "src/models/find.ts",
  "src/models/hub": "src/models/hub/client.ts",
  "src/convert": "src/convert/bert.ts",
  "src/adapters": "src/adapters/ai_sdk.ts",
  "ffi/mod": "ffi/mod.ts",
  "ffi": "ffi/open.ts",
  "ffi/errors": "ffi/errors.ts",
  "ffi/symbols": "ffi/symbols.ts",
  "ffi/version": "ffi/version.ts",
  "ffi/runtime": "ffi/runtime/deno.ts",
  "ffi/host": "ffi/host/paths.ts",
  "build": "build/mod.ts",
  "cli": "cli/session.ts",
  "cli/verbs": "cli/verbs/embed.ts",
  "cli/jobs": "cli/jobs/job.ts",
  "cli/data": "cli/data/lines.ts",
  "cli/serve": "cli/serve/handler.ts",
  "tests": "tests/support/child.ts",
  "scripts": "scripts/gate.ts",
  "bench": "bench/mod.ts",
};

// The arrows of the house, said again: what is not here must be refused.
const ARROWS: Readonly<Record<string, string>> = {
  "entries": "calls tools src/engine src/pool src/text src/models src/models/hub src/convert ffi/errors",
  "calls": "calls tools src/engine src/pool src/text src/models ffi/mod ffi/errors ffi/host",
  "tools": "tools ffi/errors ffi/host",
  "src/engine": "src/engine src/pool src/text src/models tools ffi/mod ffi/errors",
  "src/pool": "src/pool src/text tools ffi/mod ffi/errors",
  "src/text": "src/text tools ffi/errors",
  "src/models": "src/models tools ffi/host ffi/errors",
  "src/models/hub": "src/models/hub src/models tools ffi/host ffi/errors",
  "src/convert": "src/convert tools ffi/mod ffi/errors",
  "src/adapters": "src/adapters",
  "ffi/mod": "ffi/mod ffi ffi/host ffi/symbols ffi/version",
  "ffi": "ffi ffi/runtime ffi/host ffi/symbols ffi/version ffi/errors",
  "ffi/errors": "ffi/errors ffi/host ffi/symbols",
  "ffi/symbols": "ffi/symbols",
  "ffi/version": "ffi/version",
  "ffi/runtime": "ffi/runtime ffi/symbols",
  "ffi/host": "ffi/host ffi/version",
  "build": "build ffi/host ffi/symbols ffi/version ffi/errors",
  "cli": "cli",
  "cli/verbs": "cli cli/verbs",
  "cli/jobs": "cli cli/jobs cli/data",
  "cli/data": "cli cli/data",
  "cli/serve": "cli cli/data cli/serve",
};
const TYPES: Readonly<Record<string, string>> = {
  "src/text": "ffi/mod",
  "src/adapters": "entries",
  "cli/verbs": "cli/jobs cli/data cli/serve",
};

/** That each room may import what its arrows name, and that anything else is refused with its reason. */
function assertArrows(typeOnly: boolean): void {
  for (const [from, arrows] of Object.entries(ARROWS)) {
    for (const [to, target] of Object.entries(FILES)) {
      if (target === FILES[from]) continue; // would be a circle
      const found = planted(FILES[from]!, edge(target, { typeOnly }));
      const allowed = arrows.split(" ").includes(to) || (typeOnly && TYPES[from]?.split(" ").includes(to));
      assertEquals(found.length, allowed ? 0 : 1, `${from} -> ${to}: ${found}`);
      if (!allowed) assertMatch(found[0]!, new RegExp(`^${FILES[from]} imports "./${target}": .* may import `));
    }
  }
}

test("importViolations() accepts every arrow of the house and refuses every other", () => assertArrows(false));

test("importViolations() gives cli/ the public entries of the root and its own packages, and --help commander alone", () => {
  const named = (specifier: string, more: Partial<Import> = {}) => edge("", { specifier, target: specifier, ...more });
  for (const specifier of ["@llamasaur/llamasaur", "@llamasaur/llamasaur/models", "hyparquet", "csv-parse/sync"]) {
    assertEquals(planted("cli/jobs/job.ts", named(specifier)), []);
    assertEquals(planted("cli/verbs/embed.ts", named(specifier, { dynamic: true })), []);
    assertMatch(planted("cli/verbs/embed.ts", named(specifier))[0]!, /--help would load it/);
    assertMatch(planted("cli/run.ts", named(specifier))[0]!, /--help would load it/);
  }
  assertEquals(planted("cli/run.ts", named("commander")), []);
  for (const specifier of ["@llamasaur/llamasaur/src/llama.ts", "left-pad", "npm:hyparquet", "bun:ffi"]) {
    assertMatch(planted("cli/jobs/job.ts", named(specifier, { dynamic: true }))[0]!, /cli\/ imports .* nothing else/);
  }
  assertMatch(planted("cli/jobs/job.ts", edge("mod.ts"))[0]!, / may import /);
  assertMatch(planted("mod.ts", named("commander"))[0]!, /relative files and node: built-ins only/);
});

test("importViolations() accepts types where an arrow is for types, and nowhere else", () => assertArrows(true));

test("importViolations() lets calls reach the network code by import(), and by nothing else", () => {
  const hub = "src/models/hub/download.ts";
  assertEquals(planted("src/llama.ts", edge(hub, { dynamic: true })), []);
  assertMatch(planted("src/llama.ts", edge(hub))[0]!, /calls may import .*, and this is in src\/models\/hub/);
  for (const from of ["src/engine/load.ts", "src/check.ts", "ffi/open.ts"]) {
    assertEquals(planted(from, edge(hub, { dynamic: true })).length, 1);
  }
});

test("importViolations() lets a room import itself, but not an entry another", () => {
  for (
    const [from, to] of [
      ["src/llama.ts", "src/embed.ts"],
      ["src/options.ts", "src/check.ts"],
      ["src/pool/pool.ts", "src/pool/plan.ts"],
      ["src/models/hub/download.ts", "src/models/hub/client.ts"],
      ["ffi/open.ts", "ffi/jobs.ts"],
      ["ffi/runtime/deno.ts", "ffi/runtime/adapter.ts"],
      ["ffi/host/paths.ts", "ffi/host/permission.ts"],
      ["build/mod.ts", "build/plan.ts"],
    ] as const
  ) assertEquals(planted(from, edge(to)), []);
  assertMatch(planted("mod.ts", edge("models.ts"))[0]!, /^mod\.ts imports ".\/models\.ts": entries may import /);
  assertMatch(planted("src/new/x.ts", edge("src/check.ts"))[0]!, /src\/new is no room in the table/);
});

const OTHERS: [message: RegExp | undefined, from: string, specifier: string, target?: string, typeOnly?: boolean][] = [
  [undefined, "src/convert/bert.ts", "node:fs"],
  [/starts on Bun alone/, "ffi/runtime/bun.ts", "bun:ffi"],
  [/pure/, "src/pool/plan.ts", "../options.ts", "src/options.ts", true],
  [/pure/, "src/vectors.ts", "node:buffer"],
  [/pure/, "build/flags.ts", "node:os"],
  [/relative files/, "src/llama.ts", "@std/path", "tests/std/path.ts"],
  [/relative files/, "src/llama.ts", "@llamasaur/llamasaur", "mod.ts"],
  [/relative files/, "build/mod.ts", "npm:zod"],
  [/relative files/, "ffi/mod.ts", "https://example.com/x.ts"],
];

test("importViolations() names file, import and reason of what is neither relative nor of node:, and of pure files", () => {
  for (const [message, from, specifier, target = specifier, typeOnly = false] of OTHERS) {
    const found = planted(from, { specifier, target, typeOnly, dynamic: false });
    assertEquals(found.length, message === undefined ? 0 : 1);
    if (message === undefined) continue;
    assertMatch(found[0]!, message);
    assertEquals(found[0]!.startsWith(`${from} imports "${specifier}": `), true);
  }
});

test("importViolations() shows the way when mod.ts reaches a converter or a downloader, but for import()", () => {
  const reached = (dynamic: boolean) =>
    importViolations(
      new Map([
        ["mod.ts", [edge("src/llama.ts")]],
        ["src/llama.ts", [edge("src/models/catalogue.ts"), edge("src/models/hub/client.ts", { dynamic })]],
        ["src/models/hub/client.ts", [edge("src/convert/gguf.ts")]],
      ]),
    ).filter((line) => line.startsWith("mod.ts must not reach")).map((line) => line.slice(line.lastIndexOf(": ") + 2));
  assertEquals(reached(false), [
    "mod.ts -> src/llama.ts -> src/models/hub/client.ts",
    "mod.ts -> src/llama.ts -> src/models/hub/client.ts -> src/convert/gguf.ts",
  ]);
  assertEquals(reached(true), []);
});

test("importViolations() tells each circle once, also one of types and one of import()", () => {
  const graph = new Map([
    ["src/pool/pool.ts", [edge("src/pool/call.ts"), edge("src/text/tokens.ts")]],
    ["src/pool/call.ts", [edge("src/pool/budget.ts", { typeOnly: true })]],
    ["src/pool/budget.ts", [edge("src/pool/call.ts", { dynamic: true }), edge("src/pool/pool.ts")]],
    ["src/text/tokens.ts", [edge("src/check.ts")]],
    ["build/plan.ts", [edge("build/plan.ts")]],
  ]);
  assertEquals(importViolations(graph), [
    "a circle of imports: src/pool/pool.ts -> src/pool/call.ts -> src/pool/budget.ts -> src/pool/pool.ts",
    "a circle of imports: build/plan.ts -> build/plan.ts",
  ]);
});

test("fileViolations() refuses functions of more than 70 lines and catch-all names", () => {
  const lines = (count: number) => `void f() {${"\n".repeat(count - 1)}}\n`;
  assertEquals(fileViolations("ffi/cpp/shim/library.cpp", lines(70)), []);
  assertEquals(fileViolations("ffi/cpp/shim/library.cpp", `\n${lines(71)}`), [
    "ffi/cpp/shim/library.cpp:2 has 71 lines, split it at 70: void f() {",
  ]);
  assertEquals(fileViolations("scripts/long.py", lines(100)), []);
  for (const path of ["src/utils.ts", "src/helpers/x.ts", "ffi/types.h", "tests/util_test.ts"]) {
    assertMatch(fileViolations(path, "")[0] ?? "", /names no noun or verb/);
  }
});

test("fileWarnings() tells of 500 lines", () => {
  assertEquals(fileWarnings("src/llama.ts", "\n".repeat(499)), []);
  assertMatch(fileWarnings("src/llama.ts", "\n".repeat(500))[0]!, /^warning: src\/llama\.ts has 500 lines/);
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
    write("src/llama.ts", `import type { Y } from "../ffi/mod.ts";\nexport const x: Y = 1;\n`);
    write("ffi/mod.ts", `export type { Y } from "./model.ts";\n`);
    write("ffi/model.ts", "export type Y = number;\n");
    write("models/places.ts", `import "../src/no_room.ts";\n`); // no folder of ours
    const clean = run();
    assertEquals([clean.status, clean.stderr], [0, ""]);
    write("src/llama.ts", `export { y as x } from "../ffi/model.ts";\n`);
    write("ffi/model.ts", `export const y = (): Promise<unknown> => import("../src/orphan.ts");\n`);
    write("src/alone.ts", `import "./missing.ts";\nimport zod from "zod";\n${"\n".repeat(498)}`);
    write("src/models/place.ts", `import type { P } from "./other.ts";\nexport type Q = P;\n`);
    write("src/models/other.ts", `import type { Q } from "./place.ts";\nexport type P = Q;\n`);
    write("tests/long_test.ts", `test("a long one", () => {${"\n".repeat(70)}});\n`);
    const dirty = run();
    assertEquals(dirty.status, 1);
    assertEquals(dirty.stderr.trim().split("\n").map((line) => line.split(": ")[0]), [
      "a circle of imports",
      `ffi/model.ts imports "../src/orphan.ts"`,
      `src/alone.ts imports "zod"`,
      `src/llama.ts imports "../ffi/model.ts"`,
      "tests/long_test.ts:1 has 71 lines, split it at 70",
    ]);
    assertMatch(dirty.stdout, /^warning: src\/alone\.ts has 500 lines/);
  } finally {
    rmSync(root, { recursive: true });
  }
});
