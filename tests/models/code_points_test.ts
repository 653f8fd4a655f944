// Token ids of every code point, and of words that llama.cpp's own WordPiece takes apart: those of Hugging Face's tokenizers.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Llama } from "../../mod.ts";
import { fixture } from "../support/checkpoint.ts";
import { randomIntegers } from "../support/random.ts";
import { libraryMissing } from "../support/references.ts";
import { vocabulariesMissing, withVocabulary, withWordPieces, wordPiecesOf } from "../support/vocabulary.ts";
import { RARE, RARE_PIECES, WordPieceReference } from "../support/word_piece.ts";

const BLOCK = 0x400, END = 0x30000;
const SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"];

interface WordPieceHashes {
  readonly name: string;
  readonly stripAccents: boolean | null;
  readonly lowercase: boolean;
  readonly hashes: string;
}

interface Hashes {
  readonly name: string;
  /** Ranges of code points, hexadecimal, that docs/accuracy.md tells of. */
  readonly exceptions: string;
  readonly hashes: string;
}

const { wordPieces, others } = JSON.parse(readFileSync(fixture("code_points.json"), "utf8")) as {
  wordPieces: WordPieceHashes[];
  others: Hashes[];
};

/** A block of code points, C as `C aCb `. */
function blockFrom(first: number, exceptions: ReadonlySet<number>): string {
  let text = "";
  for (let code = Math.max(first, 1); code < first + BLOCK; code++) {
    if ((code >= 0xd800 && code < 0xe000) || exceptions.has(code)) continue;
    const character = String.fromCodePoint(code);
    text += `${character} a${character}b `;
  }
  return text;
}

/** The code points of ranges. */
function codesOf(ranges: string): ReadonlySet<number> {
  const ends = ranges.split(" ").filter((range) => range !== "").map((range) =>
    range.split("-").map((code) => parseInt(code, 16))
  );
  return new Set(
    ends.flatMap(([first, last = first]) => Array.from({ length: last! - first! + 1 }, (_, i) => first! + i)),
  );
}

/** The blocks whose tokens have another hash. */
async function differing(llama: Llama, hashes: string, exceptions = ""): Promise<string[]> {
  const left = codesOf(exceptions);
  const around = await llama.tokenize("");
  const opening = around.length > 0 && (await llama.tokenize("a"))[0] === around[0] ? 1 : 0;
  const firsts = Array.from({ length: END / BLOCK }, (_, i) => i * BLOCK);
  const lists = await Promise.all(firsts.map((first) => llama.tokenize(blockFrom(first, left))));
  const found = lists.map((ids) => {
    const inner = ids.subarray(opening, ids.length - around.length + opening);
    const bytes = new Uint8Array(inner.buffer, inner.byteOffset, inner.byteLength);
    return createHash("sha256").update(bytes).digest("hex").slice(0, 8);
  });
  const expected = hashes.split(" ");
  assertEquals(found.length, expected.length);
  return firsts.filter((_, i) => found[i] !== expected[i]).map((first) => `U+${first.toString(16)}`);
}

/** A piece for every code point, and one that goes on. */
function everyCodePoint(): string[] {
  const pieces = [...SPECIALS];
  for (let code = 0x21; code < END; code++) {
    if (code >= 0xd800 && code < 0xe000) continue;
    const character = String.fromCodePoint(code);
    pieces.push(character);
    if (character !== "\u2581") pieces.push(`##${character}`);
  }
  return pieces;
}

for (const { name, stripAccents, lowercase, hashes } of wordPieces) {
  const real = name !== "every code point";
  test(
    `tokenize() of every code point gives Hugging Face's ids: WordPiece with ${name}, ${lowercase ? "un" : ""}cased${
      stripAccents === null ? "" : `, accents ${stripAccents ? "stripped" : "kept"}`
    }`,
    { skip: libraryMissing || (real && vocabulariesMissing), timeout: 300_000 },
    async () => {
      const pieces = real ? wordPiecesOf(name) : everyCodePoint();
      await withWordPieces(pieces, { lowercase, ...stripAccents === null ? {} : { stripAccents } }, async (llama) => {
        assertEquals(await differing(llama, hashes), []);
      });
    },
  );
}

const CLS = 101, SEP = 102, UNK = 100; // of bert-base-uncased

test("tokenize() gives Hugging Face's ids for words that llama.cpp's WordPiece takes apart or drops", {
  skip: libraryMissing || vocabulariesMissing,
  timeout: 300_000,
}, async () => {
  const longest = "x0y1".repeat(25);
  await withVocabulary("bert-bge", async (llama) => {
    const ids = async (text: string): Promise<number[]> => [...await llama.tokenize(text)];
    // A literal U+2581, llama.cpp's own sign for the beginning of a word.
    for (const text of ["two\u2581words", "\u2581a", "a\u2581", "\u2581", "\u2581\u2581", `${longest}\u2581`]) {
      assertEquals(await ids(text), [CLS, UNK, SEP], text);
    }
    assertEquals(await ids("the\u2581end, the"), [CLS, UNK, 1010, 1996, SEP]);
    assertEquals(await ids("the.\u2581.the"), [CLS, 1996, 1012, UNK, 1012, 1996, SEP]);
    // Private use, of all three ranges, as text from a PDF has it.
    const icons = "\uf0e0\ue001\uf8ff\u{f0000}\u{10fffd}";
    assertEquals(await ids(icons.repeat(40)), [CLS, SEP]);
    assertEquals(await ids(`${icons}${longest}${icons}`), await ids(longest));
    assertEquals(await ids(`${longest}${icons}x`), [CLS, UNK, SEP]);
    // Punctuation and marks that came after Unicode 8: letters to Hugging Face.
    for (const code of [0x2e4f, 0x2e52, 0x0a76, 0x0c84, 0x1b7e, 0x08d3, 0x0898, 0x10f82, 0x1e08f, 0x11f5a, 0x10ec2]) {
      const character = String.fromCodePoint(code);
      assertEquals(await ids(`the${character}the`), [CLS, UNK, SEP], `U+${code.toString(16)}`);
      assertEquals(await ids(character), [CLS, UNK, SEP], `U+${code.toString(16)}`);
    }
    // Punctuation to Hugging Face alone.
    for (const character of ["\u166d", "\u{111c9}"]) {
      assertEquals(await ids(`the${character}the`), [CLS, 1996, UNK, 1996, SEP]);
    }
  });
});

test("tokenize() finds the pieces of words that llama.cpp's WordPiece takes apart, as Hugging Face does", {
  skip: libraryMissing,
  timeout: 300_000,
}, async () => {
  const pieces = [
    "a",
    "##b",
    "##bc",
    "\u2581",
    "a\u2581",
    "\u2e43",
    "##\u2e43",
    "##\u2e43b",
    "\u061d",
    "\u0451",
    "##\u0451",
  ];
  const all = [...SPECIALS, ...pieces];
  for (const lowercase of [true, false]) {
    await withWordPieces(all, { lowercase, stripAccents: false }, async (llama) => {
      const words = async (text: string): Promise<string[]> =>
        Array.from((await llama.tokenize(text)).subarray(1, -1), (id) => all[id]!);
      for (
        const [text, ...expected] of [
          ["\u2581", "\u2581"],
          ["a\u2581bc", "a\u2581", "##bc"],
          ["a\u2e43bc\u2e43", "[UNK]"], // "##\u2e43b" is the longest, and "##c" is none
          ["a\u2e43b\u2e43", "a", "##\u2e43b", "##\u2e43"],
          ["\u2e43bc a", "\u2e43", "##bc", "a"],
          ["\u061da", "[UNK]"],
          ["\u061d,a", "\u061d", "[UNK]", "a"],
          ["\u2581a", "[UNK]"],
          ["a\u2581\u2581", "[UNK]"],
          ["A\u2e43\u0401", ...lowercase ? ["a", "##\u2e43", "##\u0451"] : ["[UNK]"]],
          [`a${"\u2e43".repeat(99)}`, "a", ...Array(99).fill("##\u2e43")],
          [`a${"\u2e43".repeat(100)}`, "[UNK]"],
          [`${"a\u2581b ".repeat(20_000)}`, ...Array(20_000).fill(["a\u2581", "##b"]).flat()],
        ] as [string, ...string[]][]
      ) assertEquals(await words(text), expected, text.slice(0, 20));
    });
  }
});

test("tokenize() finds only what Hugging Face does where the vocabulary has llama.cpp's marker of a word", {
  skip: libraryMissing,
  timeout: 300_000,
}, async () => {
  const all = [...SPECIALS, "a", "##a", "##b", "##\u2581", "##.", "\u2581"];
  await withWordPieces(all, { lowercase: true }, async (llama) => {
    const words = async (text: string): Promise<string[]> =>
      Array.from((await llama.tokenize(text)).subarray(1, -1), (id) => all[id]!);
    assertEquals(await words("b"), ["[UNK]"]); // llama.cpp alone: its marker, and "##b"
    assertEquals(await words("."), ["[UNK]"]);
    assertEquals(await words("Ab a.\u2581b"), ["a", "##b", "a", "[UNK]", "\u2581", "##b"]);
    assertEquals(await words("a\u2581a"), ["a", "##\u2581", "##a"]);
  });
});

/** Texts of rare characters, a third of them with a word of about a hundred characters. */
function rareTexts(count: number, draw: (min: number, max: number) => number): string[] {
  const characters = [...RARE, ..."abbc1x. "];
  const some = (most: number): string =>
    Array.from({ length: draw(0, most) }, () => characters[draw(0, characters.length - 1)]!).join("");
  return Array.from(
    { length: count },
    (_, i) => i % 3 === 0 ? "x".repeat(draw(40, 60)) + some(8) + "x".repeat(draw(35, 45)) + some(4) : some(20),
  );
}

for (const lowercase of [true, false]) {
  for (const stripAccents of [true, false]) {
    test(
      `tokenize() of random rare characters gives the steps' ids, lowercase ${lowercase}, accents stripped ${stripAccents}`,
      {
        skip: libraryMissing,
        timeout: 300_000,
      },
      async () => {
        const settings = { lowercase, stripAccents };
        const reference = new WordPieceReference(RARE_PIECES, settings);
        await withWordPieces(RARE_PIECES, settings, async (llama) => {
          const texts = rareTexts(1500, randomIntegers(lowercase === stripAccents ? 8 : 9));
          const found = await Promise.all(texts.map((text) => llama.tokenize(text)));
          const unknown = RARE_PIECES.indexOf("[UNK]");
          let known = 0;
          texts.forEach((text, i) => {
            const right = reference.ids(text);
            known += right.filter((id) => id !== unknown).length;
            assertEquals([...found[i]!].slice(1, -1), right, JSON.stringify(text));
          });
          assert(known > texts.length, `${known} known pieces`);
        });
      },
    );
  }
}

for (const { name, exceptions, hashes } of others) {
  test(`tokenize() of every code point gives Hugging Face's ids: ${name}`, {
    skip: libraryMissing || vocabulariesMissing,
    timeout: 300_000,
  }, async () => {
    const compare = async (llama: Llama): Promise<void> => assertEquals(await differing(llama, hashes, exceptions), []);
    if (!name.startsWith("families/")) return await withVocabulary(name, compare);
    await using llama = await Llama.load(fixture(`${name}.gguf`), { contexts: 1 });
    await compare(llama);
  });
}
