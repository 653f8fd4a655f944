/** What a tokenizer does to a text before it looks pieces up, where llama.cpp leaves it out or does it differently. */
import { setImmediate } from "node:timers/promises";
import type { Model } from "../../ffi/mod.ts";

// Values of tokenizer.ggml.pre whose originals (Qwen 2 to 3.5, ModernBERT: `normalizer` of tokenizer.json) put a text into
// NFC first. llama.cpp does not, so that an accent that comes as a character of its own makes other tokens.
const COMPOSED = new Set(["qwen2", "qwen35", "deepseek-r1-qwen", "modern-bert"]);
// Where a text may be cut without changing what comes out. BERT: at white space that all take for such, and at ideographs, which
// are words of their own. The others: at ASCII, too, which composes with nothing before it.
export const WORDS: RegExp = /[^\S\v\f\ufeff]|[\u4e00-\u9fff]/g;
export const LETTERS: RegExp = /[\0-\x7f\u4e00-\u9fff]/g;
// Characters that are worked on in one piece; some 2 ms.
const PIECE = 64 * 1024;

/** What a model's texts go through before llama.cpp tokenises them; nothing for most. */
export async function normalizerOf(model: Model): Promise<((text: string) => Promise<string>) | undefined> {
  const normalize = await normalizeOf(model);
  const boundary = model.meta("tokenizer.ggml.model") === "bert" ? WORDS : LETTERS;
  return normalize && ((text) => inPieces(text, normalize, boundary));
}

/** What a piece of a model's text goes through. Tables are loaded for the models that they are of use to. */
async function normalizeOf(model: Model): Promise<((text: string) => string) | undefined> {
  const kind = model.meta("tokenizer.ggml.model");
  if (kind === "bert") {
    const lowercase = model.meta("tokenizer.ggml.normalizer.lowercase") ?? "true";
    const stripAccents = (model.meta("tokenizer.ggml.normalizer.strip_accents") ?? lowercase) === "true";
    const { BertNormalizer } = await import("./bert_normalizer.ts");
    // llama.cpp takes the vocabulary's "##▁" for its own marker, which it puts before every word.
    const allMarked = model.meta(":bare_marker") === "true";
    const normalizer = new BertNormalizer({ stripAccents, lowercase: lowercase === "true", allMarked });
    return (text) => normalizer.normalize(text);
  }
  // Both SentencePiece and Hugging Face put U+2581 in a space's place and then know no difference. llama.cpp looks for pieces
  // that were given by hand, as Gemma's runs of spaces, before it does that.
  if (kind === "llama") return (text) => text.replaceAll("\u2581", " ");
  if (!COMPOSED.has(model.meta("tokenizer.ggml.pre") ?? "")) return undefined;
  const { compose } = await import("./compose.ts");
  return compose;
}

/**
 * Normalises a text; a long one in pieces, so that timers keep ticking.
 *
 * @param boundary A global expression for the characters before which a text may be cut.
 */
export async function inPieces(
  text: string,
  normalize: (text: string) => string,
  boundary: RegExp,
): Promise<string> {
  if (text.length <= PIECE) return normalize(text);
  const pieces: string[] = [];
  for (let from = 0; from < text.length;) {
    boundary.lastIndex = from + PIECE;
    const to = boundary.exec(text)?.index ?? text.length;
    pieces.push(normalize(text.slice(from, to)));
    from = to;
    await setImmediate();
  }
  return pieces.join("");
}
