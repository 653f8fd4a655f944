/** The linear model that is nearest to what was measured. */

/**
 * Solves min |rows · x − values|² by the normal equations: enough for the few, unlike columns of a benchmark.
 *
 * @param rows The features of each measurement.
 * @param values What was measured.
 * @returns A coefficient for each feature.
 */
export function leastSquares(rows: readonly (readonly number[])[], values: readonly number[]): number[] {
  const width = rows[0]?.length ?? 0;
  // Columns of very different size lose digits: each is scaled to length 1 first.
  const scale = Array.from({ length: width }, (_, j) => Math.hypot(...rows.map((row) => row[j]!)) || 1);
  const matrix = Array.from({ length: width }, (_, i) => [
    ...Array.from(
      { length: width },
      (_, j) => rows.reduce((sum, row) => sum + row[i]! * row[j]! / scale[i]! / scale[j]!, 0),
    ),
    rows.reduce((sum, row, k) => sum + row[i]! / scale[i]! * values[k]!, 0),
  ]);
  for (let i = 0; i < width; i++) {
    const best = matrix.slice(i).reduce(
      (best, row, k) => Math.abs(row[i]!) > Math.abs(matrix[best]![i]!) ? i + k : best,
      i,
    );
    [matrix[i], matrix[best]] = [matrix[best]!, matrix[i]!];
    for (let k = 0; k < width; k++) {
      if (k === i) continue;
      const factor = matrix[k]![i]! / matrix[i]![i]!;
      for (let j = i; j <= width; j++) matrix[k]![j]! -= factor * matrix[i]![j]!;
    }
  }
  return matrix.map((row, i) => row[width]! / row[i]! / scale[i]!);
}
