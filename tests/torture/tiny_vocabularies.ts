// The vocabularies of the tiny models: one for each kind of tokenizer that embedding models have.
import { type Value, value } from "./gguf.ts";

type Vocabulary = [tokens: string[], entries: [string, Value][]];

const WORDS = ["hello", "world", "yes", "no", "cat", "the", "a", "b", "e", "h", "l", "o", "##o", "##l"];
export const BYTES: readonly string[] = Array.from(
  { length: 256 },
  (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`,
);
/** GPT-2's letters of the bytes (bytes_to_unicode). */
export const LETTERS: readonly string[] = Array.from({ length: 256 }, (_, i) => {
  const printable = i >= 33 && i <= 126 || i >= 161 && i <= 172 || i >= 174;
  const before = Array.from({ length: i }, (_, j) => j).filter((j) => j < 33 || j > 126 && j < 161 || j === 173);
  return String.fromCodePoint(printable ? i : 256 + before.length);
});

/** Word pieces of BERT. */
export function wordPiece(): Vocabulary {
  const tokens = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    ...WORDS.map((word) => word.startsWith("##") ? word.slice(2) : `▁${word}`),
  ];
  return [tokens, [
    ["tokenizer.ggml.model", value.string("bert")],
    ["tokenizer.ggml.token_type_count", value.u32(2)],
    ["tokenizer.ggml.tokens", value.strings(tokens)],
    ["tokenizer.ggml.unknown_token_id", value.u32(1)],
    ["tokenizer.ggml.padding_token_id", value.u32(0)],
    ["tokenizer.ggml.bos_token_id", value.u32(2)],
    ["tokenizer.ggml.seperator_token_id", value.u32(3)],
  ]];
}

/** Pieces of SentencePiece, with a token for each byte; `model` is `llama` or `t5`. */
export function sentencePiece(model: string): Vocabulary {
  const pieces = ["<unk>", "<s>", "</s>", ...BYTES, "▁", ...WORDS.slice(0, 12)];
  return [pieces, [
    ["tokenizer.ggml.model", value.string(model)],
    ["tokenizer.ggml.tokens", value.strings(pieces)],
    ["tokenizer.ggml.scores", value.f32s(pieces.map((_, i) => -i))],
    ["tokenizer.ggml.token_type", value.i32s(pieces.map((piece, i) => i < 3 ? 3 : piece.startsWith("<0x") ? 6 : 1))],
    ["tokenizer.ggml.bos_token_id", value.u32(1)],
    ["tokenizer.ggml.eos_token_id", value.u32(2)],
    ["tokenizer.ggml.add_eos_token", value.bool(1)],
  ]];
}

/** Byte pairs of GPT-2. */
export function letterPairs(): Vocabulary {
  const tokens = [...LETTERS, "he", "yes", "no", "<|im_end|>"];
  return [tokens, [
    ["tokenizer.ggml.model", value.string("gpt2")],
    ["tokenizer.ggml.pre", value.string("qwen2")],
    ["tokenizer.ggml.tokens", value.strings(tokens)],
    ["tokenizer.ggml.token_type", value.i32s(tokens.map((one) => one.startsWith("<|") ? 3 : 1))],
    ["tokenizer.ggml.merges", value.strings(["h e"])],
    ["tokenizer.ggml.eos_token_id", value.u32(tokens.length - 1)],
  ]];
}
