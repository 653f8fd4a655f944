// Tests of what the gate shows again of a run that failed.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { failures } from "../../scripts/failures.ts";
import { findProgram } from "../support/child.ts";

const TESTS = `
import { test } from "node:test";
test("the good one", () => console.log("noi" + "se"));
test("the bad one", () => { throw new TypeError("because of" + " this"); });
test("the last one", () => console.log("noi" + "se"));
`;

for (const runtime of ["deno", "bun"]) {
  const program = findProgram(runtime);
  test(`failures() gives what failed in a run of ${runtime} test, and not what passed`, { skip: !program }, () => {
    const folder = mkdtempSync(join(tmpdir(), "llamasaur-failures-"));
    try {
      const file = join(folder, "some_test.ts");
      writeFileSync(file, TESTS);
      const options = { env: { ...process.env, FORCE_COLOR: "1" }, encoding: "utf8" } as const;
      const { stdout, stderr } = spawnSync(program!, ["test", ...runtime === "deno" ? ["-A"] : [], file], options);
      const shown = failures(stdout + stderr);
      assertMatch(shown, /TypeError: because of this/);
      assertMatch(shown, /the bad one/);
      assertEquals(/[✓)] the (good|last) one|noise|\p{Cc}\[/u.exec(shown), null);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}

test("failures() gives the end of any other program's output, and never more than 121 lines", () => {
  const output = Array.from({ length: 1000 }, (_, i) => `line ${i}`);
  assertEquals(failures(output.join("\n") + "\n").split("\n").at(-1), "line 999");
  const long = failures(["ERRORS", ...output].join("\n")).split("\n");
  assertEquals([long.length, long.at(-1)], [121, "… 881 lines more"]);
});
