// convert() of the classes whose checkpoints are not kept: each is made again from a fixture's file, and what convert() makes of
// it must be that file; or where llama.cpp's own converter made it, have its tensors byte for byte.
import { test } from "node:test";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { convert } from "../../../convert.ts";
import { LlamaError } from "../../../ffi/errors.ts";
import { readModel } from "../../../src/convert/model.ts";
import { editJson, fixture, inDirectory, openSafetensors, writeSafetensors } from "../../support/checkpoint.ts";
import { type CheckpointClass, type Said, writeCheckpoint } from "../../support/checkpoint_of.ts";
import { readGguf } from "../../support/gguf_reader.ts";

const familyFile = (name: string): string => join(fixture("families"), `${name}.gguf`);

/** Fixtures, their classes, and whether convert() made them. */
const FAMILIES: readonly (readonly [name: string, said: Said, ours: boolean])[] = [
  ["bert_sentence_piece", { kind: "BertModel" }, true],
  ["bert_dense", { kind: "BertModel" }, true],
  ["distilbert", { kind: "DistilBertModel" }, false],
  ["distilbert_reranker", { kind: "DistilBertForSequenceClassification" }, true],
  ["modern_bert", { kind: "ModernBertModel" }, false],
  [
    "modern_bert_reranker",
    { kind: "ModernBertForSequenceClassification", config: { classifier_pooling: "mean" } },
    false,
  ],
  ["modern_bert_cls_reranker", { kind: "ModernBertForSequenceClassification" }, true],
  ["modern_bert_silu_classifier", { kind: "ModernBertForSequenceClassification" }, true],
];

// What llama.cpp's converter guesses, and what it does not write.
const GUESSED = /^general\.(name|size_label)$/;
const ONLY_OURS =
  /^(llamasaur\..*|(bert|modern-bert)\.(hidden_activation|pooling_type|classifier\.(pooling_type|activation)))$/;

for (const [name, said, ours] of FAMILIES) {
  test(`convert() of a ${said.kind} makes the tensors and keys of ${name}.gguf`, async () => {
    await inDirectory(async (directory) => {
      const checkpoint = join(directory, "checkpoint"), out = join(directory, "out.gguf");
      writeCheckpoint(familyFile(name), checkpoint, said);
      await convert(checkpoint, out);
      const [wanted, found] = [readGguf(familyFile(name)), readGguf(out)];
      assertEquals([...found.tensors.keys()], [...wanted.tensors.keys()]);
      for (const [tensor, { shape, type, data }] of wanted.tensors) {
        const made = found.tensors.get(tensor)!;
        assertEquals([made.shape, made.type], [shape, type], tensor);
        assert(made.data.every((byte, i) => byte === data[i]), `${tensor} has other numbers`);
      }
      const keys = (file: typeof wanted, but: RegExp) => [...file.metadata].filter(([key]) => !but.test(key)).sort();
      if (ours) assertEquals(keys(found, GUESSED), keys(wanted, GUESSED));
      else {
        const both = new RegExp(`${GUESSED.source}|${ONLY_OURS.source}`);
        assertEquals(keys(found, both), keys(wanted, both));
      }
    });
  });
}

/** What a change of a checkpoint is refused with. */
const REFUSED: readonly (readonly [
  name: string,
  kind: CheckpointClass,
  change: (checkpoint: string) => void,
  words: string,
])[] = [
  ["modern_bert", "ModernBertModel", config({ hidden_activation: "relu" }), "hidden_activation is relu"],
  ["modern_bert", "ModernBertModel", config({ norm_bias: true }), "norm_bias is true"],
  ["modern_bert", "ModernBertModel", config({ attention_bias: true }), "attention_bias is true"],
  ["modern_bert", "ModernBertModel", config({ global_attn_every_n_layers: 0 }), "layer_types is not"],
  ["modern_bert", "ModernBertModel", config({ layer_types: ["full_attention"] }), "layer_types is not"],
  ["modern_bert", "ModernBertModel", config({ num_hidden_layers: 5 }), "tensor layers.4.attn_norm.weight is missing"],
  ["modern_bert", "ModernBertModel", config({ num_hidden_layers: 3 }), "layers.3.attn.Wo.weight is not known"],
  ["modern_bert", "ModernBertModel", tokenizer({ normalizer: null }), "normalizer is not there, ModernBERT has NFC"],
  [
    "modern_bert",
    "ModernBertModel",
    tokenizer({ pre_tokenizer: { type: "Split" } }),
    "pre_tokenizer Split, only ByteLevel",
  ],
  ["modern_bert", "ModernBertModel", tokenizer({ model: { type: "Unigram" } }), "type Unigram, only GPT-2's BPE"],
  [
    "modern_bert_reranker",
    "ModernBertForSequenceClassification",
    config({ classifier_pooling: "max" }),
    "classifier_pooling is max",
  ],
  [
    "modern_bert_reranker",
    "ModernBertForSequenceClassification",
    config({ classifier_activation: "mish" }),
    "classifier_activation is mish",
  ],
  [
    "modern_bert_reranker",
    "ModernBertForSequenceClassification",
    config({ classifier_bias: true }),
    "tensor head.dense.bias is missing",
  ],
  ["distilbert", "DistilBertModel", config({ activation: "relu" }), "activation is relu"],
  ["distilbert", "DistilBertModel", config({ dim: 31 }), "dim 31 is not a multiple of n_heads 2"],
  ["bert_dense", "BertModel", dense({ in_features: 31 }), "in_features is 31, and the vectors before it have 32"],
  ["bert_dense", "BertModel", dense({ out_features: 25 }), "config.json asks for [25,32]"],
  ["bert_dense", "BertModel", dense({ out_features: 0 }), "out_features is 0"],
  ["bert_dense", "BertModel", dense({ out_features: -1 }), "out_features is -1"],
  ["bert_dense", "BertModel", dense({ activation_function: "torch.nn.Mish" }), "activation_function is Mish"],
  [
    "bert_dense",
    "BertModel",
    dense({ module_input_name: "token_embeddings" }),
    "module_input_name is token_embeddings",
  ],
  ["bert_dense", "BertModel", (at) => rmSync(join(at, "2_Dense/model.safetensors")), "of weights only safetensors"],
  ["bert_dense", "BertModel", (at) => rmSync(join(at, "2_Dense/config.json")), "there is no such file"],
  ["bert_dense", "BertModel", retyped, "linear.weight has type I32"],
];

function config(changes: Record<string, unknown>): (checkpoint: string) => void {
  return (checkpoint) => editJson(join(checkpoint, "config.json"), changes);
}

function tokenizer(changes: Record<string, unknown>): (checkpoint: string) => void {
  return (checkpoint) => editJson(join(checkpoint, "tokenizer.json"), changes);
}

function dense(changes: Record<string, unknown>): (checkpoint: string) => void {
  return (checkpoint) => editJson(join(checkpoint, "2_Dense/config.json"), changes);
}

function retyped(checkpoint: string): void {
  const path = join(checkpoint, "2_Dense/model.safetensors");
  const { header, data } = openSafetensors(path);
  header["linear.weight"]!.dtype = "I32";
  writeSafetensors(path, header, data);
}

test("convert() names what it refuses in a checkpoint of the new classes", async () => {
  await inDirectory(async (directory) => {
    for (const [i, [name, kind, change, words]] of REFUSED.entries()) {
      const checkpoint = join(directory, `${i}`);
      writeCheckpoint(familyFile(name), checkpoint, { kind });
      change(checkpoint);
      const error = await assertRejects(
        () => convert(checkpoint, join(directory, "out.gguf")),
        LlamaError,
        words,
        words,
      );
      assert(error.code === "model-unsupported" || error.code === "model-invalid", error.message);
    }
  });
});

/** What a stranger's file may say in place of anything. */
const HOSTILE: readonly unknown[] = [null, -1, 0, 0.5, 1e9, 2 ** 32, 1e308, "x", "", [], ["x"], {}, { x: 1 }, true];

test("convert() takes or refuses a checkpoint of the new classes whose files say anything", async () => {
  await inDirectory(async (directory) => {
    for (
      const [name, said] of FAMILIES.filter(([name]) => !/^(distilbert|modern_bert|modern_bert_reranker)$/.test(name))
    ) {
      const checkpoint = join(directory, name);
      writeCheckpoint(familyFile(name), checkpoint, said);
      for (const file of ["config.json", "2_Dense/config.json", "tokenizer.json", "sentence_bert_config.json"]) {
        const path = join(checkpoint, file);
        if (!existsSync(path)) continue;
        const sound = readFileSync(path, "utf8");
        for (const key of Object.keys(JSON.parse(sound))) {
          for (const value of file === "tokenizer.json" ? HOSTILE.filter((_, i) => i % 4 === 0) : HOSTILE) {
            writeFileSync(path, JSON.stringify({ ...JSON.parse(sound), [key]: value }));
            await readModel(checkpoint, { name, pooling: "mean" }).catch((error) => {
              assert(error instanceof LlamaError, `${name}, ${file}: ${key} ${JSON.stringify(value)}: ${error.stack}`);
            });
          }
        }
        writeFileSync(path, sound);
      }
    }
  });
});

test("convert() puts a Normalize before a Dense layer into the head, and none at the end", async () => {
  await inDirectory(async (directory) => {
    const checkpoint = join(directory, "checkpoint"), out = join(directory, "out.gguf");
    writeCheckpoint(familyFile("bert_dense"), checkpoint, { kind: "BertModel" });
    const module = (type: string, path: string) => ({ type: `sentence_transformers.models.${type}`, path });
    const list = [["Transformer", ""], ["Pooling", "1_Pooling"], ["Normalize", "3"], ["Dense", "2_Dense"], [
      "Normalize",
      "4",
    ]];
    writeFileSync(join(checkpoint, "modules.json"), JSON.stringify(list.map(([type, path]) => module(type!, path!))));
    await convert(checkpoint, out);
    assertEquals(readGguf(out).metadata.get("llamasaur.head.steps")!.value, ["l2", "linear dense_1 24", "tanh"]);
  });
});
