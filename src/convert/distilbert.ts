/**
 * DistilBERT: conversion/bert.py (DistilBertModel) of the pinned llama.cpp. Its classifier's head goes into the tensors that
 * BERT's has; that it has ReLU where BERT has tanh, the library knows by the missing token types.
 */
import { activationOf, checkHeads, type Encoder, type Family, GELUS, type Source } from "./encoder.ts";
import { pair, type Wanted } from "./tensors.ts";
import { readWordPiece } from "./wordpiece.ts";

/** Sizes of the model; where config.json leaves one out, it is that of DistilBertConfig, as in Python. */
interface Shape {
  readonly vocabulary: number;
  readonly positions: number;
  readonly width: number;
  readonly inner: number;
  readonly layers: number;
}

/** The family that is read here. */
export const DISTILBERT: Family = {
  encoders: ["DistilBertModel", "DistilBertForMaskedLM"],
  head: "DistilBertForSequenceClassification",
  type: "distilbert",
  read: readDistilBert,
};

function readDistilBert({ directory, config, sentence, labels }: Source): Encoder {
  const shape: Shape = {
    vocabulary: config.count("vocab_size", 30522),
    positions: config.count("max_position_embeddings", 512),
    width: config.count("dim", 768),
    inner: config.count("hidden_dim", 3072),
    layers: config.count("n_layers", 6),
  };
  const heads = config.count("n_heads", 12);
  if (shape.positions < 1) config.invalid(`max_position_embeddings is ${shape.positions}`);
  checkHeads(config, ["dim", shape.width], ["n_heads", heads]);
  return {
    architecture: "bert",
    positions: shape.positions,
    width: shape.width,
    sizes: [
      ["bert.attention.layer_norm_epsilon", { f32: 1e-12 }],
      ["bert.block_count", { u32: shape.layers }],
      ["bert.context_length", { u32: shape.positions }],
      ["bert.embedding_length", { u32: shape.width }],
      ["bert.feed_forward_length", { u32: shape.inner }],
      ["bert.attention.head_count", { u32: heads }],
    ],
    activation: activationOf(config, "activation", GELUS),
    head: [],
    names: { wanted: wanted(shape, labels), unused: /^(vocab_|embeddings\.position_ids$)/, prefix: /^distilbert\./ },
    tokenizer: async () => [
      ["tokenizer.ggml.token_type_count", { u32: 1 }],
      ...await readWordPiece(directory, shape.vocabulary, sentence?.flag("do_lower_case") ?? false),
    ],
  };
}

function* wanted(
  { vocabulary, positions, width, inner, layers }: Shape,
  labels: number | undefined,
): Generator<Wanted> {
  yield { from: "embeddings.word_embeddings.weight", name: "token_embd.weight", shape: [vocabulary, width] };
  yield { from: "embeddings.position_embeddings.weight", name: "position_embd.weight", shape: [positions, width] };
  yield* pair("embeddings.LayerNorm", "token_embd_norm", width);
  for (let i = 0; i < layers; i++) {
    const from = `transformer.layer.${i}`, to = `blk.${i}`;
    yield* pair(`${from}.attention.q_lin`, `${to}.attn_q`, width, width);
    yield* pair(`${from}.attention.k_lin`, `${to}.attn_k`, width, width);
    yield* pair(`${from}.attention.v_lin`, `${to}.attn_v`, width, width);
    yield* pair(`${from}.attention.out_lin`, `${to}.attn_output`, width, width);
    yield* pair(`${from}.sa_layer_norm`, `${to}.attn_output_norm`, width);
    yield* pair(`${from}.ffn.lin1`, `${to}.ffn_up`, inner, width);
    yield* pair(`${from}.ffn.lin2`, `${to}.ffn_down`, width, inner);
    yield* pair(`${from}.output_layer_norm`, `${to}.layer_output_norm`, width);
  }
  if (labels === undefined) return;
  yield* pair("pre_classifier", "cls", width, width);
  yield* pair("classifier", "cls.output", labels, width);
}
