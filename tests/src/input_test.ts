import { after, before, test } from "node:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import fc from "fast-check";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { convert } from "../../convert.ts";
import { Llama } from "../../mod.ts";
import { type Call, callsOf } from "../support/calls.ts";
import { fixture } from "../support/checkpoint.ts";
import { anyText, anyValue } from "../support/hostile.ts";
import { tryCall } from "../support/hostile_call.ts";
import { farthest, libraryMissing as skip } from "../support/references.ts";
import { copyList } from "../../src/check.ts";

const SEED = 1; // the torture draws others: tests/torture/input.ts
let directory = "";
let embedder: Llama;
let reranker: Llama;
let calls: Call[] = [];
const variables = { HF_HUB_OFFLINE: "1", HF_HUB_CACHE: "" };
const before_ = Object.keys(variables).map((name) => [name, process.env[name]] as const);

before(async () => {
  if (skip) return;
  directory = mkdtempSync(join(tmpdir(), "llamasaur-input-"));
  Object.assign(process.env, { ...variables, HF_HUB_CACHE: join(directory, "cache") });
  await convert(fixture("tiny_bert"), join(directory, "tiny.gguf"));
  await convert(fixture("tiny_cross_encoder"), join(directory, "cross.gguf"));
  embedder = await Llama.load(join(directory, "tiny.gguf"));
  reranker = await Llama.load(join(directory, "cross.gguf"));
  calls = callsOf(embedder, directory);
});
after(async () => {
  for (const [name, value] of before_) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  await Promise.all([embedder?.close(), reranker?.close()]);
  rmSync(directory, { recursive: true, force: true });
});

test(
  "every public function takes or refuses any value, in its own words, and other calls go on",
  { skip },
  async () => {
    const [expected] = await embedder.embed(["a text that must keep its vector"]);
    for (const call of calls.filter(({ refusals }) => Object.keys(refusals).length > 0)) {
      const numRuns = call.name === "build" ? 8 : 80;
      const property = fc.asyncProperty(
        fc.constantFrom(...Object.keys(call.refusals)),
        anyValue,
        async (key, value) => {
          assertEquals(await tryCall(call, key, value, directory), undefined);
        },
      );
      await fc.assert(property, { seed: SEED, numRuns, endOnFailure: true });
      assertEquals(await embedder.embed(["a text that must keep its vector"]), [expected!]);
    }
  },
);

test("embed() and rerank() take every well-formed text, and name the index of one that is not", { skip }, async () => {
  const property = fc.asyncProperty(fc.array(anyText, { minLength: 1, maxLength: 6 }), async (texts) => {
    const bad = texts.findIndex((text) => !text.isWellFormed());
    if (bad >= 0) {
      for (
        const [work, name] of [[embedder.embed(texts), "input"], [reranker.rerank("q", texts), "documents"]] as const
      ) {
        const error = await assertRejects(() => work, TypeError, `${name}[${bad}]: it has a lone surrogate`);
        assert(error.message.length < 200);
      }
      return;
    }
    const vectors = await embedder.embed(texts);
    for (const vector of vectors) {
      assertEquals([vector.length, vector.every(Number.isFinite)], [embedder.info.dimensions, true]);
    }
    const ranked = await reranker.rerank(texts[0]!, texts);
    assertEquals(ranked.map(({ index }) => index).sort((a, b) => a - b), texts.map((_, i) => i));
    for (const { document, index, score } of ranked) {
      assertEquals([document, score > 0 && score < 1], [texts[index], true]);
    }
  });
  await fc.assert(property, { seed: SEED, numRuns: 60, endOnFailure: true });
});

test("embed() and rerank() keep what they were given, whatever becomes of the arrays", { skip }, async () => {
  const texts = Array.from({ length: 200 }, (_, i) => `text number ${i}`);
  const expected = await embedder.embed([...texts]);
  const ranked = await embedder.rerank("number 7", [...texts]);
  const documents = texts.map((text) => ({ text }));
  const given = [...texts];
  const work = [embedder.embed(given), embedder.rerank("number 7", given)] as const;
  const byText = embedder.rerank("number 7", documents, { text: ({ text }) => text });
  given.fill("something else");
  given.length = 3;
  documents.splice(0);
  // What shares a pass moves a vector a little, and with it the order of what is nearly equal.
  const off = Math.max(...(await work[0]).map((vector, i) => farthest(vector, expected[i]!)));
  assert(off < 1e-3, `largest difference ${off}`);
  const scores = new Map(ranked.map(({ index, score }) => [index, score]));
  const all = [await work[1], (await byText).map((one) => ({ ...one, document: one.document.text }))];
  for (const { index, document, score } of all.flat()) {
    assertEquals(document, texts[index]);
    assert(Math.abs(score - scores.get(index)!) < 1e-3, `document ${index}: ${score}, not ${scores.get(index)}`);
  }
  assertEquals(all.map(({ length }) => length), [200, 200]);
});

test("embed() does not wait for a callback's end, and fails by what it throws; so does load()", { skip }, async () => {
  const enough = new Error("enough");
  const onProgress = () => {
    throw enough;
  };
  assertEquals(await assertRejects(() => embedder.embed(["a", "b"], { onProgress })), enough);
  assertEquals(await assertRejects(() => Llama.load(join(directory, "tiny.gguf"), { onProgress })), enough);
  assertEquals((await embedder.embed(["a"])).length, 1);
});

test("a text of 10 MB is cut like any other, beside small ones that do not wait for it", { skip }, async () => {
  // Without white space it is tokenised to its end.
  const long = "a,sentence,that,comes,again,and,again,,[SEP],\0,".repeat(210_000);
  assert(long.length > 9_000_000);
  const work = embedder.embedDetailed([long, "short"]);
  let done = false;
  void work.then(() => done = true);
  assertEquals((await embedder.embed(["small"])).length, 1);
  assert(!done, "the small call waited");
  const [report, short] = await work;
  assertEquals([report!.truncated, report!.tokens, short!.truncated], [true, embedder.info.maxTokens, false]);
  const bad = long + "\ud83d";
  const error = await assertRejects(() => embedder.embed(["a", bad]), TypeError);
  assertStringIncludes(error.message, `input[1]: it has a lone surrogate U+D83D at index ${long.length}`);
});

test("copyList() reads no further than the first item that will be refused, whatever length a list claims", () => {
  const reads: unknown[] = [];
  const list = new Proxy(["a"], {
    get(items, key) {
      if (key === "length") return 1e9;
      reads.push(key);
      return Reflect.get(items, key);
    },
  });
  assertEquals(copyList("input", list), ["a", undefined]);
  assertEquals(reads, ["0", "1"]);
  assertEquals(copyList("documents", ["a", undefined, "b"], true), ["a", undefined, "b"]);
});
