import { test } from "node:test";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assertEquals, assertRejects } from "@std/assert";
import { convert } from "../../../convert.ts";
import { LlamaError } from "../../../ffi/errors.ts";
import { Llama } from "../../../mod.ts";
import { Config } from "../../../src/convert/config.ts";
import { maxSequenceLength, readModules, readPrompts } from "../../../src/convert/sentence_transformers.ts";
import { fixture, inDirectory } from "../../support/checkpoint.ts";

function module(type: string, path: string): object {
  return { path, type: `sentence_transformers.models.${type}` };
}

/** What readModules makes of a checkpoint with these modules and this pooling configuration. */
async function modules(list: object[], pooling: object): Promise<unknown> {
  let found: unknown;
  await inDirectory(async (directory) => {
    mkdirSync(join(directory, "1_Pooling"));
    writeFileSync(join(directory, "modules.json"), JSON.stringify(list));
    writeFileSync(join(directory, "1_Pooling", "config.json"), JSON.stringify(pooling));
    const { transformer, pooling: mode } = await readModules(directory);
    found = [transformer.slice(directory.length), mode];
  });
  return found;
}

const USUAL = [module("Transformer", ""), module("Pooling", "1_Pooling"), module("Normalize", "2_Normalize")];

test("readModules() finds the pooling in each of its spellings", async () => {
  assertEquals(await modules(USUAL, { pooling_mode_cls_token: false, pooling_mode_mean_tokens: true }), ["", "mean"]);
  assertEquals(await modules(USUAL, { pooling_mode_cls_token: true, pooling_mode_mean_tokens: false }), ["", "cls"]);
  assertEquals(await modules(USUAL, { pooling_mode_lasttoken: true, pooling_mode_mean_tokens: false }), ["", "last"]);
  assertEquals(await modules(USUAL, {}), ["", "mean"]); // as in Python, where it is on unless switched off
  assertEquals(await modules(USUAL, { pooling_mode: "mean" }), ["", "mean"]);
  assertEquals(await modules(USUAL, { pooling_mode: ["cls"] }), ["", "cls"]);
});

test("readModules() finds a transformer in a directory of its own", async () => {
  const list = [module("Transformer", "0_Transformer"), module("Pooling", "1_Pooling"), module("Dropout", "2")];
  assertEquals(await modules(list, { pooling_mode: "cls" }), [join("/", "0_Transformer"), "cls"]);
});

test("readModules() gives the directory and no pooling when there is no modules.json", async () => {
  await inDirectory(async (directory) => {
    assertEquals(await readModules(directory), { transformer: directory, pooling: undefined, after: [] });
  });
});

test("readModules() rejects with model-unsupported when llama.cpp could not compute the rest", async () => {
  const rejects = async (list: object[], pooling: object, reason: string) => {
    const error = await assertRejects(() => modules(list, pooling), LlamaError, reason);
    assertEquals(error.code, "model-unsupported");
  };
  await rejects(
    USUAL,
    { pooling_mode_max_tokens: true, pooling_mode_mean_tokens: false },
    "pooling pooling_mode_max_tokens cannot",
  );
  await rejects(USUAL, { pooling_mode_cls_token: true }, "pooling pooling_mode_mean_tokens and pooling_mode_cls_token");
  await rejects(USUAL, { pooling_mode: ["mean", "cls"] }, "pooling mean and cls");
  await rejects(USUAL, { pooling_mode: "weightedmean" }, "pooling weightedmean");
  await rejects(USUAL, { pooling_mode_mean_tokens: false }, "without a mode");
  await rejects([...USUAL, module("CNN", "3_CNN")], { pooling_mode: "mean" }, "modules.json: 3: module CNN");
  await rejects([module("Dense", "0_Dense"), ...USUAL], { pooling_mode: "mean" }, "module Pooling comes after Dense");
});

test("readModules() rejects with model-invalid when a path leads out of the checkpoint", async () => {
  for (const path of ["..", "../other", "a/../../b", "/etc"]) {
    const error = await assertRejects(() => modules([module("Transformer", path)], {}), LlamaError, "leads out");
    assertEquals(error.code, "model-invalid");
  }
});

test("maxSequenceLength() is sentence-transformers' limit, else the tokenizer's where it is smaller", async () => {
  const limit = async (sentence: object | undefined, tokenizer: object | undefined) => {
    let found: unknown;
    await inDirectory(async (directory) => {
      if (sentence) writeFileSync(join(directory, "sentence_bert_config.json"), JSON.stringify(sentence));
      if (tokenizer) writeFileSync(join(directory, "tokenizer_config.json"), JSON.stringify(tokenizer));
      found = await maxSequenceLength(directory, await Config.find(directory, "sentence_bert_config.json"), 512);
    });
    return found;
  };
  assertEquals(await limit({ max_seq_length: 256 }, { model_max_length: 128 }), 256);
  assertEquals(await limit({ max_seq_length: 1024 }, undefined), 512);
  assertEquals(await limit({ max_seq_length: null }, { model_max_length: 128 }), 128);
  assertEquals(await limit(undefined, { model_max_length: 128 }), 128);
  assertEquals(await limit(undefined, { model_max_length: 1e30 }), undefined);
  assertEquals(await limit(undefined, undefined), undefined);
  await assertRejects(() => limit({ max_seq_length: -1 }, undefined), LlamaError, "max_seq_length is -1");
});

test("readPrompts() takes query and document, or passage, and convert() keeps them for inputType", async () => {
  await inDirectory(async (directory) => {
    assertEquals(await readPrompts(directory), []);
    const write = (prompts: unknown) =>
      writeFileSync(join(directory, "config_sentence_transformers.json"), JSON.stringify({ prompts }));
    write({ query: "query: ", passage: "passage: ", clustering: "x" });
    assertEquals(await readPrompts(directory), [["query", "query: "], ["document", "passage: "]]);
    write({ document: "" });
    assertEquals(await readPrompts(directory), [["document", ""]]);
    write({ query: 7 });
    await assertRejects(() => readPrompts(directory), LlamaError, "query is 7");
    cpSync(fixture("tiny_bert"), directory, { recursive: true });
    write({ query: "find the ", document: "" });
    const file = join(directory, "model.gguf");
    await convert(directory, file);
    await using llama = await Llama.load(file);
    const [asked, byHand] = [await llama.embed("river", { inputType: "query" }), await llama.embed("find the river")];
    assertEquals(asked, byHand);
  });
});
