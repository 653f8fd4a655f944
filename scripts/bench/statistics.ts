/** What repeated measurements and pairs of vectors come to. */

/** The middle of some numbers. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** How far two lists of vectors are apart. */
export interface Distance {
  /** The largest difference of two numbers. */
  readonly maxAbs: number;
  /** The smallest and the mean cosine of two vectors. */
  readonly minCosine: number;
  readonly meanCosine: number;
}

/**
 * Compares vectors of length 1, row by row.
 *
 * @param width Numbers of a vector.
 */
export function distance(a: Float32Array, b: Float32Array, width: number): Distance {
  if (a.length !== b.length) throw new RangeError(`Cannot compare ${a.length} numbers with ${b.length}`);
  let maxAbs = 0;
  const cosines: number[] = [];
  for (let row = 0; row < a.length; row += width) {
    let dot = 0;
    for (let i = row; i < row + width; i++) {
      dot += a[i]! * b[i]!;
      maxAbs = Math.max(maxAbs, Math.abs(a[i]! - b[i]!));
    }
    cosines.push(dot);
  }
  const meanCosine = cosines.reduce((sum, cosine) => sum + cosine, 0) / cosines.length;
  return { maxAbs, minCosine: Math.min(...cosines), meanCosine };
}
