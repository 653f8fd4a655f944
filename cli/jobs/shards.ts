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
  const divisible = ({ format, gzip }: Input): boolean => !gzip && ["lines", "jsonl", "parquet"].includes(format);
  const isOwn = (i: number): boolean => i % count === index - 1;
  return {
    bytes(input, i) {
      if (input.size === undefined) return undefined;
      const [from, to] = range(sizes[i]!);
      return divisible(input) ? to - from : isOwn(i) ? input.size : 0;
    },
    async of(input, i) {
      if (!divisible(input)) return isOwn(i) ? {} : undefined;
      if (input.format !== "parquet") {
        const [from, to] = range(sizes[i]!);
        return { from, to };
      }
      const { ParquetFile } = await import("../data/parquet_rows.ts");
      const file = await ParquetFile.open(input.path);
      const { starts } = file;
      await file.close();
      const [from, to] = range(starts.length - 1);
      return { from: starts[from]!, to: starts[to]! };
    },
  };
}
