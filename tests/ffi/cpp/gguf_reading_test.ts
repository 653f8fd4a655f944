// Where llama.cpp and our check of a file could read one text or number in two ways: the table of docs/internals/files.md, a
// test for each of its rows. What the check overlooks, llama.cpp must refuse, and not compute with.
import { after, before, test } from "node:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Llama, LlamaError, type LlamaErrorCode } from "../../../mod.ts";
import { copy, type Gguf, parse, serialise, setKey, TYPE, type Value, value } from "../../torture/gguf.ts";
import { withTokens } from "../../torture/hostile.ts";
import { type Base, BASES, readBase, writeBases } from "../../torture/tiny_models.ts";

let directory = "";
before(async () => {
  directory = mkdtempSync(join(tmpdir(), "llamasaur-"));
  await writeBases(directory);
});
after(() => rmSync(directory, { recursive: true }));

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const utf8 = (text: Uint8Array): string => new TextDecoder().decode(text);
const base = (name: Base): Gguf => parse(readBase(directory, name));

function write(gguf: Gguf): string {
  const path = join(directory, "one.gguf");
  writeFileSync(path, serialise(gguf));
  return path;
}

async function assertRefused(gguf: Gguf, words: RegExp, code: LlamaErrorCode = "model-invalid"): Promise<void> {
  const path = write(gguf);
  const error = await assertRejects(() => Llama.load(path), LlamaError);
  assertMatch(error.message, words);
  assertEquals(error.code, code, error.message);
}

/** A file with one more key, before all others or behind them. */
function withKey(gguf: Gguf, key: string | Uint8Array, one: Value, first = false): Gguf {
  const next = copy(gguf);
  const entry = { key: typeof key === "string" ? bytes(key) : key, value: one };
  next.entries.splice(first ? 0 : next.entries.length, 0, entry);
  next.entryCount = BigInt(next.entries.length);
  return next;
}

function architectureOf(gguf: Gguf): string {
  return utf8(gguf.entries.find(({ key }) => utf8(key) === "general.architecture")!.value.bytes.subarray(8));
}

test("Llama.load() refuses a byte 0 in any key of any architecture, before and behind the sound one", async () => {
  for (const name of BASES) {
    const gguf = base(name);
    for (const { key, value: old } of gguf.entries) {
      const wrong = old.type === TYPE.u32 ? value.u32(0) : old;
      for (const first of [true, false]) {
        const tails = name === "bert" ? ["\0", "\0x", `\0${"x".repeat(300)}`] : ["\0"];
        for (const tail of tails) {
          const words = /^.*: the key '.*\?.*' has a name with a byte 0/;
          await assertRefused(withKey(gguf, `${utf8(key)}${tail}`, wrong, first), words);
        }
      }
    }
    await assertRefused(withKey(gguf, "\0", value.u32(1)), /the key '\?' has a name with a byte 0/);
  }
});

test("Llama.load() refuses a byte 0 in any tensor's name", async () => {
  for (const name of BASES) {
    for (const i of base(name).tensors.keys()) {
      const gguf = base(name);
      gguf.tensors[i]!.name = bytes(`${utf8(gguf.tensors[i]!.name)}\0x`);
      if (gguf.tensors[i]!.name.length > 63) continue; // too long, and refused for that
      await assertRefused(gguf, /the tensor '.*\?x' has a name with a byte 0/);
    }
  }
});

test("Llama.load() refuses a byte 0 in a text, whatever its key and length", async () => {
  for (const name of BASES) {
    const gguf = base(name);
    for (const { key, value: old } of gguf.entries.filter(({ value: { type } }) => type === TYPE.string)) {
      const text = utf8(old.bytes.subarray(8));
      for (const tail of ["\0", "\0x", `\0${"x".repeat(300)}`, `\0${"x".repeat(100_000)}`]) {
        await assertRefused(
          setKey(gguf, utf8(key), value.string(`${text}${tail}`)),
          new RegExp(`the key '${utf8(key)}' has a text with a byte 0`),
        );
      }
    }
    for (const at of [0, 255, 256, 257, 70_000]) {
      const text = value.string(new Uint8Array(70_001).fill(120).fill(0, at, at + 1));
      await assertRefused(withKey(gguf, "general.description", text), /has a text with a byte 0/);
    }
  }
});

test("Llama.load() ends the tokens of a list at a byte 0, as llama.cpp does", async () => {
  const twice = withTokens(base("bert"), (tokens) => tokens.with(7, bytes(`${utf8(tokens[8]!)}\0x`)));
  await assertRefused(twice, /id_to_token.size\(\) == token_to_id.size\(\)/); // two of them are one
  const ended = withTokens(base("bert"), (tokens) => tokens.with(7, bytes(`${utf8(tokens[7]!)}\0x`)));
  await using llama = await Llama.load(write(ended), { contexts: 1 });
  await using sound = await Llama.load(join(directory, "bert.gguf"), { contexts: 1 });
  assertEquals(await llama.embed("hello world"), await sound.embed("hello world"));
});

test("Llama.load() tells capital letters from small ones", async () => {
  for (const name of ["BERT", "Bert", "bERT"]) {
    const gguf = setKey(base("bert"), "general.architecture", value.string(name));
    for (const entry of gguf.entries) entry.key = bytes(utf8(entry.key).replace(/^bert\./, `${name}.`));
    await assertRefused(gguf, /unknown model architecture/, "model-unsupported");
  }
  const renamed = base("bert");
  for (const entry of renamed.entries) entry.key = bytes(utf8(entry.key).replace("head_count", "Head_Count"));
  await assertRefused(renamed, /bert.attention.head_count is missing/);
  await assertRefused(
    setKey(base("bert"), "tokenizer.ggml.model", value.string("BERT")),
    /tokenizer/,
    "model-unsupported",
  );
});

test("Llama.load() refuses a key, a tensor and a token that are there twice", async () => {
  for (const first of [true, false]) {
    await assertRefused(
      withKey(base("bert"), "bert.attention.head_count", value.u32(0), first),
      /the key 'bert.attention.head_count' is there twice/,
    );
  }
  const tensors = base("bert");
  tensors.tensors[1]!.name = tensors.tensors[0]!.name;
  await assertRefused(tensors, /duplicate tensor name/);
  await assertRefused(withTokens(base("bert"), (tokens) => tokens.with(7, tokens[8]!)), /id_to_token.size\(\)/);
});

test("Llama.load() refuses names that are empty or longer than the format's, and knows no architecture of 257 letters", async () => {
  await assertRefused(withKey(base("bert"), "", value.u32(1)), /key \d+ is empty/);
  await assertRefused(
    withKey(base("bert"), "x".repeat(65_536), value.u32(1)),
    /a key's name has 65536 bytes, at most 65535/,
  );
  const long = base("bert");
  long.tensors[0]!.name = new Uint8Array(64).fill(120);
  await assertRefused(long, /a tensor's name has 64 bytes, at most 63/);
  for (const length of [255, 256, 257, 1000]) {
    const name = "x".repeat(length);
    const gguf = setKey(base("bert"), "general.architecture", value.string(name));
    for (const entry of gguf.entries) entry.key = bytes(utf8(entry.key).replace(/^bert\./, `${name}.`));
    await assertRefused(gguf, /unknown model architecture/, "model-unsupported");
  }
  const spaced = setKey(base("bert"), "general.architecture", value.string("bert "));
  await assertRefused(spaced, /unknown model architecture/, "model-unsupported");
});

test("Llama.load() compares names by their bytes, UTF-8 or not", async () => {
  for (const name of ["b\u0435rt", "be\u0301rt", "\ufeffbert"]) { // a Cyrillic letter, an accent, a byte order mark
    const gguf = setKey(base("bert"), "general.architecture", value.string(name));
    for (const entry of gguf.entries) entry.key = bytes(utf8(entry.key).replace(/^bert\./, `${name}.`));
    await assertRefused(gguf, /unknown model architecture/, "model-unsupported");
  }
  const broken = Uint8Array.of(...bytes("bert.attention.head_count"), 0xff, 0xc0);
  await using llama = await Llama.load(write(withKey(base("bert"), broken, value.u32(0), true)), { contexts: 1 });
  assert((await llama.embed("hello")).every(Number.isFinite)); // another key, which nobody reads
});

test("Llama.load() refuses a number of another type, a text, a list or a truth value where a number is read", async () => {
  const key = "bert.attention.head_count";
  const others: [Value, RegExp][] = [
    [value.u64(2n), /has wrong type u64 but expected type u32/],
    [value.i32(2), /has wrong type i32 but expected type u32/],
    [{ type: TYPE.u16, bytes: Uint8Array.of(2, 0) }, /has wrong type u16 but expected type u32/],
    [value.f32(2), /must be a whole number/],
    [value.bool(1), /must be a whole number/],
    [value.string("2"), /must be a whole number/],
    [value.strings(["2"]), /must be a whole number/],
    [value.u64(2n ** 53n + 1n), /head_count is 9.00719925474099e\+15, and must be from/],
    [value.i32(-2), /head_count is -2, and must be from/],
    [{ type: TYPE.i64, bytes: new Uint8Array(8).fill(255) }, /head_count is -1, and must be from/],
  ];
  for (const [one, words] of others) await assertRefused(setKey(base("bert"), key, one), words);
  for (
    const [architecture, one] of [["general.architecture", value.strings(["bert"])], [
      "general.architecture",
      value.u32(1),
    ]] as const
  ) {
    await assertRefused(setKey(base("bert"), architecture, one), /key general.architecture has wrong type/);
  }
  await assertRefused(
    setKey(base("bert"), "bert.context_length", value.i32s([64])),
    /key bert.context_length has wrong type arr/,
  );
  const rope = setKey(base("nomic"), "nomic-bert.rope.dimension_count", value.i32s([0]));
  await assertRefused(rope, /key nomic-bert.rope.dimension_count has wrong type arr/);
  const alignment = setKey(base("bert"), "general.alignment", value.u64(32n));
  await assertRefused(alignment, /general.alignment' must be of type u32/);
});

test("Llama.load() looks at every layer of a list, and refuses a list of another length", async () => {
  const cases: [Base, string, Value, RegExp][] = [
    ["bert", "attention.head_count", value.i32s([2, 0]), /head_count is 0, and must be above 0/],
    [
      "bert",
      "attention.head_count_kv",
      value.i32s([2, 4]),
      /head_count is 2, and must be a multiple of .*, which is 4/,
    ],
    ["bert", "attention.head_count", value.i32s([2, -2]), /head_count is -2, and must be from/],
    ["bert", "attention.head_count", value.i32s([2]), /wrong array length; expected 2, got 1/],
    ["bert", "attention.head_count", value.i32s(new Array(600).fill(2)), /wrong array length; expected 2, got 600/],
    ["bert", "attention.head_count", value.f32s([2, 2]), /must be a whole number/],
    ["bert", "attention.head_count", value.array(TYPE.u16, 2, Uint8Array.of(2, 0, 2, 0)), /is not a .* array/],
  ];
  for (const [name, key, one, words] of cases) {
    const gguf = base(name);
    await assertRefused(setKey(gguf, `${architectureOf(gguf)}.${key}`, one), words);
  }
  await using llama = await Llama.load(write(setKey(base("bert"), "bert.attention.head_count", value.i32s([2, 2]))), {
    contexts: 1,
  });
  await using sound = await Llama.load(join(directory, "bert.gguf"), { contexts: 1 });
  assertEquals(await llama.embed("hello world"), await sound.embed("hello world"));
});

test("Llama.load() takes what an option says in place of a key, of whatever type the key is", async () => {
  for (const one of [value.string("no"), value.u32(7), value.bool(255), value.i32s([1])]) {
    const path = write(setKey(base("llama"), "tokenizer.ggml.add_eos_token", one));
    await using llama = await Llama.load(path, { contexts: 1, addEos: true });
    assertEquals((await llama.tokenize("hello")).at(-1), 2);
  }
  await using llama = await Llama.load(write(setKey(base("llama"), "tokenizer.ggml.add_eos_token", value.bool(255))), {
    contexts: 1,
  });
  assertEquals((await llama.tokenize("hello")).at(-1), 2); // any byte but 0 is true
});
