// The quality table's small cut, WordNet usage example to definition; `deno task quality` prints the whole one.
import { test } from "node:test";
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { Llama } from "../../mod.ts";
import { embedTexts, measure, measureBinary } from "../../bench/quality/measure.ts";
import { type Cut, getWordnet, readCut, textsOf } from "../../bench/quality/wordnet.ts";
import { cannotLoad, modelPath } from "../support/references.ts";

const BF16 = "all-minilm-l6-v2-bf16.gguf";
// First and second place exchanged for one of 100 queries make a difference of 0.0037; of 500, where `deno task quality`
// asks for 0.002, 0.0007.
const TOLERANCE = 0.01;

const archive = await getWordnet().catch((error: Error) => error.message);
const cut = await readCut(100, 1000);

test("embed() finds what sentence-transformers finds with bf16, WordNet", {
  skip: typeof archive === "string" ? archive : cannotLoad(BF16) && `${BF16} or the library is not there`,
  timeout: 300_000,
}, async () => {
  await using llama = await Llama.load(modelPath(BF16));
  const vectors = await embedTexts(llama, textsOf(archive as Uint8Array, cut));
  const [whole, binary] = [measure(vectors, cut), measureBinary(vectors, cut)];
  console.log(`nDCG@10 ${whole.ndcg}, sentence-transformers ${cut.ndcg}, binary ${binary.ndcg}`);
  assertAlmostEquals(whole.ndcg, cut.ndcg, TOLERANCE);
  assert(whole.overlap > 0.98, `the ten nearest overlap by ${whole.overlap}`);
  assert(binary.ndcg < cut.ndcg - TOLERANCE, `binary vectors cost nothing: ${binary.ndcg}`);
});

test("readCut() gives the reference's own ranks, and refuses another size", async () => {
  const ndcg = cut.ranks.reduce((sum, rank) => sum + (rank <= 10 ? 1 / Math.log2(1 + rank) : 0), 0) / cut.queries;
  assertAlmostEquals(ndcg, cut.ndcg, 1e-6);
  assertEquals([cut.ranks.length, cut.nearest.length, cut.names.length], [100, 100, 10_000]);
  await assertRejects(() => readCut(7, 9), RangeError, "--queries 500 --definitions 10000");
});

test("measure() gives gains by rank, and the mean of the places among equal scores", () => {
  const one = (definitions: number[][], nearest: number[]): ReturnType<typeof measure> =>
    measure(
      { queries: [Float32Array.of(1, 0)], definitions: definitions.map((row) => Float32Array.from(row)) },
      { nearest: [nearest] } as unknown as Cut,
    );
  assertEquals(one([[1, 0], [0, 1]], [0]), { ndcg: 1, overlap: 0.1 });
  assertAlmostEquals(one([[0, 1], [1, 0]], []).ndcg, 1 / Math.log2(3), 1e-12);
  assertAlmostEquals(one([[1, 0], [1, 0]], []).ndcg, (1 + 1 / Math.log2(3)) / 2, 1e-12);
  assertEquals(one([[0, 1], ...Array.from({ length: 10 }, () => [1, 0])], []).ndcg, 0);
});
