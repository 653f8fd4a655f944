/** Counts the tokens of texts. */
import { checkText, copyList, show } from "../check.ts";
import { mapInSlices } from "../slices.ts";
import { readTexts } from "./read.ts";
import type { Tokenizer } from "./token_lists.ts";

/**
 * Counts the tokens of a text or of a list of texts, special ones included; equal texts are tokenised once.
 *
 * @param input It is checked here.
 * @returns For each text, in order, how many tokens it has.
 */
export async function countTokens(tokenizer: Tokenizer, input: unknown): Promise<number[]> {
  if (typeof input !== "string" && !Array.isArray(input)) {
    throw new TypeError(`Cannot read text: it must be a string or an array of strings, is ${show(input)}`);
  }
  const texts = typeof input === "string" ? [checkText("text", input)] : copyList("text", input);
  const { unique, inverse } = await readTexts(texts, (i) => `text[${i}]`);
  const counts = new Uint32Array(unique.length);
  const none = new Int32Array();
  await tokenizer.tokenize(unique, "add", {
    signal: undefined,
    finish: (ids, i) => {
      counts[i] = ids.length;
      return none;
    },
  });
  return await mapInSlices(inverse, (i) => counts[i]!);
}
