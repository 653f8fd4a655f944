// What is decided for a model from its file's metadata, the catalogue and the options; nothing native.
import { test } from "node:test";
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { LlamaError } from "../../../ffi/errors.ts";
import type { LoadOptions } from "../../../src/options.ts";
import { type CatalogueFacts, profileOf } from "../../../src/engine/profile.ts";
import { YES_NO_TEMPLATE } from "../../../src/text/templates.ts";
import { BERT, fakeModel, type ModelFile, QWEN3, XLM_R } from "../../support/fake_model.ts";

function profiled(file: ModelFile, options: LoadOptions = {}, known?: CatalogueFacts) {
  const { pooling, reranker, exactness: { lacks }, maxTokens } = profileOf(fakeModel(file), options, known);
  return { pooling, reranker, lacks, maxTokens };
}

test("profileOf() finds nothing wrong with a file that has what its family needs", () => {
  const right = { lacks: [], maxTokens: 512 };
  assertEquals(profiled(BERT), { ...right, pooling: "mean", reranker: "cosine" });
  assertEquals(profiled(XLM_R), { ...right, pooling: "cls", reranker: "cosine" });
  assertEquals(profiled({ ...QWEN3, pooling: "last" }), { ...right, pooling: "last", reranker: "cosine" });
  assertEquals(profiled({ meta: { ...QWEN3.meta, "general.name": "Qwen3 Reranker 0.6B" } }), {
    ...right,
    pooling: "none",
    reranker: "yes-no",
  });
  const tensors = ["token_types.weight", "cls.weight", "cls.output.weight"];
  const head = { ...BERT, pooling: "rank", tensors } as const;
  assertEquals(profiled(head), { ...right, pooling: "rank", reranker: "cross-encoder" });
});

/** The one thing that a file lacks, and that an option for it makes up for it. */
function assertWarned(file: ModelFile, words: string[], remedy: LoadOptions = {}): void {
  const { lacks } = profiled(file);
  assertEquals(lacks.length, 1, lacks.join());
  for (const word of words) assertStringIncludes(lacks[0]!, word);
  if (Object.keys(remedy).length > 0) assertEquals(profiled(file, remedy).lacks, []);
}

test("profileOf() warns by name of what a file lacks, with the remedy", () => {
  const named = { ...BERT.meta, "general.name": "ms-marco" };
  assertWarned({ ...BERT, meta: named, pooling: "rank", tensors: ["cls.output.weight"] }, [
    "ms-marco lacks the pooler (cls.weight)",
    "convert()",
  ]);
  assertWarned({ ...XLM_R, numbers: { addEos: 0 } }, ["add_eos_token", "addEos: true"], { addBos: true, addEos: true });
  assertWarned({ ...QWEN3, pooling: "last", numbers: { addEos: 0 } }, ["add_eos_token", "addEos: true, or false"], {
    addEos: false,
  });
  const gemma = { "general.architecture": "gemma-embedding", "general.name": "EmbeddingGemma" };
  assertWarned({ meta: gemma, pooling: "mean" }, ["EmbeddingGemma lacks the dense head", "dense-modules"]);
  assertEquals(profiled({ meta: gemma, pooling: "mean", tensors: ["dense_2.weight"] }).lacks, []);
  assertWarned({ meta: { "general.architecture": "jina-bert-v3" }, pooling: "mean" }, ["LoRA adapters"]);
  assertWarned({ meta: { "general.architecture": "nomic-bert-moe" }, pooling: "mean" }, ["experts whose bias"]);
  const { "tokenizer.ggml.pre": _, ...unsplit } = QWEN3.meta!;
  assertWarned({ meta: unsplit, pooling: "last" }, ["tokenizer.ggml.pre", "convert the original again"]);
  assertWarned({ meta: BERT.meta! }, ["names no pooling"], { pooling: "cls" });
  assertEquals(profiled({ meta: BERT.meta! }, { pooling: "none" }).lacks, []);
});

test("profileOf() takes a file that has a head and names no pooling for a reranker", () => {
  const head = { tensors: ["token_types.weight", "cls.weight", "cls.output.weight"] };
  assertEquals(profiled({ meta: XLM_R.meta!, ...head }), {
    pooling: "rank",
    reranker: "cross-encoder",
    lacks: [],
    maxTokens: 512,
  });
  const modern = { meta: { "general.architecture": "modern-bert" }, ...head };
  assertEquals(profiled(modern).reranker, "cross-encoder");
  assertWarned(modern, ["classifier_pooling"]);
  assertEquals(profiled({ meta: XLM_R.meta!, ...head }, { pooling: "cls" }).reranker, "cosine");
});

test("profileOf() takes the catalogue's word where the file is silent, and the option's before all", () => {
  const known: CatalogueFacts = { maxTokens: 128, prompts: { query: "q: ", document: "" }, pooling: "cls" };
  const silent = { meta: BERT.meta! };
  assertEquals(profiled(silent, {}, known), {
    pooling: "cls",
    reranker: "cosine",
    lacks: [],
    maxTokens: 128,
  });
  assertEquals(profiled(BERT, {}, known).pooling, "mean");
  assertEquals(profiled(BERT, { pooling: "last", contextSize: 64 }, known).pooling, "last");
  assertEquals(profiled(BERT, { contextSize: 64 }, known).maxTokens, 64);
  assertEquals(profiled({ ...BERT, meta: { ...BERT.meta, "llamasaur.max_seq_length": "256" } }).maxTokens, 256);
  assertThrows(() => profiled(BERT, { contextSize: 513 }), RangeError, "positions for 512 tokens");
  const { prompts } = profileOf(fakeModel(BERT), {}, known);
  assertEquals(prompts, known.prompts);
  const own = fakeModel({ ...BERT, meta: { ...BERT.meta, "llamasaur.prompt.query": "find: " } });
  assertEquals(profileOf(own, {}, known).prompts, { query: "find: ", document: "" });
});

test("profileOf() ranks by yes and no where a reranker's file has no head, and refuses where it cannot", () => {
  const known: CatalogueFacts = { maxTokens: 512, prompts: { query: "", document: "" }, pooling: "rank" };
  assertEquals(profiled(QWEN3, {}, known).reranker, "yes-no");
  assertEquals(profiled({ ...QWEN3, pooling: "rank" }).reranker, "yes-no");
  assertEquals(profileOf(fakeModel(QWEN3), {}, undefined).template, YES_NO_TEMPLATE);
  const own = fakeModel({ meta: { ...QWEN3.meta, "tokenizer.chat_template.rerank": "{query} {document}" } });
  assertEquals(profileOf(own, {}, undefined).template, "{query} {document}");
  assertEquals(profileOf(own, { template: "{document}{query}" }, undefined).template, "{document}{query}");
  assertThrows(() => profiled(QWEN3, { pooling: "rank" }), LlamaError, "no classification head");
  assertThrows(() => profiled({ ...BERT, pooling: "rank" }), LlamaError, "no classification head");
  assertThrows(() => profiled({ ...BERT, numbers: { pooling: -2 } }), LlamaError, "pass pooling");
  assertEquals(profiled(QWEN3, { pooling: "mean" }).reranker, "cosine");
});

test("profileOf() goes by what the native side says of attention, and refuses causal where it never was", () => {
  const causal = (file: ModelFile) => profileOf(fakeModel(file), {}, undefined).causal;
  assertEquals([causal(QWEN3), causal(BERT)], [true, false]);
  assertEquals(causal({ ...QWEN3, numbers: { causal: 1, hasEncoder: 1 } }), false);
  assertThrows(
    () => profiled(BERT, { attention: "causal" }),
    RangeError,
    "the tokens of bert always see the whole text",
  );
  assertEquals(profiled(BERT, { attention: "non-causal" }), profiled(BERT));
});

test("profileOf() takes the mean of a llama-embed that names no pooling", () => {
  const meta = {
    "general.architecture": "llama-embed",
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "llama-bpe",
  };
  assertEquals(profiled({ meta }), { pooling: "mean", reranker: "cosine", lacks: [], maxTokens: 512 });
  assertEquals(profiled({ meta, pooling: "last" }).pooling, "last");
});
