import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { countsOf, outcomeOf, summaryOf } from "../../packages/counts.ts";

test("countsOf() reads the summaries of both runtimes, and nothing where there is none", () => {
  assertEquals(countsOf("a ... ok (2ms)\n\nok | 1190 passed | 0 failed | 32 ignored (2m4s)\n"), {
    passed: 1190,
    skipped: 32,
  });
  assertEquals(countsOf("ok | 4 passed | 0 failed (1s)"), { passed: 4, skipped: 0 });
  assertEquals(countsOf(" 42 pass\n 3 skip\n 0 fail\nRan 45 tests across 5 files. [2s]"), { passed: 42, skipped: 3 });
  assertEquals(countsOf("\x1b[0m\x1b[32mok\x1b[0m | 10 passed | 0 failed \x1b[0m\x1b[38;5;245m(1s)\x1b[0m\n"), {
    passed: 10,
    skipped: 0,
  });
  assertEquals(countsOf("query: safe systems"), { passed: 0, skipped: 0 });
});

test("outcomeOf() adds up the tests of a runtime, names the other steps, and tells how many have not passed", () => {
  const none = { passed: 0, skipped: 0 };
  const steps = {
    "what a loader and npm see": { passed: 2, skipped: 0 },
    "the reranker on Bun": none,
    "tests/src on Deno": { passed: 1000, skipped: 30 },
    "tests/ffi on Deno": { passed: 190, skipped: 2 },
    "tests/ffi on Bun": { passed: 4, skipped: 0 },
    "tests/cli/a_test.ts on Deno": { passed: 0, skipped: 3 },
  };
  const words = "what a loader and npm see, the reranker on Bun, 1,190 tests on Deno (35 skipped), 4 tests on Bun";
  const tried = { date: "2026-01-01", version: "0.1.0", how: "natively", steps, lacking: [], failed: [] };
  assertEquals(outcomeOf(tried), `natively: ${words}; 6 of 6 steps`);
  const lacking = ["parity", "tests/src on Bun"];
  assertEquals(outcomeOf({ ...tried, lacking }), `natively: ${words}; 6 of 8 steps`);
  assertEquals(
    outcomeOf({ ...tried, lacking, failed: ["parity"] }),
    `natively: ${words}; FAILED: parity; 6 of 8 steps`,
  );
  assertEquals(outcomeOf({ ...tried, steps: {}, lacking }), "natively: 0 of 2 steps");
});

test("summaryOf() counts no step that is no more, and names those that have not passed", () => {
  const counts = { passed: 1, skipped: 0 };
  const passed = { "of before": counts, "tests/src on Deno": counts };
  const names = ["tests/src on Deno", "tests/new on Deno", "parity"];
  assertEquals(summaryOf(names, passed, new Set(["parity", "of before"])), {
    steps: { "tests/src on Deno": counts },
    lacking: ["tests/new on Deno", "parity"],
    failed: ["parity"],
  });
});

test("outcomeOf() says that a library was looked at only where it was, and never that it was run", () => {
  const how = { date: "2026-01-01", version: "0.1.0", how: "never run" };
  const looked = { ...how, steps: { "what a loader and npm see": { passed: 2, skipped: 0 } }, lacking: [], failed: [] };
  const failed = { ...how, steps: {}, lacking: ["what a loader and npm see"], failed: ["what a loader and npm see"] };
  assertEquals(outcomeOf(looked), "compiled and looked at, never run");
  assertEquals(outcomeOf(failed), "never run: FAILED: what a loader and npm see; 0 of 1 steps");
  assertEquals(outcomeOf(undefined), "compiled, not looked at");
});
