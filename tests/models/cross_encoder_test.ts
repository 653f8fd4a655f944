// Cross-encoders against transformers: segment B, both separators and the pooler; what goes wrong without each is in
// the fixtures and is far outside the tolerance.
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { convert, quantize } from "../../convert.ts";
import { Llama, LlamaError, type Ranked } from "../../mod.ts";
import { fixture, inDirectory } from "../support/checkpoint.ts";
import { addHead, minilmCheckpoint, type Part } from "../support/minilm_head.ts";

const TOLERANCE = 0.02;

interface Pair {
  readonly query: string;
  readonly document: string;
  readonly truncated: boolean;
  readonly logits: readonly number[];
  readonly wrong: Readonly<Record<string, readonly number[]>>;
}
const read = (name: string): { pairs: Pair[]; random?: Part[] } => JSON.parse(readFileSync(fixture(name), "utf8"));

/** The largest difference to the reference, each pair alone and all documents of a query together. */
async function largestDifference(llama: Llama, pairs: readonly Pair[]): Promise<number> {
  let largest = 0;
  for (const query of new Set(pairs.map((pair) => pair.query))) {
    const ofQuery = pairs.filter((pair) => pair.query === query);
    const together = await llama.rerank(query, ofQuery, { text: ({ document }) => document });
    for (const { document: pair, logit, score, truncated } of together) {
      const [alone] = await llama.rerank(query, [pair.document]);
      const expected = pair.logits.length === 1 ? pair.logits[0]! : odds(pair.logits);
      largest = Math.max(largest, Math.abs(logit - expected), Math.abs(alone!.logit - expected));
      assertEquals(truncated, pair.truncated);
      assert(Math.abs(score - 1 / (1 + Math.exp(-logit))) < 1e-12);
      if (pair.logits.length > 1) largest = Math.max(largest, differenceOfLabels(pair.logits, alone!));
    }
    assertEquals(together.map(({ logit }) => logit), together.map(({ logit }) => logit).toSorted((a, b) => b - a));
  }
  return largest;
}

/** The logarithm of the odds of the first label. */
function odds([first, ...others]: readonly number[]): number {
  return first! - Math.log(others.reduce((sum, logit) => sum + Math.exp(logit), 0));
}

/** How far the labels' logits are from the reference's; their probabilities must be those of a softmax. */
function differenceOfLabels(logits: readonly number[], { labels = [], score }: Ranked<string>): number {
  assertEquals(labels.map(({ label }) => label), ["contradiction", "entailment", "neutral"]);
  assertEquals(labels[0]!.score, score);
  const sum = labels.reduce((sum, { logit }) => sum + Math.exp(logit), 0);
  for (const { logit, score } of labels) assert(Math.abs(score - Math.exp(logit) / sum) < 1e-12);
  return Math.max(...labels.map(({ logit }, i) => Math.abs(logit - logits[i]!)));
}

for (const name of ["tiny_cross_encoder", "tiny_classifier"]) {
  test(`rerank() gives the logits of transformers for ${name}, and none of the mistakes does`, async () => {
    await inDirectory(async (directory) => {
      const { pairs } = read(`${name}.json`);
      const file = join(directory, "model.gguf");
      await convert(fixture(name), file);
      await using llama = await Llama.load(file);
      assertEquals([llama.info.reranker, llama.info.exact, llama.info.pooling], ["cross-encoder", true, "rank"]);
      const largest = await largestDifference(llama, pairs);
      console.log(`${name}: largest difference ${largest.toFixed(5)} on ${pairs.length} pairs`);
      assert(largest <= TOLERANCE, `largest difference ${largest}`);
      for (const mistake of Object.keys(pairs[0]!.wrong)) {
        const moved = Math.max(
          ...pairs.flatMap(({ logits, wrong }) => logits.map((x, i) => Math.abs(wrong[mistake]![i]! - x))),
        );
        assert(moved >= 20 * TOLERANCE, `${mistake} moves the logit by ${moved} only`);
      }
    });
  });
}

// Of logits on a range of 7, by the type of the weights; measured were 0.0065, 0.061 and 0.21.
const FIVE_PAIRS = { f32: TOLERANCE, bf16: 0.15, q8_0: 0.5 } as const;

test("rerank() scores the five pairs of a MiniLM cross-encoder as transformers, with f32, bf16 and q8_0", {
  skip: !minilmCheckpoint && "MiniLM's checkpoint is not in the cache",
  timeout: 1_200_000,
}, async () => {
  await inDirectory(async (directory) => {
    const source = join(directory, "checkpoint");
    cpSync(minilmCheckpoint!, source, { recursive: true });
    const { pairs, random } = read("minilm_cross_encoder.json");
    addHead(source, random!);
    const whole = join(directory, "f32.gguf");
    await convert(source, whole);
    const best = pairs.toSorted((a, b) => b.logits[0]! - a.logits[0]!).map(({ document }) => document);
    for (const type of ["f32", "bf16", "q8_0"] as const) {
      const file = join(directory, `${type}.gguf`);
      if (type !== "f32") await quantize(whole, file, type);
      await using llama = await Llama.load(file);
      const largest = await largestDifference(llama, pairs);
      console.log(`five pairs, ${type}: largest difference ${largest.toFixed(5)}`);
      assert(largest <= FIVE_PAIRS[type], `${type}: largest difference ${largest}`);
      const ranked = await llama.rerank(pairs[0]!.query, pairs.map(({ document }) => document));
      assertEquals(ranked.map(({ document }) => document), best, type);
      for (const mistake of Object.keys(pairs[0]!.wrong)) {
        const moved = Math.max(...pairs.map(({ logits, wrong }) => Math.abs(wrong[mistake]![0]! - logits[0]!)));
        assert(moved > 5 * FIVE_PAIRS[type], `${mistake} moves the logit by ${moved} only`);
      }
    }
  });
});

test("rerank() refuses a query that leaves no room, and embed() a model that has no vectors", async () => {
  await inDirectory(async (directory) => {
    const file = join(directory, "model.gguf");
    await convert(fixture("tiny_cross_encoder"), file);
    await using llama = await Llama.load(file);
    const long = "the ".repeat(200);
    await assertRejects(() => llama.rerank(long, ["a"]), RangeError, "leave no room");
    await assertRejects(() => llama.rerank("a", ["b", long], { truncate: "error" }), RangeError, "documents[1]");
    const error = await assertRejects(() => llama.embed("a"), LlamaError, "use rerank");
    assertEquals(error.code, "model-unsupported");
  });
});

test("Llama.load() refuses pooling rank for a file without a classification head", async () => {
  const error = await assertRejects(
    () => Llama.load(fixture("../../models/all-minilm-l6-v2-q8_0.gguf"), { pooling: "rank" }),
    LlamaError,
    "no classification head",
  );
  assertEquals(error.code, "model-unsupported");
});
