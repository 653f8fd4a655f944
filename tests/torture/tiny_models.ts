// Random models of a few kilobytes, one for each way that llama.cpp reads, tokenises and computes: what is mutated.
import { Buffer } from "node:buffer";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { convert, quantize } from "../../convert.ts";
import { fixture } from "../support/checkpoint.ts";
import { placeTensors } from "./hostile.ts";
import { build, copy, type Gguf, parse, serialise, setKey, type Value, value } from "./gguf.ts";
import { decoder, encoder, HEAD, HEADS, INNER, jina, lfm2, modernBert, t5, weights, WIDTH } from "./tiny_tensors.ts";
import { letterPairs, sentencePiece, wordPiece } from "./tiny_vocabularies.ts";

/** Names of the files that `writeBases` makes, from the one that is mutated most. */
export const BASES = [
  "bert",
  "rerank",
  "q8_0",
  "q4_k",
  "llama",
  "qwen3",
  "nomic",
  "moe",
  "t5",
  "gemma",
  "modern",
  "jina",
  "lfm2",
  "dense",
  "distil",
  "modern_head",
] as const;
export type Base = (typeof BASES)[number];

/** Writes all of them to a directory, as NAME.gguf. */
export async function writeBases(directory: string): Promise<void> {
  mkdirSync(directory, { recursive: true });
  const path = (name: Base): string => join(directory, `${name}.gguf`);
  await convert(fixture("tiny_bert"), path("bert"));
  await convert(fixture("tiny_cross_encoder"), path("rerank"));
  await quantize(path("bert"), path("q8_0"), "q8_0");
  await quantize(path("bert"), path("q4_k"), "q4_k_m");
  const bert = parse(readBase(directory, "bert")), rerank = parse(readBase(directory, "rerank"));
  for (const [name, gguf] of Object.entries({ ...decoders(), ...encoders(), ...heads(bert, rerank) })) {
    writeFileSync(path(name as Base), serialise(gguf));
  }
}

/** The bytes of one of them. */
export function readBase(directory: string, name: Base): Uint8Array {
  return new Uint8Array(readFileSync(join(directory, `${name}.gguf`)));
}

/** Heads of our own: every step in the metadata, DistilBERT's, which is known by the missing token types, and ModernBERT's. */
function heads(bert: Gguf, rerank: Gguf): Partial<Record<Base, Gguf>> {
  const steps = "linear a 48,gelu,layer_norm n 1e-5,linear b 8,gelu_tanh,silu,relu,tanh,max,l2".split(",");
  const numbers: Readonly<Record<string, number>> = {
    ...{ "a.weight": 64 * 48, "a.bias": 48, "n.weight": 48, "n.bias": 48, "b.weight": 48 * 8 },
  };
  let dense = setKey(bert, "llamasaur.head.steps", value.strings(steps));
  for (const [name, count] of Object.entries(numbers)) {
    const floats = Float32Array.from({ length: count }, (_, i) => Math.sin(i) / 4 + 0.2);
    dense = setKey(dense, `llamasaur.head.${name}`, value.string(Buffer.from(floats.buffer).toString("base64")));
  }
  dense = setKey(dense, "llamasaur.head.count", value.u32(1 + Object.keys(numbers).length));
  const distil = setKey(copy(rerank), "tokenizer.ggml.token_type_count", value.u32(1));
  distil.tensors = distil.tensors.filter(({ name }) => new TextDecoder().decode(name) !== "token_types.weight");
  distil.tensorCount = BigInt(distil.tensors.length);
  placeTensors(distil);
  const w = weights();
  const [words, wordEntries] = wordPiece();
  return {
    dense,
    distil,
    modern_head: build(
      shape("modern-bert", 3, [
        EPS,
        ["attention.sliding_window", value.u32(8)],
        ["attention.causal", value.bool(0)],
        ["pooling_type", value.u32(4)],
        ["classifier.output_labels", value.strings(["yes"])],
        ["classifier.pooling_type", value.u32(2)],
        ["classifier.activation", value.string("silu")],
        ...wordEntries.filter(([key]) => key !== "tokenizer.ggml.token_type_count"),
        // ModernBERT has none, and pairs are told apart by them where there are two
        ["tokenizer.ggml.token_type_count", value.u32(1)],
      ]),
      [
        ...modernBert(words.length),
        w("cls.weight", WIDTH, WIDTH),
        w("cls.norm.weight", WIDTH),
        w("cls.output.weight", WIDTH, 1),
        w("cls.output.bias", 1),
      ],
    ),
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

const RMS: [string, Value] = ["attention.layer_norm_rms_epsilon", value.f32(1e-6)];
const EPS: [string, Value] = ["attention.layer_norm_epsilon", value.f32(1e-12)];

function decoders(): Partial<Record<Base, Gguf>> {
  const [pieces] = sentencePiece("llama");
  const [letters, letterEntries] = letterPairs();
  const w = weights();
  return {
    llama: build(
      shape("llama", 1, [
        RMS,
        ["rope.dimension_count", value.u32(HEAD)],
        ["pooling_type", value.u32(3)],
        ...sentencePiece("llama")[1],
      ]),
      decoder(pieces.length, 1, {}),
    ),
    qwen3: build(
      shape("qwen3", 1, [
        RMS,
        ["attention.key_length", value.u32(HEAD)],
        ["attention.value_length", value.u32(HEAD)],
        ["pooling_type", value.u32(4)],
        ["classifier.output_labels", value.strings(["yes", "no"])],
        ...letterEntries,
        ["tokenizer.chat_template.rerank", value.string("<|im_end|>{query} and {document}<|im_end|>")],
      ]),
      decoder(letters.length, 1, { attn_k_norm: HEAD, attn_q_norm: HEAD }, w("cls.output.weight", WIDTH, 2)),
    ),
    gemma: build(
      shape("gemma-embedding", 6, [
        RMS,
        ["attention.key_length", value.u32(HEAD)],
        ["attention.value_length", value.u32(HEAD)],
        ["attention.sliding_window", value.u32(16)],
        ["attention.causal", value.bool(0)],
        ["pooling_type", value.u32(1)],
        ...sentencePiece("llama")[1],
      ]),
      // five layers of six look at a window only; without the sixth llama.cpp asserts on the mask that nobody uses
      decoder(pieces.length, 6, {
        attn_k_norm: HEAD,
        attn_q_norm: HEAD,
        post_attention_norm: WIDTH,
        post_ffw_norm: WIDTH,
      }),
    ),
    lfm2: build(
      shape("lfm2", 2, [
        RMS,
        ["attention.head_count_kv", value.i32s([0, HEADS])],
        ["shortconv.l_cache", value.u32(3)],
        ["vocab_size", value.u32(pieces.length)],
        ["pooling_type", value.u32(3)],
        ...sentencePiece("llama")[1],
      ]),
      lfm2(pieces.length),
    ),
  };
}

function encoders(): Partial<Record<Base, Gguf>> {
  const [words, wordEntries] = wordPiece();
  const [pieces] = sentencePiece("llama");
  return {
    nomic: build(
      shape("nomic-bert", 1, [EPS, ["rope.freq_base", value.f32(1000)], ["attention.causal", value.bool(0)], [
        "pooling_type",
        value.u32(1),
      ], ...wordEntries]),
      encoder(words.length, true, 0),
    ),
    moe: build(
      shape("nomic-bert-moe", 2, [
        EPS,
        ["moe_every_n_layers", value.u32(2)],
        ["expert_count", value.u32(4)],
        ["expert_used_count", value.u32(2)],
        ["attention.causal", value.bool(0)],
        ["pooling_type", value.u32(1)],
        ...wordEntries,
      ]),
      encoder(words.length, false, 4),
    ),
    t5: build(
      shape("t5encoder", 1, [
        RMS,
        ["attention.relative_buckets_count", value.u32(32)],
        ["attention.key_length", value.u32(HEAD)],
        ["attention.value_length", value.u32(HEAD)],
        ["pooling_type", value.u32(1)],
        ...sentencePiece("t5")[1],
        ["tokenizer.ggml.precompiled_charsmap", value.array(0, 1032, Uint8Array.of(0, 4, ...new Uint8Array(1030)))],
      ]),
      t5(pieces.length),
    ),
    modern: build(
      shape("modern-bert", 3, [
        EPS,
        ["attention.sliding_window", value.u32(8)],
        ["rope.freq_base_swa", value.f32(1000)],
        ["attention.causal", value.bool(0)],
        ["pooling_type", value.u32(2)],
        ...wordEntries,
      ]),
      modernBert(words.length),
    ),
    jina: build(
      shape("jina-bert-v2", 1, [
        EPS,
        ["attention.causal", value.bool(0)],
        ["pooling_type", value.u32(1)],
        ...wordEntries,
      ]),
      jina(words.length),
    ),
  };
}
