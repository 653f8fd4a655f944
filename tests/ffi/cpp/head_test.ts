// A head of our own: each step against float64, alone and in a pack, with and without our kernels; and what is refused.
import { test } from "node:test";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Llama, LlamaError } from "../../../mod.ts";
import { quantize } from "../../../convert.ts";
import { type GgufValue, writeGguf } from "../../../src/convert/gguf.ts";
import { readModel } from "../../../src/convert/model.ts";
import { fixture, inDirectory } from "../../support/checkpoint.ts";
import { randomIntegers } from "../../support/random.ts";
import { farthest, libraryMissing as skip } from "../../support/references.ts";

const TEXTS = ["a cat", "the river is cold in winter", "seven", "a much longer text of words, words and more words"];
const WIDTH = 64;
const TOLERANCE = 1e-5; // of numbers of about 1

/** The numbers of a head's layers by their names. */
type Weights = Readonly<Record<string, Float32Array>>;

const draw = randomIntegers(18);
const random = (count: number, size: number): Float32Array =>
  Float32Array.from({ length: count }, () => size * (draw(0, 2000) / 1000 - 1));
const base64 = (numbers: Float32Array): GgufValue => ({
  string: Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength).toString("base64"),
});

/** Writes a BERT with a head, or with anything else in its metadata. */
async function writeModel(directory: string, more: Readonly<Record<string, GgufValue>>): Promise<string> {
  const file = join(directory, `${crypto.randomUUID()}.gguf`);
  const { metadata, tensors } = await readModel(fixture("tiny_bert"), { name: "head" });
  await writeGguf(file, new Map([...metadata, ...Object.entries(more)]), tensors);
  return file;
}

function headOf(steps: readonly string[], weights: Weights = {}): Record<string, GgufValue> {
  const numbers = Object.entries(weights).map(([name, one]) => [`llamasaur.head.${name}`, base64(one)]);
  const count = { u32: 1 + numbers.length };
  return { "llamasaur.head.steps": { strings: steps }, ...Object.fromEntries(numbers), "llamasaur.head.count": count };
}

const erf = (x: number): number => { // the series, for |x| below 3
  let [sum, term] = [x, x];
  for (let n = 1; n < 60; n++) {
    term *= -x * x / n;
    sum += term / (2 * n + 1);
  }
  return 2 / Math.sqrt(Math.PI) * sum;
};
const ACTIVATIONS: Readonly<Record<string, (x: number) => number>> = {
  tanh: Math.tanh,
  relu: (x) => Math.max(0, x),
  gelu: (x) => x / 2 * (1 + erf(x / Math.SQRT2)),
  gelu_tanh: (x) => x / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  silu: (x) => x / (1 + Math.exp(-x)),
};

/** A text's vector in a call of its own. */
async function alone(llama: Llama, text: string): Promise<Float32Array> {
  return (await llama.embed([text], { normalize: false }))[0]!;
}

/** A step in float64. */
function after(step: string, rows: number[][], weights: Weights): number[][] {
  const [kind, name, argument] = step.split(" ") as [string, string, string];
  const activation = ACTIVATIONS[kind];
  if (activation) return rows.map((row) => row.map(activation));
  const numbers = [...weights[`${name}.weight`] ?? []], bias = weights[`${name}.bias`];
  switch (kind) {
    case "linear":
      return rows.map((row) =>
        Array.from(
          { length: Number(argument) },
          (_, o) => row.reduce((sum, x, i) => sum + x * numbers[o * row.length + i]!, bias?.[o] ?? 0),
        )
      );
    case "layer_norm":
      return rows.map((row) => {
        const mean = row.reduce((sum, x) => sum + x, 0) / row.length;
        const by = 1 / Math.sqrt(row.reduce((sum, x) => sum + (x - mean) ** 2, 0) / row.length + Number(argument));
        return row.map((x, i) => (x - mean) * by * numbers[i]! + (bias?.[i] ?? 0));
      });
    case "l2":
      return rows.map((row) => row.map((x) => x / Math.hypot(...row)));
    case "max":
      return [rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!)))];
    case "mean":
      return [rows[0]!.map((_, i) => rows.reduce((sum, row) => sum + row[i]!, 0) / rows.length)];
    case "cls":
      return [rows[0]!];
    case "last":
      return [rows.at(-1)!];
    default:
      throw new Error(step);
  }
}

const rowsOf = (flat: Float32Array, width: number): number[][] =>
  Array.from({ length: flat.length / width }, (_, i) => [...flat.subarray(i * width, (i + 1) * width)]);

const layer: Weights = { "a.weight": random(48 * WIDTH, 0.3), "a.bias": random(48, 0.5) };
const odd: Weights = { "odd.weight": random(7 * WIDTH, 0.3) };
const norm: Weights = { "n.weight": random(WIDTH, 1), "n.bias": random(WIDTH, 1) };
const second: Weights = { "b.weight": random(32 * 48, 0.3), "b.bias": random(32, 0.5) };

/** Steps, their numbers, the width that comes out, and whether the rows are those of tokens. */
const HEADS: readonly (readonly [steps: readonly string[], weights: Weights, width: number])[] = [
  [["linear a 48"], layer, 48],
  [["linear odd 7"], odd, 7],
  [["layer_norm n 1e-5"], norm, WIDTH],
  [["layer_norm n 1e-5"], { "n.weight": norm["n.weight"]! }, WIDTH],
  ...Object.keys(ACTIVATIONS).map((name) => [["linear a 48", name], layer, 48] as const),
  [["linear a 48", "tanh", "l2", "linear b 32"], { ...layer, ...second }, 32],
  [["cls", "linear a 48", "relu"], layer, 48],
  [["linear a 48", "gelu", "max"], layer, 48],
  [["linear a 48", "last", "linear b 32"], { ...layer, ...second }, 32],
  [["linear a 48", "silu", "mean", "l2"], layer, 48],
];

test("embed() gives what a head's steps make of llama.cpp's rows, alone and in a pack", { skip }, async () => {
  await inDirectory(async (directory) => {
    const headless = await writeModel(directory, {});
    for (const options of [{}, { kernels: false }]) {
      await using plain = await Llama.load(headless, options);
      await using each = await Llama.load(headless, { ...options, pooling: "none" });
      const pooled = await plain.embed(TEXTS, { normalize: false });
      const tokens = await each.embed(TEXTS, { normalize: false });
      const pooledAlone: Float32Array[] = [];
      for (const text of TEXTS) pooledAlone.push(await alone(plain, text));
      for (const [steps, weights, width] of HEADS) {
        await using llama = await Llama.load(await writeModel(directory, headOf(steps, weights)), options);
        assertEquals([llama.info.dimensions, llama.info.pooling], [width, "mean"]);
        const overTokens = steps.some((step, i) => /^(max|last|mean|cls)$/.test(step) && (i > 0 || step === "cls"));
        const found = await llama.embed(TEXTS, { normalize: false });
        for (const [i, vector] of found.entries()) {
          let rows = rowsOf(overTokens ? tokens[i]! : pooled[i]!, WIDTH);
          for (const step of steps) rows = after(step, rows, weights);
          const off = farthest(rows[0]!, vector);
          assert(off <= TOLERANCE, `${steps}, ${JSON.stringify(options)}: off by ${off}`);
          // A head adds no difference to what llama.cpp's own sums make of another pack.
          const moved = farthest(await alone(llama, TEXTS[i]!), vector);
          const same = !overTokens && farthest(pooledAlone[i]!, pooled[i]!) === 0;
          const limit = same ? 0 : "kernels" in options ? 5e-3 : 1e-5;
          assert(moved <= limit, `${steps}, ${JSON.stringify(options)}: alone it is off by ${moved}`);
        }
      }
    }
  });
});

test(
  "embed() with pooling none gives each token's row after the steps, but for those that reduce",
  { skip },
  async () => {
    await inDirectory(async (directory) => {
      await using each = await Llama.load(await writeModel(directory, {}), { pooling: "none" });
      const steps = ["cls", "linear a 48", "tanh"];
      await using llama = await Llama.load(await writeModel(directory, headOf(steps, layer)), { pooling: "none" });
      const [rows] = await each.embed(TEXTS.slice(0, 1), { normalize: false });
      let expected = rowsOf(rows!, WIDTH);
      for (const step of steps.slice(1)) expected = after(step, expected, layer);
      const found = await llama.embed(TEXTS[0]!, { normalize: false });
      assertEquals(found.length, expected.length * 48);
      assert(farthest(expected.flat(), found) <= TOLERANCE);
    });
  },
);

test("quantize() keeps a head as it is", { skip }, async () => {
  await inDirectory(async (directory) => {
    const f32 = await writeModel(directory, headOf(["linear a 48", "tanh"], layer));
    const small = join(directory, "q8_0.gguf");
    await quantize(f32, small, "q8_0");
    await using a = await Llama.load(f32);
    await using b = await Llama.load(small);
    assertEquals(a.info.dimensions, b.info.dimensions);
    assert(farthest(await a.embed("a cat"), await b.embed("a cat")) < 0.05);
  });
});

test(
  "info.memory counts a head's numbers, their panels and the letters of them in the metadata",
  { skip },
  async () => {
    await inDirectory(async (directory) => {
      const outputs = 4096, count = outputs * WIDTH;
      const head = headOf([`linear a ${outputs}`], { "a.weight": random(count, 1) });
      await using plain = await Llama.load(await writeModel(directory, {}));
      await using llama = await Llama.load(await writeModel(directory, head));
      const more = llama.info.memory.weights - plain.info.memory.weights;
      const letters = 4 * Math.ceil(4 * count / 3), panels = llama.info.kernels.includes("f32") ? 4 * count : 0;
      const wanted = 4 * count + letters + panels;
      assert(more >= wanted && more <= wanted + 1000, `${more} bytes more, and not ${wanted}`);
      assertEquals(llama.info.size - plain.info.size, 4 * count);
    });
  },
);

const big = (count: number): Weights => ({ "a.weight": new Float32Array(count) });
const nan = layer["a.weight"]!.slice();
nan[77] = NaN;

const WRONG: readonly (readonly [head: Record<string, GgufValue>, words: string])[] = [
  [headOf([]), "llamasaur.head.steps must be a list of 1 to 64 texts"],
  [headOf(Array(65).fill("tanh")), "llamasaur.head.steps must be a list of 1 to 64 texts"],
  [headOf(["x".repeat(300)]), "llamasaur.head.steps must be a list of 1 to 64 texts of at most 256 bytes"],
  [{ "llamasaur.head.steps": { string: "tanh" } }, "llamasaur.head.steps must be a list"],
  [{ "llamasaur.head.steps": { f32s: [1] } }, "llamasaur.head.steps must be a list"],
  [headOf(["softmax"]), "has the step 'softmax', which is not known"],
  [headOf([""]), "has the step '', which is not known"],
  [headOf(["tanh "]), "has the step 'tanh ', which is not known"],
  [headOf(["tanh 1"]), "has the step 'tanh 1', which is not known"],
  [headOf(["linear a"], layer), "has the step 'linear a', which is not known"],
  [headOf(["linear a 0"], layer), "whose outputs must be from 1 to 1048576"],
  [headOf(["linear a -48"], layer), "whose outputs must be from 1 to 1048576"],
  [headOf(["linear a 4x"], layer), "whose outputs must be from 1 to 1048576"],
  [headOf(["linear a 99999999999999999999"], layer), "whose outputs must be from 1 to 1048576"],
  [headOf(["linear a 48"]), "the key 'llamasaur.head.a.weight', which llamasaur.head.steps asks for, is missing"],
  [headOf(["linear a 47"], layer), "'llamasaur.head.a.weight' has 3072 numbers, and the head needs [64, 47]"],
  [headOf(["linear a 1048576"], layer), "has 3072 numbers, and the head needs [64, 1048576]"],
  [headOf(["linear a 48"], { ...layer, "a.bias": new Float32Array(47) }), "'llamasaur.head.a.bias' has 47 numbers"],
  [headOf(["linear a 48"], { "a.weight": nan }), "'llamasaur.head.a.weight' has a number that is not finite"],
  [headOf(["linear a 48", "linear b 32"], { ...layer, ...big(9) }), "'llamasaur.head.a.weight' has 9 numbers"],
  [headOf(["linear a 48", "linear a 48"], layer), "has 3072 numbers, and the head needs [48, 48]"],
  [
    headOf(["linear token_embd 284"]),
    "the tensor 'token_embd.weight' has the shape [64, 285], and the head needs [64, 284]",
  ],
  [headOf(["linear blk.0.ffn_down 64"]), "the tensor 'blk.0.ffn_down.weight' has the shape [128, 64]"],
  [headOf(["layer_norm n x"], norm), "whose epsilon must be a finite number from 0 on"],
  [headOf(["layer_norm n -1"], norm), "whose epsilon must be a finite number from 0 on"],
  [headOf(["layer_norm n nan"], norm), "whose epsilon must be a finite number from 0 on"],
  [headOf(["layer_norm n 1e-5"], { "n.weight": new Float32Array(63) }), "has 63 numbers, and the head needs [64, 1]"],
  [headOf(["max", "max"]), "has the step 'max', and there is one row left for a text already"],
  [headOf(["mean", "last"]), "has the step 'last', and there is one row left"],
  [{ ...headOf(["linear a 48"]), "llamasaur.head.a.weight": { f32s: [1, 2] } }, "must be a text of base64"],
  [{ ...headOf(["linear a 48"]), "llamasaur.head.a.weight": { strings: ["AAAA"] } }, "must be a text of base64"],
  [{ ...headOf(["linear a 48"]), "llamasaur.head.a.weight": { string: "" } }, "has 0 letters, and must be f32 numbers"],
  [{ ...headOf(["linear a 48"]), "llamasaur.head.a.weight": { string: "AAAAA" } }, "has 5 letters"],
  [{ ...headOf(["linear a 48"]), "llamasaur.head.a.weight": { string: "AAA=" } }, "has 4 letters"],
  [{ ...headOf(["linear a 48"]), "llamasaur.head.a.weight": { string: "A".repeat(15) + "=" } }, "has 16 letters"],
  [
    { ...headOf(["linear a 48"]), "llamasaur.head.a.weight": { string: "A*AAAA==" } },
    "has a letter that is none of base64",
  ],
  [headOf(["tanh"], layer), "the key 'llamasaur.head.a.bias' is of no step of llamasaur.head.steps"],
  [{ "llamasaur.head.a.weight": base64(layer["a.weight"]!) }, "the key 'llamasaur.head.a.weight' is of no step"],
  [{ ...headOf(["tanh"]), "llamasaur.head.step": { u32: 1 } }, "the key 'llamasaur.head.step' is of no step"],
  [
    { ...headOf(["tanh"]), "llamasaur.head.count": { u32: 2 } },
    "llamasaur.head.count must be the number of the other keys",
  ],
  [
    { ...headOf(["tanh"]), "llamasaur.head.count": { f32: 1 } },
    "llamasaur.head.count must be the number of the other keys",
  ],
  [{ "llamasaur.head.count": { u32: 1 } }, "begin with llamasaur.head., which is 0"],
  [{ ...headOf(["tanh"]), "bert.pooling_type": { u32: 4 } }, "ends in 64 numbers a token, and the model has 1 labels"],
  [
    { ...headOf(["cls", "tanh"]), "bert.pooling_type": { u32: 4 } },
    "ends in 64 numbers a text, and the model has 1 labels",
  ],
];

test("load() refuses a wrong head by key and value", { skip }, async () => {
  await inDirectory(async (directory) => {
    for (const [head, words] of WRONG) {
      const file = await writeModel(directory, head);
      const error = await assertRejects(() => Llama.load(file), LlamaError, words, words);
      assertEquals(error.code, "model-invalid", error.message);
    }
  });
});
