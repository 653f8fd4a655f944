import { Buffer } from "node:buffer";
import { test } from "node:test";
import { assert, assertAlmostEquals, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { readFileSync } from "node:fs";
import { cosineSimilarity, dot, hamming, toBinary, toInt8, topK } from "../../vectors.ts";
import { isFiniteVector, normalize } from "../../src/vectors.ts";
import { randomTensor } from "../fixtures/randoms.ts";
import { fixture } from "../support/checkpoint.ts";
import { randomIntegers } from "../support/random.ts";

function randomVector(draw: ReturnType<typeof randomIntegers>, length: number): Float32Array {
  return Float32Array.from({ length }, () => draw(-1_000_000, 1_000_000) / 1e6);
}

test("dot() sums the products in float64", () => {
  assertEquals(dot([1, 2, 3], [4, -5, 6]), 12);
  assertEquals(dot([], []), 0);
  // In float32 the 1 would be lost.
  assertEquals(dot(Float32Array.of(2 ** 12, 1, 2 ** 12), Float32Array.of(2 ** 12, 1, -(2 ** 12))), 1);
});

test("dot() and cosineSimilarity() refuse vectors of different lengths, naming both", () => {
  for (const compare of [dot, cosineSimilarity]) {
    const { message } = assertThrows(() => compare([1, 2, 3], [1, 2]), RangeError);
    assertEquals(message, "Cannot compare vectors of different lengths: 3 and 2 dimensions");
  }
});

test("cosineSimilarity() is 1, 0 and −1 for same, right-angled and opposite directions, whatever the lengths", () => {
  assertAlmostEquals(cosineSimilarity([1, 1], [20, 20]), 1, 1e-15);
  assertAlmostEquals(cosineSimilarity([1, 0], [0, 5]), 0, 1e-15);
  assertAlmostEquals(cosineSimilarity([1, 2], [-2, -4]), -1, 1e-15);
});

test("cosineSimilarity() is 0 when a vector is all zeros", () => {
  assertEquals(cosineSimilarity([0, 0], [1, 2]), 0);
  assertEquals(cosineSimilarity([0, 0], [0, 0]), 0);
});

test("cosineSimilarity() is dot() of normalised vectors", () => {
  const draw = randomIntegers(1);
  let most = 0;
  for (let i = 0; i < 100; i++) {
    const [a, b] = [randomVector(draw, 384), randomVector(draw, 384)];
    const cosine = cosineSimilarity(a, b);
    assert(normalize(a) && normalize(b));
    most = Math.max(most, Math.abs(cosine - dot(a, b)));
  }
  console.log(`largest difference ${most}`);
  assert(most < 1e-6, `largest difference ${most}`);
});

test("topK() gives the best first, equal ones in the list's order", () => {
  const vectors = [[0, 1], [1, 0], [0.5, 0.5], [1, 0]];
  assertEquals(topK([1, 0], vectors, 3), [{ index: 1, score: 1 }, { index: 3, score: 1 }, { index: 2, score: 0.5 }]);
});

test("topK() gives all when k is larger than the list, none for 0 or an empty list", () => {
  assertEquals(topK([1], [[1], [2]], 9).map(({ index }) => index), [1, 0]);
  assertEquals(topK([1], [[1]], 0), []);
  assertEquals(topK([1], [], 5), []);
});

test("topK() refuses a k that is no integer from 0, and a vector of another length", () => {
  for (const k of [-1, 1.5, NaN, Infinity]) assertThrows(() => topK([1], [[1]], k), RangeError, `is ${k}`);
  assertThrows(() => topK([1], [[1, 2]], 1), RangeError, "1 and 2 dimensions");
});

test("dot(), cosineSimilarity(), topK() and toBinary() refuse what is no vector, naming it", () => {
  for (const bad of [undefined, null, 1, "12", {}, { length: -1 }, [1, "2"], [1, , 2], [1n], new BigInt64Array(1)]) {
    const vector = bad as number[];
    const name = Array.isArray(bad)
      ? /\[\d\]: it must be a number/
      : /: it must be an array of numbers|: it must be a n/;
    for (
      const [at, call] of [
        ["a", () => dot(vector, [1])],
        ["b", () => dot([1], vector)],
        ["a", () => cosineSimilarity(vector, [1])],
        ["b", () => cosineSimilarity([1], vector)],
        ["query", () => topK(vector, [[1]], 1)],
        ["vectors[1]", () => topK([1], [[1], vector], 1)],
        ["vector", () => toBinary(vector)],
      ] as const
    ) {
      const { message } = assertThrows(call, TypeError);
      assert(message.startsWith(`Cannot read ${at}`), message);
      assertMatch(message, name);
    }
  }
  assertThrows(() => topK([1], "abc" as never, 1), TypeError, "Cannot read vectors: it must be an array, is string");
  assertThrows(() => topK([1], [[1]], "1" as never), TypeError, "k must be an integer from 0, is string");
  assertThrows(() => topK([1], [[1], [NaN]], 1), RangeError, "vectors[1]: its dot product with query is NaN");
});

test("dot() names an item that no code may look at", () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  assertThrows(
    () => dot([proxy as unknown as number], [1]),
    TypeError,
    "Cannot read a[0]: it must be a number, is object",
  );
});

test("cosineSimilarity() is right where squares leave the range of numbers, and never outside of -1 to 1", () => {
  for (const scale of [1e-320, 1e-200, 1e-100, 1, 1e100, 1e200, 1e307]) {
    for (const other of [1e-200, 1, 1e200]) {
      assertAlmostEquals(cosineSimilarity([3 * scale, 4 * scale], [4 * other, 3 * other]), 0.96, 1e-3);
    }
  }
  const draw = randomIntegers(3);
  for (let i = 0; i < 1000; i++) {
    const vector = randomVector(draw, 5);
    assert(cosineSimilarity(vector, vector.map((x) => x * 0.1)) <= 1);
  }
});

test("topK() equals sorting all by cosine, on random normalised vectors", () => {
  const draw = randomIntegers(2);
  const vectors = Array.from({ length: 200 }, () => randomVector(draw, 16));
  for (const vector of vectors) normalize(vector);
  const query = vectors[17]!;
  const best = topK(query, vectors, 10);
  assertEquals(best[0]!.index, 17);
  const all = vectors.map((v) => cosineSimilarity(query, v)).sort((a, b) => b - a);
  const most = Math.max(...best.map(({ score }, i) => Math.abs(score - all[i]!)));
  console.log(`largest difference ${most}`);
  assert(most < 1e-6, `largest difference ${most}`);
});

test("toBinary() packs the first dimension into the highest bit, as numpy's packbits", () => {
  // numpy.packbits([1,0,1,0,0,0,0,1, 1]) == [161, 128]
  assertEquals([...toBinary([0.2, -0.1, 0.3, 0, -0, NaN, -1, 1, 5])], [161, 128]);
  assertEquals([...toBinary([])], []);
  assertEquals(toBinary(new Float32Array(384)).length, 48);
});

test("normalize() makes the length 1, in place", () => {
  const vector = Float32Array.of(3, 4);
  assertEquals(normalize(vector), true);
  assertAlmostEquals(vector[0]!, 0.6, 1e-7);
  assertAlmostEquals(vector[1]!, 0.8, 1e-7);
});

test("normalize() leaves zeros as they are, and squares that float32 could not hold do no harm", () => {
  const zeros = new Float32Array(3);
  assertEquals(normalize(zeros), true);
  assertEquals([...zeros], [0, 0, 0]);
  for (const huge of [1e30, 1e-30]) {
    const vector = Float32Array.of(huge, huge);
    normalize(vector);
    assertAlmostEquals(vector[0]!, Math.SQRT1_2, 1e-7);
  }
});

test("normalize() and isFiniteVector() tell NaN and infinity, wherever they are", () => {
  for (const bad of [NaN, Infinity, -Infinity]) {
    for (const at of [0, 191, 383]) {
      const vector = new Float32Array(384).fill(0.1);
      vector[at] = bad;
      assertEquals([isFiniteVector(vector), normalize(vector)], [false, false], `${bad} at ${at}`);
    }
  }
  assertEquals(isFiniteVector(Float32Array.of(0, -1, 3.4e38)), true);
  assertEquals(isFiniteVector(new Float32Array()), true);
});

/** Rows of the fixture's random vectors: the same bits as NumPy had. */
function fixtureRows(seed: number, rows: number, width: number, std: number): Float32Array[] {
  const all = randomTensor(seed, rows * width, std, 0.01);
  return Array.from({ length: rows }, (_, i) => all.subarray(i * width, (i + 1) * width));
}

test("toInt8() and toBinary() give the bytes of sentence-transformers' quantize_embeddings", () => {
  const { rows, width, seeds, ...arrays } = JSON.parse(readFileSync(fixture("quantized_vectors.json"), "utf8"));
  const vectors = fixtureRows(seeds.vectors, rows, width, 0.05);
  vectors[3]![5] = 0;
  const queries = fixtureRows(seeds.queries, rows, width, 0.02);
  const expected = (name: string) => [...Buffer.from(arrays[name], "base64")];
  const bytes = (all: readonly (Int8Array | Uint8Array)[]) => all.flatMap((one) => [...one].map((byte) => byte & 0xff));
  assertEquals(bytes(toInt8(vectors)), expected("int8"));
  assertEquals(bytes(toInt8(queries, vectors)), expected("int8_queries"));
  const [least, most] = [Math.min, Math.max].map((pick) =>
    Float32Array.from({ length: width }, (_, i) => pick(...vectors.map((vector) => vector[i]!)))
  );
  assertEquals(bytes(toInt8(queries, [least!, most!])), expected("int8_queries"));
  assertEquals(bytes(vectors.map(toBinary)), expected("ubinary"));
});

test("toInt8() keeps what is outside of the ranges at their ends, and is 0 where a range is empty", () => {
  assertEquals(toInt8([[-9, 9, 5]], [[-1, -1, 5], [1, 1, 5]]).map((bytes) => [...bytes]), [[-128, 127, 0]]);
  assertEquals(toInt8([]), []);
});

test("toInt8() refuses what has no range, naming it", () => {
  assertThrows(() => toInt8([[1]], []), RangeError, "calibration must have at least one vector");
  assertThrows(() => toInt8([[1, 2]], [[1]]), RangeError, "different lengths: 2 and 1 dimensions");
  assertThrows(() => toInt8([[1], [1, 2]]), RangeError, "different lengths: 1 and 2 dimensions");
  assertThrows(() => toInt8([[1], [NaN]]), RangeError, "vectors[1][0]: it must be a finite number, is NaN");
  assertThrows(() => toInt8([[1]], [[Infinity]]), RangeError, "calibration[0][0]: it must be a finite number");
  assertThrows(() => toInt8([1] as never), TypeError, "vectors[0]: it must be an array of numbers");
});

test("hamming() counts the bits that differ, of all bytes, signed or not", () => {
  for (let a = 0; a < 256; a++) {
    for (let b = 0; b < 256; b++) {
      const bits = (a ^ b).toString(2).replaceAll("0", "").length;
      assertEquals(hamming(Uint8Array.of(a, 0), Uint8Array.of(b, 0)), bits);
    }
  }
  assertEquals(hamming(Int8Array.of(-128, 127), Uint8Array.of(0, 0)), 8);
  assertEquals(hamming(new Uint8Array(), new Uint8Array()), 0);
});

test("hamming() refuses what is no bytes, and other lengths", () => {
  assertThrows(() => hamming([1] as never, Uint8Array.of(1)), TypeError, "Cannot read a: it must be a Uint8Array");
  assertThrows(() => hamming(Uint8Array.of(1), Promise.resolve() as never), TypeError, "is a promise: await it");
  assertThrows(() => hamming(Uint8Array.of(1), new Uint8Array(2)), RangeError, "1 and 2 bytes");
});
