/** Reads the texts of a call, each distinct one once, and warns of those that were truncated. */
import { checkText } from "../check.ts";
import { forEachInSlices } from "../slices.ts";
import type { Warnings } from "../warnings.ts";
import type { Sequences } from "./sequences.ts";

/** The distinct texts of a list. */
export interface DistinctTexts {
  readonly unique: string[];
  /** For each text of the list the index of its equal in `unique` (NumPy's `return_inverse`). */
  readonly inverse: number[];
}

/**
 * Checks texts and finds the distinct ones.
 *
 * @param nameOf The argument's name of a text by its index, for messages.
 * @param textOf The text of an item.
 * @param ofObject What the caller can do where that is an object, for messages.
 * @throws {TypeError} when a text is no string or has a lone surrogate.
 */
export async function readTexts<T>(
  items: readonly T[],
  nameOf: (index: number) => string,
  { textOf = (item) => item, ofObject }: { textOf?: ((item: T) => unknown) | undefined; ofObject?: string } = {},
): Promise<DistinctTexts> {
  const unique: string[] = [];
  const inverse: number[] = [];
  const seen = new Map<string, number>();
  await forEachInSlices(items.length, (i) => {
    const given = textOf(items[i]!);
    const text = typeof given === "string" && given.isWellFormed() ? given : checkText(nameOf(i), given, ofObject);
    let index = seen.get(text);
    if (index === undefined) seen.set(text, index = unique.push(text) - 1);
    inverse.push(index);
  });
  return { unique, inverse };
}

/** Warns once a call if any text of it was truncated. */
export function warnOfTruncation({ truncated }: Sequences, maxTokens: number, warnings: Warnings): void {
  const count = truncated.reduce((sum, one) => sum + one, 0);
  if (count === 0) return;
  const texts = count === 1 ? "1 text was" : `${count} texts were`;
  warnings.warn("truncated", `${texts} truncated to ${maxTokens} tokens`);
}
