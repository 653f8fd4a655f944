import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { countsOf, inWords } from "../../packages/counts.ts";

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

test("inWords() adds up the tests of a runtime, and names the other steps", () => {
  const none = { passed: 0, skipped: 0 };
  const steps = {
    "what a loader sees": { passed: 2, skipped: 0 },
    "the reranker on Bun": none,
    "tests/src on Deno": { passed: 1000, skipped: 30 },
    "tests/ffi on Deno": { passed: 190, skipped: 2 },
    "tests/ffi on Bun": { passed: 4, skipped: 0 },
    "tests/cli/a_test.ts on Deno": { passed: 0, skipped: 3 },
  };
  assertEquals(
    inWords({ date: "2026-01-01", version: "0.1.0", how: "natively", steps }),
    "what a loader sees, the reranker on Bun, 1,190 tests on Deno (35 skipped), 4 tests on Bun",
  );
});
