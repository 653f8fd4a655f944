/** Gives token ids the texts that the vocabulary has for them. */
import type { Model } from "../../ffi/mod.ts";
import { checkIds } from "../check.ts";
import { pause, sliceIsOver } from "../slices.ts";

const AT_ONCE = 4096; // ids; about a millisecond

/**
 * The vocabulary's text of each id.
 *
 * @param ids They are checked here.
 */
export async function piecesOf(model: Pick<Model, "pieces" | "numbers">, ids: unknown): Promise<string[]> {
  const checked = await checkIds("ids", ids, model.numbers.vocabularySize);
  const pieces: string[] = [];
  for (let from = 0; from < checked.length; from += AT_ONCE) {
    for (const piece of model.pieces(checked.subarray(from, from + AT_ONCE))) pieces.push(piece);
    if (sliceIsOver()) await pause();
  }
  return pieces;
}
