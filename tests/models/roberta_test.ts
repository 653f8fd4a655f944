// RoBERTa and XLM-RoBERTa: tokens and vectors of sentence-transformers, logits of transformers, tiny checkpoints.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { convert } from "../../convert.ts";
import { Llama } from "../../mod.ts";
import { fixture, inDirectory } from "../support/checkpoint.ts";
import { assertEqualsLlama } from "../support/gguf_manifest.ts";
import { compare, farthest, libraryMissing as skip, readReferences, worst } from "../support/references.ts";

const LOGITS = 0.02;

/** Runs with a tiny checkpoint, converted and loaded. */
async function withTiny(name: string, run: (llama: Llama) => Promise<void>): Promise<void> {
  await inDirectory(async (directory) => {
    const path = join(directory, "tiny.gguf");
    await convert(fixture(name), path);
    await using llama = await Llama.load(path);
    await run(llama);
  });
}

for (const [name, pooling] of [["tiny_xlm_roberta", "cls"], ["tiny_roberta", "mean"]] as const) {
  test(`embed() gives tokens and vectors of sentence-transformers for ${name}`, { skip }, async () => {
    const { texts, model } = readReferences(`${name}.json`);
    await withTiny(name, async (llama) => {
      const { maxTokens, contextLength, reranker } = llama.info;
      assertEquals([maxTokens, contextLength, reranker], [model.maxTokens, 128, "cosine"]);
      assertEquals(llama.info.pooling, pooling);
      const reports = await llama.embedDetailed(texts.map(({ text }) => text));
      for (const [i, { id, text, tokens, count, whole, truncated }] of texts.entries()) {
        const ids = [...await llama.tokenize(text)];
        assertEquals(truncated ? [...ids.slice(0, model.maxTokens - 1), ids.at(-1)] : ids, tokens, id);
        assertEquals([ids.length, reports[i]!.tokens, reports[i]!.truncated], [whole ?? count, count, truncated], id);
      }
      const { cosine, off } = worst(name, compare(texts, reports));
      assert(cosine >= 0.99999, `least cosine ${cosine}`);
      assert(off <= 1e-3, `largest difference ${off}`);
    });
  });
}

const ENCODER = /^(llamasaur\.(max_seq_length|converter|head\.count)|bert\.hidden_activation)$/;
const HEAD = /^(bert\.(pooling_type|hidden_activation)|llamasaur\.(converter|head\.count))$/;
// llama.cpp's converter takes these from attributes of the Python object that mean other things, and writes false.
const SPACES = "tokenizer\\.ggml\\.(add_space_prefix|remove_extra_whitespaces)";
for (
  const [name, ours] of [
    ["tiny_xlm_roberta", new RegExp(`${ENCODER.source}|^${SPACES}$`)],
    ["tiny_xlm_roberta_reranker", new RegExp(`${HEAD.source}|^${SPACES}$`)],
    ["tiny_roberta", ENCODER],
    ["tiny_roberta_classifier", HEAD],
  ] as const
) {
  test(`convert() of ${name} is what llama.cpp's converter makes, but for what only we keep`, async () => {
    await inDirectory(async (directory) => {
      const out = join(directory, "f32.gguf");
      await convert(fixture(name), out);
      assertEqualsLlama(out, name, "f32", ours);
    });
  });
}

interface Pair {
  readonly query: string;
  readonly document: string;
  readonly truncated: boolean;
  readonly logits: readonly number[];
  readonly wrong: Readonly<Record<string, readonly number[]>>;
}

for (const name of ["tiny_xlm_roberta_reranker", "tiny_roberta_classifier"]) {
  test(`rerank() gives the logits of transformers for ${name}, and none of the mistakes does`, { skip }, async () => {
    const { pairs, model }: { pairs: Pair[]; model: { labels: string[] } } = JSON.parse(
      readFileSync(fixture(`${name}.json`), "utf8"),
    );
    await withTiny(name, async (llama) => {
      const { reranker, exact, pooling, labels } = llama.info;
      assertEquals([reranker, exact, pooling], ["cross-encoder", true, "rank"]);
      assertEquals(labels, model.labels);
      let largest = 0;
      for (const { query, document, logits, truncated } of pairs) {
        const [found] = await llama.rerank(query, [document]);
        const raw = found!.labels?.map(({ logit }) => logit) ?? [found!.logit];
        largest = Math.max(largest, farthest(raw, logits));
        assertEquals(found!.truncated, truncated);
      }
      console.log(`${name}: largest difference ${largest.toFixed(5)} on ${pairs.length} pairs`);
      assert(largest <= LOGITS, `largest difference ${largest}`);
    });
    for (const mistake of Object.keys(pairs[0]!.wrong)) {
      const moved = Math.max(
        ...pairs.flatMap(({ logits, wrong }) => logits.map((x, i) => Math.abs(wrong[mistake]![i]! - x))),
      );
      assert(moved >= 20 * LOGITS, `${mistake} moves the logit by ${moved} only`);
    }
  });
}
