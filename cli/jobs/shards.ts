/** Divides inputs among jobs that know nothing of one another. */
import type { Input } from "../data/inputs.ts";
import type { Share } from "../data/source.ts";

/**
 * What of each input one of several jobs has: of lines the bytes in which they begin, of Parquet whole row groups, and
 * of what cannot be entered in its middle whole files in turn.
 *
 * @param sizes Of the inputs when the job began: they may grow, and the ranges must not move.
 */
export function shareOf(
  shard: { readonly index: number; readonly count: number } | undefined,
  inputs: readonly Input[],
  sizes: readonly number[] = inputs.map(({ size = 0 }) => size),
): Share | undefined {
  if (!shard) return undefined;
  const { index, count } = shard;
  const range = (size: number): [from: number, to: number] => {
    return [Math.floor(size * (index - 1) / count), Math.floor(size * index / count)];
  };
  return async ({ path, format, gzip }, i) => {
    if (format === "parquet") {
      const { ParquetFile } = await import("../data/parquet_rows.ts");
      const file = await ParquetFile.open(path);
      const { starts } = file;
      await file.close();
      const [from, to] = range(starts.length - 1);
      return { from: starts[from]!, to: starts[to]! };
    }
    const whole = gzip || !["lines", "jsonl"].includes(format);
    if (whole) return i % count === index - 1 ? {} : undefined;
    const [from, to] = range(sizes[i]!);
    return { from, to };
  };
}
