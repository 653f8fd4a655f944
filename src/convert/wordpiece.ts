/**
 * The tokenizer of a BERT checkpoint, as the metadata by which llama.cpp tokenises in the same way.
 *
 * Follows BertModel.set_vocab and TextModel.get_vocab_base (conversion/bert.py, base.py) and SpecialVocab
 * (gguf-py/gguf/vocab.py) of the pinned llama.cpp. Where a checkpoint leaves something out, those leave out the key,
 * and llama.cpp assumes the ids of bert-base-uncased; here the key is written with what BertTokenizer assumes.
 */
import { join } from "node:path";
import { LlamaError } from "../../ffi/errors.ts";
import { Config, findText } from "./config.ts";
import type { GgufValue } from "./gguf.ts";
import {
  BERT_ASSUMED,
  CONTROL,
  looksSpecial,
  type NamedTokens,
  NORMAL,
  specialTokens,
  template,
  UNUSED,
  USER_DEFINED,
} from "./tokenizer.ts";

/** The parts of a tokenizer that end up in the metadata. */
interface WordPiece {
  readonly ids: ReadonlyMap<string, number>;
  /** Tokens looked for in text before it is split, and whether they are special (stand for no text). */
  readonly added: ReadonlyMap<string, boolean>;
  readonly lowercase: boolean;
  /** Undefined: as `lowercase`. */
  readonly stripAccents: boolean | undefined;
  /** The tokens put before and after a text. */
  readonly cls: string;
  readonly sep: string;
}

type SpecialTokens = NamedTokens<typeof BERT_ASSUMED>;

/**
 * Reads the tokenizer of a checkpoint: `tokenizer.json`, else `vocab.txt`, with `tokenizer_config.json`.
 *
 * @param directory Path of the checkpoint.
 * @param size Number of rows of the token embedding; ids without a token become unused ones.
 * @param lowercaseFirst Whether text is lower-cased before the tokenizer sees it (sentence-transformers' `do_lower_case`).
 * @returns The `tokenizer.*` metadata.
 * @throws {LlamaError} With code `"model-unsupported"` if it is not a BERT tokenizer, `"model-invalid"` if it is damaged.
 */
export async function readWordPiece(
  directory: string,
  size: number,
  lowercaseFirst: boolean,
): Promise<[string, GgufValue][]> {
  const settings = await Config.find(directory, "tokenizer_config.json");
  const special = await specialTokens(directory, settings, BERT_ASSUMED);
  const json = await Config.find(directory, "tokenizer.json");
  const { ids, added, cls, sep, ...normalizer } = json
    ? fromTokenizer(json, special, settings)
    : await fromVocabulary(directory, special, settings);

  const tokens = Array.from({ length: size }, (_, id) => `\u2581[PAD${id}]`);
  const types = new Array<number>(size).fill(UNUSED);
  for (const [token, id] of ids) {
    if (id >= size) {
      const reason = `token ${JSON.stringify(token)} has id ${id}, and vocab_size in config.json is ${size}`;
      (json ?? await Config.read(directory, "config.json")).invalid(reason);
    }
    types[id] = !added.has(token) ? NORMAL : added.get(token) || looksSpecial(token) ? CONTROL : USER_DEFINED;
    tokens[id] = phantom(token, types[id]);
  }

  const idOf = (key: string, token: string): [string, GgufValue][] => {
    const id = ids.get(token);
    return id === undefined ? [] : [[`tokenizer.ggml.${key}_token_id`, { u32: id }]];
  };
  const lowercase = normalizer.lowercase || lowercaseFirst;
  // Lower-casing text first does not strip its accents, which a tokenizer that lower-cases does unless told otherwise.
  const stripAccents = normalizer.stripAccents ?? (lowercase === normalizer.lowercase ? undefined : false);
  return [
    ["tokenizer.ggml.model", { string: "bert" }],
    // llama.cpp reads this for byte-pair vocabularies only; its converter writes it for the vocabulary of bert-base-uncased.
    ["tokenizer.ggml.pre", { string: "jina-v2-en" }],
    ["tokenizer.ggml.tokens", { strings: tokens }],
    ["tokenizer.ggml.token_type", { i32s: types }],
    ...idOf("bos", cls),
    ...idOf("eos", sep),
    ...idOf("unknown", special.unk_token),
    ...idOf("seperator", sep), // the spelling of the format
    ...idOf("padding", special.pad_token),
    ...idOf("mask", special.mask_token),
    ["tokenizer.ggml.add_bos_token", { bool: true }],
    ["tokenizer.ggml.add_eos_token", { bool: true }],
    ["tokenizer.ggml.add_sep_token", { bool: false }],
    ["tokenizer.ggml.normalizer.lowercase", { bool: lowercase }],
    ...(stripAccents === undefined
      ? []
      : [["tokenizer.ggml.normalizer.strip_accents", { bool: stripAccents }] as const]),
  ] as [string, GgufValue][];
}

function fromTokenizer(json: Config, special: SpecialTokens, settings: Config | undefined): WordPiece {
  const model = json.object("model") ?? json.invalid("model is missing");
  if (model.text("type") !== "WordPiece") model.unsupported(`type ${model.text("type")}, only WordPiece is supported`);
  const prefix = model.text("continuing_subword_prefix") ?? "##";
  if (prefix !== "##") {
    model.unsupported(`continuing_subword_prefix ${JSON.stringify(prefix)}, llama.cpp knows only "##"`);
  }
  const splitter = json.object("pre_tokenizer")?.text("type");
  if (splitter !== "BertPreTokenizer") {
    json.unsupported(`pre_tokenizer ${splitter}, only BertPreTokenizer is supported`);
  }

  const vocabulary = model.object("vocab") ?? model.invalid("vocab is missing");
  const ids = new Map<string, number>();
  for (const token of vocabulary.keys()) ids.set(token, vocabulary.count(token));
  const added = new Map<string, boolean>();
  for (const entry of json.objects("added_tokens")) {
    const token = entry.text("content") ?? entry.invalid("content is missing");
    ids.set(token, entry.count("id"));
    added.set(token, entry.flag("special") ?? false);
  }
  for (const token of Object.values(special)) if (ids.has(token)) added.set(token, true);

  const [cls, sep] = template(json, 1);
  for (const token of [cls, sep, special.unk_token]) {
    if (!ids.has(token)) vocabulary.invalid(`token "${token}" is missing`);
  }
  const normalizer = json.object("normalizer");
  // What tokenizer_config.json says has the last word when Python loads a tokenizer.
  const setting = (key: string, name: string, simple: string): boolean | undefined =>
    settings?.flag(key) ?? normalization(normalizer, name, simple);
  if (setting("tokenize_chinese_chars", "handle_chinese_chars", "") === false) {
    json.unsupported("tokenize_chinese_chars is false, and llama.cpp always splits Chinese characters");
  }
  const lowercase = setting("do_lower_case", "lowercase", "Lowercase") ?? false;
  return { ids, added, cls, sep, lowercase, stripAccents: setting("strip_accents", "strip_accents", "StripAccents") };
}

/** Checkpoints from before tokenizer.json: one token a line, its id being the number of the line. */
async function fromVocabulary(
  directory: string,
  special: SpecialTokens,
  settings: Config | undefined,
): Promise<WordPiece> {
  const text = await findText(join(directory, "vocab.txt"));
  // Reading tokenizer.json gives the error for a directory that has neither.
  if (text === undefined) return fromTokenizer(await Config.read(directory, "tokenizer.json"), special, settings);
  const ids = new Map(text.replace(/\r?\n$/, "").split(/\r?\n/).map((token, id) => [token, id]));
  const { cls_token: cls, sep_token: sep, unk_token: unk } = special;
  for (const token of [cls, sep, unk]) {
    if (!ids.has(token)) {
      throw new LlamaError("model-invalid", `${join(directory, "vocab.txt")}: token "${token}" is missing`);
    }
  }
  return {
    ids,
    added: new Map(Object.values(special).filter((token) => ids.has(token)).map((token) => [token, true])),
    cls,
    sep,
    lowercase: settings?.flag("do_lower_case") ?? true,
    stripAccents: settings?.flag("strip_accents"),
  };
}

/** A switch of the normalizer, which may be a BertNormalizer or a sequence of simpler ones. */
function normalization(normalizer: Config | undefined, key: string, simple: string): boolean | undefined {
  if (normalizer === undefined) return undefined;
  const kind = normalizer.text("type");
  if (kind === simple) return true;
  if (kind === "BertNormalizer") return normalizer.flag(key);
  if (kind === "Sequence") {
    return normalizer.objects("normalizers").map((part) => normalization(part, key, simple)).findLast((on) =>
      on !== undefined
    );
  }
  if (kind === "Lowercase" || kind === "StripAccents") return undefined;
  return normalizer.unsupported(`normalizer ${kind}, only BertNormalizer, Lowercase and StripAccents are supported`);
}

/** llama.cpp marks where a word begins ("▁") and not where it goes on ("##"). */
function phantom(token: string, type: number): string {
  if (type === CONTROL) return token;
  const text = type === USER_DEFINED ? token.replaceAll("\u2581", " ") : token;
  return text.startsWith("##") ? text.slice(2) : `\u2581${text}`;
}
