/** Computes with vectors: in float64, and without copies where possible. Imports nothing. */

/**
 * The dot product of two vectors; of normalised ones it is their cosine. NaN where a vector has NaN.
 *
 * @param a A vector.
 * @param b A vector of the same length.
 * @throws {TypeError} when one is no array of numbers; the message names it.
 * @throws {RangeError} when the lengths differ.
 * @example
 * ```ts
 * import { dot } from "@llamasaur/llamasaur";
 *
 * console.log(dot(Float32Array.of(0.6, 0.8), Float32Array.of(1, 0)).toFixed(1)); // 0.6
 * ```
 */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  checkVector("a", a);
  checkVector("b", b);
  sameLength(a, b);
  return product(a, b);
}

/**
 * The cosine of the angle between two vectors, −1 to 1; 0 when one of them is all zeros, NaN where one has NaN.
 *
 * @param a A vector.
 * @param b A vector of the same length.
 * @throws {TypeError} when one is no array of numbers; the message names it.
 * @throws {RangeError} when the lengths differ.
 * @example
 * ```ts
 * import { cosineSimilarity } from "@llamasaur/llamasaur";
 *
 * console.log(cosineSimilarity([1, 1], [2, 2]).toFixed(3)); // 1.000
 * ```
 */
export function cosineSimilarity(a: ArrayLike<number>, b: ArrayLike<number>): number {
  checkVector("a", a);
  checkVector("b", b);
  sameLength(a, b);
  const [x, y] = [tame(a), tame(b)];
  const lengths = Math.sqrt(product(x, x)) * Math.sqrt(product(y, y));
  const cosine = lengths === 0 ? 0 : product(x, y) / lengths;
  return cosine > 1 ? 1 : cosine < -1 ? -1 : cosine;
}

/** The vector, or a multiple with the same cosine if its square would overflow or underflow. */
function tame(vector: ArrayLike<number>): ArrayLike<number> {
  const square = product(vector, vector);
  return square > 1e-200 && square < 1e200 ? vector : scaled(vector);
}

/** The vector divided by its largest number; zeros stay zeros, infinity gives NaN. */
function scaled(vector: ArrayLike<number>): Float64Array {
  let most = 0;
  for (let i = 0; i < vector.length; i++) most = Math.max(most, Math.abs(vector[i]!));
  return Float64Array.from(vector, (x) => most === 0 ? 0 : x / most);
}

/** A vector's place in a list and its score. */
export interface Match {
  /** The index in the list. */
  readonly index: number;
  /** The dot product with the query; the cosine, if both have length 1. */
  readonly score: number;
}

/**
 * The vectors nearest to a query by dot product, best first; equal scores keep the list's order.
 *
 * @param query A vector.
 * @param vectors Vectors of the same length.
 * @param k How many to return at most.
 * @throws {TypeError} when the query or a vector is no array of numbers; the message names its index.
 * @throws {RangeError} when lengths differ, `k` is no non-negative integer, or a product is NaN.
 * @example
 * ```ts
 * import { topK } from "@llamasaur/llamasaur";
 *
 * const best = topK([1, 0], [[0, 1], [1, 0], [0.5, 0.5]], 2);
 * console.log(best.map(({ index }) => index)); // [1, 2]
 * ```
 */
export function topK(query: ArrayLike<number>, vectors: readonly ArrayLike<number>[], k: number): Match[] {
  checkVector("query", query);
  if (!Array.isArray(vectors)) throw new TypeError(`Cannot read vectors: it must be an array, is ${kind(vectors)}`);
  if (typeof k !== "number") throw new TypeError(`Cannot take the top k: k must be an integer from 0, is ${kind(k)}`);
  if (!Number.isInteger(k) || k < 0) {
    throw new RangeError(`Cannot take the top k: k must be an integer from 0, is ${k}`);
  }
  const matches: Match[] = [];
  for (let index = 0; index < vectors.length; index++) {
    const vector = vectors[index]!; // a hole is no vector
    checkVector("vectors", vector, index);
    sameLength(query, vector);
    const score = product(query, vector);
    if (Number.isNaN(score)) {
      throw new RangeError(`Cannot rank vectors[${index}]: its dot product with query is NaN; take NaN out of both`);
    }
    matches.push({ index, score });
  }
  return matches.sort((a, b) => b.score - a.score || a.index - b.index).slice(0, k);
}

/**
 * One bit a dimension: 1 where the vector is above zero, the first dimension in the highest bit of the first byte (as
 * sentence-transformers' `ubinary` and numpy's `packbits`). Compare by Hamming distance.
 *
 * @param vector A vector.
 * @returns `ceil(length / 8)` bytes.
 * @throws {TypeError} when it is no array of numbers.
 * @example
 * ```ts
 * import { toBinary } from "@llamasaur/llamasaur";
 *
 * console.log(toBinary([0.2, -0.1, 0.3, 0, 0, 0, 0, 1])); // Uint8Array [ 161 ]
 * ```
 */
export function toBinary(vector: ArrayLike<number>): Uint8Array {
  checkVector("vector", vector);
  const bits = new Uint8Array(Math.ceil(vector.length / 8));
  for (let i = 0; i < vector.length; i++) {
    if (vector[i]! > 0) bits[i >> 3]! |= 0x80 >> (i & 7);
  }
  return bits;
}

/**
 * How many bits differ between two results of `toBinary`: the Hamming distance, the smaller the nearer.
 *
 * @param a Bytes of bits.
 * @param b As many bytes.
 * @throws {TypeError} when one is no Uint8Array or Int8Array; the message names it.
 * @throws {RangeError} when the lengths differ.
 * @example
 * ```ts
 * import { hamming, toBinary } from "@llamasaur/llamasaur";
 *
 * console.log(hamming(toBinary([0.2, -0.1, 0.3]), toBinary([0.2, 0.1, -0.3]))); // 2
 * ```
 */
export function hamming(a: Uint8Array | Int8Array, b: Uint8Array | Int8Array): number {
  checkBytes("a", a);
  checkBytes("b", b);
  if (a.length !== b.length) {
    throw new RangeError(`Cannot compare bits of different lengths: ${a.length} and ${b.length} bytes`);
  }
  let count = 0;
  for (let i = 0; i < a.length; i++) {
    let bits = (a[i]! ^ b[i]!) & 0xff;
    bits -= bits >> 1 & 0x55; // the number of ones in each pair of bits, then of four, then of eight
    bits = (bits & 0x33) + (bits >> 2 & 0x33);
    count += bits + (bits >> 4) & 0x0f;
  }
  return count;
}

/**
 * One byte a dimension: the range of each dimension in 255 steps, −128 at its minimum (as sentence-transformers'
 * `quantize_embeddings` with `"int8"`, to the same bytes). What lies outside of a range becomes its nearest end.
 *
 * @param vectors Vectors of one length.
 * @param calibration Vectors whose minimum and maximum are the range of each dimension: many, and the same ones for all
 * that is to be compared. Two vectors, of the minima and of the maxima, are enough to keep. Default: `vectors`.
 * @returns For each vector a byte a dimension; 0 where a range is empty.
 * @throws {TypeError} when a vector is no array of numbers; the message names its index.
 * @throws {RangeError} when lengths differ, a number is not finite, or there is no vector to calibrate with.
 * @example
 * ```ts
 * import { toInt8 } from "@llamasaur/llamasaur";
 *
 * const ranges = [[-1, -0.5], [1, 0.5]];
 * console.log(toInt8([[0, 0.5], [1, -0.5]], ranges)); // [ Int8Array [ 0, 127 ], Int8Array [ 127, -128 ] ]
 * ```
 */
export function toInt8(
  vectors: readonly ArrayLike<number>[],
  calibration: readonly ArrayLike<number>[] = vectors,
): Int8Array[] {
  const width = checkFiniteVectors("vectors", vectors);
  if (width === undefined) return [];
  const other = calibration === vectors ? width : checkFiniteVectors("calibration", calibration);
  if (other === undefined) {
    throw new RangeError("Cannot calibrate: calibration must have at least one vector, is empty");
  }
  sameLength(vectors[0]!, calibration[0]!);
  const { starts, steps } = rangesOf(calibration, width);
  return vectors.map((vector) =>
    Int8Array.from(vector, (value, i) => {
      const scaled = Math.fround(Math.fround(Math.fround(value) - starts[i]!) / steps[i]!);
      const byte = Math.trunc(Math.fround(scaled - 128)); // NaN, and so 0, where a range is empty
      return byte < -128 ? -128 : byte > 127 ? 127 : byte;
    })
  );
}

/** Where the range of each dimension begins, and 1/255 of it: in float32, as NumPy computes with vectors of it. */
function rangesOf(vectors: readonly ArrayLike<number>[], width: number): { starts: Float32Array; steps: Float32Array } {
  const starts = Float32Array.from({ length: width }, () => Infinity);
  const steps = Float32Array.from({ length: width }, () => -Infinity);
  for (const vector of vectors) {
    for (let i = 0; i < width; i++) {
      starts[i] = Math.min(starts[i]!, vector[i]!);
      steps[i] = Math.max(steps[i]!, vector[i]!);
    }
  }
  for (let i = 0; i < width; i++) steps[i] = Math.fround(steps[i]! - starts[i]!) / 255;
  return { starts, steps };
}

/**
 * Divides a vector by its length, in place; zeros stay zeros.
 *
 * @returns False, and leaves the vector as it is, if a number in it is not finite.
 */
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

function product(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** Checks that a value is a list of numbers; a typed array is one without a look at each. */
function checkVector(name: string, vector: ArrayLike<number>, index?: number): void {
  if (vector instanceof Float32Array || vector instanceof Float64Array) return;
  const own = index === undefined ? name : `${name}[${index}]`;
  if (typeof vector !== "object" || !Number.isSafeInteger(vector?.length) || vector.length < 0) {
    throw new TypeError(`Cannot read ${own}: it must be an array of numbers, is ${kind(vector)}`);
  }
  for (let i = 0; i < vector.length; i++) {
    if (typeof vector[i] !== "number") {
      throw new TypeError(`Cannot read ${own}[${i}]: it must be a number, is ${kind(vector[i])}`);
    }
  }
}

/** Checks that a value is a list of finite vectors of one length, and gives that length; undefined if there is none. */
function checkFiniteVectors(name: string, vectors: readonly ArrayLike<number>[]): number | undefined {
  if (!Array.isArray(vectors)) throw new TypeError(`Cannot read ${name}: it must be an array, is ${kind(vectors)}`);
  for (let index = 0; index < vectors.length; index++) {
    const vector: ArrayLike<number> = vectors[index]; // a hole is no vector
    checkVector(name, vector, index);
    sameLength(vectors[0], vector);
    for (let i = 0; i < vector.length; i++) {
      if (Number.isFinite(vector[i])) continue;
      throw new RangeError(`Cannot read ${name}[${index}][${i}]: it must be a finite number, is ${vector[i]}`);
    }
  }
  return vectors[0]?.length;
}

function checkBytes(name: string, bytes: unknown): void {
  if (bytes instanceof Uint8Array || bytes instanceof Int8Array) return;
  throw new TypeError(`Cannot read ${name}: it must be a Uint8Array or Int8Array, is ${kind(bytes)}`);
}

function sameLength(a: ArrayLike<number>, b: ArrayLike<number>): void {
  if (a.length !== b.length) {
    throw new RangeError(`Cannot compare vectors of different lengths: ${a.length} and ${b.length} dimensions`);
  }
}

/** What a value is, for a message. This file imports nothing. */
function kind(value: unknown): string {
  try {
    if (value instanceof Promise) return "a promise: await it";
  } catch {
    // a Proxy that was revoked or throws
  }
  return value === null ? "null" : typeof value;
}
