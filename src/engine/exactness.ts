/** Tells what of a model is known to be whole, what its file lacks, and what the file leaves open. */
import type { Pooling } from "../options.ts";
import type { Facts } from "./facts.ts";
import type { Exactness } from "./info.ts";
import { missingOf, unreadOf, unsaidOf } from "./needed.ts";

/** A use of an architecture that was compared with the original: a row of the parity table. */
interface Whole {
  readonly architecture: string;
  /** Values of `tokenizer.ggml.model`. */
  readonly tokenizers: readonly string[];
  /** Poolings of embedders, or how pairs are ranked. */
  readonly uses: readonly (Pooling | "head" | "yes-no")[];
  /** Whether a token attends only to those before it. */
  readonly causal: boolean;
}

/**
 * What is known to be whole, one line a case. tests/src/engine/exactness_test.ts compares the architectures with those of
 * the parity table (`deno task parity`): a line needs a family there.
 */
const WHOLE: readonly Whole[] = [
  { architecture: "bert", tokenizers: ["bert", "t5", "gpt2"], uses: ["mean", "cls", "head"], causal: false },
  { architecture: "nomic-bert", tokenizers: ["bert"], uses: ["mean"], causal: false },
  { architecture: "modern-bert", tokenizers: ["gpt2"], uses: ["mean", "cls", "head"], causal: false },
  { architecture: "gemma-embedding", tokenizers: ["llama"], uses: ["mean"], causal: false },
  { architecture: "qwen2", tokenizers: ["gpt2"], uses: ["last", "yes-no"], causal: true },
  { architecture: "qwen2", tokenizers: ["gpt2"], uses: ["last", "mean"], causal: false },
  { architecture: "qwen3", tokenizers: ["gpt2"], uses: ["last", "head", "yes-no"], causal: true },
  { architecture: "qwen3", tokenizers: ["gpt2"], uses: ["mean"], causal: false },
  { architecture: "gemma", tokenizers: ["llama"], uses: ["yes-no"], causal: true },
  { architecture: "llama", tokenizers: ["gpt2"], uses: ["last"], causal: true },
  { architecture: "llama-embed", tokenizers: ["gpt2"], uses: ["mean"], causal: false },
  { architecture: "eurobert", tokenizers: ["gpt2"], uses: ["mean", "last"], causal: false },
  { architecture: "lfm2", tokenizers: ["gpt2"], uses: ["cls"], causal: false },
];

/** The architectures of which some use was compared with the original. */
export const WHOLE_ARCHITECTURES: ReadonlySet<string> = new Set(WHOLE.map(({ architecture }) => architecture));

// convert() writes them, and so do newer versions of llama.cpp's converter.
const CLASSIFIER_POOLING = "modern-bert.classifier.pooling_type";
const CLASSIFIER_ACTIVATION = "modern-bert.classifier.activation";

/** One thing that a file can lack. */
interface Lack {
  readonly when: (facts: Facts) => boolean;
  /** What it lacks and what follows from that, as in "<model> <what>". */
  readonly what: string;
  readonly remedy: string;
}

// Models of sentence-transformers that end in a Dense module. llama.cpp's converter drops it without a word, so that names
// are all there is to know them by. LaBSE and distiluse: https://sbert.net/docs/sentence_transformer/pretrained_models.html
const DENSE_NAMES = /labse|distiluse|clip.vit.b.32.multilingual|sentence.t5|gtr.t5|stella.en/i;

const LACKS: readonly Lack[] = [
  {
    when: (facts) =>
      facts.reranker === "cross-encoder" && facts.architecture === "bert" && !facts.hasTensor("cls.weight"),
    what: "lacks the pooler (cls.weight) that BERT's head was trained with, so its scores are not the original's",
    remedy: "convert the original checkpoint with convert()",
  },
  {
    when: ({ architecture, meta, addBos, addEos, options }) =>
      architecture === "bert" && meta("tokenizer.ggml.model") !== "bert" && !(addBos && addEos) &&
      options.addBos === undefined && options.addEos === undefined,
    what: "lacks tokenizer.ggml.add_bos_token or add_eos_token, and RoBERTa and XLM-R were trained with <s> and </s> " +
      "around a text",
    remedy: "pass addBos: true and addEos: true",
  },
  {
    when: ({ causal, pooling, addEos, options }) =>
      causal && pooling === "last" && !addEos && options.addEos === undefined,
    what:
      "lacks tokenizer.ggml.add_eos_token, and embedders that take the last token's vector were trained with EOS there",
    remedy: "pass addEos: true, or false if this one was not",
  },
  {
    // The head reader refuses a file that has it and another number of keys.
    when: ({ meta }) => isOurs(meta) && meta("llamasaur.head.count") === undefined,
    what: "lacks llamasaur.head.count, which convert() writes, so that a part of a head may be missing",
    remedy: "convert the original checkpoint again",
  },
  {
    when: ({ architecture, hasTensor, pooling }) =>
      architecture === "gemma-embedding" && !hasTensor("dense_2.weight") && pooling !== "last",
    what: "lacks the dense head (dense_2, dense_3) that EmbeddingGemma's vectors go through",
    remedy: "take a file that was converted with --sentence-transformers-dense-modules",
  },
  {
    // llama.cpp's converter makes gemma-embedding of every Gemma3TextModel (conversion/gemma.py).
    when: ({ architecture, pooling }) => architecture === "gemma-embedding" && pooling === "last",
    what:
      "takes the last token's vector, so it is a causal Gemma 3 that was converted as EmbeddingGemma, whose tokens see " +
      "the whole text: its vectors are not the original's",
    remedy:
      'convert the original again with "Gemma3ForCausalLM" in config.json\'s architectures, and pass pooling: "last"',
  },
  {
    when: ({ architecture }) => architecture === "jina-bert-v3",
    what:
      "was trained to be used with one of its LoRA adapters, which are files of their own and are not applied here, " +
      "so its vectors are the bare model's, not those of a task",
    remedy: "take another model",
  },
  {
    when: ({ architecture }) => architecture === "nomic-bert-moe",
    what:
      "has experts whose bias llama.cpp's converter leaves out, so its vectors are near the original's, not equal to them",
    remedy: "take nomic-embed-text-v1.5 for equal ones",
  },
  {
    when: ({ architecture, reranker, meta }) =>
      architecture === "modern-bert" && reranker === "cross-encoder" && !meta(CLASSIFIER_POOLING),
    what: "does not say whether its head takes the mean of the tokens or the first one (classifier_pooling)",
    remedy:
      "convert the original checkpoint with convert(); the mean is taken, as gte-reranker-modernbert does, so the scores " +
      'of a checkpoint with "cls" are wrong',
  },
  {
    when: ({ meta }) =>
      meta("tokenizer.ggml.model") === "gpt2" && (meta("tokenizer.ggml.pre") ?? "default") === "default",
    what: "lacks tokenizer.ggml.pre, which names how a text is split before byte-pair encoding",
    remedy: "convert the original again",
  },
  {
    when: ({ architecture, meta }) =>
      architecture === "bert" && !(meta("bert.hidden_activation") ?? "gelu").startsWith("gelu"),
    what:
      "was trained with another activation than GELU (bert.hidden_activation), which llama.cpp computes for every BERT",
    remedy: "take another model",
  },
  {
    when: ({ pooling, reranker, options }) =>
      pooling === "none" && reranker === "cosine" && options.pooling === undefined,
    what: "names no pooling, so that embed gives a vector for each token",
    remedy: "pass pooling",
  },
  {
    when: ({ reranker, pooling, causalSaid }) =>
      reranker === "cosine" && (pooling === "mean" || pooling === "cls") && !causalSaid,
    what:
      "does not say whether its tokens see the whole text (attention.causal), and decoders that take the mean or the " +
      "first token mostly do",
    remedy: 'pass attention: "non-causal", or "causal" if this one was trained so',
  },
  {
    when: ({ reranker, asksItsOwn }) => reranker === "yes-no" && !asksItsOwn,
    what:
      'has no template for pairs, so it is asked with Qwen3-Reranker\'s and for "yes" and "no", which no other model ' +
      "was trained with",
    remedy: "pass template and answers, as its model card has them",
  },
  {
    when: (facts) =>
      facts.reranker === "cosine" && isDenseUnknown(facts) && DENSE_NAMES.test(facts.meta("general.name") ?? ""),
    what:
      "lacks the Dense module that follows the pooling of the model of this name, so its vectors are not the original's",
    remedy: "convert the original checkpoint with convert()",
  },
];

/** One thing that a file can leave open. */
interface Open {
  readonly when: (facts: Facts) => boolean;
  /** What, as in "whether …". */
  readonly what: string;
}

const OPEN: readonly Open[] = [
  {
    when: isDenseUnknown,
    what: "whether a Dense module follows the pooling: llama.cpp's converter leaves one out without a trace",
  },
  {
    // In llama.cpp's graphs of all others of the table it is fixed, as it is in transformers.
    when: ({ architecture, meta }) =>
      (architecture === "bert" || architecture === "modern-bert") && !meta(`${architecture}.hidden_activation`),
    what: "which activation the feed-forward layers have: the file does not say, and GELU is computed",
  },
  {
    when: ({ architecture, reranker, meta }) =>
      architecture === "modern-bert" && reranker === "cross-encoder" && meta(CLASSIFIER_POOLING) !== undefined &&
      !meta(CLASSIFIER_ACTIVATION),
    what: "which activation the classification head has: the file does not say, and GELU is computed",
  },
  {
    when: ({ reranker, pooling, causalSaid }) =>
      reranker === "cosine" && pooling !== "mean" && pooling !== "cls" && !causalSaid,
    what: "whether a token sees the whole text: the file does not say, and a token is given those before it only",
  },
  {
    when: ({ reranker, causal, hasTemplate }) => reranker === "cross-encoder" && causal && !hasTemplate,
    what: "whether query and document go into a template: the file has none",
  },
];

/** Whether convert() of this package made the file, which keeps or refuses all that changes a result. */
function isOurs(meta: Facts["meta"]): boolean {
  return meta("llamasaur.converter") === "1";
}

function isDenseUnknown({ reranker, meta, hasTensor }: Facts): boolean {
  return reranker === "cosine" && !isOurs(meta) && !hasTensor("dense_2.weight");
}

/**
 * Tells what of a model is known, lacking and open.
 *
 * @param name The model's name, for sentences.
 */
export function exactnessOf(name: string, facts: Facts): Exactness {
  const open = OPEN.filter(({ when }) => when(facts)).map(({ what }) => what);
  const { known, unknown } = compared(facts);
  const lacks = LACKS.filter(({ when }) => when(facts)).map(({ what, remedy }) => `${name} ${what}: ${remedy}`);
  return {
    known,
    lacks: [...lacks, ...partsOf(name, facts)],
    unknown: [...unknown, ...open, ...unsaidOf(facts), ...unreadOf(facts)],
  };
}

/** One sentence of all parts that are missing, if any are. */
function partsOf(name: string, facts: Facts): string[] {
  const missing = missingOf(facts);
  if (missing.length === 0) return [];
  const some = missing.length > 3
    ? `${missing.slice(0, 3).join(", ")} and ${missing.length - 3} more`
    : missing.join(", ");
  return [
    `${name} lacks ${some}, which its class has and llama.cpp does without, so its results are not the original's: ` +
    "convert the original again",
  ];
}

/** What of a model is a case of the table. */
function compared({ architecture, meta, pooling, reranker, causal }: Facts): Pick<Exactness, "known" | "unknown"> {
  const of = WHOLE.filter((whole) => whole.architecture === architecture);
  if (of.length === 0) {
    return {
      known: [],
      unknown: [`whether llama.cpp computes ${architecture} as the original does: it was not compared`],
    };
  }
  const tokenizer = meta("tokenizer.ggml.model") ?? "none";
  const use = reranker === "cross-encoder" ? "head" : reranker === "yes-no" ? "yes-no" : pooling;
  const attention = causal ? "causal" : "non-causal";
  // A vector a token needs no pooling to be right.
  const uses = use === "none" ? of : of.filter(({ uses }) => uses.includes(use));
  const known: string[] = [], unknown: string[] = [];
  const sort = (what: string, right: boolean): void => {
    if (right) known.push(what);
    else unknown.push(`whether ${what} of ${architecture} comes out as in the original: it was not compared`);
  };
  sort(`the tokenizer ${tokenizer}`, of.some(({ tokenizers }) => tokenizers.includes(tokenizer)));
  sort(WORDS[use] ?? `pooling ${use}`, uses.length > 0);
  sort(`${attention} attention`, (uses.length > 0 ? uses : of).some((whole) => whole.causal === causal));
  return { known: [`the architecture ${architecture}`, ...known, ...(isOurs(meta) ? [BY_CONVERT] : [])], unknown };
}

const WORDS: Readonly<Record<string, string>> = {
  none: "a vector a token",
  head: "the classification head",
  "yes-no": "the question in a template",
};
const BY_CONVERT = "all that the checkpoint had: convert() of this package made the file";
