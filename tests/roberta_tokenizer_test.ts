import { test } from "node:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { assertEquals, assertRejects } from "@std/assert";
import { LlamaError } from "../ffi/errors.ts";
import { readRobertaTokenizer } from "../src/convert/roberta_tokenizer.ts";
import { copyCheckpoint, editJson, fixture, inDirectory } from "./checkpoint.ts";

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
