// What is known of a model, what its file lacks and what it leaves open, by the metadata alone; and that the table of what is
// known has the architectures of the parity table, and no other.
import { test } from "node:test";
import { assertEquals, assertStringIncludes } from "@std/assert";
import type { LoadOptions } from "../../../src/options.ts";
import { WHOLE_ARCHITECTURES } from "../../../src/engine/exactness.ts";
import { profileOf } from "../../../src/engine/profile.ts";
import { BERT, fakeModel, type ModelFile, QWEN3, XLM_R } from "../../support/fake_model.ts";
import { familyFile, readFamilies } from "../../support/families.ts";
import { readGguf } from "../../support/gguf_reader.ts";

const exactnessOf = (file: ModelFile, options: LoadOptions = {}) =>
  profileOf(fakeModel(file), options, undefined).exactness;

const OURS: ModelFile = {
  ...BERT,
  meta: { ...BERT.meta, "llamasaur.converter": "1", "bert.hidden_activation": "gelu" },
};

/** One sentence of a list has these words. */
function assertHas(list: readonly string[], words: string): void {
  assertStringIncludes(list.find((sentence) => sentence.includes(words)) ?? list.join("\n"), words);
}

test("exactnessOf() knows the architectures of the parity table, and no other", () => {
  const { embedders, rerankers } = readFamilies();
  const measured = [...embedders, ...rerankers].map(({ family }) =>
    readGguf(familyFile(family)).metadata.get("general.architecture")!.value
  );
  assertEquals([...WHOLE_ARCHITECTURES].toSorted(), [...new Set(measured)].toSorted());
});

test("exactnessOf() leaves open what llama.cpp's converter does not write down, and nothing of what convert() made", () => {
  const { known, lacks, unknown } = exactnessOf(BERT);
  assertEquals(lacks, []);
  assertEquals(unknown.length, 2);
  assertHas(unknown, "whether a Dense module follows the pooling");
  assertHas(unknown, "which activation");
  assertEquals(known, ["the architecture bert", "the tokenizer bert", "pooling mean", "non-causal attention"]);
  const ours = exactnessOf(OURS);
  assertEquals([ours.lacks, ours.unknown], [[], []]);
  assertHas(ours.known, "convert()");
  const relu = { ...OURS, meta: { ...OURS.meta, "bert.hidden_activation": "relu" } };
  assertHas(exactnessOf(relu).lacks, "another activation than GELU");
});

test("exactnessOf() lacks what llama.cpp does without in silence and the class of the model has", () => {
  const without = (file: ModelFile, name: RegExp) => {
    const model = fakeModel(file);
    const has = (tensor: string): boolean => !name.test(tensor) && model.hasTensor(tensor);
    const meta = (key: string): string | undefined => name.test(key) ? undefined : model.meta(key);
    return profileOf({ ...model, meta, hasTensor: has } as typeof model, {}, undefined).exactness;
  };
  const layered = { ...OURS, meta: { ...OURS.meta, "bert.block_count": "3" } };
  assertEquals(without(layered, /^$/).lacks, []);
  assertHas(without(layered, /blk\.2\.ffn_up/).lacks, "lacks blk.2.ffn_up.bias, which its class has");
  assertHas(
    without(layered, /bias$/).lacks,
    "lacks blk.0.attn_q.bias, blk.0.attn_k.bias, blk.0.attn_v.bias and 15 more",
  );
  const fused = { ...layered, tensors: ["blk.0.attn_qkv.bias"] };
  assertEquals(without(fused, /blk\.\d\.attn_[qkv]\.bias/).lacks, []);
  const typed = { ...OURS, meta: { ...OURS.meta, "tokenizer.ggml.token_type_count": "2" } };
  assertHas(without(typed, /token_types/).lacks, "token_types.weight");
  assertHas(without(OURS, /head\.count/).lacks, "llamasaur.head.count");
  assertHas(
    without(OURS, /bos_token_id/).unknown,
    "which token a text begins with: the file has no tokenizer.ggml.bos",
  );
  assertHas(without({ ...QWEN3, pooling: "last" }, /freq_base/).unknown, "the base of rotary positions");
});

test("exactnessOf() leaves open whether a decoder sees the whole text, unless it is said", () => {
  const last = { ...QWEN3, pooling: "last" } as const;
  assertHas(exactnessOf(last).unknown, "whether a token sees the whole text");
  const said = exactnessOf({ ...last, meta: { ...QWEN3.meta, "qwen3.attention.causal": "true" } });
  assertEquals(said.unknown.length, 1, said.unknown.join("\n")); // the Dense module
});

test("exactnessOf() leaves open what a file says and llama.cpp does not read", () => {
  const own: LoadOptions = { template: "{query} {document}", answers: ["1", "0"] };
  const saying = (file: ModelFile, key: string, value: string) =>
    exactnessOf({ ...file, meta: { ...file.meta, [key]: value } }, own).unknown;
  for (const key of ["attention.sliding_window", "attention.scale", "final_logit_softcapping"]) {
    assertHas(saying(QWEN3, `qwen3.${key}`, "30"), `what qwen3.${key} changes: the file has it`);
    assertEquals(saying(QWEN3, `qwen3.${key}`, "0"), []);
  }
  assertHas(saying(OURS, "bert.attention.max_alibi_bias", "8.000000"), "what bert.attention.max_alibi_bias changes");
});

test("exactnessOf() leaves open what was not compared, by name", () => {
  assertHas(exactnessOf({ ...BERT, pooling: "last" }).unknown, "pooling last of bert");
  assertHas(exactnessOf({ ...XLM_R, meta: { ...BERT.meta, "tokenizer.ggml.model": "plamo2" } }).unknown, "plamo2");
  const foreign = exactnessOf({ meta: { "general.architecture": "neo-bert" }, pooling: "cls" });
  assertHas(foreign.unknown, "whether llama.cpp computes neo-bert as the original does");
  assertEquals(foreign.known, []);
});

test("exactnessOf() knows models of names whose converted files lack a Dense module", () => {
  const named = (file: ModelFile, name: string) =>
    exactnessOf({ ...file, meta: { ...file.meta, "general.name": name } });
  assertHas(named(BERT, "LaBSE").lacks, "LaBSE lacks the Dense module");
  assertEquals(named(OURS, "LaBSE").lacks, []);
  assertEquals(named(BERT, "bge-small").lacks, []);
});

test("exactnessOf() warns of a causal model that is asked with another's template", () => {
  assertHas(exactnessOf(QWEN3).lacks, "has no template for pairs");
  const own: LoadOptions = { template: "{query} {document}", answers: ["1", "0"] };
  assertEquals(exactnessOf(QWEN3, own), {
    known: ["the architecture qwen3", "the tokenizer gpt2", "the question in a template", "causal attention"],
    lacks: [],
    unknown: [],
  });
  assertHas(exactnessOf(QWEN3, { template: own.template }).lacks, "pass template and answers");
});
