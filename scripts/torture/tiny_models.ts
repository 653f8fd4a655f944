// Random models of a few kilobytes, one for each way that llama.cpp reads, tokenises and computes: what is mutated.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { convert, quantize } from "../../convert.ts";
import { randomIntegers } from "../../tests/random.ts";
import { fixture } from "../../tests/checkpoint.ts";
import { build, type Gguf, serialise, type Value, value } from "./gguf.ts";

/** Names of the files that `writeBases` makes, from the one that is mutated most. */
export const BASES = ["bert", "rerank", "q8_0", "q4_k", "llama", "qwen3", "nomic", "moe", "t5", "gemma"] as const;
export type Base = (typeof BASES)[number];

const [WIDTH, INNER, HEADS, HEAD] = [32, 64, 2, 16];
const WORDS = ["hello", "world", "yes", "no", "cat", "the", "a", "b", "e", "h", "l", "o", "##o", "##l"];

/** Writes all of them to a directory, as NAME.gguf. */
export async function writeBases(directory: string): Promise<void> {
  mkdirSync(directory, { recursive: true });
  const path = (name: Base): string => join(directory, `${name}.gguf`);
  await convert(fixture("tiny_bert"), path("bert"));
  await convert(fixture("tiny_cross_encoder"), path("rerank"));
  await quantize(path("bert"), path("q8_0"), "q8_0");
  await quantize(path("bert"), path("q4_k"), "q4_k_m");
  for (const [name, gguf] of Object.entries(written())) writeFileSync(path(name as Base), serialise(gguf));
}

/** The bytes of one of them. */
export function readBase(directory: string, name: Base): Uint8Array {
  return new Uint8Array(readFileSync(join(directory, `${name}.gguf`)));
}

type Part = [string, number[], Float32Array];

/** Random weights, the same each time; norms are near 1. */
function weights(): (name: string, ...dimensions: number[]) => Part {
  const draw = randomIntegers(1);
  return (name, ...dimensions) => {
    const length = dimensions.reduce((product, n) => product * n, 1);
    const middle = /norm\.weight$/.test(name) ? 1 : 0;
    return [name, dimensions, Float32Array.from({ length }, () => middle + draw(-1000, 1000) / 5000)];
  };
}

function shape(architecture: string, layers: number, more: readonly [string, Value][]): [string, Value][] {
  const own = (key: string): string => `${architecture}.${key}`;
  return [
    ["general.architecture", value.string(architecture)],
    ["general.name", value.string("tiny")],
    [own("block_count"), value.u32(layers)],
    [own("context_length"), value.u32(64)],
    [own("embedding_length"), value.u32(WIDTH)],
    [own("feed_forward_length"), value.u32(INNER)],
    [own("attention.head_count"), value.u32(HEADS)],
    ...more.map(([key, one]): [string, Value] => [/^tokenizer/.test(key) ? key : own(key), one]),
  ];
}

/** The tensors of a pre-norm decoder with a gated feed-forward; `norms`: names and widths of each layer's further ones. */
function decoder(vocabulary: number, layers: number, norms: Readonly<Record<string, number>>, ...more: Part[]): Part[] {
  const w = weights();
  const layer = (il: number): Part[] => {
    const own = (name: string, ...dimensions: number[]): Part => w(`blk.${il}.${name}.weight`, ...dimensions);
    return [
      own("attn_norm", WIDTH),
      ...["attn_q", "attn_k", "attn_v", "attn_output"].map((name) => own(name, WIDTH, WIDTH)),
      own("ffn_norm", WIDTH),
      own("ffn_gate", WIDTH, INNER),
      own("ffn_down", INNER, WIDTH),
      own("ffn_up", WIDTH, INNER),
      ...Object.entries(norms).map(([name, width]) => own(name, width)),
    ];
  };
  return [
    w("token_embd.weight", WIDTH, vocabulary),
    w("output_norm.weight", WIDTH),
    ...Array.from({ length: layers }, (_, il) => layer(il)).flat(),
    ...more,
  ];
}

/** The tensors of a BERT without position embeddings. */
function encoder(vocabulary: number, gate: boolean, experts: number): Part[] {
  const w = weights();
  const norm = (name: string): Part[] => [w(`${name}.weight`, WIDTH), w(`${name}.bias`, WIDTH)];
  return [
    w("token_embd.weight", WIDTH, vocabulary),
    w("token_types.weight", WIDTH, 2),
    ...norm("token_embd_norm"),
    ...norm("blk.0.attn_output_norm"),
    ...norm("blk.0.layer_output_norm"),
    w("blk.0.attn_qkv.weight", WIDTH, 3 * WIDTH),
    w("blk.0.attn_output.weight", WIDTH, WIDTH),
    w("blk.0.ffn_up.weight", WIDTH, INNER),
    w("blk.0.ffn_down.weight", INNER, WIDTH),
    ...(gate ? [w("blk.0.ffn_gate.weight", WIDTH, INNER)] : []),
    ...(experts === 0 ? [] : [
      ...norm("blk.1.attn_output_norm"),
      ...norm("blk.1.layer_output_norm"),
      w("blk.1.attn_qkv.weight", WIDTH, 3 * WIDTH),
      w("blk.1.attn_output.weight", WIDTH, WIDTH),
      w("blk.1.ffn_gate_inp.weight", WIDTH, experts),
      w("blk.1.ffn_up_exps.weight", WIDTH, INNER, experts),
      w("blk.1.ffn_down_exps.weight", INNER, WIDTH, experts),
    ]),
  ];
}

const BYTES = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
/** GPT-2's letters of the bytes (bytes_to_unicode). */
const LETTERS = Array.from({ length: 256 }, (_, i) => {
  const printable = i >= 33 && i <= 126 || i >= 161 && i <= 172 || i >= 174;
  const before = Array.from({ length: i }, (_, j) => j).filter((j) => j < 33 || j > 126 && j < 161 || j === 173);
  return String.fromCodePoint(printable ? i : 256 + before.length);
});

function wordPiece(): [tokens: string[], entries: [string, Value][]] {
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

function written(): Partial<Record<Base, Gguf>> {
  const rms: [string, Value] = ["attention.layer_norm_rms_epsilon", value.f32(1e-6)];
  const eps: [string, Value] = ["attention.layer_norm_epsilon", value.f32(1e-12)];
  const pieces = ["<unk>", "<s>", "</s>", ...BYTES, "▁", ...WORDS.slice(0, 12)];
  const sentencePiece = (model: string): [string, Value][] => [
    ["tokenizer.ggml.model", value.string(model)],
    ["tokenizer.ggml.tokens", value.strings(pieces)],
    ["tokenizer.ggml.scores", value.f32s(pieces.map((_, i) => -i))],
    ["tokenizer.ggml.token_type", value.i32s(pieces.map((piece, i) => i < 3 ? 3 : piece.startsWith("<0x") ? 6 : 1))],
    ["tokenizer.ggml.bos_token_id", value.u32(1)],
    ["tokenizer.ggml.eos_token_id", value.u32(2)],
    ["tokenizer.ggml.add_eos_token", value.bool(1)],
  ];
  const letters = [...LETTERS, "he", "yes", "no", "<|im_end|>"];
  const [words, piecesOfBert] = wordPiece();
  const w = weights();
  return {
    llama: build(
      shape("llama", 1, [
        rms,
        ["rope.dimension_count", value.u32(HEAD)],
        ["pooling_type", value.u32(3)],
        ...sentencePiece("llama"),
      ]),
      decoder(pieces.length, 1, {}),
    ),
    qwen3: build(
      shape("qwen3", 1, [
        rms,
        ["attention.key_length", value.u32(HEAD)],
        ["attention.value_length", value.u32(HEAD)],
        ["pooling_type", value.u32(4)],
        ["classifier.output_labels", value.strings(["yes", "no"])],
        ["tokenizer.ggml.model", value.string("gpt2")],
        ["tokenizer.ggml.pre", value.string("qwen2")],
        ["tokenizer.ggml.tokens", value.strings(letters)],
        ["tokenizer.ggml.token_type", value.i32s(letters.map((one) => one.startsWith("<|") ? 3 : 1))],
        ["tokenizer.ggml.merges", value.strings(["h e"])],
        ["tokenizer.ggml.eos_token_id", value.u32(letters.length - 1)],
        ["tokenizer.chat_template.rerank", value.string("<|im_end|>{query} and {document}<|im_end|>")],
      ]),
      decoder(letters.length, 1, { attn_k_norm: HEAD, attn_q_norm: HEAD }, w("cls.output.weight", WIDTH, 2)),
    ),
    nomic: build(
      shape("nomic-bert", 1, [eps, ["rope.freq_base", value.f32(1000)], ["attention.causal", value.bool(0)], [
        "pooling_type",
        value.u32(1),
      ], ...piecesOfBert]),
      encoder(words.length, true, 0),
    ),
    moe: build(
      shape("nomic-bert-moe", 2, [
        eps,
        ["moe_every_n_layers", value.u32(2)],
        ["expert_count", value.u32(4)],
        ["expert_used_count", value.u32(2)],
        ["attention.causal", value.bool(0)],
        ["pooling_type", value.u32(1)],
        ...piecesOfBert,
      ]),
      encoder(words.length, false, 4),
    ),
    t5: build(
      shape("t5encoder", 1, [
        rms,
        ["attention.relative_buckets_count", value.u32(32)],
        ["attention.key_length", value.u32(HEAD)],
        ["attention.value_length", value.u32(HEAD)],
        ["pooling_type", value.u32(1)],
        ...sentencePiece("t5"),
        ["tokenizer.ggml.precompiled_charsmap", value.array(0, 1032, Uint8Array.of(0, 4, ...new Uint8Array(1030)))],
      ]),
      [
        w("token_embd.weight", WIDTH, pieces.length),
        w("enc.output_norm.weight", WIDTH),
        w("enc.blk.0.attn_norm.weight", WIDTH),
        w("enc.blk.0.attn_rel_b.weight", HEADS, 32),
        ...["q", "k", "v", "o"].map((one) => w(`enc.blk.0.attn_${one}.weight`, WIDTH, WIDTH)),
        w("enc.blk.0.ffn_norm.weight", WIDTH),
        w("enc.blk.0.ffn_down.weight", INNER, WIDTH),
        w("enc.blk.0.ffn_up.weight", WIDTH, INNER),
      ],
    ),
    gemma: build(
      shape("gemma-embedding", 6, [
        rms,
        ["attention.key_length", value.u32(HEAD)],
        ["attention.value_length", value.u32(HEAD)],
        ["attention.sliding_window", value.u32(16)],
        ["attention.causal", value.bool(0)],
        ["pooling_type", value.u32(1)],
        ...sentencePiece("llama"),
      ]),
      // five layers of six look at a window only; without the sixth llama.cpp asserts on the mask that nobody uses
      decoder(pieces.length, 6, {
        attn_k_norm: HEAD,
        attn_q_norm: HEAD,
        post_attention_norm: WIDTH,
        post_ffw_norm: WIDTH,
      }),
    ),
  };
}
