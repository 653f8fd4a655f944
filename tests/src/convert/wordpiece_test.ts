import { test } from "node:test";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assertEquals, assertRejects } from "@std/assert";
import { LlamaError } from "../../../ffi/errors.ts";
import type { GgufValue } from "../../../src/convert/gguf.ts";
import { readWordPiece } from "../../../src/convert/wordpiece.ts";
import { copyCheckpoint, editJson, fixture, inDirectory } from "../../support/checkpoint.ts";

const SIZE = 285;

async function read(directory: string, size = SIZE, lowercaseFirst = false): Promise<Map<string, GgufValue>> {
  return new Map(await readWordPiece(directory, size, lowercaseFirst));
}

function strings(metadata: Map<string, GgufValue>): readonly string[] {
  return (metadata.get("tokenizer.ggml.tokens") as { strings: string[] }).strings;
}

function types(metadata: Map<string, GgufValue>): readonly number[] {
  return (metadata.get("tokenizer.ggml.token_type") as { i32s: number[] }).i32s;
}

// deno-lint-ignore no-explicit-any
function editTokenizer(directory: string, edit: (json: any) => void): void {
  const path = join(directory, "tokenizer.json");
  const json = JSON.parse(readFileSync(path, "utf8"));
  edit(json);
  writeFileSync(path, JSON.stringify(json));
}

test("readWordPiece() marks where words begin and leaves special tokens as they are", async () => {
  const metadata = await read(fixture("tiny_bert"));
  assertEquals(strings(metadata).slice(0, 6), ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "▁a"]);
  assertEquals([strings(metadata)[41], strings(metadata)[126]], ["a", "▁the"]);
  assertEquals(types(metadata).slice(0, 6), [3, 3, 3, 3, 3, 1]);
  assertEquals(Object.fromEntries([...metadata].filter(([, value]) => !("strings" in value || "i32s" in value))), {
    "tokenizer.ggml.model": { string: "bert" },
    "tokenizer.ggml.pre": { string: "jina-v2-en" },
    "tokenizer.ggml.bos_token_id": { u32: 2 },
    "tokenizer.ggml.eos_token_id": { u32: 3 },
    "tokenizer.ggml.unknown_token_id": { u32: 1 },
    "tokenizer.ggml.seperator_token_id": { u32: 3 },
    "tokenizer.ggml.padding_token_id": { u32: 0 },
    "tokenizer.ggml.mask_token_id": { u32: 4 },
    "tokenizer.ggml.add_bos_token": { bool: true },
    "tokenizer.ggml.add_eos_token": { bool: true },
    "tokenizer.ggml.add_sep_token": { bool: false },
    "tokenizer.ggml.normalizer.lowercase": { bool: true },
  });
});

test("readWordPiece() gives the same from vocab.txt as from tokenizer.json", async () => {
  await inDirectory(async (directory) => {
    const copy = copyCheckpoint("tiny_bert", directory);
    const whole = await read(copy);
    rmSync(join(copy, "tokenizer.json"));
    assertEquals(await read(copy), whole);
    writeFileSync(join(copy, "vocab.txt"), readFileSync(join(copy, "vocab.txt"), "utf8").replaceAll("\n", "\r\n"));
    assertEquals(await read(copy), whole);
    rmSync(join(copy, "tokenizer_config.json"));
    rmSync(join(copy, "special_tokens_map.json"));
    assertEquals(await read(copy), whole);
  });
});

test("readWordPiece() fills ids without a token with unused ones", async () => {
  const metadata = await read(fixture("tiny_bert"), SIZE + 2);
  assertEquals(strings(metadata).slice(-3), ["and", "▁[PAD285]", "▁[PAD286]"]);
  assertEquals(types(metadata).slice(-3), [1, 5, 5]);
});

test("readWordPiece() tells special from other added tokens, also where they are not marked", async () => {
  await inDirectory(async (directory) => {
    const copy = copyCheckpoint("tiny_bert", directory);
    editTokenizer(copy, (json) => {
      json.added_tokens = json.added_tokens.filter(({ content }: { content: string }) => content !== "[MASK]");
      json.added_tokens.push({ id: 285, content: "my▁token", special: false });
      json.added_tokens.push({ id: 286, content: "<|query|>", special: false });
    });
    const metadata = await read(copy, SIZE + 2);
    assertEquals(strings(metadata).slice(-2), ["▁my token", "<|query|>"]);
    assertEquals([...types(metadata).slice(-2), types(metadata)[4]], [4, 3, 3]);
  });
});

test("readWordPiece() takes token names and cases from wherever the checkpoint says them", async () => {
  const cases = async (settings: object, normalizer: object, lowercaseFirst = false) => {
    let found: unknown;
    await inDirectory(async (directory) => {
      const copy = copyCheckpoint("tiny_bert", directory);
      writeFileSync(join(copy, "tokenizer_config.json"), JSON.stringify(settings));
      editTokenizer(copy, (json) => json.normalizer = normalizer);
      const metadata = await read(copy, SIZE, lowercaseFirst);
      found = ["lowercase", "strip_accents"].map((key) => metadata.get(`tokenizer.ggml.normalizer.${key}`));
    });
    return found;
  };
  const bert = { type: "BertNormalizer", lowercase: false, strip_accents: null };
  const yes = { bool: true }, no = { bool: false };
  assertEquals(await cases({}, bert), [no, undefined]);
  assertEquals(await cases({}, { ...bert, strip_accents: true }), [no, yes]);
  assertEquals(await cases({ do_lower_case: true, strip_accents: false }, bert), [yes, no]);
  assertEquals(await cases({}, { type: "Sequence", normalizers: [bert, { type: "StripAccents" }] }), [no, yes]);
  assertEquals(await cases({}, { type: "Lowercase" }), [yes, undefined]);
  assertEquals(await cases({}, bert, true), [yes, no]);
  assertEquals(await cases({ do_lower_case: true }, bert, true), [yes, undefined]);
});

test("readWordPiece() takes special tokens given as objects, and those of a BertProcessing", async () => {
  await inDirectory(async (directory) => {
    const copy = copyCheckpoint("tiny_bert", directory);
    const whole = await read(copy);
    editJson(join(copy, "tokenizer_config.json"), { unk_token: { content: "[UNK]", special: true }, cls_token: null });
    editTokenizer(
      copy,
      (json) => json.post_processor = { type: "BertProcessing", sep: ["[SEP]", 3], cls: ["[CLS]", 2] },
    );
    assertEquals(await read(copy), whole);
  });
});

// deno-lint-ignore no-explicit-any
const REFUSED: [string, (json: any) => void, LlamaError["code"], string][] = [
  ["another model", (json) => json.model.type = "Unigram", "model-unsupported", "model: type Unigram"],
  ["no model", (json) => delete json.model, "model-invalid", "model is missing"],
  ["another prefix", (json) => json.model.continuing_subword_prefix = "@", "model-unsupported", '"@"'],
  ["another splitter", (json) => json.pre_tokenizer.type = "Whitespace", "model-unsupported", "Whitespace"],
  ["another normalizer", (json) => json.normalizer.type = "Precompiled", "model-unsupported", "Precompiled"],
  [
    "a normalizer that keeps Chinese words",
    (json) => {
      json.normalizer.handle_chinese_chars = false;
    },
    "model-unsupported",
    "tokenize_chinese_chars",
  ],
  ["no template", (json) => json.post_processor = null, "model-unsupported", "post_processor is missing"],
  ["another template", (json) => json.post_processor.single.pop(), "model-unsupported", '"[CLS] $A"'],
  ["a token whose id is no number", (json) => json.model.vocab.a = "5", "model-invalid", "vocab: a is"],
  ["an id beyond the embedding", (json) => json.model.vocab.a = 285, "model-invalid", '"a" has id 285, and vocab_size'],
  [
    "no token for the unknown",
    (json) => {
      delete json.model.vocab["[UNK]"];
      json.added_tokens = [];
    },
    "model-invalid",
    '"[UNK]" is missing',
  ],
];
for (const [what, edit, code, reason] of REFUSED) {
  test(`readWordPiece() rejects with ${code} when tokenizer.json has ${what}`, async () => {
    await inDirectory(async (directory) => {
      const copy = copyCheckpoint("tiny_bert", directory);
      rmSync(join(copy, "tokenizer_config.json"));
      editTokenizer(copy, edit);
      const error = await assertRejects(() => read(copy), LlamaError, reason);
      assertEquals(error.code, code);
    });
  });
}

test("readWordPiece() names the file when there is no tokenizer", async () => {
  await inDirectory(async (directory) => {
    await assertRejects(() => read(directory), LlamaError, "tokenizer.json: there is no such file");
    writeFileSync(join(directory, "vocab.txt"), "a\nb\n");
    await assertRejects(() => read(directory), LlamaError, 'vocab.txt: token "[CLS]" is missing');
  });
});
