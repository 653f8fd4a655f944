/** Reads the texts of a call, each distinct one once, and warns of those that were truncated. */
import { checkText } from "../check.ts";
import type { LogLine } from "../options.ts";
import { forEachInSlices } from "../slices.ts";
import type { Sequences } from "./sequences.ts";

/**
 * Checks texts, and gives the distinct ones and for each text the index of its equal among them.
 *
 * @param nameOf The argument's name of a text by its index, for messages.
 * @param textOf What the text of an item is.
 */
export async function readTexts<T>(
  items: readonly T[],
  nameOf: (index: number) => string,
  textOf: (item: T) => unknown = (item) => item,
): Promise<{ unique: string[]; places: number[] }> {
  const unique: string[] = [];
  const places: number[] = [];
  const seen = new Map<string, number>();
  await forEachInSlices(items.length, (i) => {
    const given = textOf(items[i]!);
    const text = typeof given === "string" && given.isWellFormed() ? given : checkText(nameOf(i), given);
    let place = seen.get(text);
    if (place === undefined) seen.set(text, place = unique.push(text) - 1);
    places.push(place);
  });
  return { unique, places };
}

/** One warning a call, to the log, if any of its texts was cut. */
export function warnOfTruncation(
  { truncated }: Sequences,
  maxTokens: number,
  onLog: ((line: LogLine) => void) | undefined,
): void {
  if (!onLog) return;
  const count = truncated.reduce((sum, one) => sum + one, 0);
  if (count === 0) return;
  const texts = count === 1 ? "1 text was" : `${count} texts were`;
  onLog({ level: "warn", message: `${texts} truncated to ${maxTokens} tokens` });
}
