/**
 * BERT, RoBERTa and XLM-RoBERTa checkpoints of sentence-transformers and Hugging Face, as what goes into a GGUF file.
 *
 * Follows conversion/bert.py (BertModel, RobertaModel, XLMRobertaModel) and conversion/base.py (TextModel.set_gguf_parameters,
 * _try_set_pooling_type) of the pinned llama.cpp, and differs from them on purpose where they lose something:
 * - a cross-encoder keeps BERT's `pooler.dense` (as `cls`), its labels even when they are the default ones, and pooling "rank";
 * - `llamasaur.converter` says that it was this converter, and `bert.hidden_activation` which GELU the layers have;
 * - sentence-transformers' `max_seq_length` is kept as `llamasaur.max_seq_length`, its prompts as `llamasaur.prompt.*`;
 * - what llama.cpp would compute wrongly is refused.
 */
import { join } from "node:path";
import { LlamaError } from "../../ffi/errors.ts";
import { Config } from "./config.ts";
import type { GgufMetadata, GgufTensor, GgufValue } from "./gguf.ts";
import { type Shape, tensorsOf } from "./bert_tensors.ts";
import { readRobertaTokenizer } from "./roberta_tokenizer.ts";
import { readCheckpoint } from "./safetensors.ts";
import { type CheckpointPooling, maxSequenceLength, readModules, readPrompts } from "./sentence_transformers.ts";
import { readWordPiece } from "./wordpiece.ts";

/** What goes into the GGUF file. */
export interface Converted {
  readonly metadata: GgufMetadata;
  readonly tensors: readonly GgufTensor[];
}

/** Values of enum llama_pooling_type. */
const POOLING = { mean: 1, cls: 2, last: 3, rank: 4 } as const;

/** The classes of a family's checkpoints. */
interface Family {
  readonly encoders: readonly string[];
  /** The class with a classification head. */
  readonly head: string;
  /** What Python takes for the class where config.json names none, by its model_type. */
  readonly type: string;
}
const BERT: Family = {
  encoders: ["BertModel", "BertForMaskedLM", "BertForPreTraining"],
  head: "BertForSequenceClassification",
  type: "bert",
};
const FAMILIES: readonly Family[] = [
  BERT,
  ...["Roberta", "XLMRoberta"].map((name) => ({
    encoders: [`${name}Model`, `${name}ForMaskedLM`],
    head: `${name}ForSequenceClassification`,
    type: name === "Roberta" ? "roberta" : "xlm-roberta",
  })),
];

/**
 * GELU by erf, and those by tanh, which differ from it by less than 5e-4 (ACT2FN of transformers). llama.cpp computes the
 * tanh form of both; our kernels compute what the file says.
 */
const ACTIVATIONS = ["gelu", "gelu_python", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_accurate"];

/** Number of what this converter keeps or refuses; where it stands in a file, nothing that changes a result is lost. */
const CONVERTER = 1;

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
  const { family, ranks } = familyOf(config);
  const sentence = await Config.find(root, "sentence_bert_config.json");
  const shape = shapeOf(config, family);
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
    ["bert.hidden_activation", { string: config.text("hidden_act") ?? "gelu" }], // as ModernBERT's; llama.cpp ignores it here
    ["general.file_type", { u32: 0 }], // LLAMA_FTYPE_ALL_F32
    ["bert.attention.causal", { bool: false }],
    ["bert.pooling_type", { u32: POOLING[pooling] }],
    ...(labels.length === 0 ? [] : [["bert.classifier.output_labels", { strings: labels }] as [string, GgufValue]]),
    ["llamasaur.converter", { u32: CONVERTER }],
    ...(limit === undefined ? [] : [["llamasaur.max_seq_length", { u32: limit }] as [string, GgufValue]]),
    ...(await readPrompts(directory)).map(([kind, string]): [string, GgufValue] => [
      `llamasaur.prompt.${kind}`,
      { string },
    ]),
    ["general.quantization_version", { u32: 2 }], // GGML_QNT_VERSION
    ...await tokenizerOf(root, family, shape, sentence),
  ];
  return { metadata: new Map(metadata), tensors };
}

function shapeOf(config: Config, family: Family): Shape {
  const roberta = family !== BERT;
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
  if (shape.heads === 0 || shape.width % shape.heads !== 0) {
    config.invalid(`hidden_size ${shape.width} is not a multiple of num_attention_heads ${shape.heads}`);
  }
  return shape;
}

async function tokenizerOf(
  directory: string,
  family: Family,
  shape: Shape,
  sentence: Config | undefined,
): Promise<[string, GgufValue][]> {
  const lowercase = sentence?.flag("do_lower_case") ?? false;
  if (family === BERT) {
    const types: [string, GgufValue] = ["tokenizer.ggml.token_type_count", { u32: shape.types }];
    return [types, ...await readWordPiece(directory, shape.vocabulary, lowercase)];
  }
  if (lowercase) sentence?.unsupported("do_lower_case is true, llama.cpp lower-cases for BERT's tokenizer only");
  return await readRobertaTokenizer(directory, shape.vocabulary, shape.types);
}

function familyOf(config: Config): { family: Family; ranks: boolean } {
  const [name] = config.texts("architectures");
  const family = FAMILIES.find(({ encoders, head, type }) =>
    name === undefined ? config.text("model_type") === type : name === head || encoders.includes(name)
  );
  if (family === undefined) {
    const known = FAMILIES.flatMap(({ encoders, head }) => [...encoders, head]).join(", ");
    config.unsupported(
      `architectures is ${name}, and ${known} can be converted; for others use convert_hf_to_gguf.py of llama.cpp`,
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
  return { family, ranks: name === family.head };
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
