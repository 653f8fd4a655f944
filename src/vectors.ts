/** Arithmetic on vectors, in float64 and without copies where it can be. */

/**
 * The dot product of two vectors; of normalised ones it is their cosine.
 *
 * @param a A vector.
 * @param b A vector of the same length.
 * @throws {RangeError} when the lengths differ.
 * @example
 * ```ts
 * import { dot } from "@llamasaur/llamasaur";
 *
 * console.log(dot(Float32Array.of(0.6, 0.8), Float32Array.of(1, 0)).toFixed(1)); // 0.6
 * ```
 */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  sameLength(a, b);
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/**
 * The cosine of the angle between two vectors, −1 to 1; 0 when one of them is all zeros.
 *
 * @param a A vector.
 * @param b A vector of the same length.
 * @throws {RangeError} when the lengths differ.
 * @example
 * ```ts
 * import { cosineSimilarity } from "@llamasaur/llamasaur";
 *
 * console.log(cosineSimilarity([1, 1], [2, 2]).toFixed(3)); // 1.000
 * ```
 */
export function cosineSimilarity(a: ArrayLike<number>, b: ArrayLike<number>): number {
  sameLength(a, b);
  let ab = 0, aa = 0, bb = 0;
  for (let i = 0; i < a.length; i++) {
    ab += a[i]! * b[i]!;
    aa += a[i]! * a[i]!;
    bb += b[i]! * b[i]!;
  }
  return aa === 0 || bb === 0 ? 0 : ab / Math.sqrt(aa * bb);
}

/** A vector's place in a list and its score. */
export interface Match {
  /** The index in the list. */
  readonly index: number;
  /** The dot product with the query. */
  readonly score: number;
}

/**
 * The vectors nearest to a query by dot product, best first; equal scores keep the list's order.
 *
 * @param query A vector.
 * @param vectors Vectors of the same length.
 * @param k How many to return at most.
 * @throws {RangeError} when lengths differ or `k` is no non-negative integer.
 * @example
 * ```ts
 * import { topK } from "@llamasaur/llamasaur";
 *
 * const best = topK([1, 0], [[0, 1], [1, 0], [0.5, 0.5]], 2);
 * console.log(best.map(({ index }) => index)); // [1, 2]
 * ```
 */
export function topK(query: ArrayLike<number>, vectors: readonly ArrayLike<number>[], k: number): Match[] {
  if (!Number.isInteger(k) || k < 0) {
    throw new RangeError(`Cannot take the top k: k must be an integer from 0, is ${k}`);
  }
  return vectors.map((vector, index) => ({ index, score: dot(query, vector) }))
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .slice(0, k);
}

/**
 * One bit a dimension: 1 where the vector is above zero, the first dimension in the highest bit of the first byte (as
 * sentence-transformers' `ubinary` and numpy's `packbits`). Compare by Hamming distance.
 *
 * @param vector A vector.
 * @returns `ceil(length / 8)` bytes.
 * @example
 * ```ts
 * import { toBinary } from "@llamasaur/llamasaur";
 *
 * console.log(toBinary([0.2, -0.1, 0.3, 0, 0, 0, 0, 1])); // Uint8Array [ 161 ]
 * ```
 */
export function toBinary(vector: ArrayLike<number>): Uint8Array {
  const bits = new Uint8Array(Math.ceil(vector.length / 8));
  for (let i = 0; i < vector.length; i++) {
    if (vector[i]! > 0) bits[i >> 3]! |= 0x80 >> (i & 7);
  }
  return bits;
}

/** Divides a vector by its length, in place; one of all zeros stays. Returns false if a number in it is not finite. */
export function normalize(vector: Float32Array): boolean {
  let sum = 0;
  for (let i = 0; i < vector.length; i++) sum += vector[i]! * vector[i]!;
  if (!Number.isFinite(sum)) return false;
  const scale = sum === 0 ? 1 : 1 / Math.sqrt(sum);
  for (let i = 0; i < vector.length; i++) vector[i]! *= scale;
  return true;
}

/** Whether every number of a vector is finite. */
export function isFiniteVector(vector: Float32Array): boolean {
  let sum = 0; // NaN and infinity survive a multiplication by zero as NaN
  for (let i = 0; i < vector.length; i++) sum += vector[i]! * 0;
  return sum === 0;
}

function sameLength(a: ArrayLike<number>, b: ArrayLike<number>): void {
  if (a.length !== b.length) {
    throw new RangeError(`Cannot compare vectors of different lengths: ${a.length} and ${b.length} dimensions`);
  }
}
