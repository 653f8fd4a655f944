// Random vocabularies for every tokenizer of llama.cpp, the same for the same seed, and texts that walk into their corners:
// tokens that begin alike, bytes without a token, escapes, merges and scores of any kind.
import { Buffer } from "node:buffer";
import { randomIntegers } from "../support/random.ts";
import { PRETOKENIZERS, TOKENIZERS } from "./architectures.ts";
import { build, type Gguf, serialise, u32, type Value, value } from "./gguf.ts";
import { decoder, HEAD, HEADS, INNER, WIDTH } from "./tiny_tensors.ts";
import { BYTES, LETTERS } from "./tiny_vocabularies.ts";

export type Draw = (min: number, max: number) => number;

/** A model with a random vocabulary, and texts for it. */
export interface Drawn {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly texts: readonly string[];
}

const pick = <T>(list: readonly T[], draw: Draw): T => list[draw(0, list.length - 1)]!;
const many = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
// Those that look tokens up, more often than those that have no tokens to look up.
const DRAWN = TOKENIZERS.flatMap((name) => /no_vocab|none|test/.test(name) ? [name] : [name, name, name, name]);
const hex = (byte: number): string => byte.toString(16).padStart(2, "0");

// What tokens and texts are made of. A string is taken as Latin-1 where it is a byte alone.
const FRAGMENTS: readonly (string | Uint8Array)[] = [
  ..."abehlo0 '.,!?<>[]#\n\t\r",
  ...["▁", "##", "Ġ", "Ċ", "é", "中", "文", "가", "e\u0301", "🙂", "ﷺ", "\u00a0", "\ue000", "ab", "he", "ll", "ACGTAC"],
  ...["\\", "\\n", "\\x", "\\x4", "\\x61", "\\xe4", "\\xE4", "\\x00", "\\\\", "<0x41>", "<dna>", "</dna>", "<oov>"],
  ...[[0], [0xff], [0xe4], [0xe4, 0xb8], [0x80], [0xc0, 0xaf], [0xf5]].map((bytes) => Uint8Array.from(bytes)),
];
const WORDS = FRAGMENTS.filter((one) => typeof one === "string");

function bytesOf(parts: readonly (string | Uint8Array)[]): Uint8Array {
  return Buffer.concat(parts.map((part) => typeof part === "string" ? Buffer.from(part) : part));
}

function randomToken(fragments: readonly (string | Uint8Array)[], draw: Draw): Uint8Array {
  const length = draw(0, 40) === 0 ? draw(20, draw(0, 60) === 0 ? 500 : 50) : draw(1, draw(1, 6));
  const few = draw(0, 3) === 0 ? many(2, () => pick(fragments, draw)) : fragments;
  return bytesOf(many(length, () => pick(few, draw)));
}

/** One token for each byte, or for letters, as a tokenizer writes them. */
function singleTokens(tokenizer: string): readonly string[] {
  if (tokenizer === "rwkv") return many(256, (byte) => `\\x${hex(byte)}`);
  if (tokenizer === "bert") return [..."abehlo", ...[..."abehlo中"].map((letter) => `▁${letter}`)];
  return tokenizer === "gpt2" || tokenizer === "hybriddna" ? [...LETTERS] : BYTES;
}

function randomTokens(tokenizer: string, draw: Draw): Uint8Array[] {
  const strict = tokenizer === "plamo2" && draw(0, 7) > 0; // UTF-8 and all bytes, or it is refused
  const drawn = many(draw(1, draw(1, 300)), () => randomToken(strict ? WORDS : FRAGMENTS, draw));
  const whole = strict || draw(0, 3) > 0 ? singleTokens(tokenizer) : [];
  // all of them, or all but one
  const singles = strict || draw(0, 3) > 0 ? whole : whole.toSpliced(draw(0, whole.length), 1);
  const begins = !strict && draw(0, 2) === 0 ? drawn.flatMap((one) => [one.subarray(0, 1), one.subarray(0, 2)]) : [];
  const specials = many(draw(strict ? 1 : 0, 12), (i) => `<s${i}>`);
  const all = [...[...specials, ...singles].map((one) => Buffer.from(one)), ...drawn, ...begins];
  if (draw(0, 19) === 0) return all; // some of them twice
  return [...new Map(all.map((one) => [Buffer.from(one).toString("latin1").replace(/\0.*/s, ""), one])).values()];
}

const ODD = [NaN, Infinity, -Infinity, 0, -0, 1e38, -1e38, 1e-45, -1000, -2000, 214748, -214748];

function randomScores(count: number, draw: Draw): Value | undefined {
  switch (draw(0, 5)) {
    case 0:
      return undefined;
    case 1:
      return value.f32s(many(count, () => pick(ODD, draw)));
    case 2:
      return value.i32s(many(count, () => draw(-1000, 1000)));
    case 3:
      return value.f32s(many(count, () => 0));
    default:
      return value.f32s(many(count, (i) => -i / 10));
  }
}

function randomTypes(tokens: readonly Uint8Array[], draw: Draw): Value | undefined {
  const kind = draw(0, 9);
  if (kind === 0) return undefined;
  if (kind === 1) return value.i32s(tokens.map(() => draw(-1, 8)));
  return value.i32s(tokens.map((one) => {
    if (/^<0x[0-9A-F]{2}>$/.test(Buffer.from(one).toString("latin1"))) return 6;
    return kind < 6 ? 1 : pick([1, 1, 1, 2, 3, 4, 5], draw);
  }));
}

function randomMerges(tokens: readonly Uint8Array[], draw: Draw): Value {
  const merge = (): Uint8Array => {
    if (draw(0, 15) === 0) return bytesOf([pick(["", " ", "a", "  ", "a b c", "\0 a", "a \0"], draw)]);
    const half = (): Uint8Array => draw(0, 1) === 0 ? pick(tokens, draw) : bytesOf([pick(FRAGMENTS, draw)]);
    return bytesOf([half(), " ", half()]);
  };
  // one letter, then two, four: what grows without end if it can
  const doubled = draw(0, 3) === 0 ? many(8, (i) => Buffer.from(`${"a".repeat(1 << i)} ${"a".repeat(1 << i)}`)) : [];
  return value.strings([...doubled, ...many(draw(0, 200), merge)]);
}

/** A map of characters to replacements: a search tree in XOR-compressed form, or noise that says to be one. */
function randomCharsmap(draw: Draw): Value | undefined {
  const kind = draw(0, 3);
  if (kind === 0) return undefined;
  const replacements = many(draw(1, 8), () => {
    const text = draw(0, 9) === 0 ? "x".repeat(draw(60, 70)) : pick(["", " ", "  ", "a", "\u3000", "▁", "hello"], draw);
    return Buffer.from(draw(0, 19) === 0 ? text : `${text}\0`);
  });
  const offsets = replacements.map((_, i) => replacements.slice(0, i).reduce((sum, { length }) => sum + length, 0));
  const units = new Uint32Array(1024);
  if (kind === 1) units.forEach((_, i) => units[i] = draw(0, 0xffffffff));
  else {
    const root = 256;
    units[0] = root << 10;
    for (const letter of many(draw(1, 40), () => draw(1, 255))) {
      const [node, leaf] = [root ^ letter, 512 + letter];
      units[node] = (node ^ leaf) << 10 | 1 << 8 | letter;
      units[leaf] = draw(0, 19) === 0 ? draw(0, 0xffffff) : pick(offsets, draw);
    }
  }
  const size = draw(0, 9) === 0 ? pick([0, 3, 4095, 4097, 2 ** 31, 2 ** 32 - 4], draw) : units.byteLength;
  const bytes = Buffer.concat([u32(size), new Uint8Array(units.buffer), ...replacements]);
  return value.array(draw(0, 1), bytes.length, bytes);
}

function randomEntries(tokenizer: string, tokens: readonly Uint8Array[], draw: Draw): [string, Value][] {
  const entries: [string, Value][] = [["model", value.string(tokenizer)], ["tokens", value.strings(tokens)]];
  const add = (key: string, one: Value | undefined): void => {
    if (one !== undefined) entries.push([key, one]);
  };
  add("scores", randomScores(tokens.length, draw));
  add("token_type", randomTypes(tokens, draw));
  add("merges", /bert|llama|t5|rwkv/.test(tokenizer) && draw(0, 3) > 0 ? undefined : randomMerges(tokens, draw));
  add("precompiled_charsmap", tokenizer === "t5" ? randomCharsmap(draw) : undefined);
  if (draw(0, 4) > 0) add("pre", value.string(pick(PRETOKENIZERS, draw)));
  const id = (): Value => value.u32(draw(0, 9) === 0 ? draw(0, 2 ** 31) : draw(0, tokens.length - 1));
  for (const key of ["bos", "eos", "unknown", "seperator", "padding", "mask"]) {
    if (draw(0, 2) > 0 || key !== "unknown" && tokenizer === "bert") add(`${key}_token_id`, id());
  }
  const flags = ["add_bos_token", "add_eos_token", "add_sep_token", "add_space_prefix", "remove_extra_whitespaces"];
  for (const key of [...flags, "escape_whitespaces", "normalizer.lowercase"]) {
    if (draw(0, 2) === 0) add(key, value.bool(draw(0, 1)));
  }
  return entries.map(([key, one]) => [`tokenizer.ggml.${key}`, one]);
}

/** A tiny decoder around a vocabulary of `count` tokens. */
export function modelWith(entries: readonly [string, Value][], count: number): Gguf {
  const own = { block_count: 1, context_length: 64, embedding_length: WIDTH, feed_forward_length: INNER };
  const heads = { "attention.head_count": HEADS, "rope.dimension_count": HEAD };
  const numbers = { ...own, ...heads, pooling_type: 3, vocab_size: count };
  return build([
    ["general.architecture", value.string("llama")],
    ...Object.entries(numbers).map(([key, n]): [string, Value] => [`llama.${key}`, value.u32(n)]),
    ["llama.attention.layer_norm_rms_epsilon", value.f32(1e-6)],
    ...entries,
  ], decoder(count, 1, {}));
}

const MOST = 8000; // UTF-16 units of a text

/** What a text is made of: tokens and their beginnings, and letters. */
function randomText(tokens: readonly string[], draw: Draw): string {
  const few = draw(0, 2) === 0 ? many(2, () => pick(tokens, draw)) : tokens;
  const piece = (): string => {
    const token = pick(few, draw);
    switch (draw(0, 4)) {
      case 0:
        return pick(WORDS, draw) as string;
      case 1:
        return token.slice(0, draw(0, token.length));
      default:
        return token;
    }
  };
  const text = many(draw(1, draw(0, 9) === 0 ? 2000 : 40), piece).join(draw(0, 2) === 0 ? " " : "").slice(0, MOST);
  return text.toWellFormed();
}

/** The letters that a token stands for, as far as a text can have them. */
function asText(token: Uint8Array): string {
  const text = new TextDecoder().decode(token);
  return text.replaceAll(/\\x([0-9a-f]{2})/gi, (_, code) => String.fromCharCode(parseInt(code, 16))).replaceAll(
    "▁",
    " ",
  );
}

/** A random vocabulary in a model around it. */
export function randomVocabulary(seed: number): Drawn {
  const draw = randomIntegers(Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995);
  const tokenizer = pick(DRAWN, draw);
  const tokens = randomTokens(tokenizer, draw);
  const written = tokens.map(asText);
  return {
    name: `${tokenizer} of ${tokens.length}`,
    bytes: serialise(modelWith(randomEntries(tokenizer, tokens, draw), tokens.length)),
    texts: ["", "\n", ...many(8, () => randomText(written, draw))],
  };
}
