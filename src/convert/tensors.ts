/** The tensors of a checkpoint under the names that llama.cpp looks for. */
import { LlamaError } from "../../ffi/errors.ts";
import { printable } from "../check.ts";
import type { GgufTensor } from "./gguf.ts";
import { checkFloat, floats, type Tensor } from "./safetensors.ts";

/** A tensor that a model must have. */
export interface Wanted {
  /** Its name in the checkpoint, without the prefix of the class. */
  readonly from: string;
  /** Its name in the file, in llama.cpp's naming (gguf-py/gguf/tensor_mapping.py). */
  readonly name: string;
  /** Its shape in the checkpoint, slowest dimension first. */
  readonly shape: readonly number[];
  /** First rows that are left out. */
  readonly without?: number;
}

/** The names of a family's tensors. */
export interface Names {
  readonly wanted: Iterable<Wanted>;
  /** Tensors that embedding and ranking do not need. */
  readonly unused: RegExp;
  /** What names begin with where the model is part of a larger one. */
  readonly prefix: RegExp;
}

/** Weight and bias of a layer. */
export function* pair(from: string, name: string, rows: number, ...rest: number[]): Generator<Wanted> {
  yield { from: `${from}.weight`, name: `${name}.weight`, shape: [rows, ...rest] };
  yield { from: `${from}.bias`, name: `${name}.bias`, shape: [rows] };
}

/**
 * The tensors of a checkpoint as they go into the file.
 *
 * @param checkpoint What is in its weights.
 * @param names What the family calls them.
 * @param directory Path of the checkpoint, for messages.
 * @throws {LlamaError} When a tensor is missing, of another shape, or not known.
 */
export function tensorsOf(checkpoint: ReadonlyMap<string, Tensor>, names: Names, directory: string): GgufTensor[] {
  const given = withoutPrefix(checkpoint, names.prefix);
  const found: [Tensor, GgufTensor][] = [];
  for (const { from, name, shape, without } of names.wanted) {
    const tensor = tensorOf(given, from, shape, directory);
    given.delete(from);
    const [used, rows] = without === undefined ? [tensor, shape] : withoutRows(tensor, without);
    found.push([tensor, { name, shape: rows, floats: () => floats(used) }]);
  }
  for (const [name, tensor] of given) {
    if (!names.unused.test(name)) {
      throw new LlamaError("model-unsupported", `${tensor.file}: tensor ${printable(tensor.name)} is not known`);
    }
  }
  // The order of llama.cpp's converter.
  return found.sort(([a], [b]) => a.name < b.name ? -1 : 1).map(([, tensor]) => tensor);
}

/**
 * A tensor by its name, of a type that can be read.
 *
 * @throws {LlamaError} When it is missing or of another shape.
 */
export function tensorOf(
  given: ReadonlyMap<string, Tensor>,
  name: string,
  shape: readonly number[],
  directory: string,
): Tensor {
  const tensor = given.get(name);
  if (tensor === undefined) throw new LlamaError("model-invalid", `${directory}: tensor ${name} is missing`);
  checkFloat(tensor);
  if (tensor.shape.join() !== shape.join()) {
    throw new LlamaError(
      "model-invalid",
      `${tensor.file}: ${tensor.name} has shape [${tensor.shape}], and config.json asks for [${shape}]`,
    );
  }
  return tensor;
}

/** The tensors by the names that the classes have in common: gamma and beta are those of the first TensorFlow checkpoints. */
function withoutPrefix(checkpoint: ReadonlyMap<string, Tensor>, prefix: RegExp): Map<string, Tensor> {
  const given = new Map<string, Tensor>();
  for (const tensor of checkpoint.values()) {
    const name = tensor.name.replace(prefix, "").replace(/\.gamma$/, ".weight").replace(/\.beta$/, ".bias");
    if (given.has(name)) throw new LlamaError("model-invalid", `${tensor.file}: ${printable(name)} is there twice`);
    given.set(name, tensor);
  }
  return given;
}

/** A matrix without its first rows, and its shape. */
function withoutRows(tensor: Tensor, rows: number): [Tensor, number[]] {
  const [all = 0, ...rest] = tensor.shape;
  const shape = [all - rows, ...rest];
  const cut = tensor.bytes / Math.max(1, all) * rows;
  return [{ ...tensor, shape, offset: tensor.offset + cut, bytes: tensor.bytes - cut }, shape];
}
