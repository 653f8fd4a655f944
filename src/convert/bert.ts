/** BERT, RoBERTa and XLM-RoBERTa: conversion/bert.py (BertModel, RobertaModel, XLMRobertaModel) of the pinned llama.cpp. */
import { Config } from "./config.ts";
import { activationOf, checkHeads, type Encoder, type Entry, type Family, GELUS, type Source } from "./encoder.ts";
import { readRobertaTokenizer } from "./roberta_tokenizer.ts";
import { pair, type Wanted } from "./tensors.ts";
import { readWordPiece } from "./wordpiece.ts";

/** Sizes of the model; where config.json leaves one out, it is that of BertConfig, as in Python. */
interface Shape {
  /** Whether it is RoBERTa's: other names of the head, and position rows that are never used. */
  readonly roberta: boolean;
  readonly vocabulary: number;
  readonly positions: number;
  /** Rows of the position embedding before the first token's: RoBERTa counts from the padding's id. */
  readonly unusedPositions: number;
  readonly types: number;
  readonly width: number;
  readonly inner: number;
  readonly layers: number;
  readonly heads: number;
}

/** The families that are read here. */
export const BERTS: readonly Family[] = [
  {
    encoders: ["BertModel", "BertForMaskedLM", "BertForPreTraining"],
    head: "BertForSequenceClassification",
    type: "bert",
    read: (source) => readBert(source, false),
  },
  ...["Roberta", "XLMRoberta"].map((name): Family => ({
    encoders: [`${name}Model`, `${name}ForMaskedLM`],
    head: `${name}ForSequenceClassification`,
    type: name === "Roberta" ? "roberta" : "xlm-roberta",
    read: (source) => readBert(source, true),
  })),
];

function readBert(source: Source, roberta: boolean): Encoder {
  const { config, labels } = source;
  const shape = shapeOf(config, roberta);
  const position = config.text("position_embedding_type") ?? "absolute";
  if (position !== "absolute") config.unsupported(`position_embedding_type is ${position}, only absolute is supported`);
  return {
    architecture: "bert",
    positions: shape.positions,
    width: shape.width,
    sizes: [
      ["bert.block_count", { u32: shape.layers }],
      ["bert.context_length", { u32: shape.positions }],
      ["bert.embedding_length", { u32: shape.width }],
      ["bert.feed_forward_length", { u32: shape.inner }],
      ["bert.attention.head_count", { u32: shape.heads }],
      ["bert.attention.layer_norm_epsilon", { f32: config.number("layer_norm_eps", 1e-12) }],
    ],
    activation: activationOf(config, "hidden_act", GELUS),
    head: [],
    names: {
      wanted: wanted(shape, labels),
      unused: /^(embeddings\.position_ids$|pooler\.dense\.|cls\.predictions\.|cls\.seq_relationship\.|lm_head\.)/,
      prefix: /^(bert|roberta)\./,
    },
    tokenizer: () => tokenizerOf(source, shape),
  };
}

function shapeOf(config: Config, roberta: boolean): Shape {
  const unusedPositions = roberta ? config.count("pad_token_id", 1) + 1 : 0;
  const shape = {
    roberta,
    vocabulary: config.count("vocab_size", roberta ? undefined : 30522),
    positions: config.count("max_position_embeddings", 512) - unusedPositions,
    unusedPositions,
    types: config.count("type_vocab_size", 2),
    width: config.count("hidden_size", 768),
    inner: config.count("intermediate_size", 3072),
    layers: config.count("num_hidden_layers", 12),
    heads: config.count("num_attention_heads", 12),
  };
  if (shape.positions < 1) config.invalid(`max_position_embeddings is ${shape.positions + unusedPositions}`);
  checkHeads(config, ["hidden_size", shape.width], ["num_attention_heads", shape.heads]);
  return shape;
}

async function tokenizerOf({ directory, sentence }: Source, shape: Shape): Promise<Entry[]> {
  const lowercase = sentence?.flag("do_lower_case") ?? false;
  const model = (await Config.find(directory, "tokenizer.json"))?.object("model");
  // BERT's class with XLM-R's tokenizer: multilingual-e5-small, paraphrase-multilingual-MiniLM-L12-v2.
  if (!shape.roberta && model?.text("type") !== "Unigram") {
    const types: Entry = ["tokenizer.ggml.token_type_count", { u32: shape.types }];
    return [types, ...await readWordPiece(directory, shape.vocabulary, lowercase)];
  }
  if (lowercase) sentence?.unsupported("do_lower_case is true, llama.cpp lower-cases for BERT's tokenizer only");
  return await readRobertaTokenizer(directory, shape.vocabulary, shape.types);
}

function* wanted(shape: Shape, labels: number | undefined): Generator<Wanted> {
  const { width, inner } = shape;
  yield { from: "embeddings.word_embeddings.weight", name: "token_embd.weight", shape: [shape.vocabulary, width] };
  yield {
    from: "embeddings.position_embeddings.weight",
    name: "position_embd.weight",
    shape: [shape.positions + shape.unusedPositions, width],
    without: shape.unusedPositions,
  };
  yield { from: "embeddings.token_type_embeddings.weight", name: "token_types.weight", shape: [shape.types, width] };
  yield* pair("embeddings.LayerNorm", "token_embd_norm", width);
  for (let i = 0; i < shape.layers; i++) {
    const from = `encoder.layer.${i}`, to = `blk.${i}`;
    yield* pair(`${from}.attention.self.query`, `${to}.attn_q`, width, width);
    yield* pair(`${from}.attention.self.key`, `${to}.attn_k`, width, width);
    yield* pair(`${from}.attention.self.value`, `${to}.attn_v`, width, width);
    yield* pair(`${from}.attention.output.dense`, `${to}.attn_output`, width, width);
    yield* pair(`${from}.attention.output.LayerNorm`, `${to}.attn_output_norm`, width);
    yield* pair(`${from}.intermediate.dense`, `${to}.ffn_up`, inner, width);
    yield* pair(`${from}.output.dense`, `${to}.ffn_down`, width, inner);
    yield* pair(`${from}.output.LayerNorm`, `${to}.layer_output_norm`, width);
  }
  if (labels === undefined) return;
  yield* pair(shape.roberta ? "classifier.dense" : "pooler.dense", "cls", width, width);
  yield* pair(shape.roberta ? "classifier.out_proj" : "classifier", "cls.output", labels, width);
}
