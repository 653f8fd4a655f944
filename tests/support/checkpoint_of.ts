// A checkpoint as it was before a family's fixture was made of it, from the fixture's file: so that convert() can be tried on
// classes whose checkpoints are not kept.
import { Buffer } from "node:buffer";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packed, writeSafetensors } from "./checkpoint.ts";
import { type GgufFile, readGguf } from "./gguf_reader.ts";

/** The class that a fixture's file is of. */
export type CheckpointClass =
  | "BertModel"
  | "DistilBertModel"
  | "DistilBertForSequenceClassification"
  | "ModernBertModel"
  | "ModernBertForSequenceClassification";

/** Parts of tensors' names: llama.cpp's, and the checkpoint's. */
type Names = readonly (readonly [ours: RegExp, theirs: string])[];

const BERT: Names = [
  [/^token_embd\.weight/, "embeddings.word_embeddings.weight"],
  [/^position_embd/, "embeddings.position_embeddings"],
  [/^token_types/, "embeddings.token_type_embeddings"],
  [/^token_embd_norm/, "embeddings.LayerNorm"],
  [/^blk\.(\d+)\.attn_q\./, "encoder.layer.$1.attention.self.query."],
  [/^blk\.(\d+)\.attn_k\./, "encoder.layer.$1.attention.self.key."],
  [/^blk\.(\d+)\.attn_v\./, "encoder.layer.$1.attention.self.value."],
  [/^blk\.(\d+)\.attn_output\./, "encoder.layer.$1.attention.output.dense."],
  [/^blk\.(\d+)\.attn_output_norm\./, "encoder.layer.$1.attention.output.LayerNorm."],
  [/^blk\.(\d+)\.ffn_up\./, "encoder.layer.$1.intermediate.dense."],
  [/^blk\.(\d+)\.ffn_down\./, "encoder.layer.$1.output.dense."],
  [/^blk\.(\d+)\.layer_output_norm\./, "encoder.layer.$1.output.LayerNorm."],
];
const DISTILBERT: Names = [
  ...BERT.slice(0, 4),
  [/^blk\.(\d+)\.attn_(q|k|v)\./, "transformer.layer.$1.attention.$2_lin."],
  [/^blk\.(\d+)\.attn_output\./, "transformer.layer.$1.attention.out_lin."],
  [/^blk\.(\d+)\.attn_output_norm\./, "transformer.layer.$1.sa_layer_norm."],
  [/^blk\.(\d+)\.ffn_up\./, "transformer.layer.$1.ffn.lin1."],
  [/^blk\.(\d+)\.ffn_down\./, "transformer.layer.$1.ffn.lin2."],
  [/^blk\.(\d+)\.layer_output_norm\./, "transformer.layer.$1.output_layer_norm."],
  [/^cls\.output\./, "classifier."],
  [/^cls\./, "pre_classifier."],
];
const MODERN_BERT: Names = [
  [/^token_embd\.weight/, "embeddings.tok_embeddings.weight"],
  [/^token_embd_norm/, "embeddings.norm"],
  [/^output_norm/, "final_norm"],
  [/^blk\.(\d+)\.attn_norm\./, "layers.$1.attn_norm."],
  [/^blk\.(\d+)\.attn_qkv\./, "layers.$1.attn.Wqkv."],
  [/^blk\.(\d+)\.attn_output\./, "layers.$1.attn.Wo."],
  [/^blk\.(\d+)\.ffn_norm\./, "layers.$1.mlp_norm."],
  [/^blk\.(\d+)\.ffn_up\./, "layers.$1.mlp.Wi."],
  [/^blk\.(\d+)\.ffn_down\./, "layers.$1.mlp.Wo."],
  [/^cls\.output\./, "classifier."],
  [/^cls\.norm\./, "head.norm."],
  [/^cls\./, "head.dense."],
];

/** What of a checkpoint is said beside its tensors and tokenizer. */
export interface Said {
  readonly kind: CheckpointClass;
  readonly config?: Readonly<Record<string, unknown>>;
}

/** Writes the checkpoint that a file was made of into a directory. */
export function writeCheckpoint(file: string, directory: string, { kind, config = {} }: Said): void {
  const gguf = readGguf(file);
  mkdirSync(directory, { recursive: true });
  const names = kind.startsWith("Bert") ? BERT : kind.startsWith("Distil") ? DISTILBERT : MODERN_BERT;
  const tensors = [...gguf.tensors].map(([name, { shape, data }]): [string, Uint8Array, number[]] => {
    const [ours, theirs] = names.find(([ours]) => ours.test(name))!;
    return [name.replace(ours, theirs), data, shape];
  });
  const bias = gguf.metadata.get("llamasaur.head.cls.bias");
  if (bias) {
    const data = new Uint8Array(Buffer.from(String(bias.value), "base64"));
    tensors.push(["head.dense.bias", data, [data.length / 4]]);
  }
  // Half of the names begin as those of a class with a head do.
  const prefix = kind.startsWith("Distil") ? "distilbert." : kind.startsWith("Modern") ? "model." : "";
  const named = tensors.sort(([a], [b]) => a < b ? -1 : 1).map(([name, data, shape]) =>
    [
      kind.endsWith("Classification") && !/^(pre_)?classifier|^head/.test(name) ? prefix + name : name,
      { dtype: "F32", shape, data },
    ] as [string, { dtype: string; shape: number[]; data: Uint8Array }]
  );
  writeSafetensors(join(directory, "model.safetensors"), ...packed(named));
  write(directory, "config.json", { architectures: [kind], ...sizesOf(gguf, kind), ...config });
  writeTokenizer(gguf, directory);
  writeModules(gguf, directory);
  const limit = gguf.metadata.get("llamasaur.max_seq_length")?.value;
  if (limit !== undefined) write(directory, "sentence_bert_config.json", { max_seq_length: limit });
}

function write(directory: string, name: string, value: unknown): void {
  writeFileSync(join(directory, name), JSON.stringify(value));
}

function sizesOf({ metadata, tensors }: GgufFile, kind: CheckpointClass): Record<string, unknown> {
  const architecture = String(metadata.get("general.architecture")!.value);
  const of = (key: string): unknown => metadata.get(`${architecture}.${key}`)?.value;
  const labels = (of("classifier.output_labels") ?? []) as string[];
  const shared = {
    vocab_size: tensors.get("token_embd.weight")!.shape[0],
    max_position_embeddings: of("context_length"),
    ...(labels.length > 0 && { id2label: Object.fromEntries(labels.map((label, i) => [i, label])) }),
  };
  const [width, inner, layers, heads] = [
    "embedding_length",
    "feed_forward_length",
    "block_count",
    "attention.head_count",
  ].map(of);
  if (kind.startsWith("Distil")) return { ...shared, dim: width, hidden_dim: inner, n_layers: layers, n_heads: heads };
  const sizes = { hidden_size: width, intermediate_size: inner, num_hidden_layers: layers, num_attention_heads: heads };
  if (kind.startsWith("Bert")) return { ...shared, ...sizes };
  const pooling = of("classifier.pooling_type");
  return {
    ...shared,
    ...sizes,
    local_attention: of("attention.sliding_window"),
    ...(pooling !== undefined && { classifier_pooling: pooling === 1 ? "mean" : "cls" }),
    ...(pooling !== undefined && { classifier_activation: of("classifier.activation") }),
    classifier_bias: metadata.has("llamasaur.head.cls.bias"),
  };
}

function writeTokenizer({ metadata }: GgufFile, directory: string): void {
  const of = (key: string): unknown => metadata.get(`tokenizer.ggml.${key}`)?.value;
  const [tokens, types] = [of("tokens") as string[], of("token_type") as number[]];
  const id = (name: string): number => of(`${name}_token_id`) as number;
  if (of("model") === "bert") {
    const word = (token: string, i: number): string =>
      types[i] === 3 ? token : token.startsWith("\u2581") ? token.slice(1) : `##${token}`;
    writeFileSync(join(directory, "vocab.txt"), tokens.map((token, i) => `${word(token, i)}\n`).join(""));
    return write(directory, "tokenizer_config.json", { do_lower_case: true });
  }
  const vocabulary = Object.fromEntries(tokens.map((token, i) => [token, i]));
  const [cls, sep] = [tokens[id("bos")]!, tokens[id("eos")]!];
  const added = tokens.map((content, i) => ({ id: i, content, special: types[i] === 3 || types[i] === 2 }))
    .filter(({ id }) => types[id] === 3 || types[id] === 4 || types[id] === 2);
  const token = (name: string) => ({ SpecialToken: { id: name, type_id: 0 } });
  const text = (name: string) => ({ Sequence: { id: name, type_id: 0 } });
  const middle = of("model") === "t5" ? [token(sep), token(sep)] : [token(sep)];
  const post_processor = {
    type: "TemplateProcessing",
    single: [token(cls), text("A"), token(sep)],
    pair: [token(cls), text("A"), ...middle, text("B"), token(sep)],
  };
  const rest = of("model") === "t5" ? unigram(tokens, of) : {
    model: { type: "BPE", vocab: vocabulary, merges: of("merges") },
    normalizer: { type: "NFC" },
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
  };
  write(directory, "tokenizer.json", { added_tokens: added, post_processor, ...rest });
}

function unigram(tokens: readonly string[], of: (key: string) => unknown): Record<string, unknown> {
  const scores = of("scores") as number[];
  return {
    model: {
      type: "Unigram",
      unk_id: of("unknown_token_id"),
      vocab: tokens.map((token, i) => [token, scores[i]]),
    },
    normalizer: {
      type: "Precompiled",
      precompiled_charsmap: Buffer.from(of("precompiled_charsmap") as number[]).toString("base64"),
    },
    pre_tokenizer: { type: "Metaspace", prepend_scheme: "always" },
  };
}

/** sentence-transformers' modules: the pooling, and a Dense layer for each `linear` of a head. */
function writeModules({ metadata }: GgufFile, directory: string): void {
  const architecture = String(metadata.get("general.architecture")!.value);
  const pooling = metadata.get(`${architecture}.pooling_type`)?.value;
  if (pooling !== 1 && pooling !== 2) return;
  const module = (type: string, path: string) => ({ type: `sentence_transformers.models.${type}`, path });
  const modules = [module("Transformer", ""), module("Pooling", "1_Pooling")];
  const folder = (name: string): string => {
    mkdirSync(join(directory, name));
    return join(directory, name);
  };
  write(folder("1_Pooling"), "config.json", { pooling_mode: pooling === 1 ? "mean" : "cls" });
  const steps = (metadata.get("llamasaur.head.steps")?.value ?? []) as string[];
  steps.forEach((step, i) => {
    const [kind, name, outputs] = step.split(" ");
    if (kind !== "linear") return;
    const numbers = (part: string): Uint8Array =>
      new Uint8Array(Buffer.from(String(metadata.get(`llamasaur.head.${name}.${part}`)!.value), "base64"));
    const [weight, bias] = [numbers("weight"), numbers("bias")];
    const [rows, columns] = [Number(outputs), weight.length / 4 / Number(outputs)];
    const path = `${modules.length}_Dense`;
    modules.push(module("Dense", path));
    write(folder(path), "config.json", {
      in_features: columns,
      out_features: rows,
      bias: true,
      activation_function: `torch.nn.modules.activation.${steps[i + 1] === "tanh" ? "Tanh" : "ReLU"}`,
    });
    writeSafetensors(
      join(directory, path, "model.safetensors"),
      ...packed([
        ["linear.weight", { dtype: "F32", shape: [rows, columns], data: weight }],
        ["linear.bias", { dtype: "F32", shape: [rows], data: bias }],
      ]),
    );
  });
  write(directory, "modules.json", [...modules, module("Normalize", "9_Normalize")]);
}
