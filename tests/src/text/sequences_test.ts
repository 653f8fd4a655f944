import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { pairSplitter } from "../../../src/text/pairs.ts";
import { type Sequence, Sequences, type Splitter, textSplitter } from "../../../src/text/sequences.ts";

const BERT = { bos: 101, eos: -1, sep: 102 };
const FORMAT = { opening: [101], middle: [102], closing: [102], segments: true };
const name = (i: number): string => `documents[${i}]`;

/** Texts of so many tokens, each with the special ones around them. */
function texts(...counts: number[]): Int32Array[] {
  return counts.map((length) => Int32Array.of(101, ...Array.from({ length }, (_, i) => 1000 + i), 102));
}

function listed(sequences: Sequences): number[][] {
  return Array.from({ length: sequences.length }, (_, i) => [...sequences.at(i).ids]);
}

test("Sequences.of() makes one of each text, and says what was cut", async () => {
  const sequences = await Sequences.of(textSplitter(texts(1, 4, 2), BERT, { limit: 4, truncate: "end", name }));
  assertEquals(listed(sequences), [[101, 1000, 102], [101, 1000, 1001, 102], [101, 1000, 1001, 102]]);
  assertEquals([...sequences.truncated], [0, 1, 0]);
  assertEquals([...sequences.lengths], [3, 4, 4]);
  assertEquals([...sequences.textOf], [0, 1, 2]);
});

test("Sequences.of() makes windows, each of which knows its text and its place in it", async () => {
  const documents = texts(2, 7, 0, 5);
  const sequences = await Sequences.of(
    pairSplitter(Int32Array.of(7), documents, FORMAT, BERT, { limit: 8, truncate: "windows", name }),
  );
  const pair = (...ids: number[]): number[] => [101, 7, 102, ...ids, 102];
  assertEquals(listed(sequences), [
    pair(1000, 1001),
    pair(1000, 1001, 1002, 1003),
    pair(1003, 1004, 1005, 1006),
    pair(),
    pair(1000, 1001, 1002, 1003),
    pair(1001, 1002, 1003, 1004),
  ]);
  assertEquals([...sequences.textOf], [0, 1, 1, 2, 3, 3]);
  assertEquals([0, 1, 2, 3, 4, 5].map((i) => sequences.indexInText(i)), [0, 0, 1, 0, 0, 1]);
  assertEquals([...sequences.truncated], [0, 0, 0, 0]);
  assertEquals(sequences.at(2).segmentB, 3);
});

test("Sequences.of() counts what others have, too, as no token of a sequence's own", async () => {
  const sequence = (text: number): Sequence => ({ ids: new Int32Array(5 + text), truncated: false, prefixLength: 4 });
  const sequences = await Sequences.of({ length: 3, count: () => 1, sequence });
  assertEquals([...sequences.costs], [1, 2, 3]);
  assertEquals([...sequences.lengths], [5, 6, 7]);
});

test("Sequences makes a sequence anew each time, and keeps none", async () => {
  const sequences = await Sequences.of(textSplitter(texts(9), BERT, { limit: 4, truncate: "end", name }));
  const first = sequences.at(0);
  assert(first.ids !== sequences.at(0).ids);
});

test("Sequences.of() throws for the first text that is refused, and asks for none behind it", async () => {
  const asked: number[] = [];
  const options = { limit: 8, truncate: "error", name } as const;
  const whole = pairSplitter(Int32Array.of(7), texts(2, 9, 9), FORMAT, BERT, options);
  const splitter: Splitter = {
    ...whole,
    count: (i) => {
      asked.push(i);
      return whole.count(i);
    },
  };
  await assertRejects(() => Sequences.of(splitter), RangeError, "Cannot rank documents[1]: it has 9 tokens");
  assertEquals(asked, [0, 1]);
  const alone = textSplitter([...texts(2, 9), new Int32Array()], BERT, options);
  await assertRejects(() => Sequences.of(alone), RangeError, "Cannot embed documents[1]: it has 11 tokens");
});
