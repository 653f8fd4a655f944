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

/** The value below which a part of some numbers lies: 0.5 is the middle, 0.99 what one in a hundred exceeds. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)] ?? NaN;
}

/** A ratio by round, in three numbers, and how many rounds there were. */
export interface Ratio {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly rounds: number;
}

/** First by second, of the rounds that have both; undefined where none has. */
export function ratioOf(
  first: readonly (number | undefined)[],
  second: readonly (number | undefined)[],
): Ratio | undefined {
  const all = first.flatMap((a, round) => {
    const b = second[round];
    return a !== undefined && b !== undefined && b > 0 ? [a / b] : [];
  });
  if (all.length === 0) return undefined;
  return { median: median(all), least: Math.min(...all), most: Math.max(...all), rounds: all.length };
}

/** Spearman's rank correlation: 1 when both lists sort alike. Equal values share their ranks' mean. */
export function spearman(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const [x, y] = [ranks(Array.from(a)), ranks(Array.from(b))];
  const middle = (x.length - 1) / 2;
  let [xy, xx, yy] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    const [dx, dy] = [x[i]! - middle, y[i]! - middle];
    xy += dx * dy;
    xx += dx * dx;
    yy += dy * dy;
  }
  return xx === 0 || yy === 0 ? NaN : xy / Math.sqrt(xx * yy);
}

function ranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const all: number[] = [];
  for (let from = 0, to = 0; from < order.length; from = to) {
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++;
    for (const i of order.slice(from, to)) all[i] = (from + to - 1) / 2;
  }
  return all;
}
