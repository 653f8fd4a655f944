/** Lists what every file of a compared architecture has, and llama.cpp computes without, in silence, where it is missing. */
import type { Facts } from "./facts.ts";

/** Files of some kind, and what all of them have. */
interface Need {
  readonly when: (facts: Facts) => boolean;
  readonly tensors?: readonly string[];
  /** The same of each layer, behind `blk.N.`; `a|b`: one of the two. */
  readonly layers?: readonly string[];
  /** Of the metadata, behind the architecture's name. */
  readonly keys?: readonly string[];
}

const tokenizerOf = ({ meta }: Facts): string => meta("tokenizer.ggml.model") ?? "none";
const isPairs = ({ reranker }: Facts): boolean => reranker === "cross-encoder";

/** By the classes of transformers. What is optional in llama.cpp's loader is not so in these. */
const NEEDS: readonly Need[] = [
  {
    // BERT, DistilBERT, RoBERTa, XLM-RoBERTa
    when: ({ architecture }) => architecture === "bert",
    layers: [
      ...["q", "k", "v"].map((one) => `attn_${one}.bias|attn_qkv.bias`),
      "attn_output.bias",
      "ffn_up.bias",
      "ffn_down.bias",
    ],
  },
  {
    when: ({ architecture }) => architecture === "qwen2",
    layers: ["q", "k", "v"].map((one) => `attn_${one}.bias|attn_qkv.bias`),
  },
  {
    // DistilBERT alone has one type, and no weights of it.
    when: (facts) =>
      facts.architecture === "bert" && tokenizerOf(facts) !== "bert" ||
      /^(nomic-)?bert$/.test(facts.architecture) && Number(facts.meta("tokenizer.ggml.token_type_count") ?? 0) > 1,
    tensors: ["token_types.weight"],
  },
  { when: isPairs, tensors: ["cls.output.weight"] },
  {
    when: (facts) => isPairs(facts) && /^(modern-)?bert$/.test(facts.architecture),
    tensors: ["cls.output.bias"],
  },
  {
    when: (facts) => isPairs(facts) && facts.architecture === "bert" && facts.hasTensor("cls.weight"),
    tensors: ["cls.bias"],
  },
  {
    when: (facts) => isPairs(facts) && facts.architecture === "modern-bert",
    tensors: ["cls.weight", "cls.norm.weight"],
  },
  {
    when: ({ architecture, hasTensor }) => architecture === "gemma-embedding" && hasTensor("dense_2.weight"),
    tensors: ["dense_3.weight"],
  },
  { when: ({ architecture }) => architecture === "modern-bert", keys: ["attention.sliding_window"] },
];

/** What of these a file does not have. */
export function missingOf(facts: Facts): string[] {
  const layers = Number(facts.meta(`${facts.architecture}.block_count`) ?? 0);
  return NEEDS.filter(({ when }) => when(facts)).flatMap(({ tensors = [], layers: names = [], keys = [] }) => [
    ...tensors.filter((name) => !facts.hasTensor(name)),
    ...Array.from({ length: layers }, (_, i) => names.map((name) => name.replaceAll(/[^|]+/g, `blk.${i}.$&`))).flat()
      .filter((name) => !name.split("|").some(facts.hasTensor)).map((name) => name.split("|")[0]!),
    ...keys.map((key) => `${facts.architecture}.${key}`).filter((key) => facts.meta(key) === undefined),
  ]);
}

/** A key that converters write and older ones may not have, so that llama.cpp's own value may be right or wrong. */
interface Saying {
  readonly key: string;
  readonly when: (facts: Facts) => boolean;
  /** What it says, as in "whether …". */
  readonly what: string;
}

const ROTARY = /^(nomic-bert|modern-bert|gemma-embedding|qwen[23]|llama|llama-embed|eurobert|lfm2)$/;
// The other tokenizers of byte pairs go by the name of their pre-tokenizer, and RoBERTa and XLM-R lack it where it is not said.
const FLAGGED = /^(modern-bert|gemma)/;

const SAYINGS: readonly Saying[] = [
  {
    key: "tokenizer.ggml.add_bos_token",
    when: ({ architecture, options }) => FLAGGED.test(architecture) && options.addBos === undefined,
    what: "whether a text begins with a token of its own",
  },
  {
    key: "tokenizer.ggml.add_eos_token",
    when: ({ architecture, options }) => FLAGGED.test(architecture) && options.addEos === undefined,
    what: "whether a text ends with a token of its own",
  },
  { key: "tokenizer.ggml.bos_token_id", when: ({ addBos }) => addBos, what: "which token a text begins with" },
  { key: "tokenizer.ggml.eos_token_id", when: ({ addEos }) => addEos, what: "which token a text ends with" },
  {
    key: "tokenizer.ggml.seperator_token_id", // llama.cpp's spelling
    when: (facts) => tokenizerOf(facts) === "bert",
    what: "which token a text ends with",
  },
  {
    key: "tokenizer.ggml.normalizer.lowercase",
    when: (facts) => tokenizerOf(facts) === "bert",
    what: "whether texts are put into lower case",
  },
  {
    key: "tokenizer.ggml.token_type",
    when: (facts) => /^(gpt2|llama)$/.test(tokenizerOf(facts)),
    what: "which tokens are special",
  },
  {
    key: "tokenizer.ggml.scores",
    when: (facts) => /^(llama|t5)$/.test(tokenizerOf(facts)),
    what: "which pieces a word is made of",
  },
  {
    key: "tokenizer.ggml.precompiled_charsmap",
    when: (facts) => tokenizerOf(facts) === "t5",
    what: "how texts are normalised",
  },
  {
    key: "tokenizer.ggml.remove_extra_whitespaces",
    when: (facts) => tokenizerOf(facts) === "t5",
    what: "whether spaces are merged",
  },
  {
    key: "tokenizer.ggml.add_space_prefix",
    when: (facts) => tokenizerOf(facts) === "llama",
    what: "whether a space goes before a text",
  },
];

/** What a file does not say of itself, as in "whether …". */
export function unsaidOf(facts: Facts): string[] {
  const { architecture } = facts;
  const base = `${architecture}.rope.freq_base`;
  const rotary = ROTARY.test(architecture)
    ? [{ key: base, when: () => true, what: "the base of rotary positions" }]
    : [];
  return [...SAYINGS, ...rotary]
    .filter(({ key, when }) => when(facts) && !facts.meta(key) && !facts.meta(`:list:${key}`))
    .map(({ key, what }) => `${what}: the file has no ${key}, and llama.cpp's own value is taken`);
}

const WINDOW = "attention.sliding_window";
const WINDOWED = /^(modern-bert|gemma-embedding|lfm2)$/;

/**
 * Keys that change a result where they are read (llama-arch.cpp), and that llama.cpp's graphs of the compared architectures
 * do not read, but for the windows of three: no converter of today writes them there, a newer one may.
 */
const UNREAD = [
  WINDOW,
  "attention.scale",
  "attention.output_scale",
  "attention.value_scale",
  "attention.temperature_scale",
  "attention.max_alibi_bias",
  "attention.clamp_kqv",
  "attn_logit_softcapping",
  "final_logit_softcapping",
  "logit_scale",
  "residual_scale",
  "embedding_scale",
];

/** What a file says of itself that is not computed, as in "what …". */
export function unreadOf({ architecture, meta }: Facts): string[] {
  return UNREAD.filter((key) => key !== WINDOW || !WINDOWED.test(architecture))
    .map((key) => `${architecture}.${key}`)
    .filter((key) => Number(meta(key) ?? 0) !== 0)
    .map((key) => `what ${key} changes: the file has it, and llama.cpp's graph of ${architecture} does not read it`);
}
