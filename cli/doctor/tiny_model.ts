/** Makes the tiny model of the self-test: a BERT of two layers with pseudo-random weights, as a checkpoint's folder. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** The numbers of the model, by their names in config.json. */
export const CONFIG = {
  architectures: ["BertModel"],
  model_type: "bert",
  hidden_act: "gelu",
  hidden_size: 64,
  intermediate_size: 128,
  layer_norm_eps: 1e-12,
  max_position_embeddings: 32,
  num_attention_heads: 2,
  num_hidden_layers: 2,
  type_vocab_size: 2,
  vocab_size: 32,
} as const;

/** The vocabulary: whole words, so that tokens are no part of what is tested. */
export const WORDS: readonly string[] = [
  ...[
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "the",
    "cat",
    "dog",
    "sleeps",
    "runs",
    "on",
    "in",
    "house",
    "sea",
  ],
  ...[
    "river",
    "is",
    "deep",
    "old",
    "new",
    "bread",
    "and",
    "water",
    "snow",
    "falls",
    "over",
    "road",
    "no",
    "one",
    "knows",
  ],
  ...["where", "it"],
];

/** A tensor of the checkpoint. */
export interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array<ArrayBuffer>;
}

/** The weights: each tensor has a seed of its own. Norms are near 1, biases near 0. */
export function weights(): Tensor[] {
  const { hidden_size: width, intermediate_size: wide, vocab_size: words } = CONFIG;
  const shapes: [string, number[]][] = [
    ["embeddings.word_embeddings.weight", [words, width]],
    ["embeddings.position_embeddings.weight", [CONFIG.max_position_embeddings, width]],
    ["embeddings.token_type_embeddings.weight", [CONFIG.type_vocab_size, width]],
    ["embeddings.LayerNorm.weight", [width]],
    ["embeddings.LayerNorm.bias", [width]],
  ];
  for (let layer = 0; layer < CONFIG.num_hidden_layers; layer++) {
    const add = (name: string, rows: number, columns: number): void => {
      shapes.push([`encoder.layer.${layer}.${name}.weight`, [rows, columns]]);
      shapes.push([`encoder.layer.${layer}.${name}.bias`, [rows]]);
    };
    const norm = (name: string): void => {
      shapes.push([`encoder.layer.${layer}.${name}.LayerNorm.weight`, [width]]);
      shapes.push([`encoder.layer.${layer}.${name}.LayerNorm.bias`, [width]]);
    };
    for (const name of ["query", "key", "value"]) add(`attention.self.${name}`, width, width);
    add("attention.output.dense", width, width);
    norm("attention.output");
    add("intermediate.dense", wide, width);
    add("output.dense", width, wide);
    norm("output");
  }
  return shapes.map(([name, shape], seed) => {
    const values = noise(seed + 1, shape.reduce((product, n) => product * n, 1));
    if (name.endsWith("LayerNorm.weight")) values.forEach((value, i) => values[i] = 1 + value / 2);
    return { name, shape, values };
  });
}

/** Numbers from -0.2 to 0.2 that are the same on every machine: mulberry32. */
function noise(seed: number, length: number): Float32Array<ArrayBuffer> {
  let state = Math.imul(seed, 0x9e3779b9);
  return Float32Array.from({ length }, () => {
    state = state + 0x6d2b79f5 | 0;
    let t = Math.imul(state ^ state >>> 15, state | 1);
    t ^= t + Math.imul(t ^ t >>> 7, t | 61);
    return ((t ^ t >>> 14) >>> 8) / 2 ** 24 * 0.4 - 0.2;
  });
}

/** Writes the checkpoint into a folder. */
export async function writeCheckpoint(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await Promise.all([
    writeFile(join(folder, "config.json"), JSON.stringify(CONFIG)),
    writeFile(join(folder, "vocab.txt"), `${WORDS.join("\n")}\n`),
    writeFile(join(folder, "model.safetensors"), safetensors(weights())),
  ]);
}

/** The bytes of a safetensors file: https://huggingface.co/docs/safetensors/index#format. */
function safetensors(tensors: readonly Tensor[]): Uint8Array {
  let end = 0;
  const entries = tensors.map(({ name, shape, values }) => {
    const data_offsets = [end, end += values.byteLength];
    return [name, { dtype: "F32", shape, data_offsets }];
  });
  const header = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const bytes = new Uint8Array(8 + header.length + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(header, 8);
  let at = 8 + header.length;
  for (const { values } of tensors) {
    bytes.set(new Uint8Array(values.buffer), at);
    at += values.byteLength;
  }
  return bytes;
}
