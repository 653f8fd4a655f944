/**
 * Checkpoints of sentence-transformers and Hugging Face, as what goes into a GGUF file.
 *
 * Follows conversion/bert.py and conversion/base.py (TextModel.set_gguf_parameters, _try_set_pooling_type) of the pinned
 * llama.cpp, and differs from them on purpose where they lose something:
 * - a cross-encoder keeps BERT's `pooler.dense` (as `cls`), its labels even when they are the default ones, and pooling "rank";
 * - Dense modules after the pooling are kept as `llamasaur.head.*`, and `llamasaur.head.count` says how many keys that are;
 * - `llamasaur.converter` says that it was this converter, and `bert.hidden_activation` which GELU the layers have;
 * - sentence-transformers' `max_seq_length` is kept as `llamasaur.max_seq_length`, its prompts as `llamasaur.prompt.*`;
 * - what llama.cpp would compute wrongly is refused.
 */
import { join } from "node:path";
import { LlamaError } from "../../ffi/errors.ts";
import { BERTS } from "./bert.ts";
import { Config } from "./config.ts";
import { DISTILBERT } from "./distilbert.ts";
import type { Entry, Family } from "./encoder.ts";
import type { GgufMetadata, GgufTensor } from "./gguf.ts";
import { headOf } from "./head.ts";
import { MODERN_BERT } from "./modern_bert.ts";
import { readCheckpoint } from "./safetensors.ts";
import { type CheckpointPooling, maxSequenceLength, readModules, readPrompts } from "./sentence_transformers.ts";
import { tensorsOf } from "./tensors.ts";

/** What goes into the GGUF file. */
export interface Converted {
  readonly metadata: GgufMetadata;
  readonly tensors: readonly GgufTensor[];
}

/** Values of enum llama_pooling_type. */
const POOLING = { mean: 1, cls: 2, last: 3, rank: 4 } as const;

const FAMILIES: readonly Family[] = [...BERTS, DISTILBERT, MODERN_BERT];

/** Classes that convert_hf_to_gguf.py of the pinned llama.cpp takes, and that come out right (docs/accuracy.md). */
const BY_LLAMA =
  /^(NomicBert|EuroBert|Qwen[23]|Llama|LlamaBidirectional|Mistral|Gemma3Text|Lfm2Bidirectional)(Model|ForCausalLM)$/;

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
export async function readModel(
  directory: string,
  options: { readonly name: string; readonly pooling?: CheckpointPooling | undefined },
): Promise<Converted> {
  const modules = await readModules(directory);
  const root = modules.transformer;
  const config = await Config.read(root, "config.json");
  const { family, ranks } = familyOf(config);
  const sentence = await Config.find(root, "sentence_bert_config.json");
  const labels = labelsOf(config, ranks);
  const weights = await readCheckpoint(root);
  const encoder = await family.read({
    directory: root,
    config,
    sentence,
    weights,
    labels: ranks ? labels.length : undefined,
  });
  const tensors = tensorsOf(weights, encoder.names, root);
  const pooling = ranks ? "rank" : options.pooling ?? modules.pooling ?? unknownPooling(directory);
  const limit = await maxSequenceLength(root, sentence, encoder.positions);
  const { architecture } = encoder;
  const head = [...encoder.head, ...(ranks ? [] : await headOf(modules.after, encoder.width))];
  const metadata: Entry[] = [
    ["general.architecture", { string: architecture }],
    ["general.type", { string: "model" }],
    ["general.name", { string: options.name }],
    ...encoder.sizes,
    // llama.cpp reads it of ModernBERT only
    [`${architecture}.hidden_activation`, { string: encoder.activation }],
    ["general.file_type", { u32: 0 }], // LLAMA_FTYPE_ALL_F32
    [`${architecture}.attention.causal`, { bool: false }],
    [`${architecture}.pooling_type`, { u32: POOLING[pooling] }],
    ...(labels.length === 0 ? [] : [[`${architecture}.classifier.output_labels`, { strings: labels }] as Entry]),
    ["llamasaur.converter", { u32: CONVERTER }],
    ...(limit === undefined ? [] : [["llamasaur.max_seq_length", { u32: limit }] as Entry]),
    ...(await readPrompts(directory)).map(([kind, string]): Entry => [`llamasaur.prompt.${kind}`, { string }]),
    ["llamasaur.head.count", { u32: head.filter(([key]) => key.startsWith("llamasaur.head.")).length }],
    ...head,
    ["general.quantization_version", { u32: 2 }], // GGML_QNT_VERSION
    ...await encoder.tokenizer(),
  ];
  return { metadata: new Map(metadata), tensors };
}

function familyOf(config: Config): { family: Family; ranks: boolean } {
  const [name] = config.texts("architectures");
  const family = FAMILIES.find(({ encoders, head, type }) =>
    name === undefined ? config.text("model_type") === type : name === head || encoders.includes(name)
  );
  if (family === undefined) config.unsupported(otherClass(name, config));
  for (const key of ["is_decoder", "add_cross_attention"]) {
    if (config.flag(key)) config.unsupported(`${key} is true, only encoders are supported`);
  }
  if (config.has("quantization_config")) {
    config.unsupported("quantization_config is there: convert the checkpoint that it was made from");
  }
  return { family, ranks: name === family.head };
}

/** The words for a class that is not converted here, with the command that converts it, if there is one. */
function otherClass(name: string | undefined, config: Config): string {
  const what = name === undefined ? `model_type is ${config.text("model_type")}` : `architectures is ${name}`;
  const dense = name === "Gemma3TextModel" ? " --sentence-transformers-dense-modules" : "";
  const other = name !== undefined && BY_LLAMA.test(name)
    ? `this one is converted by llama.cpp's own: python convert_hf_to_gguf.py${dense} --outtype f32 --outfile OUT.gguf DIRECTORY`
    : "and no other converter is known to make a file of this one that is right";
  return `${what}, and only BERT, DistilBERT, RoBERTa, XLM-RoBERTa and ModernBERT can be converted; ${other}`;
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
