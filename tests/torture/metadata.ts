// The part of the corpus that is about what a file says of itself: keys, vocabularies, templates, architectures.
import { Buffer } from "node:buffer";
import { ARCHITECTURES, PRETOKENIZERS, TOKENIZERS } from "./architectures.ts";
import type { Mutation } from "./corpus.ts";
import { copy, type Gguf, serialise, setKey, TYPE, u64, type Value, value } from "./gguf.ts";
import { hostileTexts, numbers, placeTensors, withTokens } from "./hostile.ts";
import type { Base } from "./tiny_models.ts";

const utf8 = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

export function* vocabularies(gguf: Gguf): Generator<Mutation> {
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
  for (const [i, [key, one]] of lists.entries()) {
    const name = `vocabulary: ${i} ${key} of type ${one.bytes[0]} and ${one.bytes.length} bytes`;
    yield { name, bytes: () => serialise(setKey(gguf, `tokenizer.ggml.${key}`, one)) };
  }
}

/** Each key of a file: missing, of another type, and with numbers that no model has. */
export function* keys(base: Base, gguf: Gguf): Generator<Mutation> {
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

/** What a check overlooks that does not end a text at its first NUL, as llama.cpp does. */
export function* zeros(base: Base, gguf: Gguf): Generator<Mutation> {
  const architecture = utf8(
    gguf.entries.find(({ key }) => utf8(key) === "general.architecture")!.value.bytes.subarray(8),
  );
  const hidden = (): Gguf => setKey(gguf, "general.architecture", value.string(`${architecture}\0x`));
  const own = gguf.entries.filter(({ value: { type } }) => type === TYPE.u32).map(({ key }) => utf8(key));
  const more = ["rope.dimension_count", "attention.head_count_kv"].map((key) => `${architecture}.${key}`);
  for (const key of new Set([...own, ...more])) {
    yield {
      name: `NUL: ${base} ${key} before a 0`,
      bytes: () => {
        const next = copy(gguf);
        next.entries.unshift({ key: Buffer.from(`${key}\0`), value: value.u32(0) });
        next.entryCount++;
        return serialise(next);
      },
    };
    yield {
      name: `NUL: ${base} behind the architecture, ${key} 0`,
      bytes: () => serialise(setKey(hidden(), key, value.u32(0))),
    };
  }
  for (const [i, { name }] of gguf.tensors.entries()) {
    yield {
      name: `NUL: ${base} behind the architecture, without ${utf8(name)}`,
      bytes: () => {
        const next = hidden();
        next.tensors.splice(i, 1);
        next.tensorCount--;
        placeTensors(next);
        return serialise(next);
      },
    };
  }
}

/** Keys that a model may have, with numbers that none has. */
export function* added(base: Base, gguf: Gguf): Generator<Mutation> {
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

/** A file that says to be of each architecture, its own keys renamed. */
export function* architectures(base: Base, gguf: Gguf): Generator<Mutation> {
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

export function* tokenizers(...ggufs: Gguf[]): Generator<Mutation> {
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

export function* templates(gguf: Gguf): Generator<Mutation> {
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

/** Heads of our own that are wrong: steps, sizes, numbers and letters. */
export function* heads(dense: Gguf, modern: Gguf): Generator<Mutation> {
  const base64 = (numbers: readonly number[]): string =>
    Buffer.from(Float32Array.from(numbers).buffer).toString("base64");
  const steps: readonly (readonly (string | Uint8Array)[])[] = [
    ...[[], [""], [" "], ["linear"], ["linear a"], ["linear a 48 48"], ["linear a 0"], ["linear a 4294967344"]],
    ...[["linear a -1"], ["linear a 48.0"], ["linear  48"], ["linear ../a 48"], ["linear token_embd 285"], [
      "linear a\0 48",
    ]],
    ...[["layer_norm n"], ["layer_norm n nan"], ["layer_norm n inf"], ["layer_norm n 1e999"], ["layer_norm n 0x1p-3"]],
    ...[["max", "mean"], ["mean", "cls"], Array(64).fill("tanh"), Array(65).fill("tanh"), Array(10_000).fill("l2")],
    ...[["x".repeat(257)], ["x".repeat(1 << 20)], [Uint8Array.of(0xff, 0xfe)], ["linear a 1048576"], [
      "linear a 1048577",
    ]],
    Array(64).fill("linear token_embd 285"),
  ];
  for (const [i, list] of steps.entries()) {
    const name = `head: steps ${i}`;
    yield { name, bytes: () => serialise(setKey(dense, "llamasaur.head.steps", value.strings(list))) };
    const rank = setKey(dense, "bert.pooling_type", value.u32(4));
    yield { name: `${name}, ranks`, bytes: () => serialise(setKey(rank, "llamasaur.head.steps", value.strings(list))) };
  }
  const letters = [
    ...[
      "",
      "=",
      "==",
      "====",
      "A",
      "AAAA",
      "AAAAAA==",
      "A===",
      "AA=A",
      "\n".repeat(4096),
      "é".repeat(2048),
      "-_-_-_==",
    ],
    base64(Array(3072).fill(NaN)),
    base64(Array(3072).fill(-Infinity)),
    base64(Array(3072).fill(3e38)),
    base64(Array(3071).fill(0)),
    base64(Array(3073).fill(0)),
    base64(Array(1 << 20).fill(0)),
  ];
  for (const [i, text] of letters.entries()) {
    for (const name of ["a.weight", "a.bias", "n.weight", "z.weight"]) {
      const key = `llamasaur.head.${name}`;
      yield { name: `head: letters ${i} as ${name}`, bytes: () => serialise(setKey(dense, key, value.string(text))) };
    }
  }
  for (const key of ["pooling_type", "activation"].map((one) => `modern-bert.classifier.${one}`)) {
    const values: [string, Value][] = [...numbers(), ["2", value.u32(2)], ["mish", value.string("mish")], [
      "silu",
      value.string("silu"),
    ]];
    for (const [what, one] of values) {
      yield { name: `head: ${key} ${what}`, bytes: () => serialise(setKey(modern, key, one)) };
    }
  }
}
