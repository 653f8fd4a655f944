// Hugging Face's BertNormalizer, BertPreTokenizer and WordPiece, one step after another and without regard to speed: what
// src/text/bert_normalizer.ts, the shim and llama.cpp come to together. Only the tables are the same.
import * as tables from "../../src/text/bert_tables.ts";

/** How a tokenizer is set. */
export interface Settings {
  readonly stripAccents: boolean;
  readonly lowercase: boolean;
}

const MAX_CHARACTERS = 100;

/** Characters that usual texts lack: marks, punctuation and cases of different versions of Unicode, private use, llama.cpp's own signs. */
export const RARE: readonly string[] = [
  ..."\u2581\x01\u00ad\u200d\ufeff\ufffd\x85\uf0b7\ue000\u{f0000}\u{10fffd}", // markers, and what is dropped
  ..."\u061d\u2e43\u2e5d\u0c77\u08e2\u{110cd}\u{1343f}\u{1e95e}\u166d\u{111c9}", // punctuation of one side only
  ..."\u0301\u0323\u0345\u034f\u0941\u1acf\u08d4\u07fd\u{1e4ec}\u302e\u1b44\u1baa\u{1d165}\u{1d16e}\u{1e94a}", // marks
  ..."é\u00c5\u1ea6\u0130\u01c5ΣΑ\u1c89\ua7cb\u{10d50}\u1e9e\u212a\u03f4\u13a0", // case
  ..."\u0958\u09cb\u0f73\u0340\u{1d15f}\u{1d1c0}\u226e\u037e\u1fef\uac00\ud55c\u1112\u1161\u11ab", // decompositions
  ..."漢\uf900\ufa0e\u{2f800}\u{2b820}\u{2b920}。—\u00a0\u2028\u3000\u180e\u1680", // words by themselves, and white space
];

// What rare characters become: bases, letters in lower case, parts.
const BECOME = [..."eσαΑ\u0264\u{10d70}ßkθ\uab70\u0915\u09c7\u09be\u{1d158}"];

/** A vocabulary that has most of them: as beginnings of words, within words, or as both. A file cannot tell "##▁" and "##▁x". */
export const RARE_PIECES: readonly string[] = [
  ...["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "##a", "b", "##b", "##bc", "x", "##x", "1", "##1", ".", ..."<;`豈丽"],
  ...RARE.filter((_, i) => i % 3 !== 0),
  ...RARE.filter((_, i) => i % 3 !== 1).map((c) => `##${c}`),
  ...RARE.filter((_, i) => i % 5 === 0).flatMap((c) => [`a${c}`, `##${c}b`]),
  ...BECOME.flatMap((c) => [c, `##${c}`]),
].filter((piece, i, all) => !piece.startsWith("##\u2581") && all.indexOf(piece) === i);

/** The ids of texts with a vocabulary. */
export class WordPieceReference {
  readonly #ids: ReadonlyMap<string, number>;
  readonly #settings: Settings;
  readonly #longest: number;

  /** @param pieces The vocabulary under Hugging Face's names, "[UNK]" among them. */
  constructor(pieces: readonly string[], settings: Settings) {
    this.#ids = new Map(pieces.map((piece, i) => [piece, i]));
    this.#settings = settings;
    this.#longest = Math.max(...pieces.map(({ length }) => length));
  }

  /** The ids of a text, without special tokens. */
  ids(text: string): number[] {
    const { stripAccents, lowercase } = this.#settings;
    let characters = [...text].filter((c) => !DROPPED!.has(c));
    if (stripAccents) {
      characters = ordered(characters.flatMap(decomposed)).filter((c) => !MARKS!.has(c) && !STARTERS!.has(c));
    }
    if (lowercase) characters = characters.flatMap((c) => [...LOWER.get(c) ?? c]);
    const apart = characters.map((c) => ALONE!.has(c) ? ` ${c} ` : SPACES!.has(c) ? " " : c).join("");
    return apart.split(" ").filter((word) => word !== "").flatMap((word) => this.#pieces([...word]));
  }

  #pieces(word: readonly string[]): number[] {
    const unknown = [this.#ids.get("[UNK]")!];
    if (word.length > MAX_CHARACTERS) return unknown;
    const found: number[] = [];
    for (let from = 0; from < word.length;) {
      let to = Math.min(word.length, from + this.#longest);
      const named = (): string => (from > 0 ? "##" : "") + word.slice(from, to).join("");
      while (to > from && !this.#ids.has(named())) to--;
      if (to === from) return unknown;
      found.push(this.#ids.get(named())!);
      from = to;
    }
    return found;
  }
}

/** The characters of ranges. */
function charactersOf(table: string): ReadonlySet<string> {
  const found = new Set<string>();
  for (const word of table.trim().split(/\s+/)) {
    const [first, last = first] = word.split("-").map((code) => parseInt(code, 16));
    for (let code = first!; code <= last!; code++) found.add(String.fromCodePoint(code));
  }
  return found;
}

const [DROPPED, SPACES, ALONE] = [tables.DROPPED, tables.SPACES, tables.ALONE].map(charactersOf);
const [MARKS, STARTERS] = [tables.MARKS, tables.STARTERS].map(charactersOf);

const CLASSES = new Map(
  tables.CLASSES.trim().split(/\s+/).map((word) => [
    String.fromCodePoint(parseInt(word, 16)),
    Number(word.split("=")[1]),
  ]),
);

/** What each character becomes, of a table of runs (`c0=AAA`) and longer ones (`9cb:XY`). */
function runsOf(table: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const word of table.trim().split(/\s+/)) {
    const [, code, sign, text] = /^([0-9a-f]+)([=:])(.+)$/u.exec(word)!;
    const pieces = sign === "=" ? [...text!] : [text!];
    pieces.forEach((piece, i) => found.set(String.fromCodePoint(parseInt(code!, 16) + i), piece));
  }
  return found;
}

const DECOMPOSED = runsOf(tables.DECOMPOSED);

const LOWER = new Map<string, string>();
for (const word of tables.LOWER.trim().split(/\s+/)) {
  const [, first, last = first, second, shift] = /^(\w+)(?:-(\w+)(\/2)?)?([+-]\w+)$/.exec(word)!;
  for (let code = parseInt(first!, 16); code <= parseInt(last!, 16); code += second ? 2 : 1) {
    LOWER.set(String.fromCodePoint(code), String.fromCodePoint(code + parseInt(shift!, 16)));
  }
}
for (const [character, lower] of runsOf(tables.LOWERED_OTHERWISE)) LOWER.set(character, lower);

function decomposed(character: string): string[] {
  // Hangul is the same in all versions.
  if (character >= "\uac00" && character <= "\ud7a3") return [...character.normalize("NFD")];
  return [...DECOMPOSED.get(character) ?? character];
}

/** Moves each mark before those of a higher class, but over none that has no class: dropped marks that have one are no matter. */
function ordered(characters: string[]): string[] {
  const rest = characters.filter((c) => !MARKS!.has(c));
  for (let end = 1; end < rest.length; end++) {
    for (let at = end; at > 0 && classOf(rest[at]!) > 0 && classOf(rest[at - 1]!) > classOf(rest[at]!); at--) {
      [rest[at - 1], rest[at]] = [rest[at]!, rest[at - 1]!];
    }
  }
  return rest;
}

function classOf(character: string): number {
  return CLASSES.get(character) ?? 0;
}
