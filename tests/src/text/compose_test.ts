import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { compose } from "../../../src/text/compose.ts";
import { orderMarks } from "../../../src/text/marks.ts";
import { fixture } from "../../support/checkpoint.ts";
import { randomIntegers } from "../../support/random.ts";

const BLOCK = 0x400, END = 0x30000;

test("compose() composes, orders and leaves as NFC of Unicode 9", () => {
  for (
    const [text, composed] of [
      ["plain", "plain"],
      ["cafe\u0301 q\u0307\u0323", "café q\u0323\u0307"],
      ["\u1112\u1161\u11ab", "한"],
      ["\u212b\ufa0e\uf900", "Å\ufa0e豈"],
      // Marks, and parts of letters, that came later: they are moved over no other, none is moved over them, nothing composes.
      ["e\u07fd\u0301", "e\u07fd\u0301"],
      ["e\u0301\u07fd", "é\u07fd"],
      ["\u0345\u1acf\u0334e\u0301", "\u0345\u1acf\u0334é"],
      ["e\u0301\u{11935}\u{11930}", "é\u{11935}\u{11930}"],
      ["e\u0301\u{16d67}\u{16d67}", "é\u{16d67}\u{16d67}"],
      ["\u{16d67}\u{16d67}", "\u{16d67}\u{16d67}"],
      ["\u0928\u093c\u09fe\u093c", "\u0929\u09fe\u093c"],
    ] as const
  ) assertEquals(compose(text), composed, JSON.stringify(text));
});

test("compose() of every code point is that of Hugging Face's tokenizers", () => {
  const { composed } = JSON.parse(readFileSync(fixture("code_points.json"), "utf8")) as { composed: string };
  const expected = composed.split(" ");
  const differing: string[] = [];
  for (let first = 0; first < END; first += BLOCK) {
    let text = "";
    for (let code = Math.max(first, 1); code < first + BLOCK; code++) {
      if (code >= 0xd800 && code < 0xe000) continue;
      const character = String.fromCodePoint(code);
      text += `${character} a${character}\u0301 \u0345${character}\u0334 `;
    }
    const found = createHash("sha256").update(compose(text)).digest("hex").slice(0, 8);
    if (found !== expected[first / BLOCK]) differing.push(`U+${first.toString(16)}`);
  }
  assertEquals(differing, []);
});

test("orderMarks() of any run of marks is what the runtime's NFD makes of it", () => {
  const all = Array.from({ length: END }, (_, code) => code).filter((code) => code < 0xd800 || code > 0xdfff)
    .map((code) => String.fromCodePoint(code)).filter((character) => /\p{M}/u.test(character));
  for (const text of [all.join(""), all.toReversed().join("")]) assertEquals(orderMarks(text), text.normalize("NFD"));
  const random = randomIntegers(11);
  for (let i = 0; i < 300; i++) {
    const few = Array.from({ length: random(1, i % 2 ? 6 : 200) }, () => all[random(0, all.length - 1)]!);
    const text = `e${Array.from({ length: random(60, 200) }, () => few[random(0, few.length - 1)]).join("")}`;
    assertEquals(orderMarks(text).normalize("NFC"), text.normalize("NFC"), JSON.stringify(text));
  }
  assertEquals(orderMarks(`a${"\u0301\u0323".repeat(31)}`), `a${"\u0301\u0323".repeat(31)}`); // short ones are left alone
});

// The runtimes' own NFC takes a quarter of an hour.
test("compose() of 400,000 marks in a row comes to an end", { timeout: 60_000 }, () => {
  const marks = 200_000;
  const text = compose(`a${"\u0301\u0323".repeat(marks)}`);
  assertEquals(text === `\u1ea1${"\u0323".repeat(marks - 1)}${"\u0301".repeat(marks)}`, true);
});
