import { test } from "node:test";
import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { embedTexts } from "../../src/embed.ts";
import { loadEngine } from "../../src/engine/load.ts";
import { rankDocuments } from "../../src/rerank.ts";
import { dot, Llama, LlamaError } from "../../mod.ts";
import { cannotLoad, modelPath } from "../support/references.ts";

const Q8_0 = "all-minilm-l6-v2-q8_0.gguf";
const options = { skip: cannotLoad(Q8_0) };

test("Llama.load() takes a name of the catalogue, whose limit it uses", options, async () => {
  await using llama = await Llama.load("all-minilm-l6-v2");
  assertEquals(llama.info.maxTokens, 256);
  assertEquals(llama.info.prompts, { query: "", document: "" });
  assertEquals((await llama.embed("a cat", { inputType: "query" })).length, 384);
});

test("embed() with inputType puts the model's own prompt before the text", options, async () => {
  const profile = { maxTokens: 128, prompts: { query: "find: ", document: "" } };
  const engine = await loadEngine(modelPath(Q8_0), {}, profile);
  try {
    assertEquals(engine.info.maxTokens, 128);
    assertEquals(engine.info.prompts, profile.prompts);
    assertThrows(() => (engine.info.prompts as { query: string }).query = "other", TypeError);
    assertEquals(profile.prompts.query, "find: ");
    const name = (): string => "input";
    const [query] = await embedTexts(engine, name, ["a cat"], { inputType: "query" });
    const [document] = await embedTexts(engine, name, ["a cat"], { inputType: "document" });
    const [byHand, plain] = await embedTexts(engine, name, ["find: a cat", "a cat"], {});
    assertEquals([query!.tokens, document!.tokens], [byHand!.tokens, plain!.tokens]);
    await assertRejects(() => embedTexts(engine, name, ["a"], { inputType: "query", prompt: "p" }), RangeError, "both");
  } finally {
    await engine.pool.close();
  }
});

test("embed() with inputType says that a file's prompts are not known", options, async () => {
  await using llama = await Llama.load(modelPath(Q8_0));
  assertEquals(llama.info.prompts, undefined);
  await assertRejects(() => llama.embed("a cat", { inputType: "document" }), RangeError, "pass prompt");
});

test(
  "rerank() by cosine uses the model's prompts, and takes an instruction where they have a line for one",
  options,
  async () => {
    const prompts = { query: "Instruct: find\nQuery:", document: "passage: " };
    const engine = await loadEngine(modelPath(Q8_0), {}, { maxTokens: 128, prompts });
    try {
      const rank = (options: { instruction?: string }) => rankDocuments(engine, "a cat", ["a kitten"], options);
      const cosine = async (query: string, document: string) => {
        const [a, b] = await embedTexts(engine, () => "input", [query, document], {});
        return dot(a!.embedding, b!.embedding);
      };
      const [plain] = await rank({});
      assertAlmostEquals(plain!.score, await cosine("Instruct: find\nQuery:a cat", "passage: a kitten"), 2e-3);
      const [other] = await rank({ instruction: "name animals" });
      assertAlmostEquals(other!.score, await cosine("Instruct: name animals\nQuery:a cat", "passage: a kitten"), 2e-3);
      assert(Math.abs(plain!.score - await cosine("a cat", "a kitten")) > 0.02);
    } finally {
      engine.pool.close();
    }
    await using llama = await Llama.load(modelPath(Q8_0));
    await assertRejects(
      () => llama.rerank("a", ["b"], { instruction: "find" }),
      RangeError,
      "Cannot rank with an instruction",
    );
    await assertRejects(() => llama.rerank("a", ["b"], { label: "yes" }), RangeError, "no labels");
  },
);

test("fingerprint() changes when vectors would, and only then", options, async () => {
  await using llama = await Llama.load(modelPath(Q8_0));
  const { fingerprint } = llama.info;
  assertEquals(fingerprint.length, 16);
  const same = [{}, { normalize: true }, { dimensions: 384 }, { truncate: "end" }, { prompt: "" }] as const;
  for (const options of same) assertEquals(llama.fingerprint(options), fingerprint, JSON.stringify(options));
  const other = [{ normalize: false }, { dimensions: 128 }, { truncate: "start" }, { prompt: "query: " }] as const;
  assertEquals(new Set([fingerprint, ...other.map((options) => llama.fingerprint(options))]).size, other.length + 1);
  await using shorter = await Llama.load(modelPath(Q8_0), { contextSize: 64 });
  await using unpooled = await Llama.load(modelPath(Q8_0), { pooling: "cls" });
  await using named = await Llama.load("all-minilm-l6-v2");
  assertEquals(new Set([fingerprint, shorter.info.fingerprint, unpooled.info.fingerprint]).size, 3);
  assertEquals(named.info.fingerprint, fingerprint);
  assertThrows(() => llama.fingerprint({ dimensions: 0 }), RangeError, "dimensions");
});

test("rerank() and embed() refuse what a vector a token cannot give", options, async () => {
  await using llama = await Llama.load(modelPath(Q8_0), { pooling: "none" });
  const { embedding, tokens } = await llama.embedDetailed("hello world");
  assertEquals(embedding.length, tokens * 384); // tokens × dimensions, row by row
  const error = await assertRejects(() => llama.rerank("a", ["b"]), LlamaError, "a vector a token");
  assertEquals(error.code, "model-unsupported");
});

test(
  "embed() refuses a prompt that leaves no room for a text, whichever end is cut, and takes one that leaves some",
  options,
  async () => {
    await using llama = await Llama.load(modelPath(Q8_0), { contextSize: 256 });
    for (const truncate of ["end", "start", "error"] as const) {
      for (const count of [254, 1000]) { // with [CLS] and [SEP] the shorter one is as long as the limit
        await assertRejects(
          () => llama.embed(["a cat", "the stock market"], { prompt: "word ".repeat(count), truncate }),
          RangeError,
          `Cannot embed with this prompt: it has ${count + 2} tokens, the limit is 256, and no text has room beside it`,
        );
      }
    }
    const [cat, market] = await llama.embed(["cat", "market"], { prompt: "word ".repeat(253) });
    assert(dot(cat!, market!) < 0.9999, `cosine ${dot(cat!, market!)}`);
    const long = await llama.embedDetailed("cat ".repeat(300), { prompt: "query: " });
    assertEquals(long.truncated, true);
  },
);
