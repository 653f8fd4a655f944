// Texts of which no token is left, in every place of every list: empty, or dropped by the normalizer, of models with special
// tokens around a text and of models without.
import { test } from "node:test";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Llama } from "../../mod.ts";
import { fixture } from "../support/checkpoint.ts";
import { libraryMissing } from "../support/references.ts";

const skip = libraryMissing;
const BARE = { addBos: false, addEos: false, addSep: false };
const FAMILIES = ["qwen3_last", "embedding_gemma", "modern_bert", "bert_mean", "roberta_mean", "xlm_roberta_mean"];
const NOTHING = ["", "\u200b", "\u0000\u0001"];

/** The lists: nothing first, in the middle, last, twice, alone, and nothing but nothing. */
function lists(nothing: string): string[][] {
  const n = nothing;
  return [[n], [n, n], [n, "a"], ["a", n], ["a", n, "b"], [n, "a", n], ["a", "b", n, n], [
    n,
    ...Array(40).fill("many"),
  ]];
}

/** The message of what a call threw, which must be an error of ours; undefined if all texts have tokens. */
async function refused(call: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await call();
    return undefined;
  } catch (error) {
    assert(error instanceof RangeError, `${error}`);
    return error.message;
  }
}

async function drain(stream: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  for await (const _ of stream) count++;
  return count;
}

for (const family of FAMILIES) {
  test(`${family}: a text of no tokens is embedded or refused by its name, wherever it stands`, { skip }, async () => {
    for (const options of [{}, BARE]) {
      await using llama = await Llama.load(fixture(`families/${family}.gguf`), options);
      for (const nothing of NOTHING) {
        const empty = (await llama.tokenize(nothing)).length === 0;
        for (const list of lists(nothing)) {
          const place = list.indexOf(nothing);
          const embedded = await refused(() => llama.embed(list));
          assertEquals(embedded !== undefined, empty, `${family}, ${JSON.stringify(list)}: ${embedded}`);
          if (embedded !== undefined) assertStringIncludes(embedded, `input[${place}]: it is empty`);
          let before = 0;
          const streamed = await refused(async () => {
            for await (const _ of llama.embedStream(list)) before++;
          });
          assertEquals([streamed !== undefined, before], [empty, empty ? place : list.length]);
          for (const truncate of ["end", "windows"] as const) {
            const ranked = await refused(() => llama.rerank("query", list, { truncate }));
            if (ranked !== undefined) assertStringIncludes(ranked, `documents[${place}]`);
            assertEquals(ranked !== undefined, empty, `${family}, ${truncate}, ${JSON.stringify(list)}`);
          }
        }
        assertEquals(await refused(() => llama.embed(nothing)) !== undefined, empty);
        assertEquals(await refused(() => llama.rerank(nothing, ["a"])) !== undefined, empty);
      }
      assertEquals([await llama.embed([]), await llama.rerank("q", []), await drain(llama.embedStream([]))], [
        [],
        [],
        0,
      ]);
    }
  });
}

for (const family of ["xlm_roberta_reranker", "modern_bert_reranker", "qwen3_reranker_plain"]) {
  test(`${family}: a query or document of no tokens is ranked or refused by its name`, { skip }, async () => {
    for (const options of [{}, BARE]) {
      await using llama = await Llama.load(fixture(`families/${family}.gguf`), options);
      for (const nothing of NOTHING) {
        for (const list of lists(nothing)) {
          const message = await refused(async () => {
            const ranked = await llama.rerank("query", list);
            assertEquals(ranked.length, list.length);
          });
          if (message !== undefined) assertStringIncludes(message, `documents[${list.indexOf(nothing)}]`);
        }
        await refused(() => llama.rerank(nothing, ["a", "b"]));
        await refused(() => llama.rerank(nothing, ["a", nothing], { topN: 1 }));
      }
    }
  });
}

test("a pair that has no token, nor has its template, is refused by the document's name", { skip }, async () => {
  const options = { ...BARE, template: "{query}{document}" };
  for (const family of ["qwen3_reranker_plain", "llama_last"]) {
    await using llama = await Llama.load(fixture(`families/${family}.gguf`), options);
    for (const list of lists("")) {
      const message = await refused(() => llama.rerank("", list));
      assertStringIncludes(
        message!,
        `Cannot rank documents[${list.indexOf("")}]: it is empty with all that goes around`,
      );
      assertEquals((await llama.rerank("query", list)).length, list.length);
    }
  }
});
