// Models in several files: whatever is read of a model's file is read of all its parts, and parts that do not make one model
// are refused by name.
import { after, before, test } from "node:test";
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { quantize } from "../../../convert.ts";
import { Llama, LlamaError, type LoadOptions } from "../../../mod.ts";
import { fixture } from "../../support/checkpoint.ts";
import { readFamilies } from "../../support/families.ts";
import { type Gguf, parse, serialise, setKey, value } from "../../torture/gguf.ts";
import { placeTensors } from "../../torture/hostile.ts";
import { partName, serialiseParts, split, u16, writeModel } from "../../torture/split.ts";
import { type Base, readBase, writeBases } from "../../torture/tiny_models.ts";

let directory = "";
before(async () => {
  directory = mkdtempSync(join(tmpdir(), "llamasaur-"));
  await writeBases(directory);
});
after(() => rmSync(directory, { recursive: true }));

const base = (name: Base): Gguf => parse(readBase(directory, name));
const utf8 = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const write = (stem: string, parts: readonly Gguf[]): string =>
  writeModel(join(directory, stem), serialiseParts(parts))[0]!;

/** What a model is and what it makes of some texts. */
async function said(path: string, options: LoadOptions = {}): Promise<unknown> {
  await using llama = await Llama.load(path, { contexts: 1, ...options });
  const { fingerprint: _, ...info } = llama.info;
  const ranks = info.pooling === "rank" || info.reranker === "yes-no";
  const made = ranks
    ? await llama.rerank("a b", ["c", "d e"])
    : info.pooling === "none"
    ? undefined
    : await llama.embed(["hello the world", "a cat"]);
  return { info, made };
}

async function assertSame(stem: string, whole: string, gguf: Gguf, options?: LoadOptions): Promise<void> {
  const expected = await said(whole, options);
  const n = gguf.tensors.length;
  for (const cuts of [[1], [n >> 1], [n - 1], [1, n >> 1, n - 1]]) {
    assertEquals(
      await said(write(stem, split(gguf, cuts)), options),
      expected,
      `${stem} in parts that begin at ${cuts}`,
    );
  }
}

test("Llama.load() of a family's model in parts gives what the same model in one file does", async () => {
  const { embedders, rerankers } = readFamilies();
  for (const { family: { name, file } } of [...embedders, ...rerankers]) {
    const path = fixture(`families/${file}`);
    // The prompt of yes/no rerankers has no room in the fixtures.
    const options = { template: "{query}{document}" };
    await assertSame(name, path, parse(new Uint8Array(readFileSync(path))), options);
  }
});

test("Llama.load() of a BERT cross-encoder in parts ranks with its token types, wherever they are", async () => {
  await assertSame("cross", join(directory, "rerank.gguf"), base("rerank"));
});

test("Llama.load() of Qwen3 with a head in parts ranks with that head", async () => {
  await assertSame("head", join(directory, "qwen3.gguf"), base("qwen3"));
});

test("Llama.load() looks for the tensors that a model needs in all its parts", async () => {
  const t5 = base("t5");
  await assertSame("t5", join(directory, "t5.gguf"), t5);
  const without = { ...t5, tensors: t5.tensors.filter(({ name }) => !/attn_rel_b/.test(utf8(name))) };
  for (const cuts of [[1], [2], [without.tensors.length - 1], [1, 2, 3]]) {
    const path = write("without", split(without, cuts));
    const error = await assertRejects(() => Llama.load(path), LlamaError);
    assertMatch(error.message, /the tensor 'enc.blk.0.attn_rel_b.weight' is missing/);
    assertEquals(error.code, "model-invalid");
  }
});

test("llama.fingerprint() changes with any part of a model", async () => {
  const print = async (path: string): Promise<string> => {
    await using llama = await Llama.load(path, { contexts: 1 });
    return llama.info.fingerprint;
  };
  const parts = split(base("bert"), [4, 10]);
  const path = write("print", parts);
  const before = await print(path);
  assertEquals(await print(path), before);
  for (const [i, part] of parts.entries()) {
    const changed = {
      ...part,
      tensors: part.tensors.map((one) => ({ ...one, data: one.data.map((byte) => byte ^ 1) })),
    };
    const others = await print(write("print", parts.with(i, changed)));
    assert(others !== before, `part ${i + 1}`);
  }
});

test("Llama.load() names what is wrong with the parts of a model", async () => {
  const bert = base("bert");
  const n = bert.tensors.length;
  const good = split(bert, [5, 9]);
  const another = split(base("rerank"), [5, 9]);
  const twice = split(bert, [5, 9]);
  twice[1]!.tensors[0]!.name = bert.tensors[0]!.name;
  const short = split(bert, [5, 9]);
  short[2]!.tensors.pop();
  short[2]!.tensorCount--;
  const cut = serialiseParts(good).with(2, serialise(good[2]!).subarray(0, -200));
  const html = serialiseParts(good).with(1, new TextEncoder().encode("<!doctype html><title>404</title>"));
  const wrong: [string, readonly (Gguf | Uint8Array)[], RegExp][] = [
    [
      "exchanged",
      [good[0]!, good[2]!, good[1]!],
      /part 2 of 3 \(exchanged-00002-of-00003.gguf\): split.no is 2 where 1 is/,
    ],
    ["repeated", [good[0]!, good[1]!, good[1]!], /part 3 of 3 .*: split.no is 1 where 2 is expected/],
    [
      "another",
      [good[0]!, another[1]!, good[2]!],
      /part 2 of 3 .*: its model has \d+ tensors, and the first .* of another/,
    ],
    ["twice", twice, /the tensor '.*' is there twice, the second time in part 2 of 3/],
    ["short", short, new RegExp(`its parts have ${n - 1} tensors together, and split.tensors.count is ${n}`)],
    ["cut", cut, /part 3 of 3 \(cut-00003-of-00003.gguf\): it ends in the tensor/],
    ["html", html, /part 2 of 3 \(html-.*\) is no GGUF file: it begins with "<!doctype html>/],
    ["empty", serialiseParts(good).with(1, new Uint8Array()), /part 2 of 3 \(empty-.*\) is no GGUF file: it is empty/],
    [
      "count",
      good.with(1, setKey(good[1]!, "split.count", u16(4))),
      /part 2 of 3 .*: split.count is 4, and 3 in the first/,
    ],
    ["type", good.with(0, setKey(good[0]!, "split.count", value.u32(3))), /split.count must be a number of type u16/],
    [
      "list",
      good.with(1, setKey(good[1]!, "split.no", value.i32s([1]))),
      /part 2 of 3 .*: split.no must be a number of/,
    ],
    ["unnumbered", good.with(1, setKey(good[1]!, "split.no", undefined)), /part 2 of 3 .*: split.no is missing/],
    ["uncounted", good.with(0, setKey(good[0]!, "split.tensors.count", undefined)), /split.tensors.count is missing/],
    [
      "architecture",
      good.with(2, setKey(good[2]!, "general.architecture", value.string("nomic-bert"))),
      /part 3 of 3 .*: its architecture is 'nomic-bert', and the first part's 'bert'/,
    ],
  ];
  for (const [stem, parts, words] of wrong) {
    const bytes = parts.map((part) => part instanceof Uint8Array ? part : serialise(part));
    const [path] = writeModel(join(directory, stem), bytes);
    const error = await assertRejects(() => Llama.load(path!), LlamaError);
    assertMatch(error.message, words);
    assertEquals(error.code, "model-invalid", stem);
  }
});

test("Llama.load() says which part is to be loaded, and which is missing", async () => {
  const paths = writeModel(join(directory, "part"), serialiseParts(split(base("bert"), [5, 9])));
  const [first, second, third] = paths as [string, string, string];
  await assertRejects(
    () => Llama.load(third),
    LlamaError,
    "it is part 3 of 3: load the first, part-00001-of-00003.gguf",
  );
  const alone = join(directory, "alone.gguf");
  writeFileSync(alone, readFileSync(first));
  await assertRejects(
    () => Llama.load(alone),
    LlamaError,
    "it is part 1 of 3, and its name must end in -00001-of-00003.gguf",
  );
  renameSync(second, `${second}.moved`);
  const missing = await assertRejects(() => Llama.load(first), LlamaError);
  assertEquals(missing.code, "model-invalid");
  assertMatch(missing.message, /part 2 of 3 \(part-00002-of-00003.gguf\) is missing: .* in one folder/);
  renameSync(`${second}.moved`, second);
  await using llama = await Llama.load(first, { contexts: 1 });
  assert((await llama.embed("hello")).every(Number.isFinite));
});

test("Llama.load() says of a part of another model's shapes which tensor does not fit", async () => {
  const good = split(base("bert"), [5]);
  const [, wide] = split(base("bert"), [5]);
  for (const tensor of wide!.tensors) {
    tensor.dimensions = tensor.dimensions.map((size) => size === 64n ? 32n : size);
    tensor.data = new Uint8Array(Math.ceil(Number(tensor.dimensions.reduce((a, b) => a * b, 4n)) / 32) * 32);
  }
  placeTensors(wide!);
  const path = write("wide", [good[0]!, wide!]);
  await assertRejects(() => Llama.load(path), LlamaError, "has wrong shape");
});

test("quantize() of a model in parts makes one file that embeds as the quantised whole does", async () => {
  const [whole, out] = [join(directory, "whole q8_0.gguf"), join(directory, "parts q8_0.gguf")];
  await quantize(join(directory, "bert.gguf"), whole, "q8_0");
  await quantize(write("quantize", split(base("bert"), [5, 9])), out, "q8_0");
  const vector = async (path: string): Promise<Float32Array> => {
    await using llama = await Llama.load(path, { contexts: 1 });
    return await llama.embed("hello world");
  };
  assertEquals(await vector(out), await vector(whole));
});

test("partName() is the name that llama.cpp looks for", () => {
  assertEquals(partName("x", 1, 12), "x-00002-of-00012.gguf");
});
