/**
 * BERT checkpoints of sentence-transformers and Hugging Face, as what goes into a GGUF file.
 *
 * Follows conversion/bert.py (BertModel) and conversion/base.py (TextModel.set_gguf_parameters, _try_set_pooling_type) of
 * the pinned llama.cpp, and differs from them on purpose where they lose something:
 * - a cross-encoder keeps `pooler.dense` (as `cls`), its labels even when they are the default ones, and pooling "rank";
 * - sentence-transformers' `max_seq_length` is kept as `llamasaur.max_seq_length`;
 * - what llama.cpp would compute wrongly is refused.
 */
import { join } from "node:path";
import { LlamaError } from "../../ffi/errors.ts";
import { Config } from "./config.ts";
import type { GgufMetadata, GgufTensor, GgufValue } from "./gguf.ts";
import { checkFloat, floats, readCheckpoint, type Tensor } from "./safetensors.ts";
import { type CheckpointPooling, maxSequenceLength, readModules } from "./sentence_transformers.ts";
import { readWordPiece } from "./wordpiece.ts";

/** What goes into the GGUF file. */
export interface Converted {
  readonly metadata: GgufMetadata;
  readonly tensors: readonly GgufTensor[];
}

/** Values of enum llama_pooling_type. */
const POOLING = { mean: 1, cls: 2, last: 3, rank: 4 } as const;

const HEAD = "BertForSequenceClassification";
const ARCHITECTURES = ["BertModel", "BertForMaskedLM", "BertForPreTraining", HEAD];

/** llama.cpp computes one GELU, the tanh form; the erf form differs from it by less than 5e-4. */
const ACTIVATIONS = ["gelu", "gelu_new", "gelu_fast", "gelu_python", "gelu_pytorch_tanh", "gelu_accurate"];

/** Tensors that embedding and ranking do not need. */
const UNUSED = /^(embeddings\.position_ids$|pooler\.dense\.|cls\.predictions\.|cls\.seq_relationship\.)/;

/**
 * Reads a checkpoint.
 *
 * @param directory Path of the directory.
 * @param options `name` for the metadata; `pooling` instead of what modules.json says.
 * @returns The metadata and the tensors; their values are read when they are asked for.
 * @throws {LlamaError} With code `"model-unsupported"` or `"model-invalid"`, naming file and key.
 */
export async function readBert(
  directory: string,
  options: { readonly name: string; readonly pooling?: CheckpointPooling | undefined },
): Promise<Converted> {
  const modules = await readModules(directory);
  const root = modules.transformer;
  const config = await Config.read(root, "config.json");
  const ranks = architectureOf(config) === HEAD;
  const sentence = await Config.find(root, "sentence_bert_config.json");
  const shape = shapeOf(config);
  const labels = labelsOf(config, ranks);
  const tensors = tensorsOf(await readCheckpoint(root), shape, ranks ? labels.length : undefined, root);
  const pooling = ranks ? "rank" : options.pooling ?? modules.pooling ?? unknownPooling(directory);
  const limit = await maxSequenceLength(root, sentence, shape.positions);

  const metadata: [string, GgufValue][] = [
    ["general.architecture", { string: "bert" }],
    ["general.type", { string: "model" }],
    ["general.name", { string: options.name }],
    ["bert.block_count", { u32: shape.layers }],
    ["bert.context_length", { u32: shape.positions }],
    ["bert.embedding_length", { u32: shape.width }],
    ["bert.feed_forward_length", { u32: shape.inner }],
    ["bert.attention.head_count", { u32: shape.heads }],
    ["bert.attention.layer_norm_epsilon", { f32: config.number("layer_norm_eps", 1e-12) }],
    ["general.file_type", { u32: 0 }], // LLAMA_FTYPE_ALL_F32
    ["bert.attention.causal", { bool: false }],
    ["bert.pooling_type", { u32: POOLING[pooling] }],
    ...(labels.length === 0 ? [] : [["bert.classifier.output_labels", { strings: labels }] as [string, GgufValue]]),
    ...(limit === undefined ? [] : [["llamasaur.max_seq_length", { u32: limit }] as [string, GgufValue]]),
    ["general.quantization_version", { u32: 2 }], // GGML_QNT_VERSION
    ["tokenizer.ggml.token_type_count", { u32: shape.types }],
    ...await readWordPiece(root, shape.vocabulary, sentence?.flag("do_lower_case") ?? false),
  ];
  return { metadata: new Map(metadata), tensors };
}

/** Sizes of the model; where config.json leaves one out, it is that of BertConfig, as in Python. */
interface Shape {
  readonly vocabulary: number;
  readonly positions: number;
  readonly types: number;
  readonly width: number;
  readonly inner: number;
  readonly layers: number;
  readonly heads: number;
}

function shapeOf(config: Config): Shape {
  const shape = {
    vocabulary: config.count("vocab_size", 30522),
    positions: config.count("max_position_embeddings", 512),
    types: config.count("type_vocab_size", 2),
    width: config.count("hidden_size", 768),
    inner: config.count("intermediate_size", 3072),
    layers: config.count("num_hidden_layers", 12),
    heads: config.count("num_attention_heads", 12),
  };
  if (shape.heads === 0 || shape.width % shape.heads !== 0) {
    config.invalid(`hidden_size ${shape.width} is not a multiple of num_attention_heads ${shape.heads}`);
  }
  return shape;
}

function architectureOf(config: Config): string {
  const [name] = config.texts("architectures");
  const found = name ?? (config.text("model_type") === "bert" ? "BertModel" : undefined);
  if (found === undefined || !ARCHITECTURES.includes(found)) {
    config.unsupported(
      `architectures is ${found}, and ${ARCHITECTURES.join(", ")} can be converted; ` +
        "for others use convert_hf_to_gguf.py of llama.cpp",
    );
  }
  const activation = config.text("hidden_act") ?? "gelu";
  if (!ACTIVATIONS.includes(activation)) {
    config.unsupported(`hidden_act is ${activation}, llama.cpp computes GELU only`);
  }
  const position = config.text("position_embedding_type") ?? "absolute";
  if (position !== "absolute") config.unsupported(`position_embedding_type is ${position}, only absolute is supported`);
  for (const key of ["is_decoder", "add_cross_attention"]) {
    if (config.flag(key)) config.unsupported(`${key} is true, only encoders are supported`);
  }
  if (config.has("quantization_config")) {
    config.unsupported("quantization_config is there: convert the checkpoint that it was made from");
  }
  return found;
}

/** Names of the classes, in their order. */
function labelsOf(config: Config, ranks: boolean): string[] {
  const names = config.object("id2label");
  const ids = [...names?.keys() ?? []].sort((a, b) => Number(a) - Number(b));
  const labels = ids.map((id) => names?.text(id) ?? "");
  // Two labels with these names are what Python assumes for every model.
  const assumed = labels.length === 0 || labels.length === 2 && labels[0] === "LABEL_0";
  if (!ranks) return assumed ? [] : labels;
  // Their number is what llama.cpp knows the size of the classifier by.
  return labels.length === 0 ? ["LABEL_0", "LABEL_1"] : labels;
}

function unknownPooling(directory: string): never {
  throw new LlamaError(
    "model-invalid",
    `${join(directory, "modules.json")}: there is no such file, and it tells the pooling: ` +
      'pass the option { pooling: "mean" } or "cls", as the model card says',
  );
}

/** Checkpoint name, GGUF name and shape of every tensor of a model, in llama.cpp's naming (gguf-py/gguf/tensor_mapping.py). */
function* wanted(shape: Shape, labels: number | undefined): Generator<[string, string, ...number[]]> {
  const { width, inner } = shape;
  yield ["embeddings.word_embeddings.weight", "token_embd.weight", shape.vocabulary, width];
  yield ["embeddings.position_embeddings.weight", "position_embd.weight", shape.positions, width];
  yield ["embeddings.token_type_embeddings.weight", "token_types.weight", shape.types, width];
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
  yield* pair("pooler.dense", "cls", width, width);
  yield* pair("classifier", "cls.output", labels, width);
}

function* pair(from: string, to: string, rows: number, ...rest: number[]): Generator<[string, string, ...number[]]> {
  yield [`${from}.weight`, `${to}.weight`, rows, ...rest];
  yield [`${from}.bias`, `${to}.bias`, rows];
}

function tensorsOf(
  checkpoint: ReadonlyMap<string, Tensor>,
  shape: Shape,
  labels: number | undefined,
  directory: string,
): GgufTensor[] {
  const given = new Map<string, Tensor>();
  for (const tensor of checkpoint.values()) {
    // "bert." where the model is part of a larger one; gamma and beta as the first TensorFlow checkpoints had them.
    const name = tensor.name.replace(/^bert\./, "").replace(/\.gamma$/, ".weight").replace(/\.beta$/, ".bias");
    if (given.has(name)) throw new LlamaError("model-invalid", `${tensor.file}: ${name} is there twice`);
    given.set(name, tensor);
  }
  const found: [Tensor, GgufTensor][] = [];
  for (const [from, name, ...expected] of wanted(shape, labels)) {
    const tensor = given.get(from);
    if (tensor === undefined) throw new LlamaError("model-invalid", `${directory}: tensor ${from} is missing`);
    given.delete(from);
    checkFloat(tensor);
    if (tensor.shape.join() !== expected.join()) {
      throw new LlamaError(
        "model-invalid",
        `${tensor.file}: ${tensor.name} has shape [${tensor.shape}], and config.json asks for [${expected}]`,
      );
    }
    found.push([tensor, { name, shape: expected, floats: () => floats(tensor) }]);
  }
  for (const [name, tensor] of given) {
    if (!UNUSED.test(name)) {
      throw new LlamaError("model-unsupported", `${tensor.file}: tensor ${tensor.name} is not known`);
    }
  }
  // The order of llama.cpp's converter.
  return found.sort(([a], [b]) => a.name < b.name ? -1 : 1).map(([, tensor]) => tensor);
}
