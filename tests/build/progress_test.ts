import { test } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { failureWords } from "../../build/compile.ts";
import { elapsed, Progress, step } from "../../build/progress.ts";
import { shown } from "../../build/run.ts";

test("step() understands ninja and make", () => {
  assertEquals(step("[3/75] Building CXX object llama/src/CMakeFiles/llama.dir/llama.cpp.o"), {
    count: "3/75",
    what: "llama.cpp",
  });
  assertEquals(step("[ 12%] Building C object ggml/src/ggml.c.o"), { count: "12%", what: "ggml.c" });
  assertEquals(step("In file included from a.cpp:1:"), undefined);
  assertEquals(elapsed(125.9), "2:05");
});

test("Progress rewrites a line on a terminal and writes few lines elsewhere", () => {
  for (const isTTY of [true, false]) {
    let text = "";
    const progress = new Progress({ isTTY, columns: 20, write: (part) => text += part });
    for (let i = 1; i <= 75; i++) progress.line(`[${i}/75] Building C object some/very/long/name_of_a_file.c.o`);
    progress.line("a warning");
    progress.end();
    const lines = text.split(isTTY ? "\r\x1b[K" : "\n").filter(Boolean);
    assertEquals(lines.length, isTTY ? 75 : 1);
    assertMatch(lines[0]!, /^ {2}\[1\/75\] 0:00 na/);
    if (isTTY) { for (const line of lines) assert(line.length < 20, line); }
  }
});

test("failureWords() shows ninja's failed step and nothing of the others", () => {
  const output =
    "[1/3] Building a.o\na.c:1: warning: w\nFAILED: b.o\ncc b.c\nb.c:2: error: e\n[2/3] Building c.o\nninja: build stopped";
  assertEquals(failureWords(output), "FAILED: b.o\ncc b.c\nb.c:2: error: e");
  assertEquals(
    failureWords("[ 50%] Building a.o\na.c:1: error: e\nmake: *** [a.o] Error 1"),
    "a.c:1: error: e\nmake: *** [a.o] Error 1",
  );
});

test("shown() quotes what a shell would split", () => {
  assertEquals(shown(["cmake", "-DA=b", "a b", "it's", "x;y", ""]), "cmake -DA=b 'a b' 'it'\\''s' 'x;y' ''");
});
