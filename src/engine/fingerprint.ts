/** Makes a short string that changes when vectors would, to be stored beside them. */
import type { Model } from "../../ffi/mod.ts";
import type { EmbedOptions } from "../options.ts";
import type { Profile } from "./profile.ts";

/**
 * The number of our own arithmetic and text rules. It is raised when a change of this package moves the tokens of any text, or
 * the vectors of any type of weights beyond its tolerance; tests/models/rules_test.ts fails until it is. The processor is not
 * in it: docs/accuracy.md states how far vectors of two processors are apart.
 */
export const RULES = 4;

/** What decides a vector besides its text and the options of the call. */
export type Origin = Pick<Profile, "pooling" | "maxTokens" | "prompts"> & {
  readonly model: Pick<Model, "meta" | "numbers">;
  /** llama.cpp's version. */
  readonly version: string;
  /** Whether our own kernels compute: with q8_0 weights their vectors differ from llama.cpp's. */
  readonly kernels: boolean;
};

/**
 * Hashes everything that decides a vector but its text: all bytes of the model's files, the special tokens, attention and
 * pooling as they are computed, limit, prompt, dimensions, normalisation, kernels, llama.cpp's version and our own rules.
 *
 * @returns 16 hex digits.
 */
export function fingerprintOf(
  { model, pooling, maxTokens, prompts, version, kernels }: Origin,
  options: EmbedOptions,
): string {
  const { addBos, addEos, addSep, dimensions, causal, isCausalDecoder, exposesHiddenStates } = model.numbers;
  const { normalize = true, truncate = "end" } = options;
  const file = [model.meta(":hash"), addBos, addEos, addSep, causal, isCausalDecoder, exposesHiddenStates];
  const made = [RULES, ...file, pooling, maxTokens, version, kernels];
  const asked = [promptOf({ prompts }, options), options.dimensions ?? dimensions, normalize, truncate === "start"];
  return fnv1a(JSON.stringify([made, asked]));
}

/**
 * The text that goes before each text: the option's, or the model's own for this kind of text.
 *
 * @throws {RangeError} when both are asked for, or the model's own is not known.
 */
export function promptOf({ prompts }: Pick<Profile, "prompts">, { prompt, inputType }: EmbedOptions): string {
  if (inputType === undefined) return prompt ?? "";
  if (prompt !== undefined) throw new RangeError("Cannot embed with both prompt and inputType: pass one of them");
  if (prompts) return prompts[inputType] ?? "";
  throw new RangeError(
    `Cannot embed with inputType "${inputType}": the prompts are known only of models of the catalogue, and of those ` +
      "that convert() made of a checkpoint with prompts; pass prompt",
  );
}

/** FNV-1a in 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/), as 16 hex digits. */
function fnv1a(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(16).padStart(16, "0");
}
