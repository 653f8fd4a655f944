import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { count, duration, ProgressLine } from "../../cli/progress.ts";

test("count() and duration() are what a person reads", () => {
  assertEquals([0, 999, 1000, 1234567].map(count), ["0", "999", "1,000", "1,234,567"]);
  assertEquals([0, 59.2, 61, 3661].map(duration), ["0:00", "1:00", "1:01", "1:01:01"]);
});

test("ProgressLine draws at most ten times a second, in the terminal's width, and takes its line away", () => {
  let now = 0;
  let written = "";
  const line = new ProgressLine("texts", { columns: 100, write: (text) => written += text }, () => now);
  now = 2000;
  line.show({ done: 500, total: 2000, tokens: 4000, before: 100 });
  assertEquals(written, "\r[######..................] 500 of 2,000 texts  25 %  2,000 tokens/s  0:08 left");
  now = 2050;
  line.show({ done: 600, total: 2000 });
  assertEquals(written.split("\r").length, 2);
  now = 2200;
  line.show({ done: 600, total: undefined });
  assertEquals(written.split("\r")[2]!.trimEnd(), "600 texts  273 texts/s");
  line.clear();
  assertEquals(written.split("\r").at(-1), "");
});
