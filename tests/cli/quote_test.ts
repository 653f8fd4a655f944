import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { quoted, shellWord, shown } from "../../cli/quote.ts";

test("shellWord() is one word of a POSIX shell, and on Windows of PowerShell", () => {
  const of = (platform: string, ...words: string[]) => words.map((word) => shellWord(word, platform));
  assertEquals(of("linux", "a/b.txt", "--x=1", "a b", "it's", "$a", ""), [
    ...["a/b.txt", "--x=1", "'a b'", "'it'\\''s'", "'$a'", "''"],
  ]);
  assertEquals(of("win32", "C:\\texts\\a.txt", "C:\\my texts\\a.txt", "it's", "$a it's", "*.txt"), [
    ...["C:\\texts\\a.txt", '"C:\\my texts\\a.txt"', '"it\'s"', "'$a it''s'", '"*.txt"'],
  ]);
});

test("quoted() and shown() have no character that moves a cursor, and an end", () => {
  assertEquals([quoted("a\x1b[2J\x9b\u2028"), shown("a b"), shown("a/b.txt")], [
    '"a\\u001b[2J\\u009b\\u2028"',
    '"a b"',
    "a/b.txt",
  ]);
  assertEquals(quoted("x".repeat(300)).length, 203);
});
