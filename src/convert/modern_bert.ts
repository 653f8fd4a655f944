/**
 * ModernBERT: conversion/bert.py (ModernBertModel) of the pinned llama.cpp, and what that loses of a classifier: which tokens
 * its head takes and by which activation (the keys are those of newer versions of llama.cpp), and the head's bias.
 */
import type { Config } from "./config.ts";
import { activationOf, checkHeads, type Encoder, type Entry, type Family, type Source } from "./encoder.ts";
import { headNumbers } from "./head.ts";
import { readModernBertTokenizer } from "./roberta_tokenizer.ts";
import { pair, tensorOf, type Wanted } from "./tensors.ts";

/** Sizes of the model; where config.json leaves one out, it is that of ModernBertConfig, as in Python. */
interface Shape {
  readonly vocabulary: number;
  readonly width: number;
  readonly inner: number;
  readonly layers: number;
}

/** Values of enum llama_pooling_type. */
const POOLING: ReadonlyMap<string, number> = new Map([["mean", 1], ["cls", 2]]);

/** The activations of a head that the library computes. */
const HEAD_ACTIVATIONS = ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "tanh"];

/** The family that is read here. */
export const MODERN_BERT: Family = {
  encoders: ["ModernBertModel", "ModernBertForMaskedLM"],
  head: "ModernBertForSequenceClassification",
  type: "modernbert",
  read: readModernBert,
};

async function readModernBert(source: Source): Promise<Encoder> {
  const { directory, config, labels } = source;
  const shape: Shape = {
    vocabulary: config.count("vocab_size", 50368),
    width: config.count("hidden_size", 768),
    inner: config.count("intermediate_size", 1152),
    layers: config.count("num_hidden_layers", 22),
  };
  const positions = config.count("max_position_embeddings", 8192);
  const heads = config.count("num_attention_heads", 12);
  if (positions < 1) config.invalid(`max_position_embeddings is ${positions}`);
  checkHeads(config, ["hidden_size", shape.width], ["num_attention_heads", heads]);
  checkBiases(config);
  const activation = activationOf(config, "hidden_activation", ["gelu", "silu"]);
  const epsilon = config.number("norm_eps", config.number("layer_norm_eps", 1e-5));
  const key = (name: string): string => `modern-bert.${name}`;
  return {
    architecture: "modern-bert",
    positions,
    width: shape.width,
    sizes: [
      [key("block_count"), { u32: shape.layers }],
      [key("context_length"), { u32: positions }],
      [key("embedding_length"), { u32: shape.width }],
      [key("feed_forward_length"), { u32: shape.inner }],
      [key("attention.head_count"), { u32: heads }],
      [key("rope.freq_base"), { f32: thetaOf(config, "global_rope_theta", "full_attention", 160000) }],
      [key("rope.freq_base_swa"), { f32: thetaOf(config, "local_rope_theta", "sliding_attention", 10000) }],
      [key("attention.layer_norm_rms_epsilon"), { f32: epsilon }],
      [key("attention.layer_norm_epsilon"), { f32: epsilon }],
      [key("attention.sliding_window"), { u32: config.count("local_attention", 128) }],
      [key("attention.sliding_window_pattern"), { u32: patternOf(config, shape.layers) }],
      [key("rope.scaling.type"), { string: "none" }],
      [key("vocab_size"), { u32: shape.vocabulary }],
    ],
    activation,
    head: labels === undefined ? [] : await headOf(source, shape.width),
    names: { wanted: wanted(shape, labels), unused: unusedOf(labels), prefix: /^model\./ },
    tokenizer: () => readModernBertTokenizer(directory, shape.vocabulary),
  };
}

/** llama.cpp has no place for these. */
function checkBiases(config: Config): void {
  for (const name of ["attention_bias", "mlp_bias", "norm_bias"]) {
    if (config.flag(name)) config.unsupported(`${name} is true, llama.cpp computes ModernBERT without it`);
  }
}

/** A rotary base, by its key or as transformers 5 writes it. */
function thetaOf(config: Config, key: string, kind: string, otherwise: number): number {
  return config.number(
    key,
    config.object("rope_parameters")?.object(kind)?.number("rope_theta", otherwise) ?? otherwise,
  );
}

/** Every how many layers one sees the whole text, the first of all included. */
function patternOf(config: Config, layers: number): number {
  const every = config.count("global_attn_every_n_layers", 3);
  const types = config.texts("layer_types");
  const wrong = types.some((type, i) => type !== (i % every === 0 ? "full_attention" : "sliding_attention"));
  if (every === 0 || types.length > 0 && (wrong || types.length !== layers)) {
    config.unsupported(`layer_types is not full attention every ${every} layers, as llama.cpp computes it`);
  }
  return every;
}

/** What of a classifier's head no tensor holds. */
async function headOf({ config, weights, directory }: Source, width: number): Promise<Entry[]> {
  const pooling = config.text("classifier_pooling") ?? "cls";
  const type = POOLING.get(pooling) ??
    config.unsupported(`classifier_pooling is ${pooling}, only ${[...POOLING.keys()].join(" and ")} are known`);
  const activation = activationOf(config, "classifier_activation", HEAD_ACTIVATIONS);
  const said: Entry[] = [
    ["modern-bert.classifier.pooling_type", { u32: type }],
    ["modern-bert.classifier.activation", { string: activation }],
  ];
  if (!config.flag("classifier_bias")) return said;
  const bias = tensorOf(weights, "head.dense.bias", [width], directory);
  return [...said, ["llamasaur.head.cls.bias", await headNumbers(bias)]];
}

function unusedOf(labels: number | undefined): RegExp {
  return labels === undefined ? /^(head\.|decoder\.|classifier\.)/ : /^head\.dense\.bias$/;
}

function* wanted({ vocabulary, width, inner, layers }: Shape, labels: number | undefined): Generator<Wanted> {
  const one = (from: string, name: string, ...shape: number[]): Wanted => ({
    from: `${from}.weight`,
    name: `${name}.weight`,
    shape,
  });
  yield one("embeddings.tok_embeddings", "token_embd", vocabulary, width);
  yield one("embeddings.norm", "token_embd_norm", width);
  for (let i = 0; i < layers; i++) {
    const from = `layers.${i}`, to = `blk.${i}`;
    if (i > 0) yield one(`${from}.attn_norm`, `${to}.attn_norm`, width); // the first layer's is the identity
    yield one(`${from}.attn.Wqkv`, `${to}.attn_qkv`, 3 * width, width);
    yield one(`${from}.attn.Wo`, `${to}.attn_output`, width, width);
    yield one(`${from}.mlp_norm`, `${to}.ffn_norm`, width);
    yield one(`${from}.mlp.Wi`, `${to}.ffn_up`, 2 * inner, width);
    yield one(`${from}.mlp.Wo`, `${to}.ffn_down`, width, inner);
  }
  yield one("final_norm", "output_norm", width);
  if (labels === undefined) return;
  yield one("head.dense", "cls", width, width);
  yield one("head.norm", "cls.norm", width);
  yield* pair("classifier", "cls.output", labels, width);
}
