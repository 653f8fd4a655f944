/**
 * Turns a text into what llama.cpp's WordPiece makes Hugging Face's tokens of.
 *
 * Hugging Face drops control and format characters, sets ideographs apart, decomposes (NFD), drops nonspacing marks, lowers,
 * splits at white space and punctuation, and takes a word of more than 100 characters as one [UNK]: each step by a frozen
 * version of Unicode. llama.cpp splits, lowers and drops by a newer one. What it would do otherwise is done here, and what
 * it would undo goes to the shim's own WordPiece (ffi/cpp/shim/word_pieces.h), as `MARK word MARK`. Nothing here asks the
 * runtime about Unicode: Deno's and Bun's versions differ.
 *
 * Sources: tokenizers 0.22.2, `normalizers/bert.rs`, `pre_tokenizers/bert.rs` and `models/wordpiece/mod.rs`
 * (`max_input_chars_per_word`); llama.cpp, `llm_tokenizer_wpm_session::preprocess`.
 */
import * as tables from "./bert_tables.ts";

/** What a BERT tokenizer is told. */
export interface BertSettings {
  readonly stripAccents: boolean;
  readonly lowercase: boolean;
  /** Whether llama.cpp must have no word at all. */
  readonly allMarked?: boolean;
}

/** Goes around a word that llama.cpp must not take apart, and that is lowered; around nothing it is one [UNK]. */
export const MARK = "\x01";

// What both leave alone but for the splitting and lowering of ASCII.
const PLAIN = /^[\t\n\r\x20-\x7e]*$/;
const LONGEST = 100;
const HANGUL_START = 0xac00;

/** What becomes of a code point. */
const LETTER = 0, // stays, and is one character of its word
  SPACE = 1, // stays
  ALONE = 2, // stays, and is a word
  DROPPED = 3,
  BARRIER = 4, // dropped, and no mark is moved over it
  REPLACED = 5,
  HANGUL = 6,
  ORDERED = 7, // begins marks that are put in order
  SPLIT_OFF = 8, // a letter that llama.cpp does not take as one
  PAIR = 9; // the first half of a surrogate pair

/** Normalises texts as one tokenizer does. */
export class BertNormalizer {
  readonly #settings: BertSettings;
  #tables: Tables | undefined;
  #lower: ReadonlyMap<number, string> | undefined;

  constructor(settings: BertSettings) {
    this.#settings = settings;
  }

  /** What llama.cpp is to tokenise for a text. */
  normalize(text: string): string {
    const { allMarked = false } = this.#settings;
    if (!allMarked && PLAIN.test(text) && !hasLongRun(text)) return text;
    this.#tables ??= tablesOf(this.#settings);
    const { kinds, replacements, jamo } = this.#tables;
    let out = "";
    let kept = 0; // up to where the text is in `out`
    let letters = 0; // of the word so far
    let marks = allMarked;
    for (let i = 0; i < text.length; i++) {
      let code = text.charCodeAt(i);
      let kind = kinds[code];
      const start = i;
      if (kind === PAIR) {
        code = text.codePointAt(i)!;
        if (code > 0xffff) i++;
        kind = code > 0xffff ? kinds[code] : DROPPED;
      }
      if (kind === LETTER || kind === SPLIT_OFF) {
        if (++letters > LONGEST || kind === SPLIT_OFF) marks = true;
        continue;
      }
      if (kind === SPACE || kind === ALONE) {
        letters = 0;
        continue;
      }
      if (start > kept) out += text.slice(kept, start);
      if (kind !== DROPPED && kind !== BARRIER) {
        let replacement = kind === HANGUL ? jamo[code - HANGUL_START] ??= jamoOf(code) : replacements.get(code)!;
        if (kind === ORDERED) [replacement, i] = this.#inOrder(text, start);
        out += replacement;
        const first = kinds[replacement.codePointAt(0)!];
        if (first === SPACE || first === ALONE) letters = 0;
        else letters += replacement.length === 1 ? 1 : kind === HANGUL ? replacement.length : [...replacement].length;
        if (letters > LONGEST) marks = true;
      }
      kept = i + 1;
    }
    out += text.slice(kept);
    return marks ? this.#markWords(out) : out;
  }

  /** Marks from an index on in the order that decomposition puts them into, and the index of the last of them. */
  #inOrder(text: string, from: number): [text: string, last: number] {
    const { kinds, replacements, classes } = this.#tables!;
    const found: string[] = [];
    let at = from;
    while (at < text.length) {
      const code = text.codePointAt(at)!;
      if (kinds[code] === ORDERED && (at === from || classes.has(code))) {
        found.push(...replacements.get(code) ?? String.fromCodePoint(code));
      } else if (kinds[code] !== DROPPED) break;
      at += code > 0xffff ? 2 : 1;
    }
    const classOf = (character: string): number => classes.get(character.codePointAt(0)!) ?? 0;
    return [found.sort((a, b) => classOf(a) - classOf(b)).join(""), at - 1];
  }

  /** Puts marks around the words of a normalised text that llama.cpp would take apart or does not count. */
  #markWords(text: string): string {
    const { kinds } = this.#tables!;
    const { allMarked = false } = this.#settings;
    let out = "";
    let kept = 0;
    const mark = (from: number, to: number, word: string): void => {
      out += text.slice(kept, from) + MARK + word + MARK;
      kept = to;
    };
    let start = 0; // of the word
    let letters = 0;
    let splitOff = false;
    for (let i = 0, next = 0; i <= text.length; i = next) {
      const code = text.codePointAt(i) ?? 0x20;
      const kind = kinds[code] === REPLACED ? ALONE : kinds[code]; // the one that replaces itself has spaces around it
      next = i + (code > 0xffff ? 2 : 1);
      if (kind !== SPACE && kind !== ALONE) {
        letters++;
        splitOff ||= kind === SPLIT_OFF;
        continue;
      }
      if (letters > LONGEST) mark(start, i, "");
      else if (splitOff || (allMarked && letters > 0)) mark(start, i, this.#lowered(text.slice(start, i)));
      if (allMarked && kind === ALONE) mark(i, next, text.slice(i, next));
      start = next;
      letters = 0;
      splitOff = false;
    }
    return out + text.slice(kept);
  }

  #lowered(word: string): string {
    if (!this.#settings.lowercase) return word;
    const lower = this.#lower ??= lowerCase();
    return Array.from(word, (character) => lower.get(character.codePointAt(0)!) ?? character).join("");
  }
}

/** What the tables say with certain settings. */
interface Tables {
  /** What becomes of each code point. */
  readonly kinds: Uint8Array;
  readonly replacements: ReadonlyMap<number, string>;
  /** What Hangul syllables become, as far as there were some. */
  readonly jamo: string[];
  /** Combining classes of marks that stay. */
  readonly classes: ReadonlyMap<number, number>;
}

function tablesOf({ stripAccents, lowercase }: BertSettings): Tables {
  const kinds = new Uint8Array(0x110000);
  const replacements = new Map<number, string>();
  const classes = new Map<number, number>();
  const fill = (kind: number, ranges: string): void => {
    for (const [first, last] of rangesOf(ranges)) kinds.fill(kind, first, last + 1);
  };
  const replace = (code: number, text: string): void => {
    replacements.set(code, text);
    kinds[code] = REPLACED;
  };
  fill(SPACE, tables.SPACES);
  fill(ALONE, tables.ALONE);
  fill(SPLIT_OFF, tables.SPLIT_OFF);
  fill(DROPPED, `${tables.DROPPED} dc00-dfff`);
  fill(PAIR, "d800-dbff");
  for (const word of wordsOf(tables.JOINED)) {
    replace(parseInt(word, 16), ` ${String.fromCodePoint(parseInt(word, 16))} `);
  }
  if (lowercase) eachOfRuns(tables.LOWERED_OTHERWISE, replace);
  if (!stripAccents) return { kinds, replacements, jamo: [], classes };

  fill(HANGUL, "ac00-d7a3");
  fill(DROPPED, tables.MARKS);
  fill(BARRIER, tables.STARTERS);
  for (const word of wordsOf(tables.CLASSES)) {
    const [code, number] = word.split("=");
    classes.set(parseInt(code!, 16), Number(number));
    kinds[parseInt(code!, 16)] = ORDERED;
  }
  eachOfRuns(tables.DECOMPOSED, (code, text) => {
    replace(code, text);
    if (text.length > 2 && classes.has([...text].at(-1)!.codePointAt(0)!)) kinds[code] = ORDERED;
  });
  return { kinds, replacements, jamo: [], classes };
}

/** Whether a plain text has more than 100 characters without white space: looked for from where they would end. */
function hasLongRun(text: string): boolean {
  for (let start = 0; start + LONGEST < text.length;) {
    let at = start + LONGEST;
    while (at >= start && text.charCodeAt(at) > 0x20) at--;
    if (at < start) return true;
    start = at + 1;
  }
  return false;
}

function wordsOf(table: string): string[] {
  return table.trim().split(/\s+/);
}

function rangesOf(table: string): [first: number, last: number][] {
  return wordsOf(table).map((word) => {
    const [first, last = first] = word.split("-");
    return [parseInt(first!, 16), parseInt(last!, 16)];
  });
}

/** `c0=AAA`: what each code point from U+00C0 on becomes; `9cb:XY`: the text that U+09CB becomes. */
function eachOfRuns(table: string, take: (code: number, text: string) => void): void {
  for (const word of wordsOf(table)) {
    const sign = word.search(/[=:]/);
    const text = word.slice(sign + 1);
    let code = parseInt(word, 16);
    if (word[sign] === ":") take(code, text);
    else for (const character of text) take(code++, character);
  }
}

/** Lower case, from `41-5a+20` (each of these becomes the one 20 further) and `100-12e/2+1` (each second one does). */
function lowerCase(): Map<number, string> {
  const lower = new Map<number, string>();
  for (const word of wordsOf(tables.LOWER)) {
    const [, first, last = first, second, shift] = /^(\w+)(?:-(\w+)(\/2)?)?([+-]\w+)$/.exec(word)!;
    for (let code = parseInt(first!, 16); code <= parseInt(last!, 16); code += second ? 2 : 1) {
      lower.set(code, String.fromCodePoint(code + parseInt(shift!, 16)));
    }
  }
  eachOfRuns(tables.LOWERED_OTHERWISE, (code, text) => lower.set(code, text));
  return lower;
}

/** The letters that a Hangul syllable is made of (Unicode Standard, section 3.12). */
function jamoOf(syllable: number): string {
  const index = syllable - HANGUL_START;
  const [lead, vowel] = [0x1100 + Math.floor(index / 588), 0x1161 + Math.floor(index % 588 / 28)];
  return index % 28 === 0 ? String.fromCharCode(lead, vowel) : String.fromCharCode(lead, vowel, 0x11a7 + index % 28);
}
