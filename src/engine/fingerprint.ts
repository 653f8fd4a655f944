/** A short string that changes when vectors would, for those who store them. */
import type { Model } from "../../ffi/mod.ts";
import type { EmbedOptions } from "../options.ts";
import type { Profile } from "./profile.ts";

/** What decides about a vector besides its text and the options of the call. */
export type Origin = Pick<Profile, "pooling" | "maxTokens" | "prompts"> & {
  readonly model: Pick<Model, "meta" | "numbers">;
  /** llama.cpp's. */
  readonly version: string;
  /** Whether our own kernels compute: with q8_0 weights they make other vectors than llama.cpp's. */
  readonly kernels: boolean;
};

/** 16 hex digits of the model file, the special tokens, pooling, limit, prompt, dimensions, normalisation, kernels and llama.cpp's version. */
export function fingerprintOf(
  { model, pooling, maxTokens, prompts, version, kernels }: Origin,
  options: EmbedOptions,
): string {
  const { addBos, addEos, addSep, dimensions } = model.numbers;
  const { normalize = true, truncate = "end" } = options;
  const made = [model.meta(":hash"), addBos, addEos, addSep, pooling, maxTokens, version, kernels];
  const asked = [promptOf({ prompts }, options), options.dimensions ?? dimensions, normalize, truncate === "start"];
  return fnv1a(JSON.stringify([made, asked]));
}

/** What goes before each text: the option's, or the model's own for the kind of text. */
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
