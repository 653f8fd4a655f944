// Every family against transformers and sentence-transformers, by the public API: tokens, vectors and logits, alone, all in
// one call and in reversed order; and none of the mistakes of the mutation tables comes anywhere near.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Buffer } from "node:buffer";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { quantize } from "../../convert.ts";
import { Llama, LlamaError, type LlamaInfo } from "../../mod.ts";
import { inDirectory } from "../support/checkpoint.ts";
import {
  compareScores,
  compareVectors,
  type Embedder,
  familyFile,
  type FamilyText,
  leastCosine,
  loadFamily,
  readFamilies,
  scoresOf,
  SMALL,
  toleranceOf,
  vectorsOf,
  wrongPairTokens,
  wrongTokens,
} from "../support/families.ts";
import { farthest, libraryMissing as skip } from "../support/references.ts";

// What a mistake must move a result by, in tolerances.
const FACTOR = 20;
// What a text alone may be from itself in company, with our kernels and f32 weights: of a number, or of the logits' range.
const ALONE = 1e-6;
const { embedders, rerankers } = readFamilies();

// Why a family's file is not exact though its numbers are the original's: what llama.cpp's converter does not write down, so
// that other files of the kind come out wrong. Those that are not here are exact.
const DENSE = "whether a Dense module follows the pooling";
const ACTIVATION = "which activation the feed-forward layers have";
const ATTENTION = "whether a token sees the whole text";
const HEAD = "does not say whether its head takes the mean";
const TEMPLATE = "has no template for pairs";
const NOT_EXACT: Readonly<Record<string, readonly string[]>> = {
  distilbert: [DENSE, ACTIVATION],
  eurobert: [DENSE],
  jina_v5_nano: [DENSE],
  gte_qwen2: [DENSE],
  lfm2_embedding: [DENSE],
  llama_embed: [DENSE],
  llama_last: [DENSE, ATTENTION],
  modern_bert: [DENSE],
  modern_bert_reranker: [HEAD],
  modern_bert_silu: [DENSE],
  nomic_bert: [DENSE],
  qwen2_two_way: [DENSE],
  qwen2_last: [DENSE, ATTENTION],
  qwen3_last: [DENSE, ATTENTION],
  qwen3_two_way: [DENSE],
  qwen3_reranker_plain: [TEMPLATE],
  roberta_mean: [DENSE, ACTIVATION],
  roberta_reranker: [ACTIVATION],
  xlm_roberta_cls: [DENSE, ACTIVATION],
  xlm_roberta_mean: [DENSE, ACTIVATION],
  xlm_roberta_reranker: [ACTIVATION],
};

/** The file says of itself what it should: all of it is known, or just what the table above has is not. */
function assertExactness({ exact, exactness }: LlamaInfo, name: string): void {
  const open = NOT_EXACT[name] ?? [];
  const found = [...exactness.lacks, ...exactness.unknown];
  assertEquals([exact, found.length], [open.length === 0, open.length], found.join("\n"));
  open.forEach((words, i) => assertStringIncludes(found[i]!, words));
}

for (const embedder of embedders) {
  const { family, texts, tokenLevel, mutations } = embedder;
  test(`tokenize() and embed() are those of the original, ${family.title}`, { skip }, async () => {
    await using llama = await loadFamily(embedder);
    const tolerance = toleranceOf(embedder, llama.info);
    const { pooling, dimensions, reranker } = llama.info;
    assertEquals([pooling, dimensions, reranker], [family.pooling, family.dimensions, "cosine"]);
    assertExactness(llama.info, family.name);
    assertEquals(await wrongTokens(llama, embedder), []);
    const together = await vectorsOf(llama, texts);
    const limits = { tolerance, cosine: leastCosine(llama.info) };
    check(embedder, limits, together, "together");
    check(embedder, limits, await vectorsOf(llama, texts, "backward"), "reversed");
    for (const i of someOf(texts)) {
      const { text, prompt, vector, id } = texts[i]!;
      const alone = await llama.embed(text, { prompt });
      const off = farthest(alone, vector);
      assert(off <= tolerance, `${id} alone is off by ${off}`);
      const apart = farthest(alone, together[i]!);
      assert(apart <= ALONE || !llama.info.kernels.includes("gelu"), `${id} alone is ${apart} from itself in company`);
    }
    for (const { name, text, vector } of mutations) {
      const moved = farthest(vector, together[text]!);
      assert(moved >= FACTOR * tolerance, `"${name}" is only ${moved} from what came out`);
    }
    for (const { id, tokens, theirs } of texts) {
      if (theirs) assert(theirs.join() !== tokens.join(), `${id} is said to differ, but does not`);
    }
    await using rows = await loadFamily(embedder, undefined, { pooling: "none" });
    for (const { text, rows: expected } of tokenLevel) {
      const { text: string, prompt, tokens } = texts[text]!;
      const found = await rows.embed(string, { prompt });
      assertEquals(found.length, tokens.length * family.dimensions);
      const off = farthest(found, expected);
      assert(off <= tolerance, `the tokens' vectors of ${texts[text]!.id} are off by ${off}`);
    }
  });
}

function check(
  { family, texts }: Embedder,
  { tolerance, cosine }: { tolerance: number; cosine: number },
  vectors: Float32Array[],
  how: string,
): void {
  const { least, off, worst } = compareVectors(texts, vectors);
  console.log(`${family.name}, ${how}: least cosine ${least}, largest difference ${off} (${worst})`);
  assert(least >= cosine, `${how}: least cosine ${least}`);
  assert(off <= tolerance, `${how}: ${worst} is off by ${off}`);
}

/** Indices of some texts to be embedded alone: the shortest, the longest and every tenth. */
function someOf(texts: readonly FamilyText[]): number[] {
  const lengths = texts.map(({ tokens }) => tokens.length);
  const ends = [Math.min(...lengths), Math.max(...lengths)].map((length) => lengths.indexOf(length));
  return [...ends, ...texts.keys().filter((i) => i % 10 === 5)];
}

for (const reranker of rerankers) {
  const { family, pairs, mutations } = reranker;
  test(`rerank() gives the logits of the original, ${family.title}`, { skip }, async () => {
    await using llama = await loadFamily(reranker);
    const tolerance = toleranceOf(reranker, llama.info);
    assertEquals(llama.info.reranker, family.reranker);
    assertExactness(llama.info, family.name);
    assertEquals(await wrongPairTokens(llama, reranker), []);
    const together = await scoresOf(llama, pairs);
    const all: [string, typeof together][] = [["together", together], [
      "reversed",
      await scoresOf(llama, pairs, "backward"),
    ]];
    for (const [how, scores] of all) {
      const { off, rank, range } = compareScores(pairs, scores);
      console.log(`${family.name}, ${how}: largest difference ${off} on a range of ${range.toFixed(1)}, ranks ${rank}`);
      assert(off <= tolerance, `${how}: off by ${off}`);
      assertEquals(scores.map(({ truncated }) => truncated), pairs.map(({ truncated }) => truncated));
    }
    const { range } = compareScores(pairs, together);
    for (const i of pairs.keys().filter((i) => i % 4 === 1)) {
      const { logits } = (await scoresOf(llama, [pairs[i]!]))[0]!;
      const off = farthest(logits, pairs[i]!.logits);
      assert(off <= tolerance, `pair ${i} alone is off by ${off}`);
      const apart = farthest(logits, together[i]!.logits) / Math.max(1, range);
      assert(
        apart <= ALONE || !llama.info.kernels.includes("gelu"),
        `pair ${i} alone is ${apart} from itself in company`,
      );
    }
    for (const { name, pair, logits } of mutations) {
      const moved = farthest(logits, together[pair]!.logits);
      assert(moved >= FACTOR * tolerance, `"${name}" is only ${moved} from what came out`);
    }
  });
}

for (const type of ["bf16", "q8_0"] as const) {
  test(`embed() and rerank() stay near the original with ${type} weights, all families`, { skip }, async () => {
    const { cosine, vectors, logits, rank } = SMALL[type]!;
    await inDirectory(async (directory) => {
      for (const embedder of embedders) {
        const { family, texts } = embedder;
        const file = join(directory, family.file);
        await quantize(familyFile(family), file, type);
        await using llama = await loadFamily(embedder, file);
        const { least, off, worst } = compareVectors(texts, await vectorsOf(llama, texts));
        assert(least >= cosine && off <= vectors, `${family.name}: ${worst} is off by ${off}, least cosine ${least}`);
      }
      for (const reranker of rerankers) {
        const { family, pairs } = reranker;
        const file = join(directory, family.file);
        await quantize(familyFile(family), file, type);
        await using llama = await loadFamily(reranker, file);
        const found = compareScores(pairs, await scoresOf(llama, pairs));
        assert(
          found.off <= 10 * logits && found.rank >= rank,
          `${family.name}: off by ${found.off}, ranks ${found.rank}`,
        );
      }
    });
  });
}

test("Llama.load() refuses an architecture that llama.cpp does not know, by its name", { skip }, async () => {
  await inDirectory(async (directory) => {
    const file = join(directory, "mpnet.gguf");
    const bytes = readFileSync(familyFile(embedders.find(({ family }) => family.name === "qwen3_last")!.family));
    writeFileSync(file, Buffer.from(bytes.toString("latin1").replaceAll("qwen3", "mpnet"), "latin1"));
    const error = await assertRejects(() => Llama.load(file), LlamaError, "unknown model architecture: 'mpnet'");
    assertEquals(error.code, "model-unsupported");
  });
});
