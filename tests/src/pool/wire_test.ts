import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { Queue } from "../../../src/pool/plan.ts";
import { itemsOf, packSequences, packTexts, resultSizes, split } from "../../../src/pool/wire.ts";
import type { Items } from "../../../src/slices.ts";

class TextQueue extends Queue {
  readonly items: Items<string>;

  constructor(items: readonly string[]) {
    super(items.map(({ length }) => length));
    this.items = items;
  }
}

test("itemsOf() lists the items share by share", () => {
  const [first, second] = [new TextQueue(["a", "b", "c"]), new TextQueue(["d", "e"])];
  assertEquals(itemsOf([{ queue: second, items: [1] }, { queue: first, items: [2, 0] }]), ["e", "c", "a"]);
});

test("packTexts() writes texts back to back and counts bytes, not characters", () => {
  const texts = ["a", "", "é", "日本", "😀"];
  const { utf8, lengths } = packTexts(texts);
  assertEquals([...lengths], [1, 0, 2, 6, 4]);
  assertEquals(new TextDecoder().decode(utf8.subarray(0, 13)), texts.join(""));
});

test("packSequences() joins tokens, and begins segment B at the end where there is none", () => {
  const { tokens, lengths, segmentB, prefixLengths, computed } = packSequences([
    { ids: Int32Array.of(1, 2, 3), truncated: false },
    { ids: Int32Array.of(4, 5, 6, 7), truncated: true, segmentB: 2 },
  ]);
  assertEquals([...tokens], [1, 2, 3, 4, 5, 6, 7]);
  assertEquals([[...lengths], [...segmentB!], [...prefixLengths!], computed], [[3, 4], [3, 2], [0, 0], 7]);
});

test("packSequences() counts a shared prefix once", () => {
  const sequence = (...ids: number[]) => ({ ids: Int32Array.from(ids), truncated: false, prefixLength: 2 });
  const { prefixLengths, computed } = packSequences([sequence(1, 2, 3), sequence(1, 2, 4, 5)]);
  assertEquals([[...prefixLengths!], computed], [[2, 2], 2 + 1 + 2]);
});

test("resultSizes() counts a row for each sequence, or for each of its tokens", () => {
  const lengths = Int32Array.of(3, 1);
  assertEquals([...resultSizes(lengths, { width: 5, perToken: false })], [5, 5]);
  assertEquals([...resultSizes(lengths, { width: 5, perToken: true })], [15, 5]);
});

test("split() gives a view of each part", () => {
  const numbers = Float32Array.of(1, 2, 3, 4);
  const parts = split(numbers, Int32Array.of(1, 0, 3));
  assertEquals(parts.map((part) => [...part]), [[1], [], [2, 3, 4]]);
  parts[2]![0] = 9;
  assertEquals(numbers[1], 9);
});
