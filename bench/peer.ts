/** What the driver and those that it measures agree on: a job, and how a contender comes to it. bench/README.md has the protocol. */

/** What is measured; workloads.ts says what each is. */
export const WORKLOADS = [
  "titles",
  "paragraphs",
  "passages",
  "query",
  "many",
  "causal",
  "rerank",
  "yes-no",
  "stream",
  "start",
  "two",
  "mixed",
] as const;

/** A workload's name. */
export type WorkloadName = typeof WORKLOADS[number];

/** Whether a workload is of a causal model, which most peers cannot take. */
export function isCausal(workload: string): boolean {
  return workload === "causal" || workload === "yes-no";
}

/** Whether vectors or scores come out. */
export type Kind = "embed" | "rerank";

/** Numbers, words and switches by which a contender is tuned. */
export type Settings = Readonly<Record<string, number | string | boolean>>;

/** What a contender is started with: the content of JOB.json. */
export interface Job {
  readonly kind: Kind;
  /** Absolute path: a GGUF file, or what the contender's own format is. */
  readonly model: string;
  readonly type: string;
  readonly cores: number;
  /** Tokens beyond which a text is cut, and the longest context that is needed. */
  readonly maxTokens: number;
  /** Only where the file does not say. */
  readonly pooling?: "mean" | "last";
  /** One line each; to rerank, the documents. */
  readonly texts: readonly string[];
  readonly query?: string;
  readonly instruction?: string;
  /** A yes/no reranker's prompt, with {instruction}, {query} and {document} in it. */
  readonly template?: string;
  readonly settings?: Settings;
}

/** One way to set a contender up. */
export interface Candidate {
  readonly name: string;
  readonly type: string;
  readonly settings: Settings;
}

/** Something that embeds or reranks. */
export interface Peer {
  readonly name: string;
  readonly kinds: readonly Kind[];
  /**
   * Installs or builds what it needs.
   *
   * @param portable What is compiled here has to run on any processor with AVX2, not on this very one.
   * @throws {Error} It cannot be had here; the message says why.
   */
  prepare(portable?: boolean): Promise<void>;
  /** How it could be set up; none: it does not take part. The search runs them all. */
  candidates(workload: string, cores: number): readonly Candidate[];
  /** What goes into `Job.model`. */
  model(type: string, workload: string): Promise<string>;
  /** Another contender's name, whose best setting is taken, so that the two differ in nothing else. */
  readonly set?: string;
  /** The program with its arguments. */
  command(jobPath: string): readonly string[];
}
