// Long documents: what is in their middle counts with truncate "windows", and only then.
import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Llama } from "../../mod.ts";
import { type Specials, windowAt, windowCount } from "../../src/text/tokens.ts";
import { convert } from "../../convert.ts";
import { fixture, inDirectory } from "../support/checkpoint.ts";
import { cannotLoad, modelPath } from "../support/references.ts";

const BERT = { bos: 101, eos: -1, sep: 102 };

/** All windows of a sequence. */
function windowsOf(ids: Int32Array, limit: number, specials: Specials): Int32Array[] {
  return Array.from({ length: windowCount(ids, limit, specials) }, (_, i) => windowAt(ids, limit, specials, i));
}

test("windowAt() covers every token, keeps the special ones in each, and overlaps by a quarter", () => {
  for (const length of [1, 6, 7, 20, 257]) {
    const inner = Int32Array.from({ length }, (_, i) => 1000 + i);
    for (const limit of [3, 4, 8, 64, 512]) {
      const windows = windowsOf(Int32Array.of(101, ...inner, 102), limit, BERT);
      if (length + 2 <= limit) assertEquals(windows.length, 1);
      const seen = new Set<number>();
      windows.forEach((ids, i) => {
        assertEquals([ids[0], ids.at(-1)], [101, 102]);
        assertEquals(ids.length, Math.min(limit, length + 2));
        const tokens = ids.subarray(1, -1);
        if (i > 0) assert(tokens[0]! <= Math.max(...seen) + 1, "a gap between windows");
        if (i > 0 && limit >= 8) assert(seen.has(tokens[0]!), "no overlap");
        tokens.forEach((token) => seen.add(token));
      });
      assertEquals(seen.size, length);
    }
  }
  assertEquals(windowsOf(Int32Array.of(101, 1, 2, 3, 102), 1, BERT).length, 5);
});

const MINILM = "all-minilm-l6-v2-q8_0.gguf";

test("rerank() with windows finds what is in the middle of a long document", {
  skip: cannotLoad(MINILM),
}, async () => {
  await using llama = await Llama.load(modelPath(MINILM), { contextSize: 48 });
  const filler = "The committee met on Tuesday and discussed the budget of the coming year at length. ".repeat(40);
  // 0.51 to 0.34: farther above than q8_0 rounds, which on ARM was 0.004
  const fruit =
    "Bananas are yellow fruit, lemons are yellow fruit, and mangos are yellow fruit, too. Yellow fruit is yellow.";
  const hidden = `${filler} ${fruit} ${filler}`;
  const documents = [hidden, "A yellow car drives through the rain."];
  const scores = async (truncate: "end" | "start" | "windows") => {
    const ranked = await llama.rerank("yellow fruit", documents, { truncate });
    assertEquals(ranked.find(({ index }) => index === 0)!.truncated, truncate !== "windows");
    return ranked.toSorted((a, b) => a.index - b.index).map(({ score }) => score) as [number, number];
  };
  for (const truncate of ["end", "start"] as const) {
    const [long, short] = await scores(truncate);
    assert(long < 0.15 && short > 0.3, `${truncate}: ${long} ${short}`);
  }
  const [long, short] = await scores("windows");
  assert(long > short, `${long} is not above ${short}`);
  // A query is never cut: that would be another query.
  await assertRejects(() => llama.rerank(filler, documents), RangeError, "a query is never truncated");
});

test("rerank() with windows gives a cross-encoder's best window, as if each were a document", async () => {
  await inDirectory(async (directory) => {
    const file = `${directory}/model.gguf`;
    await convert(fixture("tiny_cross_encoder"), file);
    await using llama = await Llama.load(file);
    const words = Array.from({ length: 400 }, (_, i) => ["river", "stone", "green", "paper", "snow"][i * i % 5]);
    const document = words.join(" ");
    const [cut] = await llama.rerank("the river", [document]);
    const seen: number[] = [];
    const [best] = await llama.rerank("the river", [document], {
      truncate: "windows",
      onProgress: ({ done, total }) => seen.push(done / total),
    });
    assert(seen.at(-1) === 1);
    // the first window is the cut document, but in a pass with others: equal to rounding
    assert(cut!.truncated && !best!.truncated && best!.logit >= cut!.logit - 1e-5, `${best!.logit} ${cut!.logit}`);
  });
});
