// Computes the self-test's model in float64, straight from its weights: what the stored vectors are compared with.
import { CONFIG, type Tensor, weights, WORDS } from "../../../cli/doctor/tiny_model.ts";

type Rows = number[][];

const byName = new Map<string, Tensor>(weights().map((tensor) => [tensor.name, tensor]));
const { hidden_size: width, num_attention_heads: heads } = CONFIG;

function rows(name: string): Rows {
  const { shape: [count = 0, columns = 1], values } = byName.get(name)!;
  return Array.from({ length: count }, (_, i) => Array.from(values.subarray(i * columns, (i + 1) * columns)));
}

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

function linear(input: Rows, name: string): Rows {
  const [matrix, bias] = [rows(`${name}.weight`), rows(`${name}.bias`).flat()];
  return input.map((row) => matrix.map((weight, i) => dot(row, weight) + bias[i]!));
}

function norm(input: Rows, name: string): Rows {
  const [scale, shift] = [rows(`${name}.weight`).flat(), rows(`${name}.bias`).flat()];
  return input.map((row) => {
    const mean = row.reduce((sum, x) => sum + x, 0) / row.length;
    const variance = row.reduce((sum, x) => sum + (x - mean) ** 2, 0) / row.length;
    return row.map((x, i) => (x - mean) / Math.sqrt(variance + CONFIG.layer_norm_eps) * scale[i]! + shift[i]!);
  });
}

/** The error function by its series, which converges for what comes here (|x| < 6). */
function erf(x: number): number {
  let [sum, term] = [x, x];
  for (let n = 1; Math.abs(term) > 1e-18 && n < 300; n++) {
    term *= -x * x / n;
    sum += term / (2 * n + 1);
  }
  return 2 / Math.sqrt(Math.PI) * sum;
}

function attention(input: Rows, layer: string): Rows {
  const [query, key, value] = ["query", "key", "value"].map((name) =>
    linear(input, `${layer}.attention.self.${name}`)
  ) as [
    Rows,
    Rows,
    Rows,
  ];
  const size = width / heads;
  return query.map((q) =>
    Array.from({ length: heads }, (_, head) => {
      const part = (row: readonly number[]): number[] => row.slice(head * size, (head + 1) * size);
      const scores = key.map((k) => Math.exp(dot(part(q), part(k)) / Math.sqrt(size)));
      const total = scores.reduce((sum, score) => sum + score, 0);
      return Array.from({ length: size }, (_, i) =>
        scores.reduce((sum, score, j) => sum + score / total * part(value[j]!)[i]!, 0));
    }).flat()
  );
}

const plus = (a: Rows, b: Rows): Rows => a.map((row, i) => row.map((x, j) => x + b[i]![j]!));

/** The vector of a text of the vocabulary's words: the mean of the tokens', of length 1. */
export function embed(text: string): number[] {
  const ids = [2, ...text.split(" ").map((word) => WORDS.indexOf(word)), 3];
  const [words, positions, types] = ["word", "position", "token_type"].map((name) =>
    rows(`embeddings.${name}_embeddings.weight`)
  ) as [
    Rows,
    Rows,
    Rows,
  ];
  let at = norm(
    ids.map((id, i) => words[id]!.map((x, j) => x + positions[i]![j]! + types[0]![j]!)),
    "embeddings.LayerNorm",
  );
  for (let i = 0; i < CONFIG.num_hidden_layers; i++) {
    const layer = `encoder.layer.${i}`;
    at = norm(
      plus(at, linear(attention(at, layer), `${layer}.attention.output.dense`)),
      `${layer}.attention.output.LayerNorm`,
    );
    const wide = linear(at, `${layer}.intermediate.dense`).map((row) =>
      row.map((x) => x / 2 * (1 + erf(x / Math.SQRT2)))
    );
    at = norm(plus(at, linear(wide, `${layer}.output.dense`)), `${layer}.output.LayerNorm`);
  }
  const mean = Array.from({ length: width }, (_, i) => at.reduce((sum, row) => sum + row[i]!, 0) / at.length);
  const length = Math.sqrt(dot(mean, mean));
  return mean.map((x) => x / length);
}
