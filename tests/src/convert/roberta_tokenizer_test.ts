import { test } from "node:test";
import { Buffer } from "node:buffer";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { assertEquals, assertRejects } from "@std/assert";
import { LlamaError } from "../../../ffi/errors.ts";
import { readRobertaTokenizer } from "../../../src/convert/roberta_tokenizer.ts";
import { copyCheckpoint, editJson, fixture, inDirectory } from "../../support/checkpoint.ts";
import { readGguf } from "../../support/gguf_reader.ts";
import { vocabulariesMissing, vocabularyPath } from "../../support/vocabulary.ts";

const SIZES = { tiny_xlm_roberta: 402, tiny_roberta: 401 } as const;
type Name = keyof typeof SIZES;

async function read(directory: string, size: number): Promise<Record<string, unknown>> {
  const entries = await readRobertaTokenizer(directory, size, 1);
  return Object.fromEntries(
    entries.map(([key, value]) => [key.replace("tokenizer.ggml.", ""), Object.values(value)[0]]),
  );
}

test("readRobertaTokenizer() gives ids and types as Python has them, and unused tokens to the embedding's size", async () => {
  for (const [name, size] of Object.entries(SIZES)) {
    const { tokens, token_type, scores, ...rest } = await read(fixture(name), size + 2) as Record<string, number[]>;
    assertEquals((tokens as unknown as string[]).slice(0, 4), ["<s>", "<pad>", "</s>", "<unk>"]);
    assertEquals((tokens as unknown as string[]).slice(-3), ["<mask>", `[PAD${size}]`, `[PAD${size + 1}]`]);
    // Unigram's unknown token stands for what the pieces cannot spell; bytes need none, so there it is one of the special.
    assertEquals(token_type!.slice(0, 4), [3, 3, 3, name === "tiny_roberta" ? 3 : 2]);
    assertEquals(token_type!.slice(-3), [3, 5, 5]);
    assertEquals(scores?.slice(-2), name === "tiny_roberta" ? undefined : [-10000, -10000]);
    const { bos_token_id, eos_token_id, seperator_token_id, unknown_token_id, padding_token_id } = rest;
    assertEquals(
      [bos_token_id, eos_token_id, seperator_token_id, unknown_token_id, padding_token_id],
      [0, 2, 2, 3, 1] as never,
    );
  }
});

test("readRobertaTokenizer() takes the tokens around a text from the template when tokenizer_config.json names others", async () => {
  for (const [name, size] of Object.entries(SIZES)) {
    const expected = await read(fixture(name), size);
    for (const other of ["", "<mask>", "no token"]) {
      await inDirectory(async (directory) => {
        const copy = copyCheckpoint(name, directory);
        editJson(join(copy, "tokenizer_config.json"), { bos_token: other, eos_token: other, sep_token: other });
        assertEquals(await read(copy, size), expected);
      });
    }
  }
});

test("readRobertaTokenizer() gives XLM-R's real vocabulary as llama.cpp has it", {
  skip: vocabulariesMissing,
  timeout: 120_000,
}, async () => {
  const { metadata } = readGguf(vocabularyPath("nomic-bert-moe"));
  const stored = (key: string): unknown[] => metadata.get(`tokenizer.ggml.${key}`)!.value as unknown[];
  const count = stored("tokens").indexOf("<mask>") + 1; // then come unused ones
  const vocab = stored("tokens").slice(0, count).map((token, id) => [token, stored("scores")[id]]);
  const special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"];
  await inDirectory(async (directory) => {
    const copy = copyCheckpoint("tiny_xlm_roberta", directory);
    editJson(join(copy, "tokenizer.json"), {
      added_tokens: special.map((content) => ({ content, id: stored("tokens").indexOf(content), special: true })),
      model: { type: "Unigram", unk_id: 3, vocab },
      normalizer: {
        type: "Precompiled",
        precompiled_charsmap: Buffer.from(stored("precompiled_charsmap") as number[]).toString("base64"),
      },
    });
    const found = await read(copy, count) as Record<string, unknown[]>;
    for (const key of ["tokens", "scores", "token_type"]) {
      const wrong = found[key]!.map((value, id) => [id, value, stored(key)[id]]).filter(([, a, b]) => a !== b);
      assertEquals([key, found[key]!.length, wrong.slice(0, 5)], [key, count, []]);
    }
    assertEquals(
      Buffer.from(found["precompiled_charsmap"] as number[]),
      Buffer.from(stored("precompiled_charsmap") as number[]),
    );
    for (const key of ["add_space_prefix", "remove_extra_whitespaces", "mask_token_id", "seperator_token_id"]) {
      assertEquals([key, found[key]], [key, stored(key)]);
    }
  });
});

const WRONG: [Name, Record<string, unknown>, LlamaError["code"], string][] = [
  ["tiny_roberta", { model: { type: "WordLevel" } }, "model-unsupported", "type WordLevel, only Unigram and BPE"],
  ["tiny_roberta", { normalizer: { type: "NFC" } }, "model-unsupported", "RoBERTa has none"],
  ["tiny_roberta", { pre_tokenizer: { type: "Whitespace" } }, "model-unsupported", "pre_tokenizer Whitespace"],
  [
    "tiny_roberta",
    { pre_tokenizer: { type: "ByteLevel", add_prefix_space: true } },
    "model-unsupported",
    "add_prefix_space",
  ],
  ["tiny_roberta", { post_processor: null }, "model-unsupported", "post_processor is missing"],
  ["tiny_roberta", { model: { type: "BPE", vocab: { a: 0 }, merges: [1] } }, "model-invalid", "merges[0]"],
  ["tiny_roberta", { model: { type: "BPE", vocab: { a: 999 } } }, "model-invalid", "id 999"],
  ["tiny_xlm_roberta", { model: { type: "Unigram", vocab: [["a"]] } }, "model-invalid", "vocab[0]"],
  ["tiny_xlm_roberta", { normalizer: { type: "Lowercase" } }, "model-unsupported", "normalizer Lowercase"],
  ["tiny_xlm_roberta", { pre_tokenizer: { type: "ByteLevel" } }, "model-unsupported", "no Metaspace"],
  [
    "tiny_xlm_roberta",
    { post_processor: { type: "BertProcessing", sep: ["</s>", 2], cls: ["<s>", 0] } },
    "model-unsupported",
    "type BertProcessing",
  ],
];
for (const [name, changes, code, reason] of WRONG) {
  test(`readRobertaTokenizer() rejects ${name} with ${JSON.stringify(changes).slice(0, 70)}`, async () => {
    await inDirectory(async (directory) => {
      const copy = copyCheckpoint(name, directory);
      editJson(join(copy, "tokenizer.json"), changes);
      const error = await assertRejects(() => read(copy, SIZES[name]), LlamaError, reason);
      assertEquals(error.code, code);
    });
  });
}

test("readRobertaTokenizer() names the file when there is no tokenizer.json", async () => {
  await inDirectory(async (directory) => {
    const copy = copyCheckpoint("tiny_roberta", directory);
    rmSync(join(copy, "tokenizer.json"));
    await assertRejects(() => read(copy, SIZES.tiny_roberta), LlamaError, "tokenizer.json: there is no such file");
  });
});
