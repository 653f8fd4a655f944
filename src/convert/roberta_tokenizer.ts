/**
 * The tokenizer of a RoBERTa, XLM-RoBERTa or ModernBERT checkpoint, as the metadata by which llama.cpp tokenises in the same way.
 *
 * Follows RobertaModel.set_vocab, ModernBertModel.set_vocab, BertModel._xlmroberta_set_vocab and TextModel.get_vocab_base (conversion/bert.py, base.py)
 * and SpecialVocab (gguf-py/gguf/vocab.py) of the pinned llama.cpp. `add_space_prefix` and `remove_extra_whitespaces` are what
 * tokenizer.json says; llama.cpp's converter takes them from attributes of the Python object that mean other things.
 */
import { Buffer } from "node:buffer";
import { Config } from "./config.ts";
import type { GgufValue } from "./gguf.ts";
import {
  BERT_ASSUMED,
  CONTROL,
  looksSpecial,
  NORMAL,
  specialTokens,
  template,
  UNKNOWN,
  UNUSED,
  USER_DEFINED,
} from "./tokenizer.ts";

/** What RobertaTokenizer and XLMRobertaTokenizer assume where a checkpoint does not name its special tokens. */
const ASSUMED = {
  bos_token: "<s>",
  eos_token: "</s>",
  unk_token: "<unk>",
  sep_token: "</s>",
  pad_token: "<pad>",
  mask_token: "<mask>",
} as const;

/** Names of the format for them, in the order in which llama.cpp's converter writes them. */
const KEYS = { bos: "bos", eos: "eos", unk: "unknown", sep: "seperator", pad: "padding", mask: "mask" } as const;

/** A byte-level BPE as a family has it. */
interface ByteLevel {
  readonly name: string;
  /** What llama.cpp knows its splitting by. */
  readonly pre: string;
  readonly normalizer: "NFC" | undefined;
}

/** As roberta-base: llama.cpp splits as GPT-2 does and knows the doubled separator. */
const ROBERTA: ByteLevel = { name: "RoBERTa", pre: "roberta-bpe", normalizer: undefined };

/** As ModernBERT-base; llama.cpp composes no text, src/text/normalizer.ts does. */
const MODERN_BERT: ByteLevel = { name: "ModernBERT", pre: "modern-bert", normalizer: "NFC" };

/** A score below that of any piece: ids that no text has. */
const NEVER = -10000;

interface Vocabulary {
  /** Token ids; of a list with two equal tokens the first. */
  readonly ids: Map<string, number>;
  /** Scores of a Unigram model by id. */
  readonly scores?: readonly number[];
  /** What goes before the lists, and between them and the special tokens. */
  readonly kind: readonly [string, GgufValue][];
  readonly more: readonly [string, GgufValue][];
}

/**
 * Reads tokenizer.json of a checkpoint, Unigram (XLM-RoBERTa) or byte-level BPE (RoBERTa).
 *
 * @param directory Path of the checkpoint.
 * @param size Number of rows of the token embedding; ids without a token become unused ones.
 * @param types Number of token types, whose key goes among these.
 * @returns The `tokenizer.*` metadata.
 * @throws {LlamaError} With code `"model-unsupported"` if it is another tokenizer, `"model-invalid"` if it is damaged.
 */
export async function readRobertaTokenizer(
  directory: string,
  size: number,
  types: number,
): Promise<[string, GgufValue][]> {
  const special = await specialTokens(directory, await Config.find(directory, "tokenizer_config.json"), ASSUMED);
  const json = await Config.read(directory, "tokenizer.json");
  const model = json.object("model") ?? json.invalid("model is missing");
  const kind = model.text("type");
  if (kind !== "Unigram" && kind !== "BPE") model.unsupported(`type ${kind}, only Unigram and BPE are supported`);
  const unigram = kind === "Unigram";
  const count: [string, GgufValue] = ["tokenizer.ggml.token_type_count", { u32: types }];
  const { ids, scores, ...written } = unigram ? readUnigram(json, model, count) : readByteLevel(json, model, ROBERTA);
  const added = addedTokens(json, ids);
  const [cls, sep] = template(json, 2);
  for (const token of [cls, sep]) if (!ids.has(token)) model.invalid(`token "${token}" is missing`);
  for (const token of Object.values(special)) if (ids.has(token)) added.set(token, true);
  const { tokens, kinds } = listed(json, size, ids, added, !unigram);
  if (unigram) kinds[ids.get(special.unk_token) ?? model.count("unk_id")] = UNKNOWN;

  return [
    ...written.kind,
    ["tokenizer.ggml.tokens", { strings: tokens }],
    ...(scores ? [["tokenizer.ggml.scores", { f32s: tokens.map((_, id) => scores[id] ?? NEVER) }] as const] : []),
    ["tokenizer.ggml.token_type", { i32s: kinds }],
    ...written.more,
    ...specialIds(ids, cls, sep, special),
    ["tokenizer.ggml.add_bos_token", { bool: true }],
    ["tokenizer.ggml.add_eos_token", { bool: true }],
    ["tokenizer.ggml.add_sep_token", { bool: true }],
    ...(unigram ? [] : [count]),
  ] as [string, GgufValue][];
}

/**
 * Reads tokenizer.json of a ModernBERT checkpoint: GPT-2's byte-level BPE over text in NFC, with BERT's special tokens.
 *
 * @param directory Path of the checkpoint.
 * @param size Number of rows of the token embedding; ids without a token become unused ones.
 * @returns The `tokenizer.*` metadata.
 * @throws As `readRobertaTokenizer`.
 */
export async function readModernBertTokenizer(directory: string, size: number): Promise<[string, GgufValue][]> {
  const special = await specialTokens(directory, await Config.find(directory, "tokenizer_config.json"), BERT_ASSUMED);
  const json = await Config.read(directory, "tokenizer.json");
  const model = json.object("model") ?? json.invalid("model is missing");
  if (model.text("type") !== "BPE") {
    model.unsupported(`type ${model.text("type")}, only GPT-2's BPE is supported for ModernBERT`);
  }
  const { ids, kind, more } = readByteLevel(json, model, MODERN_BERT);
  const added = addedTokens(json, ids);
  const [cls, sep] = template(json, 1);
  for (const token of [cls, sep]) if (!ids.has(token)) model.invalid(`token "${token}" is missing`);
  for (const token of Object.values(special)) if (ids.has(token)) added.set(token, true);
  const { tokens, kinds } = listed(json, size, ids, added, true);
  return [
    ["tokenizer.ggml.add_bos_token", { bool: true }],
    ["tokenizer.ggml.add_eos_token", { bool: true }],
    ["tokenizer.ggml.add_sep_token", { bool: false }],
    ...kind,
    ["tokenizer.ggml.tokens", { strings: tokens }],
    ["tokenizer.ggml.token_type", { i32s: kinds }],
    ...more,
    ...specialIds(ids, cls, sep, special),
  ];
}

/** Adds the tokens that a text is searched for first to the ids, and tells of each whether it is special. */
function addedTokens(json: Config, ids: Map<string, number>): Map<string, boolean> {
  const added = new Map<string, boolean>();
  for (const entry of json.objects("added_tokens")) {
    const token = entry.text("content") ?? entry.invalid("content is missing");
    ids.set(token, entry.count("id"));
    added.set(token, entry.flag("special") ?? false);
  }
  return added;
}

/** Tokens and their kinds by id. */
function listed(
  json: Config,
  size: number,
  ids: ReadonlyMap<string, number>,
  added: ReadonlyMap<string, boolean>,
  spaces: boolean,
): { tokens: string[]; kinds: number[] } {
  const tokens = Array.from({ length: size }, (_, id) => `[PAD${id}]`);
  const kinds = new Array<number>(size).fill(UNUSED);
  for (const [token, id] of ids) {
    if (id >= size) {
      json.invalid(`token ${JSON.stringify(token)} has id ${id}, and vocab_size in config.json is ${size}`);
    }
    kinds[id] = !added.has(token) ? NORMAL : added.get(token) || looksSpecial(token) ? CONTROL : USER_DEFINED;
    tokens[id] = spaces && kinds[id] === USER_DEFINED ? token.replaceAll("\u2581", " ") : token;
  }
  return { tokens, kinds };
}

/**
 * The keys of special tokens, of those that the vocabulary has. What goes around a text is told by the template, as for Hugging
 * Face's fast tokenizers, whatever tokenizer_config.json names.
 */
function specialIds(
  ids: ReadonlyMap<string, number>,
  cls: string,
  sep: string,
  { unk_token: unk, pad_token: pad, mask_token: mask }: Readonly<
    Record<"unk_token" | "pad_token" | "mask_token", string>
  >,
): [string, GgufValue][] {
  const texts = { bos: cls, eos: sep, unk, sep, pad, mask };
  return (Object.keys(KEYS) as (keyof typeof KEYS)[]).flatMap((key): [string, GgufValue][] => {
    const id = ids.get(texts[key]);
    return id === undefined ? [] : [[`tokenizer.ggml.${KEYS[key]}_token_id`, { u32: id }]];
  });
}

/** SentencePiece's Unigram: pieces with scores, a map of characters, and "▁" for spaces. */
function readUnigram(json: Config, model: Config, types: [string, GgufValue]): Vocabulary {
  const pieces = model.list("vocab").map((entry, id): [string, number] => {
    const [token, score] = Array.isArray(entry) ? entry : [];
    if (typeof token !== "string" || typeof score !== "number") model.invalid(`vocab[${id}] is no token with a score`);
    return [token, score];
  });
  if (model.flag("byte_fallback")) model.unsupported("byte_fallback is true, XLM-RoBERTa has none");
  const ids = new Map<string, number>();
  pieces.forEach(([token], id) => ids.has(token) || ids.set(token, id));
  const map = charactersOf(json.object("normalizer"));
  const splitters = parts(json.object("pre_tokenizer"), "pretokenizers");
  const space = splitters.find((part) => part.text("type") === "Metaspace") ??
    json.unsupported("pre_tokenizer is no Metaspace, as XLM-RoBERTa's is");
  const prefix = space.text("prepend_scheme") ?? ((space.flag("add_prefix_space") ?? true) ? "always" : "never");
  return {
    ids,
    scores: pieces.map(([, score]) => score),
    kind: [["tokenizer.ggml.model", { string: "t5" }], ["tokenizer.ggml.pre", { string: "default" }]],
    more: [
      ["tokenizer.ggml.add_space_prefix", { bool: prefix !== "never" }],
      types,
      ["tokenizer.ggml.remove_extra_whitespaces", { bool: true }],
      ...(map ? [["tokenizer.ggml.precompiled_charsmap", { u8s: map }] as [string, GgufValue]] : []),
    ],
  };
}

/** The map of characters; what else a normalizer may do is to make one space of several. */
function charactersOf(normalizer: Config | undefined): Uint8Array | undefined {
  let map: Uint8Array | undefined;
  for (const part of parts(normalizer, "normalizers")) {
    const kind = part.text("type");
    if (kind === "Precompiled") {
      const text = part.text("precompiled_charsmap") ?? "";
      if (text) map = Uint8Array.from(Buffer.from(text, "base64"));
    } else if (kind !== "Strip" && !(kind === "Replace" && part.object("pattern")?.text("Regex") === " {2,}")) {
      part.unsupported(`normalizer ${kind}, only a map of characters and the removal of spaces are supported`);
    }
  }
  return map;
}

/** GPT-2's byte-level BPE. */
function readByteLevel(json: Config, model: Config, { name, pre, normalizer }: ByteLevel): Vocabulary {
  const splitter = json.object("pre_tokenizer");
  const kind = splitter?.text("type");
  if (kind !== "ByteLevel") json.unsupported(`pre_tokenizer ${kind}, only ByteLevel is supported`);
  if (splitter?.flag("add_prefix_space") || splitter?.flag("use_regex") === false) {
    splitter.unsupported("add_prefix_space is true or use_regex is false, llama.cpp does it otherwise");
  }
  const found = json.object("normalizer")?.text("type");
  if (found !== normalizer) {
    json.unsupported(`normalizer is ${found ?? "not there"}, ${name} has ${normalizer ?? "none"}`);
  }
  if (model.flag("ignore_merges")) model.unsupported(`ignore_merges is true, ${name} merges always`);
  const vocabulary = model.object("vocab") ?? model.invalid("vocab is missing");
  const ids = new Map<string, number>();
  for (const token of vocabulary.keys()) ids.set(token, vocabulary.count(token));
  const merges = model.list("merges").map((merge, i) => {
    const text = Array.isArray(merge) ? merge.join(" ") : merge;
    return typeof text === "string" ? text : model.invalid(`merges[${i}] is no pair of tokens`);
  });
  return {
    ids,
    kind: [["tokenizer.ggml.model", { string: "gpt2" }], ["tokenizer.ggml.pre", { string: pre }]],
    more: [["tokenizer.ggml.merges", { strings: merges }]],
  };
}

/** The parts of a sequence; a part that is none is the only one. */
function parts(config: Config | undefined, key: string): Config[] {
  if (config === undefined) return [];
  return config.text("type") === "Sequence" ? config.objects(key) : [config];
}
