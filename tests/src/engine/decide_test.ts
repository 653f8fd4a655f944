// What is decided at load, on machines and models that need not exist.
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { decide, type Decision, type Machine } from "../../../src/engine/decide.ts";
import type { LoadOptions } from "../../../src/options.ts";
import { BERT, fakeModel, type ModelFile, QWEN3, XLM_R } from "../../support/fake_model.ts";

const MACHINE: Machine = { cores: 4, kernels: ["MUL_MAT", "SOFT_MAX"] };

function decided(file: ModelFile, options: LoadOptions = {}, machine = MACHINE): Decision {
  return decide(fakeModel(file), machine, options, undefined);
}

const withNumbers = (file: ModelFile, numbers: ModelFile["numbers"]): ModelFile => ({ ...file, numbers: numbers! });
const onGpu = (file: ModelFile): ModelFile => withNumbers(file, { device: 0 });

test("decide() makes a context for each core, or for as many as its threads leave", () => {
  const contexts = (options: LoadOptions, cores = 4): [number, number] => {
    const { contexts, threads } = decided(BERT, options, { ...MACHINE, cores });
    return [contexts, threads];
  };
  assertEquals(contexts({}), [4, 1]);
  assertEquals(contexts({ threads: 3 }), [1, 3]);
  assertEquals(contexts({ threads: 2 }, 5), [2, 2]);
  assertEquals(contexts({ threads: 8 }), [1, 8]);
  assertEquals(contexts({ contexts: 7, threads: 2 }), [7, 2]);
});

test("decide() takes one context and larger passes on a GPU", () => {
  const { gpu, contexts, pass } = decided(onGpu(BERT));
  assertEquals([gpu, contexts], [true, 1]);
  assert(pass.targetCost > decided(BERT).pass.targetCost);
  assertEquals(decided(onGpu(BERT), { contexts: 2 }).contexts, 2);
});

test("decide() uses our own kernels only on the CPU, in contexts of one thread, and where they are not refused", () => {
  assertEquals(decided(BERT).kernels, MACHINE.kernels);
  assertEquals(decided(BERT, { kernels: true }).kernels, MACHINE.kernels);
  for (const { kernels } of [decided(BERT, { kernels: false }), decided(BERT, { threads: 2 }), decided(onGpu(BERT))]) {
    assertEquals(kernels, []);
  }
  assertEquals(decided(BERT, {}, { ...MACHINE, kernels: [] }).kernels, []);
});

test("decide() makes passes by how attention is computed: our kernels, flash attention, or none of them for f32", () => {
  const f32 = { ...BERT, meta: { ...BERT.meta, ":file_type": "all F32" } };
  const targets = [decided(BERT), decided(BERT, { kernels: false }), decided(f32)].map(({ pass }) => pass.targetCost);
  assertEquals(targets, [256, 200, 57]);
});

test("decide() reckons one row of logits for a sequence whose last token alone is an output", () => {
  // So large a vocabulary that its logits for each token would leave 64 tokens a pass.
  const large = (file: ModelFile, more: ModelFile["numbers"] = {}): ModelFile =>
    withNumbers(file, { vocabularySize: 1e9, classes: 1, ...more });
  const most = (file: ModelFile): number => decided(file).pass.maxCost;
  const head = { ...BERT, pooling: "rank", tensors: ["cls.weight", "cls.output.weight"] } as const;
  const last = { ...QWEN3, pooling: "last" } as const;
  assertEquals(most(large(BERT)), 64);
  assertEquals(most(large(QWEN3)), 384); // yes or no
  assertEquals([most(large(head)), most(large(head, { classifiesLastToken: 1 }))], [64, 384]);
  assertEquals([most(large(last)), most(large(last, { exposesHiddenStates: 1 }))], [64, 384]);
  assertEquals(most(large(BERT, { exposesHiddenStates: 1 })), 64);
});

test("decide() gives a row the width of the vector, of the labels, or of the two answers", () => {
  const rows = (file: ModelFile, options: LoadOptions = {}): [number, boolean] => {
    const { width, perToken } = decided(file, options).row;
    return [width, perToken];
  };
  assertEquals(rows(BERT), [384, false]);
  assertEquals(rows(BERT, { pooling: "none" }), [384, true]);
  assertEquals(rows(QWEN3, { pooling: "none" }), [384, true]);
  assertEquals(rows(QWEN3), [2, false]);
  const head = { ...BERT, pooling: "rank", tensors: ["cls.output.weight"], numbers: { classes: 3 } } as const;
  assertEquals(rows(head), [3, false]);
});

test("decide() reads the labels of a head, and asks a causal model for yes and no, or for the option's answers", () => {
  const { head, answers } = decided(QWEN3);
  assertEquals([head, answers], [{ labels: ["yes", "no"], softmax: false }, ["yes", "no"]]);
  assertEquals(decided(QWEN3, { answers: ["ja", "nein"] }).answers, ["ja", "nein"]);
  const one = decided(QWEN3, { answers: ["Yes"] });
  assertEquals([one.answers, one.head.labels, one.row.width], [["Yes"], ["yes"], 1]);
  const tensors = ["cls.output.weight"];
  const labels = ["entailment", "neutral"];
  const classifier = decided({ ...XLM_R, pooling: "rank", tensors, labels });
  assertEquals([classifier.head, classifier.answers], [{ labels, softmax: false }, undefined]);
  // llama.cpp's graph of Qwen3 ends in a softmax.
  assertEquals(decided({ ...QWEN3, pooling: "rank", tensors, labels }).head, { labels, softmax: true });
});

test("decide() shares a prefix only in causal decoders that score by their last token", () => {
  const shares = (file: ModelFile, numbers: ModelFile["numbers"] = {}): boolean =>
    decided(withNumbers(file, { isCausalDecoder: 1, ...numbers })).sharesPrefix;
  assertEquals(shares(QWEN3), true);
  assertEquals(shares(QWEN3, { isCausalDecoder: 0 }), false);
  assertEquals(shares({ ...QWEN3, pooling: "last" }), false);
  const head = { ...QWEN3, pooling: "rank", tensors: ["cls.output.weight"] } as const;
  assertEquals([shares(head), shares(head, { classifiesLastToken: 1 })], [false, true]);
  const bidirectional = { ...head, meta: { ...head.meta, "qwen3.attention.causal": "false" } };
  assertEquals(shares(bidirectional, { classifiesLastToken: 1 }), false);
});

test("decide() joins pairs by the file's family", () => {
  const types = { "tokenizer.ggml.token_type_count": "2" };
  assertEquals(decided({ ...BERT, meta: { ...BERT.meta, ...types } }).pair.segments, true);
  assertEquals(decided(XLM_R).pair.segments, false);
});

test("decide() refuses what a profile refuses", () => {
  assertThrows(() => decided(BERT, { contextSize: 513 }), RangeError, "positions for 512 tokens");
});
