/** What is measured, in which size. */
import type { Job, WorkloadName } from "./peer.ts";
import {
  type Count,
  documents,
  LONGEST,
  longInstruction,
  mixedParagraphs,
  passages,
  shortDocuments,
  titles,
} from "./texts.ts";

/** What the words of a workload's job are. */
export type Content = Pick<Job, "kind" | "maxTokens" | "texts" | "query" | "instruction" | "template" | "pooling">;

/** A workload whose contenders take turns with the same texts. */
export interface Workload {
  readonly name: WorkloadName;
  readonly title: string;
  /** `go`: all texts in one call. `one`: a call for each, one after another. */
  readonly ask: "go" | "one";
  /** The least cosine to fp32 that counts, or rank correlation; undefined: the weights decide, and are the same for all. */
  readonly floor: number | undefined;
  /** Texts that the search and the comparison with fp32 take. */
  readonly sample: number;
  content(count: number, tokens: Count): Promise<Content>;
  readonly smoke: number;
  readonly full: number;
  /** Another one whose search holds for this, too, when it has been measured. */
  readonly like?: WorkloadName;
  /** So many times the budget may one turn take, before its contender is left out; default 4. */
  readonly patience?: number;
}

/** Calls that one turn of `one` makes. */
export const CALLS = { smoke: 30, full: 100 } as const;

const TEMPLATE = "<start_of_turn>user\n{instruction}\nQuery: {query}\nDocument: {document}\n" +
  "Answer yes or no.<end_of_turn>\n<start_of_turn>model\n";
const QUERY = "How do I run a quantised model on the CPU?";
const EMBED = { kind: "embed", maxTokens: LONGEST } as const;

/** Every such workload. */
export const TURNS: readonly Workload[] = [
  {
    ...{ name: "titles", title: "Titles of at most 16 tokens", ask: "go", floor: 0.999, sample: 200 },
    ...{ smoke: 300, full: 1000 },
    content: async (count, tokens) => ({ ...EMBED, texts: await titles(count, tokens) }),
  },
  {
    ...{ name: "paragraphs", title: "Mixed paragraphs", ask: "go", floor: 0.999, sample: 100, smoke: 100, full: 300 },
    content: async (count, tokens) => ({ ...EMBED, texts: await mixedParagraphs(count, tokens) }),
  },
  {
    ...{ name: "passages", title: "Passages of 512 tokens", ask: "go", floor: 0.999, sample: 12, smoke: 12, full: 40 },
    content: async (count, tokens) => ({ ...EMBED, texts: await passages(count, tokens) }),
  },
  {
    ...{ name: "query", title: "One short query alone", ask: "one", floor: 0.999, sample: 50, smoke: 50, full: 50 },
    content: async (count, tokens) => ({ ...EMBED, texts: await titles(count, tokens) }),
  },
  {
    ...{ name: "many", title: "Many titles in one call", ask: "go", floor: 0.999, sample: 200 },
    ...{ smoke: 1000, full: 10_000, like: "titles" },
    content: async (count, tokens) => ({ ...EMBED, texts: await titles(count, tokens) }),
  },
  {
    ...{ name: "causal", title: "A causal embedder, gemma3-270m Q4_K_M, last token, mixed paragraphs", ask: "go" },
    ...{ floor: undefined, sample: 8, smoke: 8, full: 60 },
    content: async (count, tokens) => ({ ...EMBED, pooling: "last", texts: await mixedParagraphs(count, tokens) }),
  },
  {
    ...{ name: "rerank", title: "Paragraphs reranked by a BERT cross-encoder", ask: "go", floor: 0.99, sample: 40 },
    ...{ smoke: 40, full: 100 },
    content: async (count) => ({
      ...{ kind: "rerank", maxTokens: LONGEST, query: QUERY },
      texts: await documents(count),
    }),
  },
  {
    ...{ name: "yes-no", title: "Short documents reranked by a causal model under an instruction of 300 tokens" },
    ...{ ask: "go", floor: undefined, sample: 8, smoke: 8, full: 100, patience: 16 },
    content: async (count) => ({
      ...{ kind: "rerank", maxTokens: 1024, query: QUERY, instruction: await longInstruction(), template: TEMPLATE },
      texts: await shortDocuments(count),
    }),
  },
];
