import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { embedTexts } from "../src/embed.ts";
import { loadEngine } from "../src/engine.ts";
import { Llama } from "../mod.ts";
import { cannotLoad, modelPath } from "./references.ts";

const Q8_0 = "all-minilm-l6-v2-q8_0.gguf";
const options = { skip: cannotLoad(Q8_0) };

test("Llama.load() takes a name of the catalogue, whose limit it uses", options, async () => {
  await using llama = await Llama.load("all-minilm-l6-v2");
  assertEquals(llama.info.maxTokens, 256);
  assertEquals((await llama.embed("a cat", { inputType: "query" })).length, 384);
});

test("embed() with inputType puts the model's own prompt before the text", options, async () => {
  const profile = { maxTokens: 128, prompts: { query: "find: ", document: "" } };
  const engine = await loadEngine(modelPath(Q8_0), {}, profile);
  try {
    assertEquals(engine.info.maxTokens, 128);
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
  await assertRejects(() => llama.embed("a cat", { inputType: "document" }), RangeError, "pass prompt");
});
