// The corpus: files that are wrong in one way each, made of the tiny models. The same list on every machine.
import { Buffer } from "node:buffer";
import { ARCHITECTURES, PRETOKENIZERS, TOKENIZERS } from "./architectures.ts";
import { copy, type Gguf, parse, pieces, serialise, setKey, TYPE, u32, u64, type Value, value } from "./gguf.ts";
import { BLOCKS, hostileTexts, numbers, withTensorType, withTokens } from "./hostile.ts";
import type { Base } from "./tiny_models.ts";

/** A wrong file: made when it is asked for. */
export interface Mutation {
  readonly name: string;
  readonly bytes: () => Uint8Array;
}

const LONG = [0n, 1n, 2n ** 31n, 2n ** 32n, 2n ** 40n, 2n ** 62n, 2n ** 63n, -1n];
const utf8 = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** Every mutation, in a fixed order. */
export function* corpus(read: (base: Base) => Uint8Array): Generator<Mutation> {
  const bert = parse(read("bert"));
  yield* headers(bert);
  yield* lengths(bert);
  yield* cuts(bert);
  yield* tensors(bert);
  yield* vocabularies(bert);
  for (const base of ["bert", "rerank", "llama", "qwen3", "nomic", "moe", "t5", "gemma"] as const) {
    yield* keys(base, parse(read(base)));
    yield* added(base, parse(read(base)));
  }
  for (const base of ["bert", "qwen3", "moe", "t5"] as const) yield* weights(base, parse(read(base)));
  for (const base of ["bert", "llama", "qwen3", "moe"] as const) yield* architectures(base, parse(read(base)));
  yield* tokenizers(parse(read("bert")), parse(read("qwen3")), parse(read("llama")));
  yield* templates(parse(read("qwen3")));
  yield* others(read("bert"), read("q8_0"));
}

function* headers(gguf: Gguf): Generator<Mutation> {
  const one = (name: string, change: Partial<Gguf>): Mutation => ({
    name: `header: ${name}`,
    bytes: () => serialise({ ...gguf, ...change }),
  });
  for (const magic of ["ggml", "GGJT", "FUGG", "GGUf", "\0\0\0\0"]) {
    yield one(`magic ${JSON.stringify(magic)}`, { magic: Buffer.from(magic).readUInt32LE() });
  }
  for (const version of [0, 1, 2, 4, 0x03000000, 0xffffffff]) yield one(`version ${version}`, { version });
  const counts = (right: bigint): bigint[] => [...LONG, right - 1n, right + 1n, 1000n * right];
  for (const n of counts(gguf.tensorCount)) yield one(`${n} tensors`, { tensorCount: n });
  for (const n of counts(gguf.entryCount)) yield one(`${n} keys`, { entryCount: n });
}

/** Lengths of keys, strings, names and arrays, and numbers of types. */
function* lengths(gguf: Gguf): Generator<Mutation> {
  const parts = pieces(gguf);
  const patched = (name: string, part: number, at: number, bytes: Uint8Array): Mutation => ({
    name: `length: ${name}`,
    bytes: () => {
      const copies = parts.map((one, i) => i === part ? one.slice() : one);
      copies[part]!.set(bytes, at);
      return Buffer.concat(copies);
    },
  });
  const tokens = gguf.entries.findIndex(({ key }) => utf8(key) === "tokenizer.ggml.tokens");
  const types = gguf.entries.findIndex(({ key }) => utf8(key) === "tokenizer.ggml.token_type");
  const valueAt = (entry: number): number => 8 + gguf.entries[entry]!.key.length + 4;
  const firstTensor = gguf.entries.length + 1;
  const tooLong = [...LONG, 63n, 64n, 65n, 1000n, 2n ** 30n, 2n ** 30n + 1n, 2n ** 64n - 8n];
  for (const n of tooLong) {
    yield patched(`key of ${n} bytes`, 1, 0, u64(n));
    yield patched(`string of ${n} bytes`, 1, valueAt(0), u64(n));
    yield patched(`token of ${n} bytes`, tokens + 1, valueAt(tokens) + 12, u64(n));
    yield patched(`${n} tokens`, tokens + 1, valueAt(tokens) + 4, u64(n));
    if (types >= 0) yield patched(`${n} token types`, types + 1, valueAt(types) + 4, u64(n));
    yield patched(`tensor name of ${n} bytes`, firstTensor, 0, u64(n));
  }
  for (const type of [...Array(14).keys(), 255, 0xffffffff]) {
    yield patched(`type ${type} of a string`, 1, valueAt(0) - 4, u32(type));
    yield patched(`type ${type} of a number`, 4, valueAt(3) - 4, u32(type));
    yield patched(`type ${type} of tokens`, tokens + 1, valueAt(tokens), u32(type));
    if (types >= 0) yield patched(`type ${type} of token types`, types + 1, valueAt(types), u32(type));
  }
}

/** The file cut at the end of each of its parts, a byte before and a byte behind. */
function* cuts(gguf: Gguf): Generator<Mutation> {
  const parts = pieces(gguf);
  let end = 0;
  for (const [i, part] of parts.entries()) {
    end += part.length;
    for (const size of [end - 1, end, end + 1]) {
      if (i === parts.length - 1 && size > end - 1) continue;
      yield { name: `cut: part ${i} at ${size}`, bytes: () => serialise(gguf).subarray(0, size) };
    }
  }
}

function* tensors(gguf: Gguf): Generator<Mutation> {
  const changed = (name: string, change: (next: Gguf) => void): Mutation => ({
    name: `tensor: ${name}`,
    bytes: () => {
      const next = copy(gguf);
      change(next);
      return serialise(next);
    },
  });
  for (const [i, { name, dimensions }] of gguf.tensors.entries()) {
    const shown = utf8(name);
    yield changed(`${shown} missing`, (next) => {
      const [gone] = next.tensors.splice(i, 1);
      for (const later of next.tensors.slice(i)) later.offset -= BigInt(gone!.data.length);
      next.tensorCount--;
    });
    yield changed(`${shown} under another name`, (next) => next.tensors[i]!.name = Buffer.from(`x${shown}`));
    yield changed(`${shown} turned round`, (next) => next.tensors[i]!.dimensions.reverse());
    yield changed(`${shown} one wider`, (next) => next.tensors[i]!.dimensions[0] = dimensions[0]! + 1n);
    yield changed(`${shown} flat`, (next) => next.tensors[i]!.dimensions = [dimensions.reduce((a, b) => a * b)]);
  }
  const [first, second, third] = gguf.tensors as [Gguf["tensors"][0], Gguf["tensors"][0], Gguf["tensors"][0]];
  const shapes: bigint[][] = [
    [],
    [0n],
    [0n, 0n],
    [1n],
    [-1n],
    [2n ** 31n],
    [2n ** 62n],
    [2n ** 63n - 1n],
    [2n ** 32n, 2n ** 32n],
    [
      2n ** 31n,
      2n ** 31n,
      4n,
    ],
    [2n ** 62n, 2n, 2n],
    [64n, 285n, 0n],
    [64n, 285n, 1n, 1n, 1n],
    [1n, 1n, 1n, 1n, 2n ** 40n],
    [64n, 2n ** 58n],
    [
      2n ** 16n,
      2n ** 16n,
      2n ** 16n,
      2n ** 16n,
    ],
  ];
  for (const shape of shapes) {
    yield changed(`shape [${shape}]`, (next) => next.tensors[0]!.dimensions = shape);
    yield changed(`last shape [${shape}]`, (next) => next.tensors.at(-1)!.dimensions = shape);
  }
  const offsets = [
    1n,
    8n,
    31n,
    32n,
    -32n,
    second.offset + 32n,
    second.offset - 32n,
    0n,
    2n ** 40n,
    2n ** 63n,
    2n ** 64n - 32n,
  ];
  for (const offset of offsets) {
    yield changed(`second at ${offset}`, (next) => next.tensors[1]!.offset = offset);
    yield changed(`last at ${offset}`, (next) => next.tensors.at(-1)!.offset = offset);
  }
  yield changed("two with one name", (next) => next.tensors[1]!.name = first.name);
  yield changed("two change places", (next) => {
    next.tensors[1]!.offset = third.offset;
    next.tensors[2]!.offset = second.offset;
  });
  for (const length of [0, 63, 64, 200, 100_000]) {
    yield changed(`name of ${length} letters`, (next) => next.tensors[0]!.name = new Uint8Array(length).fill(120));
  }
  yield changed("name with a NUL", (next) => next.tensors[0]!.name = Buffer.from("token_embd.weight\0x"));
  yield changed("20,000 more", (next) => {
    const { offset, data } = next.tensors.at(-1)!;
    const end = offset + BigInt(data.length);
    for (let i = 0; i < 20_000; i++) {
      next.tensors.push({ name: Buffer.from(`x${i}`), dimensions: [0n], type: 0, offset: end, data: new Uint8Array() });
    }
    next.tensorCount = BigInt(next.tensors.length);
  });
  for (let type = 0; type < 48; type++) yield changed(`type ${type}`, (next) => next.tensors[0]!.type = type);
  for (const type of [-1, -0x80000000, 0x7fffffff]) {
    yield changed(`type ${type}`, (next) => next.tensors[0]!.type = type);
  }
}

function* vocabularies(gguf: Gguf): Generator<Mutation> {
  for (const [name, tokens] of hostileTexts()) {
    yield { name: `vocabulary: ${name}`, bytes: () => serialise(withTokens(gguf, tokens)) };
  }
  const lists: [string, Value][] = [
    ["token_type", value.i32s([])],
    ["token_type", value.i32s([1])],
    ["token_type", value.i32s(new Array(285).fill(-1))],
    ["token_type", value.i32s(new Array(285).fill(2 ** 31 - 1))],
    ["token_type", value.i32s(new Array(285).fill(6))],
    ["token_type", value.f32s(new Array(285).fill(1))],
    ["scores", value.f32s([])],
    ["scores", value.f32s(new Array(285).fill(NaN))],
    ["scores", value.strings(["a"])],
    ["suppress_tokens", value.i32s([-1, 2 ** 31 - 1])],
    ["merges", value.strings(["", " ", "a", "a b c"])],
  ];
  for (const [key, one] of lists) {
    const name = `vocabulary: ${key} of type ${one.bytes[0]} and ${one.bytes.length} bytes`;
    yield { name, bytes: () => serialise(setKey(gguf, `tokenizer.ggml.${key}`, one)) };
  }
}

/** Each key of a file: missing, of another type, and with numbers that no model has. */
function* keys(base: Base, gguf: Gguf): Generator<Mutation> {
  for (const { key, value: old } of gguf.entries) {
    const name = utf8(key);
    const one = (what: string, next: Value | undefined): Mutation => ({
      name: `key: ${base} ${name} ${what}`,
      bytes: () => serialise(setKey(gguf, name, next)),
    });
    yield one("missing", undefined);
    if (old.type !== TYPE.string) yield one("a string", value.string("x"));
    if (old.type !== TYPE.u32) yield one("a number", value.u32(7));
    if (old.type === TYPE.array) {
      yield one("empty", { type: TYPE.array, bytes: Buffer.concat([old.bytes.subarray(0, 4), u64(0)]) });
    }
    if (old.type === TYPE.string) {
      for (const text of ["", "x", "é\0\n", "x".repeat(1 << 20)]) {
        yield one(`${text.length} letters`, value.string(text));
      }
    }
    if (old.type === TYPE.u32 || old.type === TYPE.f32) {
      for (const [what, number] of numbers()) yield one(what, number);
    }
  }
}

/** Keys that a model may have, with numbers that none has. */
function* added(base: Base, gguf: Gguf): Generator<Mutation> {
  const architecture = utf8(
    gguf.entries.find(({ key }) => utf8(key) === "general.architecture")!.value.bytes.subarray(8),
  );
  const own = `embedding_length_out expert_count expert_used_count expert_group_count nextn_predict_layers
    attention.head_count_kv attention.key_length attention.value_length attention.sliding_window vocab_size
    rope.dimension_count rope.scaling.factor rope.scaling.original_context_length rope.freq_base
    attention.max_alibi_bias attention.scale classifier.output_labels attention.causal pooling_type
    leading_dense_block_count moe_every_n_layers feed_forward_length`.trim().split(/\s+/).map((key) =>
    `${architecture}.${key}`
  );
  const general =
    `general.alignment split.count split.no split.tensors.count general.file_type general.quantization_version
    tokenizer.ggml.bos_token_id tokenizer.ggml.eos_token_id tokenizer.ggml.seperator_token_id
    tokenizer.ggml.padding_token_id tokenizer.ggml.unknown_token_id tokenizer.ggml.mask_token_id
    tokenizer.ggml.add_bos_token tokenizer.ggml.add_eos_token tokenizer.ggml.add_sep_token
    tokenizer.ggml.add_space_prefix tokenizer.ggml.remove_extra_whitespaces tokenizer.ggml.token_type_count
    llamasaur.max_seq_length`.trim().split(/\s+/);
  const there = new Set(gguf.entries.map(({ key }) => utf8(key)));
  for (const key of base === "bert" ? [...own, ...general] : own) {
    if (there.has(key)) continue;
    const values: [string, Value][] = [
      ...numbers(),
      ["2", value.u32(2)],
      ["3", value.u32(3)],
      ["true", value.bool(1)],
      ["2 in 16 bits", { type: TYPE.u16, bytes: Uint8Array.of(2, 0) }],
      ["a list", value.i32s([1, 0])],
      ["a string", value.string("x")],
      ["strings", value.strings(["", "x"])],
    ];
    for (const [what, one] of values) {
      yield { name: `added: ${base} ${key} ${what}`, bytes: () => serialise(setKey(gguf, key, one)) };
    }
  }
  for (const type of ["", "none", "linear", "yarn", "longrope", "x"]) {
    const name = `added: ${base} rope.scaling.type "${type}"`;
    yield { name, bytes: () => serialise(setKey(gguf, `${architecture}.rope.scaling.type`, value.string(type))) };
  }
}

/** Each tensor with weights that are no numbers, and of each type that fits its rows. */
function* weights(base: Base, gguf: Gguf): Generator<Mutation> {
  for (const [i, { name, dimensions }] of gguf.tensors.entries()) {
    if (/^(enc\.)?blk\.[1-9]/.test(utf8(name)) && base === "bert") continue;
    for (const number of [NaN, Infinity, 3e38]) {
      yield {
        name: `weights: ${base} ${utf8(name)} all ${number}`,
        bytes: () => {
          const next = copy(gguf);
          next.tensors[i]!.data = new Uint8Array(
            new Float32Array(next.tensors[i]!.data.length / 4).fill(number).buffer,
          );
          return serialise(next);
        },
      };
    }
    for (const [type, [values]] of BLOCKS) {
      if (type === 0 || Number(dimensions[0]) % values !== 0) continue;
      yield {
        name: `weights: ${base} ${utf8(name)} of type ${type}`,
        bytes: () => serialise(withTensorType(gguf, i, type)),
      };
    }
  }
}

/** A file that says to be of each architecture, its own keys renamed. */
function* architectures(base: Base, gguf: Gguf): Generator<Mutation> {
  const old = utf8(gguf.entries.find(({ key }) => utf8(key) === "general.architecture")!.value.bytes.subarray(8));
  for (const architecture of [...ARCHITECTURES, "", "x", "BERT", "bert\0", "x".repeat(1000)]) {
    yield {
      name: `architecture: ${base} as ${architecture.slice(0, 40)}`,
      bytes: () => {
        const next = setKey(gguf, "general.architecture", value.string(architecture));
        for (const entry of next.entries) {
          const name = utf8(entry.key);
          if (name.startsWith(`${old}.`)) entry.key = Buffer.from(architecture + name.slice(old.length));
        }
        return serialise(next);
      },
    };
  }
}

function* tokenizers(...ggufs: Gguf[]): Generator<Mutation> {
  for (const [i, gguf] of ggufs.entries()) {
    for (const name of [...TOKENIZERS, "", "x"]) {
      yield {
        name: `tokenizer: ${i} as ${name}`,
        bytes: () => serialise(setKey(gguf, "tokenizer.ggml.model", value.string(name))),
      };
    }
  }
  for (const name of [...PRETOKENIZERS, "", "x"]) {
    yield {
      name: `tokenizer: gpt2 ${name}`,
      bytes: () => serialise(setKey(ggufs[1]!, "tokenizer.ggml.pre", value.string(name))),
    };
  }
}

function* templates(gguf: Gguf): Generator<Mutation> {
  const list = [
    "",
    "{query}",
    "{document}",
    "{query}{document}{query}{document}",
    "{query}".repeat(10_000) + "{document}",
    "{document}<|im_end|>{query}",
    "<|im_end|>".repeat(20_000),
    `${"x".repeat(1 << 20)}{query}{document}`,
    "{{query}} {%- for i in range(10**9) -%}{document}{%- endfor -%}",
    "\0{query}\0{document}\0",
    "$&$1{query}$`{document}$'",
    Uint8Array.of(0xff, 0xfe, 0x7b, 0x80),
  ];
  for (const [i, one] of list.entries()) {
    for (const key of ["tokenizer.chat_template.rerank", "tokenizer.chat_template"]) {
      yield { name: `template: ${i} as ${key}`, bytes: () => serialise(setKey(gguf, key, value.string(one))) };
    }
  }
}

function* others(bert: Uint8Array, quantised: Uint8Array): Generator<Mutation> {
  const text = (name: string, content: string): Mutation => ({
    name: `other: ${name}`,
    bytes: () => Buffer.from(content),
  });
  yield text("empty", "");
  yield text("a letter", "G");
  yield text("the magic", "GGUF");
  yield text("HTML", "<!doctype html><title>404</title>");
  yield text("a zip", "PK\x03\x04\x14\0\0\0\b\0");
  yield text("a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
  yield text("JSON", '{"GGUF": 3}');
  yield { name: "other: zeros", bytes: () => new Uint8Array(1 << 16) };
  yield {
    name: "other: zeros behind the magic",
    bytes: () => Buffer.concat([Buffer.from("GGUF"), new Uint8Array(1 << 16)]),
  };
  yield {
    name: "other: ones behind the magic",
    bytes: () => Buffer.concat([Buffer.from("GGUF"), new Uint8Array(1 << 16).fill(255)]),
  };
  yield { name: "other: twice", bytes: () => Buffer.concat([bert, bert]) };
  for (const share of [4, 2, 1.1]) {
    const at = (file: Uint8Array): number => Math.floor(file.length / share);
    yield {
      name: `other: another's tail from 1/${share}`,
      bytes: () => Buffer.concat([bert.subarray(0, at(bert)), quantised.subarray(at(quantised))]),
    };
  }
}
