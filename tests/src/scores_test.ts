import { test } from "node:test";
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { scoreOf } from "../../src/scores.ts";

const ONE = { labels: ["LABEL_0"], softmax: false };
const THREE = { labels: ["a", "b", "c"], softmax: false };
const ANSWERS = { labels: ["yes", "no"], softmax: false };
const QWEN3 = { labels: ["yes", "no"], softmax: true };

/** p as llama.cpp's graph gives it: in float32. */
function softmax(...logits: number[]): Float32Array {
  const sum = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  return Float32Array.from(logits, (logit) => Math.exp(logit) / sum);
}

test("scoreOf() makes one logit a score once, in float64", () => {
  assertEquals(scoreOf([0], ONE, 0), { logit: 0, score: 0.5 });
  assertEquals(scoreOf([3.5], ONE, 0), { logit: 3.5, score: 1 / (1 + Math.exp(-3.5)) });
  const [a, b] = [scoreOf([17.5], ONE, 0), scoreOf([18.5], ONE, 0)];
  assert(Math.fround(a.score) === 1 && Math.fround(b.score) === 1 && b.score > a.score, "float32 could not tell them");
});

test("scoreOf() of several labels gives each one's probability, and the odds of the wanted one", () => {
  const { logit, score, labels } = scoreOf([1, 2, 3], THREE, 1);
  assertEquals(labels!.map(({ label, logit }) => [label, logit]), [["a", 1], ["b", 2], ["c", 3]]);
  assertAlmostEquals(labels!.reduce((sum, { score }) => sum + score, 0), 1, 1e-12);
  assertAlmostEquals(score, Math.exp(2) / (Math.exp(1) + Math.exp(2) + Math.exp(3)), 1e-12);
  assertAlmostEquals(logit, Math.log(score / (1 - score)), 1e-12);
  assertEquals(scoreOf([1000, -1000, 0], THREE, 0).score, 1); // no overflow
});

test("scoreOf() of two answers is the difference of their logits", () => {
  const { logit, score } = scoreOf([7.25, 3.5], ANSWERS, 0);
  assertEquals(logit, 3.75);
  assertAlmostEquals(score, 1 / (1 + Math.exp(-3.75)), 1e-12);
});

test("scoreOf() does not squash a softmax again, and keeps the order of two that both print 1.0", () => {
  const near = scoreOf(softmax(12, -6), QWEN3, 0);
  const nearer = scoreOf(softmax(15, -6), QWEN3, 0);
  assertAlmostEquals(near.logit, 18, 1e-4);
  assertAlmostEquals(nearer.logit, 21, 1e-4);
  assertEquals([near.score.toFixed(6), nearer.score.toFixed(6)], ["1.000000", "1.000000"]);
  assert(nearer.logit > near.logit);
  const naive = 1 / (1 + Math.exp(-softmax(12, -6)[0]!)); // what a second squashing gives: never above 0.7311
  assert(naive < 0.7311 && near.score > 0.999999);
});

test("scoreOf() is finite where a probability was rounded to 0", () => {
  const { logit, score } = scoreOf(Float32Array.of(1, 0), QWEN3, 0);
  assert(Number.isFinite(logit) && logit > 100 && score <= 1);
  assert(Number.isFinite(scoreOf(Float32Array.of(0, 1), QWEN3, 0).logit));
});
