import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { assert, assertEquals } from "@std/assert";
import { nativeSources } from "../../../build/stage.ts";
import { packageRoot } from "../../../ffi/host/paths.ts";

const SYSTEMS =
  /^\s*#\s*(?:if|elif)\b.*\b(?:_WIN32|WIN32|_MSC_VER|__linux__|__APPLE__|__GLIBC__|__unix__|__ANDROID__)\b/m;
const ALLOWED = /^ffi\/cpp\/(?:os|kernels\/arch)\//;

function read(path: string): string {
  return readFileSync(fileURLToPath(new URL(path, packageRoot())), "utf8");
}

test("no C++ file but those of os/ and kernels/arch/ asks which system it is compiled for", () => {
  const paths = nativeSources(read("ffi/cpp/sources.cmake"));
  const asking = paths.filter((path) => SYSTEMS.test(read(path)));
  assertEquals(asking.filter((path) => !ALLOWED.test(path)), []);
  assert(asking.length > 0, "the pattern finds those that may");
});
