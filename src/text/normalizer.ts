/** What a tokenizer does to a text before it looks pieces up, where llama.cpp leaves it out or does it differently. */
import { setImmediate } from "node:timers/promises";
import type { Model } from "../../ffi/mod.ts";

// Values of tokenizer.ggml.pre whose originals (Qwen 2 to 3.5, ModernBERT: `normalizer` of tokenizer.json) put a text into
// NFC first. llama.cpp does not, so that an accent that comes as a character of its own makes other tokens.
const COMPOSED = new Set(["qwen2", "qwen35", "deepseek-r1-qwen", "modern-bert"]);
// White space that all of them take for such, and ideographs, which are words of their own to BERT and compose with nothing:
// where a text may be cut without changing what comes out.
const BOUNDARY = /[^\S\v\f\ufeff]|[\u4e00-\u9fff]/;
// Characters that are worked on in one piece; some 2 ms.
const PIECE = 64 * 1024;

/** What a model's texts go through before llama.cpp tokenises them; nothing for most. */
export async function normalizerOf(model: Model): Promise<((text: string) => Promise<string>) | undefined> {
  const normalize = await normalizeOf(model);
  return normalize && ((text) => inPieces(text, normalize));
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

/** Normalises a text; a long one in pieces, so that timers keep ticking. */
export async function inPieces(text: string, normalize: (text: string) => string): Promise<string> {
  if (text.length <= PIECE) return normalize(text);
  const pieces: string[] = [];
  for (let from = 0; from < text.length;) {
    let to = Math.min(text.length, from + PIECE);
    while (to < text.length && !BOUNDARY.test(text[to]!)) to++;
    pieces.push(normalize(text.slice(from, to)));
    from = to;
    await setImmediate();
  }
  return pieces.join("");
}
