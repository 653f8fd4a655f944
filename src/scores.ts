/** Makes scores of the numbers that a model gives for a pair: pure arithmetic, in float64. */

/** One label's score. */
export interface LabelScore {
  /** The label's name. */
  readonly label: string;
  /** The model's logit for it; of a head that ends in a softmax, the logarithm of the probability. */
  readonly logit: number;
  /** Its probability among the labels, 0 to 1. */
  readonly score: number;
}

/** A score. */
export interface Score {
  /** The score before the logistic function: sort by it, since scores near 1 run together. */
  readonly logit: number;
  /** 0 to 1. */
  readonly score: number;
  /** Every label's score, for models with several. */
  readonly labels?: readonly LabelScore[];
}

/** The outputs of a model that scores pairs. */
export interface Head {
  /** Names of the outputs. */
  readonly labels: readonly string[];
  /** Whether the model's graph ends in a softmax, as Qwen3's does in llama.cpp (`build_pooling`). */
  readonly softmax: boolean;
}

/**
 * Scores a row of outputs.
 *
 * One output goes through the logistic function. Of several, the wanted label's probability counts, and its logit is
 * the logarithm of its odds against all others; of two labels that is the difference of their logits.
 *
 * @param row The outputs; as many as labels.
 * @param wanted Index of the label that counts.
 */
export function scoreOf(row: ArrayLike<number>, { labels, softmax }: Head, wanted: number): Score {
  if (row.length === 1) return { logit: row[0]!, score: logistic(row[0]!) };
  // A float32 that was rounded to 0 stands for less than half of the smallest one.
  const logits = Array.from(row, (value) => softmax ? Math.log(Math.max(value, 2 ** -150)) : value);
  const odds = logits.map((logit, i) => logit - logSumExp(logits.filter((_, other) => other !== i)));
  return {
    logit: odds[wanted]!,
    score: logistic(odds[wanted]!),
    labels: logits.map((logit, i) => ({ label: labels[i] ?? `LABEL_${i}`, logit, score: logistic(odds[i]!) })),
  };
}

function logistic(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

function logSumExp(values: readonly number[]): number {
  const most = Math.max(...values);
  return most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
}
