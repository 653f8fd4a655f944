import { test } from "node:test";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { join } from "@std/path";
import { ROOT } from "../support/child.ts";
import { has, noServerIn } from "../support/postgres.ts";

test("postgres.sh get that gets nothing says so, ends well, and its tests are skipped", {
  skip: !has("bash") && "no bash",
}, () => {
  const cache = mkdtempSync(join(tmpdir(), "llamasaur-cache-"));
  try {
    writeFileSync(join(cache, "python3"), "#!/bin/sh\nexit 1\n", { mode: 0o755 }); // no PyPI
    const { status, stderr } = spawnSync("bash", [join(ROOT, "scripts", "postgres.sh"), "get"], {
      env: { ...process.env, XDG_CACHE_HOME: cache, PATH: `${cache}:${process.env["PATH"]}` },
      encoding: "utf8",
    });
    assertEquals(status, 0, stderr);
    assertStringIncludes(stderr, "tests");
    assert(noServerIn(cache), "a folder without a server passes for one");
  } finally {
    rmSync(cache, { recursive: true });
  }
});
