// What killed or hung the process before ffi/cpp/guard/gguf/check.cpp looked at a file, each once; the torture has thousands more.
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { quantize } from "../../../convert.ts";
import { Llama, LlamaError, type LlamaErrorCode } from "../../../mod.ts";
import { corpus } from "../../torture/corpus.ts";
import { FILES } from "../../torture/files.ts";
import { copy, type Gguf, parse, serialise, setKey, value } from "../../torture/gguf.ts";
import { placeTensors, withTensorType, withTokens } from "../../torture/hostile.ts";
import { smallest } from "../../torture/smallest_models.ts";
import { type Base, BASES, readBase, writeBases } from "../../torture/tiny_models.ts";

let directory = "";
before(async () => {
  directory = mkdtempSync(join(tmpdir(), "llamasaur-"));
  await writeBases(directory);
});
after(() => rmSync(directory, { recursive: true }));

const base = (name: Base): Gguf => parse(readBase(directory, name));

/** That a changed file is refused with these words, at once, and that a good one then loads. */
async function assertRefused(gguf: Gguf, words: RegExp, code: LlamaErrorCode = "model-invalid"): Promise<void> {
  const path = join(directory, "wrong.gguf");
  writeFileSync(path, serialise(gguf));
  const error = await assertRejects(() => Llama.load(path), LlamaError);
  assertEquals(error.code, code, error.message);
  assertMatch(error.message, words);
}

async function assertWorks(name: Base): Promise<void> {
  await using llama = await Llama.load(join(directory, `${name}.gguf`), { contexts: 1 });
  if (llama.info.pooling === "rank") assertEquals((await llama.rerank("hello", ["a cat", "yes"])).length, 2);
  else assert((await llama.embed("hello world")).every(Number.isFinite));
}

function retyped(name: Base, tensor: string, type: number): Gguf {
  const gguf = base(name);
  return withTensorType(gguf, indexOf(gguf, tensor), type);
}

function indexOf(gguf: Gguf, tensor: string): number {
  return gguf.tensors.findIndex(({ name }) => new TextDecoder().decode(name) === tensor);
}

test("corpus() has as many files as the torture plans, each under a name of its own", () => {
  const names = Array.from(corpus((name) => readBase(directory, name)), ({ name }) => name);
  assertEquals([names.length, new Set(names).size], [FILES, FILES]);
});

test("Llama.load() takes sound files of every kind", async () => {
  for (const name of BASES) await assertWorks(name);
});

test("Llama.load() refuses weights of types that ggml has no kernels for", async () => {
  for (const [type, name] of Object.entries({ 9: "q8_1", 24: "i8", 25: "i16", 26: "i32", 27: "i64", 28: "f64" })) {
    const words = new RegExp(`'blk.0.attn_q.weight' is of type ${name}, which no weights are of`);
    await assertRefused(retyped("bert", "blk.0.attn_q.weight", Number(type)), words);
  }
  await assertWorks("bert");
});

test("Llama.load() refuses biases, norms and token types that are not f32, and no other tensor of one row", async () => {
  for (const tensor of ["blk.0.ffn_up.bias", "token_embd_norm.weight", "token_types.weight"]) {
    await assertRefused(retyped("bert", tensor, 1), new RegExp(`'${tensor}' is of type f16, and must be f32`));
  }
  const head = join(directory, "head.gguf"); // as convert_hf_to_gguf.py --outtype f16 writes a head of one label
  writeFileSync(head, serialise(retyped("rerank", "cls.output.weight", 1)));
  await using llama = await Llama.load(head, { contexts: 1 });
  assertEquals((await llama.rerank("hello", ["a cat"])).length, 1);
});

test("Llama.load() refuses a vocabulary without the token that each text would begin with", async () => {
  const bare = setKey(base("t5"), "tokenizer.ggml.bos_token_id", undefined);
  const gguf = setKey(bare, "tokenizer.ggml.add_bos_token", value.bool(1));
  await assertRefused(gguf, /tokenizer.ggml.bos_token_id is missing, and add_bos_token is true/);
});

test("Llama.load() refuses PaddleOCR without sections, which llama.cpp asserts on when it computes", async () => {
  assertMatch(await wordsWhileGrowing("paddleocr"), /paddleocr.rope.dimension_sections is missing/);
});

/** What is said of an architecture's files while its smallest model is made. */
async function wordsWhileGrowing(architecture: string): Promise<string> {
  const path = join(directory, "grows.gguf"), all: string[] = [];
  await smallest(architecture, readBase(directory, "llama"), async (file) => {
    writeFileSync(path, file);
    const error = await Llama.load(path, { contexts: 1, onLog: () => {} }).then((llama) => llama.close(), (e) => e);
    if (error === undefined) return undefined;
    assert(error instanceof LlamaError, String(error));
    assertEquals(error.code, "model-invalid", error.message);
    all.push(error.message);
    return error.message;
  });
  return all.join("\n");
}

test("Llama.load() refuses a file that lacks what only the graph needs: experts, a window", async () => {
  assertMatch(await wordsWhileGrowing("qwen35moe"), /qwen35moe.expert_count is missing or 0, and so is /);
  assertMatch(await wordsWhileGrowing("afmoe"), /afmoe.attention.sliding_window is missing or 0/);
  await assertWorks("bert");
});

const noWraps = process.platform === "linux" ? undefined : "the linker wraps ggml's functions on Linux alone";
test("Llama.load() refuses a file that lacks a tensor that only the graph needs", { skip: noWraps }, async () => {
  assertMatch(
    await wordsWhileGrowing("phi3"),
    /lacks a tensor that its architecture needs: .* argument 1 of ggml_mul_mat/,
  );
  await assertWorks("bert");
});

test("Llama.load() refuses numbers that kernels assert on, divide by or never come to an end with", async () => {
  const wrong: [Base, string, ReturnType<typeof value.u32> | undefined, RegExp][] = [
    [
      "modern",
      "modern-bert.hidden_activation",
      value.string("relu"),
      /hidden_activation is relu, and must be one with/,
    ],
    [
      "modern",
      "modern-bert.rope.dimension_sections",
      value.i32s([9, 8, 0, 0]),
      /sections is 17, and may be at most 16/,
    ],
    ["bert", "bert.attention.layer_norm_epsilon", value.f32(-1), /epsilon is -1, and must be .* not below 0/],
    ["llama", "llama.attention.layer_norm_rms_epsilon", value.f32(NaN), /epsilon is -?nan, and must be a finite/],
    [
      "nomic",
      "nomic-bert.rope.dimension_count",
      value.u32(0),
      /dimension_count is 0, and must be even and from 2 to 16/,
    ],
    ["nomic", "nomic-bert.rope.dimension_count", value.u32(18), /dimension_count is 18, .* from 2 to 16/],
    ["nomic", "nomic-bert.context_length", value.u32(2 ** 31), /context_length is 2147483648, and must be from 1/],
    ["nomic", "nomic-bert.context_length", value.u32(0), /context_length is 0/],
    ["bert", "bert.block_count", value.u32(1_000_000), /block_count is 1000000, and must be from 1 to 512/],
    ["bert", "bert.attention.head_count", value.u32(0), /head_count is 0, and must be above 0/],
    ["bert", "bert.attention.head_count", undefined, /bert.attention.head_count is missing/],
    ["llama", "llama.attention.head_count_kv", value.u32(3), /head_count is 2, and must be a multiple of/],
    ["llama", "llama.embedding_length_out", value.u32(2 ** 31), /embedding_length_out is 2147483648/],
    ["bert", "bert.embedding_length", value.string("64"), /embedding_length must be a whole number/],
    ["moe", "nomic-bert-moe.expert_used_count", value.u32(5), /expert_used_count is 5, and .*expert_count is 4/],
    ["t5", "t5encoder.attention.relative_buckets_count", value.u32(1), /relative_buckets_count is 1/],
    ["bert", "tokenizer.ggml.seperator_token_id", value.u32(285), /seperator_token_id is 285, .* has 285 tokens/],
    ["bert", "general.alignment", value.u32(3), /general.alignment must be a power of 2/],
  ];
  for (const [name, key, one, words] of wrong) await assertRefused(setKey(base(name), key, one), words);
  await assertWorks("nomic");
});

test("Llama.load() leaves it to llama.cpp to say that it does not know an architecture", async () => {
  await assertRefused(
    setKey(base("bert"), "general.architecture", value.string("x")),
    /unknown model architecture: 'x'/,
    "model-unsupported",
  );
});

test("Llama.load() refuses a T5 without the bias of its positions, which llama.cpp reads all the same", async () => {
  const gguf = copy(base("t5"));
  gguf.tensors.splice(indexOf(gguf, "enc.blk.0.attn_rel_b.weight"), 1);
  gguf.tensorCount--;
  placeTensors(gguf);
  await assertRefused(gguf, /the tensor 'enc.blk.0.attn_rel_b.weight' is missing/);
  await assertWorks("t5");
});

test("Llama.load() refuses a vocabulary with a token of 1 MB or of none, and 70,000 labels", async () => {
  const bert = base("bert");
  await assertRefused(
    withTokens(bert, (tokens) => tokens.with(7, new Uint8Array(1 << 20))),
    /longest of .* is 1048576/,
  );
  await assertRefused(withTokens(base("t5"), (tokens) => tokens.with(265, new Uint8Array(1 << 20))), /longest of/);
  await assertRefused(withTokens(bert, () => []), /number of tokenizer.ggml.tokens is 0/);
  const labels = value.strings(new Array(70_000).fill("a"));
  await assertRefused(setKey(bert, "bert.classifier.output_labels", labels), /output_labels is 70000/);
});

test("Llama.load() refuses sizes that overflow, and more tensors than anybody can compare", async () => {
  const sized = (...dimensions: bigint[]): Gguf => {
    const gguf = copy(base("bert"));
    gguf.tensors.at(-1)!.dimensions = dimensions;
    return gguf;
  };
  await assertRefused(sized(2n ** 32n, 2n ** 32n), /is larger than any file/);
  await assertRefused(sized(2n ** 62n), /is larger than any file/);
  await assertRefused(sized(2n ** 40n), /it ends in the tensor/);
  await assertRefused(sized(0n), /has a dimension of 0/);
  await assertRefused(sized(-1n), /has a dimension of -1/);
  const many = copy(base("bert"));
  many.tensorCount = 2n ** 62n;
  await assertRefused(many, /it has 4611686018427387904 tensors and \d+ keys, at most 20000 and 10000/);
  await assertWorks("bert");
});

test("Llama.load() refuses a split model whose second part is wrong", async () => {
  const part = (i: number): string => join(directory, `split-0000${i}-of-00002.gguf`);
  const whole = base("bert");
  const half = (from: number, to: number, number: number): Gguf => {
    let gguf = copy(whole);
    gguf.tensors = gguf.tensors.slice(from, to);
    gguf.tensorCount = BigInt(gguf.tensors.length);
    for (const [key, n] of [["split.no", number], ["split.count", 2]] as const) {
      gguf = setKey(gguf, key, { type: 2, bytes: Uint8Array.of(n, 0) });
    }
    gguf = setKey(gguf, "split.tensors.count", value.i32(whole.tensors.length));
    placeTensors(gguf);
    return gguf;
  };
  writeFileSync(part(1), serialise(half(0, 10, 0)));
  const second = half(10, whole.tensors.length, 1);
  writeFileSync(part(2), serialise(second));
  await using llama = await Llama.load(part(1), { contexts: 1 });
  assert((await llama.embed("hello")).every(Number.isFinite));
  writeFileSync(part(2), serialise(withTensorType(second, indexOf(second, "blk.1.attn_q.weight"), 24)));
  await assertRejects(() => Llama.load(part(1)), LlamaError, "'blk.1.attn_q.weight' is of type i8");
  rmSync(part(2));
  await assertRejects(() => Llama.load(part(1)), LlamaError, "00002-of-00002");
});

test("quantize() refuses what Llama.load() does", async () => {
  const [wrong, out] = [join(directory, "wrong.gguf"), join(directory, "out.gguf")];
  writeFileSync(wrong, serialise(retyped("bert", "blk.0.attn_q.weight", 24)));
  const error = await assertRejects(() => quantize(wrong, out, "q8_0"), LlamaError, "is of type i8");
  assertEquals(error.code, "model-invalid");
});

test("Llama.load() of a pipe, a device or a socket says so and does not wait", {
  skip: process.platform === "win32" && "Windows has no such files",
}, async () => {
  mkdirSync(join(directory, "places"));
  const [pipe, socket] = [join(directory, "places", "pipe"), join(directory, "places", "socket")];
  execFileSync("mkfifo", [pipe]);
  const server = createServer().listen(socket);
  await new Promise((resolve) => server.once("listening", resolve));
  for (const path of [pipe, socket, "/dev/zero", "/dev/null"]) {
    const error = await assertRejects(
      () => Llama.load(path),
      LlamaError,
      "it is no GGUF file: it is a pipe or a device",
    );
    assertEquals(error.code, "model-invalid");
  }
  await new Promise((resolve) => server.close(resolve));
  await assertWorks("bert");
});

test("Llama.load() of a file whose path has any letters reads it", async () => {
  const path = join(directory, "ünï ☃ 'quoted' %s.gguf");
  copyFileSync(join(directory, "bert.gguf"), path);
  assert(readFileSync(path).length > 0);
  await using llama = await Llama.load(path, { contexts: 1 });
  assertEquals(llama.info.dimensions, 64);
});
