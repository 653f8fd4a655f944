import { test } from "node:test";
import { performance } from "node:perf_hooks";
import { assert, assertEquals } from "@std/assert";
import { BertNormalizer, MARK } from "../../../src/text/bert_normalizer.ts";
import { compose } from "../../../src/text/compose.ts";
import { inPieces as inPiecesAt, LETTERS, WORDS } from "../../../src/text/normalizer.ts";
import { randomIntegers } from "../../support/random.ts";
import { RARE } from "../../support/word_piece.ts";

// One [UNK]: a word of too many characters.
const UNKNOWN = MARK + MARK;

const uncased = new BertNormalizer({ stripAccents: true, lowercase: true });
const cased = new BertNormalizer({ stripAccents: false, lowercase: false });

function normalizeBert(text: string, stripAccents: boolean): string {
  return (stripAccents ? uncased : cased).normalize(text);
}

test("normalize() takes Hangul apart into its letters", () => {
  assertEquals(normalizeBert("한국", true), "\u1112\u1161\u11ab\u1100\u116e\u11a8");
});

test("normalize() drops nonspacing marks (Mn) of Indic scripts and keeps spacing ones (Mc)", () => {
  // नि is U+0928 and the spacing vowel sign U+093F; स् ends in the virama U+094D, a nonspacing mark.
  assertEquals(normalizeBert("नि", true), "\u0928\u093f");
  assertEquals(normalizeBert("नमस्ते", true), "\u0928\u092e\u0938\u0924");
  assertEquals(normalizeBert("தமிழ்", true), "\u0ba4\u0bae\u0bbf\u0bb4");
});

test("normalize() drops accents, composed and decomposed, also several on one letter", () => {
  for (const text of ["Café crème brûlée", "Cafe\u0301 cre\u0300me bru\u0302le\u0301e"]) {
    assertEquals(normalizeBert(text, true), "Cafe creme brulee");
  }
  assertEquals(normalizeBert("ệ Ǻ", true), "e A");
  // Not accents: they have no decomposition.
  assertEquals(normalizeBert("Straße øl łódź", true), "Straße øl łodz");
});

test("normalize() leaves accents alone when the model is cased", () => {
  for (const text of ["Café", "한국", "नमस्ते"]) assertEquals(normalizeBert(text, false), text);
});

test("normalize() keeps a word of 100 characters and makes one of 101 unknown", () => {
  for (const strip of [true, false]) {
    assertEquals(normalizeBert("x".repeat(100), strip), "x".repeat(100));
    assertEquals(normalizeBert("x".repeat(101), strip), UNKNOWN);
    assertEquals(normalizeBert(`a ${"x".repeat(5000)} b`, strip), `a ${UNKNOWN} b`);
  }
});

test("normalize() counts characters, not UTF-16 units, and counts after the accents are gone", () => {
  const letter = "\u{10280}"; // Lycian, two units
  assertEquals(normalizeBert(letter.repeat(100), true), letter.repeat(100));
  assertEquals(normalizeBert(letter.repeat(101), true), UNKNOWN);
  assertEquals(normalizeBert("e\u0301".repeat(100), true), "e".repeat(100));
  assertEquals(normalizeBert("e\u0301".repeat(100), false), UNKNOWN);
});

test("normalize() ends a word at punctuation, ASCII symbols and ideographs, as BERT does", () => {
  const half = "x".repeat(60);
  for (const between of [".", "-", "_", "$", "`", "~", "|", "。", "—", "龍", "\u{20000}", "\u00a0", "\n"]) {
    const text = half + between + half;
    assertEquals(normalizeBert(text, true), text, `U+${between.codePointAt(0)!.toString(16)}`);
  }
  assertEquals(normalizeBert("龍".repeat(300), true), "龍".repeat(300));
  assertEquals(normalizeBert(".".repeat(300), true), ".".repeat(300));
});

test("normalize() leaves emoji as they are, but for what joins and colours them", () => {
  // U+FE0F, which asks for the coloured form, is a nonspacing mark, and the joiner a format character: both go in
  // Hugging Face's, too.
  assertEquals(normalizeBert("❤️ 😀", true), "❤ 😀");
  assertEquals(normalizeBert("👩\u200d👧", true), "👩👧");
  for (const text of ["😀🚀", "🇩🇪", "👍🏽"]) assertEquals(normalizeBert(text, true), text);
});

test("normalize() drops control and format characters before it counts a word's", () => {
  for (const strip of [true, false]) {
    assertEquals(
      normalizeBert("one\ftwo\vthree\x85four\u00adfive\ufefffive\0six\ufffd", strip),
      "onetwothreefourfivefivesix",
    );
    assertEquals(normalizeBert("x".repeat(50) + "\u00ad" + "x".repeat(50), strip), "x".repeat(100));
    assertEquals(normalizeBert("x".repeat(50) + "\f" + "x".repeat(51), strip), UNKNOWN);
  }
});

test("normalize() drops characters of private use before it counts a word's", () => {
  for (const strip of [true, false]) {
    assertEquals(normalizeBert("\ue000\uf8ff".repeat(80) + "\u{f0000}\u{10fffd}".repeat(30), strip), "");
    for (const icon of ["\uf0b7", "\u{f1234}"]) {
      assertEquals(normalizeBert(`${icon}${"y".repeat(99)}${icon}z`, strip), `${"y".repeat(99)}z`);
      assertEquals(normalizeBert(`${icon}${"y".repeat(101)}`, strip), UNKNOWN);
    }
  }
});

test("normalize() marks words with characters that llama.cpp takes apart or drops, as Unicode 8 does not", () => {
  for (const strip of [true, false]) {
    // Punctuation of later versions, a format character, and llama.cpp's own marker of a word.
    for (const letter of ["\u061d", "\u2e43", "\u0c77", "\u{1343f}", "\u08e2", "\u2581"]) {
      assertEquals(
        normalizeBert(`a${letter}b, c ${letter}`, strip),
        `${MARK}a${letter}b${MARK}, c ${MARK}${letter}${MARK}`,
      );
      assertEquals(normalizeBert(`漢${letter}漢`, strip), `漢${MARK}${letter}${MARK}漢`);
      assertEquals(normalizeBert(letter.repeat(101), strip), UNKNOWN);
    }
    // Punctuation that is none to llama.cpp.
    assertEquals(normalizeBert("a\u166db", strip), "a \u166d b");
    assertEquals(normalizeBert(`${"x".repeat(60)}\u{111c9}${"x".repeat(60)}`, strip).includes(MARK), false);
  }
});

test("normalize() lowers a marked word, which llama.cpp does not see", () => {
  assertEquals(uncased.normalize("ÀB\u2581Ç Ab"), `${MARK}ab\u2581c${MARK} Ab`);
  assertEquals(cased.normalize("ÀB\u2581Ç"), `${MARK}ÀB\u2581Ç${MARK}`);
  const accented = new BertNormalizer({ stripAccents: false, lowercase: true });
  assertEquals(accented.normalize("ÀИΣİ\u2581ΑΣ"), `${MARK}àиσi\u0307\u2581ασ${MARK}`);
});

test("normalize() knows marks of Unicode 8 only, and orders those that stay as Unicode 9", () => {
  for (const later of ["\u1acf", "\u{1e4ec}", "\u07fd", "\u08d4"]) {
    assertEquals(normalizeBert(`a${later}b`, true), `a${later}b`);
  }
  // Tone marks of Hangul (class 224) go behind a killer (9), but never over another letter or a vowel sign (0).
  assertEquals(normalizeBert("\u302e\u1b44\u1baa", true), "\u1b44\u1baa\u302e");
  assertEquals(normalizeBert("\u{1d165}\u0301\u1b44", true), "\u1b44\u{1d165}");
  assertEquals(normalizeBert("\u{1d165}\u0941\u1b44", true), "\u{1d165}\u1b44");
  assertEquals(normalizeBert("\u{1d15f}\u1bf2a", true), "\u{1d158}\u1bf2\u{1d165}a");
});

test("normalize() lowers what llama.cpp's older tables do not, when it lowers at all", () => {
  assertEquals(uncased.normalize("\u1c89\ua7cb\u{16ea0}İ"), "\u1c8a\u0264\u{16ebb}I");
  for (const text of ["\u1c89", "\ua7cb", "\u{16ea0}", "İ"]) assertEquals(cased.normalize(text), text);
});

test("normalize() marks every word where llama.cpp must have none", () => {
  const all = new BertNormalizer({ stripAccents: true, lowercase: true, allMarked: true });
  const marked = (...words: string[]): string => words.map((word) => MARK + word + MARK).join("");
  assertEquals(all.normalize(""), "");
  assertEquals(all.normalize(" Hello, wörld\n"), ` ${marked("hello", ",")} ${marked("world")}\n`);
  assertEquals(all.normalize(`漢字\u166d ${"x".repeat(101)}`), `${marked("漢", "字")} ${marked("\u166d")}  ${UNKNOWN}`);
});

test("normalize() leaves printable ASCII and white space untouched", () => {
  const ascii = String.fromCharCode(...Array.from({ length: 95 }, (_, i) => 32 + i));
  for (const text of ["", ascii, "The quick brown fox.\r\n\t", "no\u00a0break"]) {
    assertEquals(normalizeBert(text, false), text);
  }
  assertEquals(normalizeBert(ascii, true), ascii);
});

const inPieces = (text: string, normalize: (text: string) => string): Promise<string> =>
  inPiecesAt(text, normalize, WORDS);

test("inPieces() equals the whole on random texts longer than a piece", async () => {
  const draw = randomIntegers(4);
  const parts = [
    "a",
    "word",
    "한국어",
    "é",
    "e\u0301",
    "\f",
    "\ufeff",
    "\u00ad",
    "नमस्ते",
    "😀",
    ".",
    "龍",
    " ",
    "\n",
    "\u00a0",
    "x".repeat(99),
    ...RARE,
  ];
  for (let round = 0; round < 20; round++) {
    const words: string[] = [];
    for (let length = 0; length < 150_000; length += words.at(-1)!.length) {
      words.push(parts[draw(0, parts.length - 1)]!.repeat(draw(1, 3)) + (draw(0, 3) ? "" : " "));
    }
    const text = words.join("");
    for (const strip of [true, false]) {
      assert(
        await inPieces(text, (piece) => normalizeBert(piece, strip)) === normalizeBert(text, strip),
        `round ${round}`,
      );
    }
    assert(await inPiecesAt(text, compose, LETTERS) === compose(text), `composed, round ${round}`);
  }
});

test("inPieces() equals the whole with marks and surrogates where pieces end", async () => {
  const piece = 64 * 1024;
  for (
    const [what, text] of Object.entries({
      mark: "e".repeat(piece) + "\u0301 end",
      surrogate: "x".repeat(piece - 1) + "😀 end",
      space: "x ".repeat(piece / 2) + "end",
      "word across": "x ".repeat(piece / 2 - 25) + "y".repeat(101) + " end",
      "without a space": "x".repeat(3 * piece),
      "exactly a piece": "é".repeat(piece),
    })
  ) assert(await inPieces(text, (piece) => normalizeBert(piece, true)) === normalizeBert(text, true), what);
});

test("normalize() and inPieces() take a megabyte of anything in reasonable time", async () => {
  for (const unit of ["x", "é", "한", "x ", "e\u0301", "\u0301", ".", "龍", "😀"]) {
    const text = unit.repeat(Math.ceil(1_000_000 / unit.length));
    const start = performance.now();
    assert(normalizeBert(text, true) === await inPieces(text, (piece) => normalizeBert(piece, true)));
    const took = performance.now() - start;
    assert(took < 5000, `${JSON.stringify(unit)} took ${took} ms`);
  }
});

test("normalize() takes a word of 10 MB, and what is around it", () => {
  for (
    const [text, expected] of [["x".repeat(10_000_000), UNKNOWN], [
      `a ${"é".repeat(5_000_000)}. b`,
      `a ${UNKNOWN}. b`,
    ]]
  ) {
    assertEquals(normalizeBert(text!, true), expected);
  }
  assertEquals(
    normalizeBert(`${"x".repeat(100)} ${"y".repeat(101)}漢${"z".repeat(200)}`, true),
    `${"x".repeat(100)} ${UNKNOWN}漢${UNKNOWN}`,
  );
});
