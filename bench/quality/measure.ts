// How well vectors find the definition of each query: nDCG@10 and the ten nearest.
import { dot, type Llama, toBinary } from "../../mod.ts";
import type { Cut, Texts } from "./wordnet.ts";

/** What came out for one kind of vectors. */
export interface Quality {
  readonly ndcg: number;
  /** The share of the reference's ten nearest that are among the ten nearest here. */
  readonly overlap: number;
}

/** The vectors of all texts. */
export interface Vectors {
  readonly queries: readonly Float32Array[];
  readonly definitions: readonly Float32Array[];
}

/** Embeds the texts of a cut. */
export async function embedTexts(llama: Llama, { queries, definitions }: Texts): Promise<Vectors> {
  return { queries: await llama.embed(queries), definitions: await llama.embed(definitions) };
}

/** By the dot product of vectors. */
export function measure({ queries, definitions }: Vectors, reference: Cut): Quality {
  return compare(queries.map((query) => definitions.map((definition) => dot(query, definition))), reference);
}

/** By the bits in which the vectors' signs differ. */
export function measureBinary({ queries, definitions }: Vectors, reference: Cut): Quality {
  const [asked, found] = [queries, definitions].map((list) => list.map(toBinary));
  return compare(asked!.map((query) => found!.map((definition) => -hamming(query, definition))), reference);
}

/** How many bits differ. */
function hamming(a: Uint8Array, b: Uint8Array): number {
  let bits = 0;
  for (let i = 0; i < a.length; i++) bits += ONES[a[i]! ^ b[i]!]!;
  return bits;
}

const ONES = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll("0", "").length);

/** Scores of all definitions for each query, against the reference's ten nearest. */
function compare(scores: readonly (readonly number[])[], { nearest }: Cut): Quality {
  const gains = scores.map((row, query) => gainOf(row, row[query]!));
  const shared = scores.map((row, query) => {
    const best = row.map((_, i) => i).sort((a, b) => row[b]! - row[a]! || a - b).slice(0, 10);
    return best.filter((i) => nearest[query]!.includes(i)).length / 10;
  });
  return { ndcg: mean(gains), overlap: mean(shared) };
}

/** nDCG@10 of one relevant definition; among equal scores (Hamming distances) the mean over its possible places. */
function gainOf(row: readonly number[], own: number): number {
  const above = row.filter((score) => score > own).length;
  const equal = row.filter((score) => score === own).length;
  let sum = 0;
  for (let rank = above + 1; rank <= Math.min(10, above + equal); rank++) sum += 1 / Math.log2(1 + rank);
  return sum / equal;
}

function mean(list: readonly number[]): number {
  return list.reduce((sum, x) => sum + x, 0) / list.length;
}
