/** Reads the texts of a call, each distinct one once, and warns of those that were truncated. */
import { checkText, show } from "../check.ts";
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
 * @throws {TypeError} when a text is no string or has a lone surrogate.
 */
export async function readTexts<T>(
  items: readonly T[],
  nameOf: (index: number) => string,
  textOf: (item: T) => unknown = (item) => item,
): Promise<DistinctTexts> {
  const unique: string[] = [];
  const inverse: number[] = [];
  const seen = new Map<string, number>();
  await forEachInSlices(items.length, (i) => {
    const given = textOf(items[i]!);
    const text = typeof given === "string" && given.isWellFormed() ? given : refuse(nameOf(i), items[i], given);
    let index = seen.get(text);
    if (index === undefined) seen.set(text, index = unique.push(text) - 1);
    inverse.push(index);
  });
  return { unique, inverse };
}

/** Refuses what is no text, as `checkText` does; of an item that is an object, says which option gives its text. */
function refuse(name: string, item: unknown, given: unknown): never {
  if (item === given && typeof item === "object" && item !== null && name.startsWith("documents")) {
    throw new TypeError(
      `Cannot read ${name}: it must be a string, is ${show(item)}; pass text, a function that gives its text`,
    );
  }
  checkText(name, given);
  throw new TypeError(`Cannot read ${name}`); // never: the text is bad
}

/** Warns once a call if any text of it was truncated. */
export function warnOfTruncation({ truncated }: Sequences, maxTokens: number, warnings: Warnings): void {
  const count = truncated.reduce((sum, one) => sum + one, 0);
  if (count === 0) return;
  const texts = count === 1 ? "1 text was" : `${count} texts were`;
  warnings.warn("truncated", `${texts} truncated to ${maxTokens} tokens`);
}
