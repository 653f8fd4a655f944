// The families' fixtures (tests/fixtures/make/families/make.py) and how far the product is from them, for the test and for
// `deno task parity`.
import { Buffer } from "node:buffer";
import { readdirSync, readFileSync } from "node:fs";
import { cosineSimilarity, Llama, type LlamaInfo, type LoadOptions, type Pooling } from "../../mod.ts";
import { fixture } from "./checkpoint.ts";
import { farthest } from "./references.ts";

/** What a family's file is and what is asked of it. */
export interface Family {
  readonly name: string;
  readonly title: string;
  readonly file: string;
  readonly maxTokens: number;
  /** The largest difference allowed with f32 weights: of a vector's number, or of a logit. */
  readonly tolerance: number;
}

/** A text and what the reference makes of it. */
export interface FamilyText {
  readonly id: string;
  readonly text: string;
  readonly prompt?: string;
  /** Token ids after the cut. */
  readonly tokens: readonly number[];
  /** How many tokens there were before the cut; only where it was cut. */
  readonly whole?: number;
  /** Why other software tokenises it in another way, and how. */
  readonly differs?: string;
  readonly theirs?: readonly number[];
  readonly vector: Float32Array;
}

/** An embedding family. */
export interface Embedder {
  readonly family: Family & {
    readonly kind: "embedder";
    readonly pooling: Pooling;
    /** Whether the file does not name the pooling, so that the option must. */
    readonly silent?: boolean;
    readonly dimensions: number;
  };
  readonly texts: readonly FamilyText[];
  /** A vector for each token of some texts, given by index. */
  readonly tokenLevel: readonly { readonly text: number; readonly rows: Float32Array }[];
  /** What comes out when one thing is wrong, on one text. */
  readonly mutations: readonly { readonly name: string; readonly text: number; readonly vector: Float32Array }[];
}

/** A pair and what the reference makes of it. */
export interface FamilyPair {
  readonly query: string;
  readonly document: string;
  readonly instruction?: string;
  readonly truncated: boolean;
  /** Token ids as they go into the model. */
  readonly tokens: readonly number[];
  /** One for each label. */
  readonly logits: readonly number[];
}

/** A reranking family. */
export interface Reranker {
  readonly family: Family & {
    readonly kind: "reranker";
    readonly reranker: "cross-encoder" | "yes-no";
    /** Whether a pair is put in a template, so that its two texts' tokens are not those of each alone. */
    readonly template?: boolean;
    /** What the file does not say: template and answers of Llama.load. */
    readonly options?: Pick<LoadOptions, "template" | "answers">;
  };
  readonly pairs: readonly FamilyPair[];
  readonly mutations: readonly { readonly name: string; readonly pair: number; readonly logits: readonly number[] }[];
}

/** What a row may be off by at most. */
export interface Limits {
  readonly cosine: number;
  readonly vectors: number;
  /** Of logits, as a part of their range; f32 has the family's own tolerance. */
  readonly logits: number;
  readonly rank: number;
}

const F32: Limits = { cosine: 0.99999, vectors: 1e-3, logits: 0, rank: 0.999 };
/** The limits of the small models, which are 32 wide: a rounding weighs more there than in real ones. */
export const SMALL: Readonly<Record<string, Limits>> = {
  f32: F32,
  bf16: { cosine: 0.998, vectors: 0.04, logits: 0.03, rank: 0.97 },
  q8_0: { cosine: 0.985, vectors: 0.08, logits: 0.06, rank: 0.95 },
};
/** The limits of MiniLM. */
export const REAL: Readonly<Record<string, Limits>> = {
  f32: F32,
  bf16: { cosine: 0.9999, vectors: 4e-3, logits: 0.02, rank: 0.999 },
  q8_0: { cosine: 0.997, vectors: 0.02, logits: 0.04, rank: 0.998 },
};

/**
 * What f32 weights may be off by: the family's own tolerance, which has room for llama.cpp's GELU by tanh in half precision;
 * where our kernels compute it as the family was trained, 1e-4 of a vector's number and 2e-3 of the logits' range, or of 1.
 */
export function toleranceOf(item: Embedder | Reranker, { kernels }: LlamaInfo): number {
  const { tolerance } = item.family;
  if (!kernels.includes("gelu")) return tolerance;
  return Math.min(tolerance, "texts" in item ? 1e-4 : 2e-3 * Math.min(1, rangeOf(item.pairs)));
}

function rangeOf(pairs: readonly FamilyPair[]): number {
  const logits = pairs.map(({ logits }) => logits[0]!);
  return Math.max(...logits) - Math.min(...logits);
}

/** The least cosine that f32 weights may have. */
export function leastCosine({ kernels }: LlamaInfo): number {
  return kernels.includes("gelu") ? 0.999999 : F32.cosine;
}

const FOLDER = fixture("families");
const ALL: { id: string; text: string }[] = JSON.parse(readFileSync(fixture("texts.json"), "utf8"));
const TEXTS = new Map(ALL.map(({ id, text }) => [id, text]));

/** Path of a family's f32 GGUF file. */
export function familyFile({ file }: Family): string {
  return `${FOLDER}/${file}`;
}

/** Loads a family's file, or one that was made of it. */
export function loadFamily(
  { family }: Embedder | Reranker,
  file: string = familyFile(family),
  options: LoadOptions = {},
): Promise<Llama> {
  const pooling = family.kind === "embedder" && family.silent ? family.pooling : undefined;
  const own = family.kind === "reranker" ? family.options : undefined;
  return Llama.load(file, { contextSize: family.maxTokens, pooling, ...own, ...options });
}

function decode(base64: string): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(base64, "base64")).buffer);
}

/** All families, the embedders first. */
export function readFamilies(): { embedders: Embedder[]; rerankers: Reranker[] } {
  const all = readdirSync(FOLDER).filter((file) => file.endsWith(".json")).toSorted()
    .map((file) => JSON.parse(readFileSync(`${FOLDER}/${file}`, "utf8"), decodeField));
  return {
    embedders: all.filter(({ family }) => family.kind === "embedder"),
    rerankers: all.filter(({ family }) => family.kind === "reranker"),
  };
}

/** Reads base64 as numbers, and adds to an item with a text's id the text. */
function decodeField(key: string, value: unknown): unknown {
  if (typeof value === "string" && (key === "vector" || key === "rows")) return decode(value);
  if (typeof value !== "object" || value === null || !("id" in value)) return value;
  return { ...value, text: TEXTS.get(String(value.id)) };
}

/** The texts whose token ids are not the reference's, with both. */
export async function wrongTokens(llama: Llama, { family, texts }: Embedder): Promise<string[]> {
  const wrong: string[] = [];
  for (const { id, text, prompt = "", tokens, whole } of texts) {
    const ids = [...await llama.tokenize(prompt + text)];
    const kept = whole === undefined ? ids : [...ids.slice(0, family.maxTokens - 1), ids.at(-1)!];
    if (ids.length !== (whole ?? tokens.length) || kept.join() !== tokens.join()) {
      wrong.push(`${id}: ${kept.length} tokens ${kept.slice(0, 40)}, not ${tokens.length}: ${tokens.slice(0, 40)}`);
    }
  }
  return wrong;
}

/** The vectors of texts, in their order; all those with one prompt in one call, in this order or from the end. */
export async function vectorsOf(
  llama: Llama,
  texts: readonly FamilyText[],
  order: "forward" | "backward" = "forward",
): Promise<Float32Array[]> {
  const found = new Map<FamilyText, Float32Array>();
  for (const prompt of new Set(texts.map(({ prompt }) => prompt))) {
    const asked = texts.filter((text) => text.prompt === prompt);
    if (order === "backward") asked.reverse();
    const vectors = await llama.embed(asked.map(({ text }) => text), { prompt });
    asked.forEach((text, i) => found.set(text, vectors[i]!));
  }
  return texts.map((text) => found.get(text)!);
}

/** How near vectors are to the reference's. */
export interface VectorsOff {
  readonly least: number;
  readonly mean: number;
  readonly off: number;
  /** The text that is farthest. */
  readonly worst: string;
}

/** Compares vectors with the reference's. */
export function compareVectors(texts: readonly FamilyText[], vectors: readonly Float32Array[]): VectorsOff {
  const cosines = texts.map(({ vector }, i) => cosineSimilarity(vector, vectors[i]!));
  const offs = texts.map(({ vector }, i) => farthest(vector, vectors[i]!));
  const off = Math.max(...offs);
  return {
    least: Math.min(...cosines),
    mean: cosines.reduce((sum, one) => sum + one, 0) / cosines.length,
    off,
    worst: texts[offs.indexOf(off)]!.id,
  };
}

/** The pairs whose query's or document's tokens are not in the reference's sequence; not those of a template, or cut. */
export async function wrongPairTokens(llama: Llama, { family, pairs }: Reranker): Promise<string[]> {
  const wrong: string[] = [];
  const inner = async (text: string): Promise<string> => `,${[...await llama.tokenize(text)].slice(1, -1).join()},`;
  for (const { query, document, tokens, truncated } of family.template ? [] : pairs) {
    const whole = `,${tokens.join()},`;
    for (const text of truncated ? [query] : [query, document]) {
      const ids = await inner(text);
      if (ids !== ",," && !whole.includes(ids)) wrong.push(`${JSON.stringify(text)}: ${ids} is not in ${whole}`);
    }
  }
  return wrong;
}

/** What the product made of a pair. */
export interface ScoredPair {
  readonly logits: readonly number[];
  readonly truncated: boolean;
}

/** The scores of pairs, in their order; all documents of one query and instruction in one call. */
export async function scoresOf(
  llama: Llama,
  pairs: readonly FamilyPair[],
  order: "forward" | "backward" = "forward",
): Promise<ScoredPair[]> {
  const found = new Map<FamilyPair, ScoredPair>();
  const keyOf = ({ query, instruction }: FamilyPair): string => JSON.stringify([query, instruction]);
  for (const key of new Set(pairs.map(keyOf))) {
    const asked = pairs.filter((pair) => keyOf(pair) === key);
    if (order === "backward") asked.reverse();
    const { query, instruction } = asked[0]!;
    for (const one of await llama.rerank(query, asked, { text: ({ document }) => document, instruction })) {
      const several = asked[0]!.logits.length > 1;
      const logits = several ? one.labels!.map(({ logit }) => logit) : [one.logit];
      found.set(one.document, { logits, truncated: one.truncated });
    }
  }
  return pairs.map((pair) => found.get(pair)!);
}

/** How near logits are to the reference's. */
export interface LogitsOff {
  readonly off: number;
  /** Spearman's correlation of the two orders. */
  readonly rank: number;
  readonly range: number;
}

/** Compares scores with the reference's. */
export function compareScores(pairs: readonly FamilyPair[], scores: readonly ScoredPair[]): LogitsOff {
  const wanted = pairs.map(({ logits }) => logits[0]!);
  const found = scores.map(({ logits }) => logits[0]!);
  return {
    off: Math.max(...pairs.map(({ logits }, i) => farthest(logits, scores[i]!.logits))),
    rank: spearman(wanted, found),
    range: rangeOf(pairs),
  };
}

/** Spearman's rank correlation: 1 when two lists have the same order. */
export function spearman(a: readonly number[], b: readonly number[]): number {
  const ranks = (values: readonly number[]): number[] => {
    const order = values.map((_, i) => i).sort((i, j) => values[i]! - values[j]!);
    const rank = new Array<number>(values.length);
    order.forEach((i, place) => rank[i] = place);
    return rank;
  };
  const [x, y] = [ranks(a), ranks(b)];
  const squares = x.reduce((sum, one, i) => sum + (one - y[i]!) ** 2, 0);
  const n = a.length;
  return n < 2 ? 1 : 1 - 6 * squares / (n * (n * n - 1));
}
