import { existsSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { sourcePath } from "../../build/source.ts";
import { cacheDirectory } from "../../ffi/host/paths.ts";
import { apply, patches } from "../../scripts/upstream/mod.ts";

const cache = cacheDirectory();
const tree = cache === undefined ? "" : sourcePath(cache);

test("apply() finds that every patch for upstream fits the pinned llama.cpp", {
  skip: !existsSync(tree) && "llama.cpp is not in the cache yet",
}, () => {
  assert(patches().length >= 3);
  for (const patch of patches()) assertEquals(apply(patch, tree, { check: true }), undefined, patch);
  assert(apply("../../README.md", tree, { check: true }) !== undefined, "what is no patch does not apply");
});
