/** The tensors of BERT and RoBERTa checkpoints under the names that llama.cpp looks for. */
import { LlamaError } from "../../ffi/errors.ts";
import { printable } from "../check.ts";
import type { GgufTensor } from "./gguf.ts";
import { checkFloat, floats, type Tensor } from "./safetensors.ts";

/** Sizes of the model; where config.json leaves one out, it is that of BertConfig, as in Python. */
export interface Shape {
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

/** Tensors that embedding and ranking do not need. */
const UNUSED = /^(embeddings\.position_ids$|pooler\.dense\.|cls\.predictions\.|cls\.seq_relationship\.|lm_head\.)/;

/** Checkpoint name, GGUF name and shape of every tensor of a model, in llama.cpp's naming (gguf-py/gguf/tensor_mapping.py). */
function* wanted(shape: Shape, labels: number | undefined): Generator<[string, string, ...number[]]> {
  const { width, inner } = shape;
  yield ["embeddings.word_embeddings.weight", "token_embd.weight", shape.vocabulary, width];
  const positions = shape.positions + shape.unusedPositions;
  yield ["embeddings.position_embeddings.weight", "position_embd.weight", positions, width];
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
  yield* pair(shape.roberta ? "classifier.dense" : "pooler.dense", "cls", width, width);
  yield* pair(shape.roberta ? "classifier.out_proj" : "classifier", "cls.output", labels, width);
}

function* pair(from: string, to: string, rows: number, ...rest: number[]): Generator<[string, string, ...number[]]> {
  yield [`${from}.weight`, `${to}.weight`, rows, ...rest];
  yield [`${from}.bias`, `${to}.bias`, rows];
}

/**
 * The tensors of a checkpoint as they go into the file.
 *
 * @param checkpoint What is in its weights.
 * @param shape Sizes of the model.
 * @param labels Number of classes, of a model with a classification head.
 * @param directory Path of the checkpoint, for messages.
 * @throws {LlamaError} When a tensor is missing, of another shape, or not known.
 */
export function tensorsOf(
  checkpoint: ReadonlyMap<string, Tensor>,
  shape: Shape,
  labels: number | undefined,
  directory: string,
): GgufTensor[] {
  const given = new Map<string, Tensor>();
  for (const tensor of checkpoint.values()) {
    // The prefix where the model is part of a larger one; gamma and beta as the first TensorFlow checkpoints had them.
    const name = tensor.name.replace(/^(bert|roberta)\./, "").replace(/\.gamma$/, ".weight").replace(
      /\.beta$/,
      ".bias",
    );
    if (given.has(name)) throw new LlamaError("model-invalid", `${tensor.file}: ${printable(name)} is there twice`);
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
    const [used, rows] = name === "position_embd.weight"
      ? withoutRows(tensor, shape.unusedPositions)
      : [tensor, expected];
    found.push([tensor, { name, shape: rows, floats: () => floats(used) }]);
  }
  for (const [name, tensor] of given) {
    if (!UNUSED.test(name)) {
      throw new LlamaError("model-unsupported", `${tensor.file}: tensor ${printable(tensor.name)} is not known`);
    }
  }
  // The order of llama.cpp's converter.
  return found.sort(([a], [b]) => a.name < b.name ? -1 : 1).map(([, tensor]) => tensor);
}

/** A matrix without its first rows, and its shape. */
function withoutRows(tensor: Tensor, rows: number): [Tensor, number[]] {
  const [all = 0, ...rest] = tensor.shape;
  const shape = [all - rows, ...rest];
  const cut = tensor.bytes / Math.max(1, all) * rows;
  return [{ ...tensor, shape, offset: tensor.offset + cut, bytes: tensor.bytes - cut }, shape];
}
