import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { fitTokens, type Specials, truncateTokens } from "../../../src/text/tokens.ts";
import { randomIntegers } from "../../support/random.ts";

const NONE = -1;
/** BERT: CLS as BOS, SEP at the end. */
const BERT: Specials = { bos: 101, eos: NONE, sep: 102 };
/** Such as XLM-RoBERTa: <s> … </s>. */
const ROBERTA: Specials = { bos: 0, eos: 2, sep: 2 };
const BARE: Specials = { bos: NONE, eos: NONE, sep: NONE };

function cut(ids: number[], limit: number, side: "end" | "start", specials: Specials): number[] {
  const sequence = truncateTokens(Int32Array.from(ids), limit, side, specials);
  assertEquals(sequence.truncated, ids.length > limit);
  return [...sequence.ids];
}

test("truncateTokens() cuts the end and keeps BOS and SEP or EOS", () => {
  assertEquals(cut([101, 1, 2, 3, 4, 102], 4, "end", BERT), [101, 1, 2, 102]);
  assertEquals(cut([0, 11, 12, 13, 14, 2], 3, "end", ROBERTA), [0, 11, 2]);
});

test("truncateTokens() cuts the start and keeps BOS and SEP or EOS", () => {
  assertEquals(cut([101, 1, 2, 3, 4, 102], 4, "start", BERT), [101, 3, 4, 102]);
  assertEquals(cut([0, 11, 12, 13, 14, 2], 3, "start", ROBERTA), [0, 14, 2]);
});

test("truncateTokens() leaves what fits, as the very same array", () => {
  const ids = Int32Array.of(101, 1, 102);
  for (const limit of [3, 4, 512]) {
    const sequence = truncateTokens(ids, limit, "end", BERT);
    assert(sequence.ids === ids && !sequence.truncated);
  }
});

test("truncateTokens() keeps only text tokens of a model without special tokens", () => {
  assertEquals(cut([1, 2, 3, 4, 5], 3, "end", BARE), [1, 2, 3]);
  assertEquals(cut([1, 2, 3, 4, 5], 3, "start", BARE), [3, 4, 5]);
});

test("truncateTokens() keeps the one special token of a model that has only one", () => {
  assertEquals(cut([7, 1, 2, 3, 4], 3, "end", { ...BARE, bos: 7 }), [7, 1, 2]);
  assertEquals(cut([7, 1, 2, 3, 4], 3, "start", { ...BARE, bos: 7 }), [7, 3, 4]);
  assertEquals(cut([1, 2, 3, 4, 8], 3, "end", { ...BARE, eos: 8 }), [1, 2, 8]);
  assertEquals(cut([1, 2, 3, 4, 8], 3, "start", { ...BARE, eos: 8 }), [3, 4, 8]);
});

test("truncateTokens() takes nothing for a special token that is none", () => {
  // A vocabulary may have BOS and EOS that its tokenizer does not add.
  assertEquals(cut([1, 2, 3, 4, 5], 3, "end", BERT), [1, 2, 3]);
  assertEquals(cut([1, 2, 3, 4, 5], 3, "start", ROBERTA), [3, 4, 5]);
});

test("truncateTokens() keeps BOS and EOS at a limit of 2, and one token at a limit of 1", () => {
  for (const side of ["end", "start"] as const) {
    assertEquals(cut([101, 1, 2, 102], 2, side, BERT), [101, 102]);
    assertEquals(cut([101, 1, 2, 102], 1, side, BERT).length, 1);
    assertEquals(cut([1, 2, 3], 2, side, BARE), side === "end" ? [1, 2] : [2, 3]);
    assertEquals(cut([1, 2, 3], 1, side, BARE), side === "end" ? [1] : [3]);
  }
});

test("truncateTokens() does not change its input and keeps a run of the text, on random sequences", () => {
  const draw = randomIntegers(3);
  for (let round = 0; round < 500; round++) {
    const inner = Array.from({ length: draw(3, 50) }, (_, i) => 1000 + i);
    const ids = Int32Array.from([101, ...inner, 102]);
    const limit = draw(2, inner.length + 1);
    const side = draw(0, 1) ? "end" : "start";
    const { ids: kept } = truncateTokens(ids, limit, side, BERT);
    const run = side === "end" ? inner.slice(0, limit - 2) : inner.slice(inner.length - (limit - 2));
    assertEquals([...kept], [101, ...run, 102], `round ${round}`);
    assertEquals([...ids], [101, ...inner, 102], `round ${round}`);
  }
});

test("fitTokens() throws RangeError for a text that is too long with truncate error, naming it", () => {
  const ids = new Int32Array(300);
  const { message } = assertThrows(() => fitTokens(() => "input[7]", ids, 256, "error", BERT), RangeError);
  assertEquals(
    message,
    'Cannot embed input[7]: it has 300 tokens, the limit is 256; shorten it, or pass truncate: "end"',
  );
  assertEquals(fitTokens(() => "input[7]", ids.subarray(0, 256), 256, "error", BERT).truncated, false);
});

test("fitTokens() throws RangeError for a text without any token, naming it", () => {
  for (const truncate of ["end", "start", "error"] as const) {
    assertThrows(
      () => fitTokens(() => "query", new Int32Array(), 256, truncate, BARE),
      RangeError,
      "query: it is empty",
    );
  }
});

test("fitTokens() cuts the end or the start as the option says", () => {
  const ids = Int32Array.of(101, 1, 2, 3, 102);
  assertEquals([...fitTokens(() => "input", ids, 3, "end", BERT).ids], [101, 1, 102]);
  assertEquals([...fitTokens(() => "input", ids, 3, "start", BERT).ids], [101, 3, 102]);
});
