import { test } from "node:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assertEquals, assertRejects } from "@std/assert";
import { LlamaError } from "../../../ffi/errors.ts";
import { type Converted, readModel } from "../../../src/convert/model.ts";
import {
  copyCheckpoint,
  editJson,
  fixture,
  inDirectory,
  openSafetensors,
  writeSafetensors,
} from "../../support/checkpoint.ts";

function read(directory: string, pooling?: "mean" | "cls" | "last"): Promise<Converted> {
  return readModel(directory, { name: "tiny", pooling });
}

/** Rewrites the header of a checkpoint's weights; the data stays. */
function editHeader(
  directory: string,
  edit: (header: Record<string, { dtype: string; shape: number[] }>) => void,
): void {
  const path = join(directory, "model.safetensors");
  const { header, data } = openSafetensors(path);
  edit(header);
  writeSafetensors(path, header, data);
}

function rename(header: Record<string, unknown>, from: string, to: string): void {
  header[to] = header[from];
  delete header[from];
}

test("readModel() gives a bi-encoder's metadata and tensors in llama.cpp's order", async () => {
  const { metadata, tensors } = await read(fixture("tiny_bert"));
  assertEquals([...metadata].filter(([key]) => !key.startsWith("tokenizer.ggml.")), [
    ["general.architecture", { string: "bert" }],
    ["general.type", { string: "model" }],
    ["general.name", { string: "tiny" }],
    ["bert.block_count", { u32: 2 }],
    ["bert.context_length", { u32: 128 }],
    ["bert.embedding_length", { u32: 64 }],
    ["bert.feed_forward_length", { u32: 128 }],
    ["bert.attention.head_count", { u32: 2 }],
    ["bert.attention.layer_norm_epsilon", { f32: 1e-12 }],
    ["bert.hidden_activation", { string: "gelu" }],
    ["general.file_type", { u32: 0 }],
    ["bert.attention.causal", { bool: false }],
    ["bert.pooling_type", { u32: 1 }],
    ["llamasaur.converter", { u32: 1 }],
    ["llamasaur.max_seq_length", { u32: 96 }],
    ["llamasaur.head.count", { u32: 0 }],
    ["general.quantization_version", { u32: 2 }],
  ]);
  assertEquals(tensors.length, 5 + 2 * 16);
  assertEquals(tensors.slice(0, 3).map(({ name, shape }) => [name, ...shape]), [
    ["token_embd_norm.bias", 64],
    ["token_embd_norm.weight", 64],
    ["position_embd.weight", 128, 64],
  ]);
});

test("readModel() keeps pooler, classifier, labels and pooling of a cross-encoder", async () => {
  const { metadata, tensors } = await read(fixture("tiny_cross_encoder"));
  assertEquals(metadata.get("bert.pooling_type"), { u32: 4 });
  assertEquals(metadata.get("bert.classifier.output_labels"), { strings: ["LABEL_0"] });
  assertEquals(tensors.filter(({ name }) => name.startsWith("cls")).map(({ name, shape }) => [name, ...shape]), [
    ["cls.bias", 64],
    ["cls.weight", 64, 64],
    ["cls.output.bias", 1],
    ["cls.output.weight", 1, 64],
  ]);
});

test("readModel() writes labels in the order of their ids, the default ones for a classifier only", async () => {
  const labels = async (name: string, id2label: unknown) => {
    let found: unknown;
    await inDirectory(async (directory) => {
      const copy = copyCheckpoint(name, directory);
      editJson(join(copy, "config.json"), { id2label });
      found = (await read(copy)).metadata.get("bert.classifier.output_labels");
    });
    return found;
  };
  const names = Array.from({ length: 11 }, (_, i) => `label ${i}`);
  assertEquals(await labels("tiny_bert", Object.fromEntries(Object.entries(names).reverse())), { strings: names });
  assertEquals(await labels("tiny_bert", { 0: "LABEL_0" }), { strings: ["LABEL_0"] });
  assertEquals(await labels("tiny_bert", { 0: "LABEL_0", 1: "LABEL_1" }), undefined);
  assertEquals(await labels("tiny_bert", undefined), undefined);
  await assertRejects(() => labels("tiny_cross_encoder", undefined), LlamaError, "config.json asks for [2,64]");
});

test("readModel() takes a checkpoint without modules.json when the pooling is said", async () => {
  await inDirectory(async (directory) => {
    const copy = copyCheckpoint("tiny_bert", directory);
    rmSync(join(copy, "modules.json"));
    assertEquals((await read(copy, "cls")).metadata.get("bert.pooling_type"), { u32: 2 });
    assertEquals((await read(copy, "last")).metadata.get("bert.pooling_type"), { u32: 3 });
    await assertRejects(() => read(copy), LlamaError, 'pass the option { pooling: "mean" }');
  });
});

test("readModel() takes the names of other checkpoints: prefix, gamma and beta, heads that are not needed", async () => {
  await inDirectory(async (directory) => {
    const copy = copyCheckpoint("tiny_bert", directory);
    const names = (await read(copy)).tensors.map(({ name }) => name);
    editHeader(copy, (header) => {
      for (const name of Object.keys(header).filter((key) => key !== "__metadata__")) {
        rename(header, name, `bert.${name}`);
      }
      rename(header, "bert.embeddings.LayerNorm.weight", "bert.embeddings.LayerNorm.gamma");
      rename(header, "bert.embeddings.LayerNorm.bias", "bert.embeddings.LayerNorm.beta");
      rename(header, "bert.pooler.dense.weight", "cls.predictions.transform.dense.weight");
    });
    editJson(join(copy, "config.json"), { architectures: ["BertForMaskedLM"] });
    assertEquals((await read(copy)).tensors.map(({ name }) => name).sort(), names.sort());
  });
});

test("readModel() assumes what Python assumes where config.json says nothing", async () => {
  await inDirectory(async (directory) => {
    const copy = copyCheckpoint("tiny_bert", directory);
    const { metadata } = await read(copy);
    editJson(join(copy, "config.json"), {
      architectures: undefined,
      hidden_act: undefined,
      layer_norm_eps: undefined,
      position_embedding_type: undefined,
      type_vocab_size: undefined,
    });
    assertEquals((await read(copy)).metadata, metadata);
  });
});

const CONFIGS: [Record<string, unknown>, LlamaError["code"], string][] = [
  [{ architectures: ["MPNetModel"] }, "model-unsupported", "architectures is MPNetModel"],
  [{ architectures: undefined, model_type: "camembert" }, "model-unsupported", "no other converter is known"],
  [{ architectures: ["EuroBertModel"] }, "model-unsupported", "convert_hf_to_gguf.py --outtype f32"],
  [{ architectures: ["Gemma3TextModel"] }, "model-unsupported", "--sentence-transformers-dense-modules"],
  [{ architectures: ["DistilBertModel"], dim: 64, n_heads: 2 }, "model-invalid", "transformer.layer.0"],
  [{ architectures: ["ModernBertModel"] }, "model-invalid", "embeddings.tok_embeddings"],
  [{ hidden_act: "relu" }, "model-unsupported", "hidden_act is relu"],
  [{ position_embedding_type: "relative_key" }, "model-unsupported", "relative_key"],
  [{ is_decoder: true }, "model-unsupported", "is_decoder"],
  [{ quantization_config: {} }, "model-unsupported", "quantization_config"],
  [{ hidden_size: "64" }, "model-invalid", 'hidden_size is "64", expected a whole number'],
  [{ hidden_size: 65 }, "model-invalid", "not a multiple of num_attention_heads 2"],
  [
    { hidden_size: 32 },
    "model-invalid",
    "embeddings.word_embeddings.weight has shape [285,64], and config.json asks for [285,32]",
  ],
  [{ num_attention_heads: 0 }, "model-invalid", "num_attention_heads 0"],
  [{ num_hidden_layers: 4e9 }, "model-invalid", "tensor encoder.layer.2.attention.self.query.weight is missing"],
  [{ num_hidden_layers: 1 }, "model-unsupported", "tensor encoder.layer.1"],
  [{ vocab_size: 1e400 }, "model-invalid", "word_embeddings"],
  [{ layer_norm_eps: "1e-12" }, "model-invalid", "layer_norm_eps"],
  [{ id2label: ["a", 1] }, "model-invalid", "id2label: 1 is 1, expected text"],
];
for (const [changes, code, reason] of CONFIGS) {
  test(`readModel() rejects with ${code} when config.json has ${JSON.stringify(changes)}`, async () => {
    await inDirectory(async (directory) => {
      const copy = copyCheckpoint("tiny_bert", directory);
      editJson(join(copy, "config.json"), changes);
      const error = await assertRejects(() => read(copy), LlamaError, reason);
      assertEquals(error.code, code);
    });
  });
}

test("readModel() rejects when a tensor is missing, twice there, unknown, or of whole numbers", async () => {
  const rejects = async (edit: Parameters<typeof editHeader>[1], reason: string) => {
    await inDirectory(async (directory) => {
      const copy = copyCheckpoint("tiny_cross_encoder", directory);
      editHeader(copy, edit);
      await assertRejects(() => read(copy), LlamaError, reason);
    });
  };
  const pooler = "bert.pooler.dense.weight", query = "bert.encoder.layer.0.attention.self.query.weight";
  const key = "bert.encoder.layer.0.attention.self.key.weight";
  await rejects((header) => rename(header, pooler, "other.weight"), "tensor pooler.dense.weight is missing");
  await rejects(
    (header) => rename(header, query, key.slice(5)),
    "encoder.layer.0.attention.self.key.weight is there twice",
  );
  await rejects(
    (header) => header["extra.weight"] = { ...header[query]!, shape: [0], data_offsets: [0, 0] } as never,
    "extra",
  );
  await rejects((header) => header[query]!.dtype = "I32", "has type I32");
});

test("readModel() names the file that is missing or not what it should be", async () => {
  await inDirectory(async (directory) => {
    await assertRejects(() => read(directory), LlamaError, `${join(directory, "config.json")}: there is no such file`);
    writeFileSync(join(directory, "config.json"), "<html>");
    await assertRejects(() => read(directory), LlamaError, "config.json: it is not JSON");
    writeFileSync(join(directory, "config.json"), "1");
    await assertRejects(() => read(directory), LlamaError, "config.json: it is not a JSON object");
  });
});
