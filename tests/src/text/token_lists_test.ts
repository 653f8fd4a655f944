import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { tokenizeList, TokenLists } from "../../../src/text/token_lists.ts";
import { FakeNative } from "../../support/fake_native.ts";
import { randomIntegers } from "../../support/random.ts";

test("TokenLists gives back each list, set in any order, of any length", () => {
  const draw = randomIntegers(11);
  const expected = Array.from({ length: 3000 }, (_, i) => {
    const length = i === 1500 ? 200_000 : draw(0, 100);
    return Int32Array.from({ length }, () => draw(-1, 2 ** 31 - 1));
  });
  const lists = new TokenLists(expected.length);
  assertEquals(lists.length, expected.length);
  assertEquals(lists.at(7).length, 0); // before it is set
  const order = expected.map((_, i) => i * 1009 % expected.length);
  for (const i of order) lists.set(i, expected[i]!);
  expected.forEach((ids, i) =>
    assert(ids.every((id, j) => id === lists.at(i)[j]) && ids.length === lists.at(i).length)
  );
});

test("TokenLists copies, and its lists share buffers", () => {
  const lists = new TokenLists(3);
  const ids = Int32Array.of(1, 2, 3);
  for (const i of [0, 1, 2]) lists.set(i, ids);
  ids.fill(9);
  assertEquals([...lists.at(1)], [1, 2, 3]);
  assertEquals(lists.at(0).buffer, lists.at(2).buffer);
});

test("tokenizeList() gives what Pool.tokenize() gives, and is aborted as that is", async () => {
  const pool = new FakeNative(randomIntegers(5), {}).pool(2);
  const texts = Array.from({ length: 200 }, (_, i) => "word ".repeat(i % 7) + i);
  const expected = await pool.tokenize(texts, "none");
  const lists = await tokenizeList(pool, { length: texts.length, at: (i) => texts[i]! }, "none", undefined);
  assertEquals(texts.map((_, i) => [...lists.at(i)]), expected.map((ids) => [...ids]));
  // Each of a short list has a buffer of its own, so that a caller who keeps one keeps no others.
  assert(expected.every(({ buffer, byteLength }) => buffer.byteLength === byteLength));
  await assertRejects(
    () => tokenizeList(pool, texts, "none", AbortSignal.abort(new Error("no more"))),
    Error,
    "no more",
  );
  await pool.close();
});
