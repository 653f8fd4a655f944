import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { junitCounts, sum, summary, summaryCounts } from "../../scripts/junit.ts";

test("junitCounts() reads Deno's report, where skipped tests are the suites' disabled ones", () => {
  const report = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="9" failures="2" errors="1" time="0.020">
    <testsuite name="./tests/a_test.ts" tests="7" disabled="2" errors="1" failures="2"></testsuite>
    <testsuite name="./tests/b_test.ts" tests="2" disabled="1" errors="0" failures="0"></testsuite>
</testsuites>`;
  assertEquals(junitCounts(report), { passed: 3, failed: 3, skipped: 3 });
});

test("junitCounts() reads Bun's report, where the total counts nested suites", () => {
  const report = `<testsuites name="bun test" tests="10" assertions="0" failures="3" skipped="2" time="0.08">
  <testsuite name="tests/a_test.ts" file="tests/a_test.ts" tests="7" failures="2" skipped="2">
    <testsuite name="d" tests="2" failures="1" skipped="0"></testsuite>
  </testsuite>
</testsuites>`;
  assertEquals(junitCounts(report), { passed: 5, failed: 3, skipped: 2 });
});

test("junitCounts() throws when the file is no report", () => {
  assertThrows(() => junitCounts("Killed"), SyntaxError, "<testsuites>");
});

test("summary() is one line, with the skipped tests if there are any", () => {
  const total = sum([{ passed: 1, failed: 0, skipped: 0 }, { passed: 2, failed: 1, skipped: 0 }]);
  assertEquals(summary(total), "3 passed, 1 failed");
  assertEquals(summary({ ...total, skipped: 4 }), "3 passed, 1 failed, 4 skipped");
});

test("summaryCounts() reads the last line that summary() wrote, and no other", () => {
  for (const counts of [{ passed: 3, failed: 0, skipped: 0 }, { passed: 0, failed: 1, skipped: 12 }]) {
    assertEquals(summaryCounts(`1 passed, 1 failed\nwords\n${summary(counts)}\n`), counts);
  }
  for (const output of ["", "3 passed, 0 failed\nKilled", "3 passed, 0 failed, at last"]) {
    assertEquals(summaryCounts(output), undefined);
  }
});
