// Vocabularies with which llama.cpp's tokenizers would not come to an end, or not soon, or leave the text: refused at load. And
// an abort where one text takes long; and what each piece of a text costs. The loops are listed in docs/internals/tokenizers.md.
import { after, before, test } from "node:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Llama, LlamaError } from "../../../mod.ts";
import { serialise, TYPE, u32, type Value, value } from "../../torture/gguf.ts";
import { modelWith } from "../../torture/random_vocabularies.ts";
import { BYTES, LETTERS } from "../../torture/tiny_vocabularies.ts";

let directory = "";
before(() => {
  directory = mkdtempSync(join(tmpdir(), "llamasaur-"));
});
after(() => rmSync(directory, { recursive: true }));

type Token = string | Uint8Array;

/** A file of a model with a tokenizer and tokens. */
function write(tokenizer: string, tokens: readonly Token[], more: Readonly<Record<string, Value>> = {}): string {
  const path = join(directory, "one.gguf");
  const keys = { model: value.string(tokenizer), tokens: value.strings(tokens), ...more };
  const entries = Object.entries(keys).map(([key, one]): [string, Value] => [`tokenizer.ggml.${key}`, one]);
  writeFileSync(path, serialise(modelWith(entries, tokens.length)));
  return path;
}

async function assertRefused(path: string, words: RegExp): Promise<void> {
  const error = await assertRejects(() => Llama.load(path), LlamaError);
  assertMatch(error.message, words);
  assertEquals(error.code, "model-invalid");
}

/** That a model loads and tokenises every text. */
async function assertTokenises(path: string, texts: readonly string[]): Promise<void> {
  await using llama = await Llama.load(path, { contexts: 1 });
  for (const text of texts) await llama.tokenize(text);
}

test("Llama.load() refuses an RWKV vocabulary with tokens that begin with a byte and none for it alone", async () => {
  const cases: [Token[], string][] = [
    [["a", "bc"], "0x62"],
    [["b", "a", "zz"], "0x7a"],
    [["\\x61\\x62"], "0x61"], // escapes are bytes
    [["\\x6"], ""], // an escape without an end is nothing
    [["\\\\x"], "0x5c"],
    [["中"], "0xe4"], // three bytes
    [["\\xe4", "中", "é"], "0xc3"],
    [["a", "b\0"], ""], // ends at the byte 0, so it is the byte alone
    [["a", "bc\0"], "0x62"],
    [["a", ""], "0x5b"], // llama.cpp names an empty token [EMPTY_1]
    [["a", "\n\n"], "0x0a"], // which llama.cpp tokenises while it loads
    [["a", Uint8Array.of(0xff, 0x61)], "0xff"],
  ];
  for (const [tokens, byte] of cases) {
    const path = write("rwkv", tokens);
    if (byte === "") await assertTokenises(path, ["", "a", "b", "a b\n", "中"]);
    else await assertRefused(path, new RegExp(`begin with the byte ${byte} and none for it alone`));
  }
});

test("llama.tokenize() with an RWKV vocabulary takes the longest token at each place", async () => {
  const path = write("rwkv", ["a", "b", "ab", "abab", "c", "\\x0a"], { unknown_token_id: value.u32(4) });
  await using llama = await Llama.load(path, { contexts: 1 });
  assertEquals([...await llama.tokenize("abaab\nabab")], [2, 0, 2, 5, 3]);
  assertEquals([...await llama.tokenize("b?")], [1, 4]);
});

/** Tokens and types of a PLaMo vocabulary. */
function plamo(...more: Token[]): [Token[], Record<string, Value>] {
  const tokens = ["<unk>", ...BYTES, ...more];
  const types = tokens.map((_, i) => i === 0 ? 2 : i <= BYTES.length ? 6 : 1);
  return [tokens, { token_type: value.i32s(types), scores: value.f32s(tokens.map((_, i) => -i / 100)) }];
}

test("Llama.load() refuses PLaMo tokens that are no UTF-8, whose table leads out of the text", async () => {
  await assertTokenises(write("plamo2", ...plamo("a", "ab", "中文", "🙂")), ["", "a", "ab中文🙂x", "a".repeat(3000)]);
  const wrong = ["80", "61 80", "e4 b8", "c0 80", "c1 a1", "f8 88 80 80 80", "ff", "f4 90 80 80"];
  for (const one of wrong) {
    const bytes = Uint8Array.from(one.split(" "), (hex) => parseInt(hex, 16));
    await assertRefused(write("plamo2", ...plamo("a", bytes)), /has no UTF-8 in token 258/);
  }
});

test("Llama.load() refuses PLaMo tokens whose table takes minutes to build", async () => {
  await assertTokenises(write("plamo2", ...plamo("a".repeat(300))), ["a".repeat(1000)]);
  await assertRefused(
    write("plamo2", ...plamo("a".repeat(2000))),
    /sum of the cubes of the lengths of .* is 80000\d+, /,
  );
});

test("Llama.load() refuses word pieces of more than 256 bytes", async () => {
  const ids = { bos_token_id: value.u32(0), seperator_token_id: value.u32(1), unknown_token_id: value.u32(2) };
  const tokens = ["[CLS]", "[SEP]", "[UNK]", "▁a"];
  await assertTokenises(write("bert", [...tokens, "a".repeat(256)], ids), ["a", "a".repeat(8000)]);
  await assertRefused(write("bert", [...tokens, "a".repeat(257)], ids), /longest of .* is 257, and may have 256 bytes/);
});

/** A map that replaces the letter a; see randomCharsmap of the torture. */
function charsmap(replacement: string): Value {
  const units = new Uint32Array(1024);
  const node = 256 ^ 97, leaf = 512;
  units[0] = 256 << 10;
  units[node] = (node ^ leaf) << 10 | 1 << 8 | 97;
  const bytes = [u32(units.byteLength), new Uint8Array(units.buffer), new TextEncoder().encode(`${replacement}\0`)];
  const all = Uint8Array.from(bytes.flatMap((one) => [...one]));
  return value.array(TYPE.i8, all.length, all);
}

test("Llama.load() refuses a map of characters with a replacement that a text would grow by without measure", async () => {
  const writeWith = (replacement: string): string =>
    write("t5", ["<pad>", "</s>", "<unk>", "▁", "x"], { precompiled_charsmap: charsmap(replacement) });
  await using llama = await Llama.load(writeWith("x".repeat(64)), { contexts: 1, addEos: false });
  assertEquals([...await llama.tokenize("a")], Array(64).fill(4));
  for (const length of [65, 100_000]) {
    await assertRefused(writeWith("x".repeat(length)), /precompiled_charsmap has a replacement of more than 64 bytes/);
  }
});

test("Llama.load() refuses byte pairs that llama.cpp writes out again and again for each of their letters", async () => {
  const merges = value.strings(["a b"]);
  const few = Array.from({ length: 20 }, (_, i) => `${i}`.padEnd(600, "中"));
  await assertTokenises(write("gpt2", [...LETTERS, ...few], { merges }), ["a", "中".repeat(500)]);
  const many = Array.from({ length: 130 }, (_, i) => `${i}`.padEnd(2048, "x"));
  await assertRefused(
    write("gpt2", [...LETTERS, ...many], { merges }),
    /sum of the squares of the lengths of tokenizer.ggml.tokens is/,
  );
  const pair = value.strings([`${"a".repeat(4096)} b`]);
  await assertRefused(
    write("gpt2", LETTERS, { merges: pair }),
    /longest of tokenizer.ggml.merges is 4098, and may have 4097/,
  );
});

/** Milliseconds of processor time that a text takes, the least of three times. */
async function costOf(tokenizer: string, pre: string, text: string): Promise<number> {
  const path = write(tokenizer, LETTERS, {
    merges: value.strings(["a b"]),
    pre: value.string(pre),
    token_type: value.i32s(LETTERS.map((letter) => letter === "#" ? 4 : 1)), // a user's own: texts are split there
  });
  await using llama = await Llama.load(path, { contexts: 1 });
  const times: number[] = [];
  for (let round = 0; round < 3; round++) {
    const before = process.cpuUsage();
    await llama.tokenize(text);
    times.push(process.cpuUsage(before).user / 1000);
  }
  return Math.min(...times);
}

test("llama.tokenize() makes no regular expression anew for each piece of a text", async () => {
  const text = "a#b#".repeat(500); // each letter is a piece
  const none = await costOf("gpt2", "gpt-2", text); // llama.cpp has its pattern in C++
  for (const pre of ["tekken", "gpt-4o", "granite-embed-multi-97m", "deepseek-v3"]) {
    const cost = await costOf("gpt2", pre, text);
    console.log(`${pre}: ${cost.toFixed(0)} ms, with gpt-2 ${none.toFixed(0)}`);
    assert(cost < 50 + 3 * none, `${pre}: ${cost} ms`);
  }
  const cost = await costOf("whitespace", "whitespace", "a b ".repeat(500));
  console.log(`whitespace: ${cost.toFixed(0)} ms`);
  assert(cost < 50 + 3 * none, `whitespace: ${cost} ms`);
});

/** That a text is left soon after its signal, by the next call and by close(). */
async function assertAborts(path: string, text: string): Promise<void> {
  const llama = await Llama.load(path, { contexts: 1 });
  for (const ms of [0, 20, 200]) {
    const start = performance.now();
    await assertRejects(() => llama.embed(text, { signal: AbortSignal.timeout(ms) }), DOMException);
    await llama.tokenize("ab");
    assert(performance.now() - start < 10_000, `after an abort at ${ms} ms it took ${performance.now() - start} ms`);
  }
  const signal = AbortSignal.timeout(50);
  await assertRejects(() => llama.embed(text, { signal }), DOMException);
  const start = performance.now();
  await llama.close(); // which waits for work that is left behind
  assert(performance.now() - start < 10_000, `close() took ${performance.now() - start} ms`);
}

const skip = process.platform !== "linux" && "a text is tokenised to its end there";

test("embed() of one text that takes a minute to tokenise as byte pairs ends with its signal", { skip }, async () => {
  // Each token of the user's is a link of a list that is counted through for the next one: 200,000 of them are 2e10 steps.
  const path = write("gpt2", LETTERS, {
    merges: value.strings(["a b"]),
    pre: value.string("tekken"),
    token_type: value.i32s(LETTERS.map((letter) => letter === "#" ? 4 : 1)),
  });
  await assertAborts(path, "a#b#".repeat(100_000));
});

test(
  "embed() of one text that takes long in Unigram's or RWKV's inner loop ends with its signal",
  { skip },
  async () => {
    const long = `${"a".repeat(1500)}b`; // is begun at each letter, and never found
    const unigram = ["<pad>", "</s>", "<unk>", "▁", "a", long];
    const scores = value.f32s(unigram.map((_, id) => -id));
    await assertAborts(write("t5", unigram, { scores }), "a".repeat(2_000_000));
    const bytes = Array.from({ length: 256 }, (_, byte) => `\\x${byte.toString(16).padStart(2, "0")}`);
    await assertAborts(write("rwkv", [...bytes, long]), "a".repeat(1_000_000));
  },
);
