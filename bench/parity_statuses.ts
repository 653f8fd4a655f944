// Families that `deno task parity` cannot measure, and what becomes of them. The warnings are src/engine/exactness.ts's and are
// tested in tests/src/engine/profile_test.ts.

/** What becomes of a family. */
export interface Status {
  readonly family: string;
  /** `warned`: through onLog, and `info.exact` is false. `unverified`: loads, but the reference is remote code. */
  readonly status: "warned" | "refused" | "unverified";
  readonly why: string;
}

export const STATUSES: readonly Status[] = [
  {
    family: "nomic-embed-text-v2-moe",
    status: "warned",
    why: "llama.cpp's converter leaves out the experts' bias",
  },
  {
    family: "jina-embeddings-v3",
    status: "warned",
    why: "its LoRA adapters are files of their own, which are not applied",
  },
  {
    family: "LaBSE, distiluse, by llama.cpp's converter",
    status: "warned",
    why: "the converter drops the Dense module after the pooling; other names' files are not `exact`",
  },
  {
    family: "causal Gemma 3 embedders (harrier-oss-270m), by llama.cpp's converter",
    status: "warned",
    why: "the converter makes an EmbeddingGemma of them, whose tokens see the whole text",
  },
  {
    family: "KaLM, pplx-embed and others, files without `attention.causal`",
    status: "warned",
    why: 'llama.cpp computes them causally; `attention: "non-causal"` makes them right',
  },
  {
    family: "multilingual-e5-small, paraphrase-multilingual-MiniLM, CamemBERT, by llama.cpp's converter",
    status: "refused",
    why: "the converter takes SentencePiece's vocabulary for WordPiece's: every token would be wrong",
  },
  {
    family: "jina-embeddings-v2, jina-reranker-v1 and v2",
    status: "unverified",
    why: "transformers has no class for them: the original is remote code",
  },
  {
    family: "MPNet, ALBERT, DeBERTa, gte v1.5, gte-multilingual",
    status: "refused",
    why: "llama.cpp v0.5.0 has no such architecture; convert() and Llama.load name it",
  },
];
