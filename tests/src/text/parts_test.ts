// A long text's part has the tokens that the whole text has, in each kind of tokenizer; what cannot be cut is not.
import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { Llama } from "../../../mod.ts";
import { loadEngine } from "../../../src/engine/load.ts";
import { boundOf, tokenizeList } from "../../../src/text/token_lists.ts";
import { fitTokens } from "../../../src/text/tokens.ts";
import { ROOT } from "../../support/child.ts";
import { randomIntegers } from "../../support/random.ts";
import { libraryMissing } from "../../support/references.ts";

const skip = libraryMissing;
const LIMIT = 256;
const pathOf = (name: string): string => join(ROOT, "tests", "fixtures", "families", `${name}.gguf`);

/** Words of several scripts with all that stands between words. */
const WORDS = [
  ..."the of running unbelievably don't naïve école straße слово ещё λόγος शब्द 中文字 かな 한국어 a\u0301e\u0302 x1y2 3.14 _id_"
    .split(" "),
  ...["e\u0301", "👩‍👩‍👧", "\u00ad", "<s>", "[SEP]", "▁", "--", "(see", "this)", "…", "\u200b", "I'LL", "ﬁ", "Ⅷ"],
];
const BETWEEN = [" ", " ", " ", " ", "  ", "\n", "\n\n", "\t", ", ", ". ", "\u00a0", "\u3000", "\r\n", " - "];

function longText(seed: number, length: number): string {
  const draw = randomIntegers(seed);
  let text = "";
  while (text.length < length) text += WORDS[draw(0, WORDS.length - 1)]! + BETWEEN[draw(0, BETWEEN.length - 1)]!;
  return text;
}

for (
  const [name, atStart] of [
    ["bert_mean", true],
    ["modern_bert", true],
    ["qwen3_last", true],
    ["roberta_mean", true],
    ["xlm_roberta_mean", false],
    ["embedding_gemma", false],
    ["bert_sentence_piece", false],
  ] as const
) {
  test(`tokenizeList() of ${name} keeps the same tokens of a part as of the whole text`, { skip }, async () => {
    const { pool, model } = await loadEngine(pathOf(name), { onLog: () => {} });
    const texts = [longText(1, 140_000), "a short one"];
    const whole = await tokenizeList(pool, texts, "add", undefined);
    for (const side of ["end", "start"] as const) {
      const parts = await tokenizeList(pool, texts, "add", undefined, boundOf(LIMIT, side));
      assertEquals([parts.isPart(0), parts.isPart(1)], [side === "end" || atStart, false]);
      for (const i of texts.keys()) {
        const [all, some] = [whole, parts].map((
          lists,
        ) => [...fitTokens(() => "text", lists.at(i), LIMIT, side, model.numbers).ids]);
        assertEquals(some, all, `${side} of text ${i}`);
      }
    }
    await pool.close();
  });
}

test(
  "tokenizeList() cuts a text of ideographs without a space for BERT, with the tokens of the whole",
  { skip },
  async () => {
    const { pool, model } = await loadEngine(pathOf("bert_mean"), { onLog: () => {} });
    const draw = randomIntegers(3);
    const letters = [
      "中",
      "文",
      "龍",
      "a",
      "word",
      "e\u0301",
      "。",
      "🀄",
      "\u{20000}",
      "かな",
      "\u0301",
      "x".repeat(99),
    ];
    const texts = [Array.from({ length: 60_000 }, () => letters[draw(0, letters.length - 1)]!).join("")];
    const whole = await tokenizeList(pool, texts, "add", undefined);
    for (const side of ["end", "start"] as const) {
      const parts = await tokenizeList(pool, texts, "add", undefined, boundOf(LIMIT, side));
      assertEquals(parts.isPart(0), true);
      const [all, some] = [whole, parts].map((
        lists,
      ) => [...fitTokens(() => "text", lists.at(0), LIMIT, side, model.numbers).ids]);
      assertEquals(some, all, side);
    }
    await pool.close();
  },
);

test(
  "tokenizeList() looks further where a part has too few tokens, and takes a text without words whole",
  { skip },
  async () => {
    const { pool, model } = await loadEngine(pathOf("bert_mean"), { onLog: () => {} });
    const texts = [`${"\u200b ".repeat(200_000)}${"word ".repeat(3_000)}`, "a".repeat(300_000), " ".repeat(300_000)];
    const whole = await tokenizeList(pool, texts, "add", undefined);
    const parts = await tokenizeList(pool, texts, "add", undefined, boundOf(LIMIT, "end"));
    for (const i of texts.keys()) {
      const [all, some] = [whole, parts].map((
        lists,
      ) => [...fitTokens(() => "text", lists.at(i), LIMIT, "end", model.numbers).ids]);
      assertEquals(some, all);
    }
    await pool.close();
  },
);

test("embed() and rerank() say of a text of megabytes that it has at least so many tokens", { skip }, async () => {
  const long = "some words ".repeat(100_000);
  await using llama = await Llama.load(pathOf("bert_mean"), { onLog: () => {} });
  await assertRejects(
    () => llama.embed(["short", long], { truncate: "error" }),
    RangeError,
    "Cannot embed input[1]: it has at least ",
  );
  const { truncated } = await llama.embedDetailed(long);
  assert(truncated);
  await using ranker = await Llama.load(pathOf("xlm_roberta_reranker"), { onLog: () => {} });
  await assertRejects(
    () => ranker.rerank("query", [long], { truncate: "error" }),
    RangeError,
    "Cannot rank documents[0]: it has at least ",
  );
  await assertRejects(() => ranker.rerank(long, ["document"]), RangeError, "its tokens, at least ");
});
