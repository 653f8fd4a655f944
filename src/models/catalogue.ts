/** Models by short names: where their files are and how they were trained to be used. Imports nothing. */

/** A model of the catalogue. */
export interface CatalogueEntry {
  /** What the model is for. */
  readonly kind: "embedding" | "reranker";
  /** The repository on the hub, as `owner/name`. */
  readonly repository: string;
  /** The file in the repository. */
  readonly file: string;
  /** Bytes of the file; undefined where it is not known for sure. */
  readonly size?: number;
  /** The file that `scripts/download_models.sh` makes from the original checkpoint; it goes before the hub's file. */
  readonly made?: string;
  /** SPDX identifier of the weights' licence, or its usual name. */
  readonly licence: string;
  /** How the tokens' vectors become one; `rank` for rerankers. */
  readonly pooling: "mean" | "cls" | "last" | "rank";
  /** What the model was trained to find before a query and before a document; empty for nothing. */
  readonly prompts: { readonly query: string; readonly document: string };
  /** What a causal reranker's pair goes into, as `template` of `Llama.load`; texts of a list are tokenised apart. */
  readonly template?: string | readonly string[];
  /** A causal reranker's answers, as `answers` of `Llama.load`. */
  readonly answers?: readonly [yes: string, no?: string];
  /** Tokens of one text, special ones included, that the model was made for. */
  readonly maxTokens: number;
  /** That its vectors were trained to be cut to their first dimensions. */
  readonly matryoshka?: true;
  /** Whether its results were compared with the original's by this package's tests (the `made` file, if there is one). */
  readonly verified: boolean;
}

const NONE = { query: "", document: "" };
// Model cards of BAAI/bge-*-en-v1.5, mixedbread-ai/mxbai-embed-large-v1 and Snowflake/snowflake-arctic-embed-m-v1.5.
const PASSAGES = { query: "Represent this sentence for searching relevant passages: ", document: "" };
// Model cards of intfloat/multilingual-e5-*: both prefixes are needed, whatever the language.
const E5 = { query: "query: ", document: "passage: " };

// What the entries of one family share.
const BGE_EN = {
  kind: "embedding",
  licence: "MIT",
  pooling: "cls",
  prompts: PASSAGES,
  maxTokens: 512,
  verified: false,
} as const;
const MULTILINGUAL_E5 = {
  kind: "embedding",
  licence: "MIT",
  pooling: "mean",
  prompts: E5,
  maxTokens: 512,
  verified: false,
} as const;

// modeling_zeranker.py of zeroentropy/zerank-1-small: the query as system's message, the document as user's, in Qwen3's chat
// template with the assistant's turn begun, and the logit of "Yes" (token 9454) at its end. The original strips both texts
// first. Its score is the logistic function of a fifth of the logit.
const ZERANK = {
  kind: "reranker",
  pooling: "rank",
  prompts: NONE,
  template: "<|im_start|>system\n{query}<|im_end|>\n<|im_start|>user\n{document}<|im_end|>\n<|im_start|>assistant\n",
  answers: ["Yes"],
  maxTokens: 32_768, // model_max_length of both model cards
  verified: false,
} as const;
// mxbai_rerank_v2.py of PyPI's mxbai-rerank 0.1.6, which tokenises these texts apart and subtracts the logit of "0".
// Licence: https://www.mixedbread.com/docs/reranking/models/mxbai-rerank-base-v2, and -large-v2.
const MXBAI = {
  kind: "reranker",
  licence: "Apache-2.0",
  pooling: "rank",
  prompts: NONE,
  template: [
    "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n<|im_start|>user\n",
    "query: {query}",
    "\n",
    "document: {document}",
    "\n",
    "You are a search relevance expert who evaluates how well documents match search queries. For each query-document pair, " +
    "carefully analyze the semantic relationship between them, then provide your binary relevance judgment " +
    "(0 for not relevant, 1 for relevant).\nRelevance:",
    "<|im_end|>\n<|im_start|>assistant\n",
  ],
  answers: ["1", "0"],
  maxTokens: 8192, // MxbaiRerankV2's max_length, without the frame
  verified: false,
} as const;
// inference/reranker/decoder_only/base.py of PyPI's FlagEmbedding 1.4.2 (FlagLLMReranker), which tokenises these texts apart,
// after BOS, and takes the logit of "Yes".
const BGE_GEMMA = {
  template: [
    "A: {query}",
    "\n",
    "B: {document}",
    "\n",
    "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a " +
    "prediction of either 'Yes' or 'No'.",
  ],
  answers: ["Yes"],
} as const;

/** A name of the catalogue. */
export type CatalogueName =
  | "bge-small-en-v1.5"
  | "bge-base-en-v1.5"
  | "bge-large-en-v1.5"
  | "bge-m3"
  | "all-minilm-l6-v2"
  | "multilingual-e5-small"
  | "multilingual-e5-base"
  | "multilingual-e5-large"
  | "mxbai-embed-large-v1"
  | "snowflake-arctic-embed-m-v1.5"
  | "snowflake-arctic-embed-l-v2.0"
  | "nomic-embed-text-v1.5"
  | "qwen3-embedding-0.6b"
  | "embeddinggemma-300m"
  | "bge-reranker-base"
  | "bge-reranker-v2-m3"
  | "ms-marco-minilm-l-6-v2"
  | "qwen3-reranker-0.6b"
  | "zerank-1-small"
  | "zerank-2"
  | "mxbai-rerank-base-v2"
  | "mxbai-rerank-large-v2"
  | "bge-reranker-v2-gemma";

/**
 * The models that `Llama.load`, `download` and `resolveModel` know by a short name, lower-case.
 *
 * The hub was out of reach when this was written: repositories and file names were checked with public code that
 * downloads them, prompts are those of the model cards as public code quotes them or as they are remembered, and sizes
 * are there only where two independent sources agree. `verified` marks the models whose results our tests compare.
 *
 * @example
 * ```ts
 * import { catalogue } from "@llamasaur/llamasaur/models";
 *
 * console.log(catalogue["bge-small-en-v1.5"].prompts.query);
 * ```
 */
export const catalogue: Readonly<Record<CatalogueName, CatalogueEntry>> = {
  "bge-small-en-v1.5": {
    repository: "CompendiumLabs/bge-small-en-v1.5-gguf",
    file: "bge-small-en-v1.5-q4_k_m.gguf",
    ...BGE_EN,
  },
  "bge-base-en-v1.5": {
    repository: "CompendiumLabs/bge-base-en-v1.5-gguf",
    file: "bge-base-en-v1.5-q4_k_m.gguf",
    ...BGE_EN,
  },
  "bge-large-en-v1.5": {
    repository: "CompendiumLabs/bge-large-en-v1.5-gguf",
    file: "bge-large-en-v1.5-q4_k_m.gguf",
    ...BGE_EN,
  },
  "bge-m3": {
    kind: "embedding",
    repository: "gpustack/bge-m3-GGUF",
    file: "bge-m3-Q8_0.gguf",
    size: 634_553_760,
    licence: "MIT",
    pooling: "cls",
    prompts: NONE,
    maxTokens: 8192,
    verified: false,
  },
  "all-minilm-l6-v2": {
    // The hub's file is somebody else's conversion and was not compared; ours, which goes first, was.
    kind: "embedding",
    repository: "leliuga/all-MiniLM-L6-v2-GGUF",
    file: "all-MiniLM-L6-v2.Q8_0.gguf",
    made: "all-minilm-l6-v2-q8_0.gguf",
    licence: "Apache-2.0",
    pooling: "mean",
    prompts: NONE,
    maxTokens: 256, // sentence-transformers' max_seq_length
    verified: true,
  },
  "multilingual-e5-small": {
    // Somebody else's conversion of a BertModel with SentencePiece's vocabulary, of which llama.cpp's converter makes wrong
    // tokens or none; which one made it is not known, and Llama.load refuses it if the vocabulary says WordPiece.
    repository: "keisuke-miyako/multilingual-e5-small-gguf-q8_0",
    file: "multilingual-e5-small-Q8_0.gguf",
    size: 131_953_504,
    ...MULTILINGUAL_E5,
  },
  "multilingual-e5-base": {
    repository: "keisuke-miyako/multilingual-e5-base-gguf-q8_0",
    file: "multilingual-e5-base-Q8_0.gguf",
    ...MULTILINGUAL_E5,
  },
  "multilingual-e5-large": {
    repository: "phate334/multilingual-e5-large-gguf",
    file: "multilingual-e5-large-q4_k_m.gguf",
    ...MULTILINGUAL_E5,
  },
  "mxbai-embed-large-v1": {
    kind: "embedding",
    repository: "mixedbread-ai/mxbai-embed-large-v1",
    file: "gguf/mxbai-embed-large-v1-f16.gguf",
    licence: "Apache-2.0",
    pooling: "cls",
    prompts: PASSAGES,
    maxTokens: 512,
    matryoshka: true,
    verified: false,
  },
  "snowflake-arctic-embed-m-v1.5": {
    // Repository and file are named by one source only.
    kind: "embedding",
    repository: "yixuan-chia/snowflake-arctic-embed-m-v1.5-GGUF",
    file: "snowflake-arctic-embed-m-v1.5-F16.gguf",
    licence: "Apache-2.0",
    pooling: "cls",
    prompts: PASSAGES,
    maxTokens: 512,
    matryoshka: true,
    verified: false,
  },
  "snowflake-arctic-embed-l-v2.0": {
    kind: "embedding",
    repository: "Casual-Autopsy/snowflake-arctic-embed-l-v2.0-gguf",
    file: "snowflake-arctic-embed-l-v2.0-q8_0.gguf",
    licence: "Apache-2.0",
    pooling: "cls",
    prompts: { query: "query: ", document: "" },
    maxTokens: 8192,
    matryoshka: true,
    verified: false,
  },
  "nomic-embed-text-v1.5": {
    kind: "embedding",
    repository: "nomic-ai/nomic-embed-text-v1.5-GGUF",
    file: "nomic-embed-text-v1.5.Q8_0.gguf",
    licence: "Apache-2.0",
    pooling: "mean",
    prompts: { query: "search_query: ", document: "search_document: " },
    maxTokens: 2048, // 8192 only with RoPE scaling, says the repository's card
    matryoshka: true,
    verified: false,
  },
  "qwen3-embedding-0.6b": {
    kind: "embedding",
    repository: "Qwen/Qwen3-Embedding-0.6B-GGUF",
    file: "Qwen3-Embedding-0.6B-Q8_0.gguf",
    licence: "Apache-2.0",
    pooling: "last",
    prompts: {
      query: "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:",
      document: "",
    },
    maxTokens: 32_768,
    matryoshka: true,
    verified: false,
  },
  "embeddinggemma-300m": {
    kind: "embedding",
    repository: "ggml-org/embeddinggemma-300M-GGUF",
    file: "embeddinggemma-300M-Q8_0.gguf",
    licence: "Gemma",
    pooling: "mean",
    prompts: { query: "task: search result | query: ", document: "title: none | text: " },
    maxTokens: 2048,
    matryoshka: true,
    verified: false,
  },
  "bge-reranker-base": {
    kind: "reranker",
    repository: "xinming0111/bge-reranker-base-Q8_0-GGUF",
    file: "bge-reranker-base-q8_0.gguf",
    licence: "MIT",
    pooling: "rank",
    prompts: NONE,
    maxTokens: 512,
    verified: false,
  },
  "bge-reranker-v2-m3": {
    kind: "reranker",
    repository: "gpustack/bge-reranker-v2-m3-GGUF",
    file: "bge-reranker-v2-m3-Q8_0.gguf",
    licence: "Apache-2.0",
    pooling: "rank",
    prompts: NONE,
    maxTokens: 8192,
    verified: false,
  },
  "ms-marco-minilm-l-6-v2": {
    // Probably made with llama.cpp's converter, which drops BERT's pooler, so that scores are not exact; `convert` keeps it.
    kind: "reranker",
    repository: "keisuke-miyako/ms-marco-MiniLM-L6-v2-gguf-q8_0",
    file: "ms-marco-MiniLM-L6-v2-Q8_0.gguf",
    licence: "Apache-2.0",
    pooling: "rank",
    prompts: NONE,
    maxTokens: 512,
    verified: false,
  },
  "qwen3-reranker-0.6b": {
    // Its prompt is a template in the file, not a prefix.
    kind: "reranker",
    repository: "ggml-org/Qwen3-Reranker-0.6B-Q8_0-GGUF",
    file: "qwen3-reranker-0.6b-q8_0.gguf",
    licence: "Apache-2.0",
    pooling: "rank",
    prompts: NONE,
    maxTokens: 32_768,
    verified: false,
  },
  "zerank-1-small": {
    // Repository and file are named by one public program; licence: https://huggingface.co/zeroentropy/zerank-1-small.
    repository: "keisuke-miyako/zerank-1-small-gguf-q8_0",
    file: "zerank-1-small-Q8_0.gguf",
    licence: "Apache-2.0",
    ...ZERANK,
  },
  "zerank-2": {
    // The repository and its Q6_K are named in ggml-org/llama.cpp#25447; template and token as zerank-1's, by public programs
    // that compare with the original. Licence: https://huggingface.co/zeroentropy/zerank-2-reranker, which is not open.
    repository: "mradermacher/zerank-2-GGUF",
    file: "zerank-2.Q6_K.gguf",
    licence: "CC-BY-NC-4.0",
    ...ZERANK,
  },
  "mxbai-rerank-base-v2": {
    // Repository and file are named by one public program.
    repository: "DevQuasar/mixedbread-ai.mxbai-rerank-base-v2-GGUF",
    file: "mixedbread-ai.mxbai-rerank-base-v2.Q4_K_M.gguf",
    ...MXBAI,
  },
  "mxbai-rerank-large-v2": {
    // Repository and file are named by one public program.
    repository: "keisuke-miyako/mxbai-rerank-large-v2-gguf-q8_0",
    file: "mxbai-rerank-large-v2-q8_0.gguf",
    ...MXBAI,
  },
  "bge-reranker-v2-gemma": {
    // Public programs download this file; it names no pooling, as no Gemma's. Licence: the page of
    // https://huggingface.co/BAAI/bge-reranker-v2-gemma; tokens: max_position_embeddings of config.json.
    kind: "reranker",
    repository: "mradermacher/bge-reranker-v2-gemma-GGUF",
    file: "bge-reranker-v2-gemma.Q4_K_M.gguf",
    licence: "Apache-2.0",
    pooling: "rank",
    prompts: NONE,
    ...BGE_GEMMA,
    maxTokens: 8192,
    verified: false,
  },
};

/** The canonical name of a model of the catalogue, whatever the case it is written in; undefined when there is none. */
export function catalogueName(name: string): CatalogueName | undefined {
  const lower = name.toLowerCase();
  return Object.hasOwn(catalogue, lower) ? lower as CatalogueName : undefined;
}

/** What the catalogue knows of the model in a repository of the hub, whichever of its files is meant. */
export function catalogueEntryOf(repository: string): CatalogueEntry | undefined {
  return Object.values(catalogue).find((entry) => entry.repository === repository);
}

/** The same by the name of a file that begins with a name of the catalogue: whose model it is, not how it was made. */
export function catalogueEntryOfFile(path: string): CatalogueEntry | undefined {
  const file = path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1).toLowerCase();
  const found = Object.entries(catalogue).find(([name]) =>
    file.startsWith(name) && !/^\w/.test(file.slice(name.length))
  );
  return found?.[1];
}
