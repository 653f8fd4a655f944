// Texts without white space for minutes: many of llama.cpp's pre-tokenizers split by std::regex, which recurses for each
// character of a match and overflowed the stack, and so ended the process, at 36,000 letters.
import { after, before, test } from "node:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert, assertEquals } from "@std/assert";
import { Llama } from "../../../mod.ts";
import { parse, serialise, setKey, value } from "../../torture/gguf.ts";
import { readBase, writeBases } from "../../torture/tiny_models.ts";

const LONGEST = 8192;

let directory = "";
before(async () => {
  directory = mkdtempSync(join(tmpdir(), "llamasaur-"));
  await writeBases(directory);
});
after(() => rmSync(directory, { recursive: true }));

/** A model whose vocabulary is split in the way of this name, with BOS and EOS around each text. */
async function loadWith(pre: string): Promise<Llama> {
  let gguf = parse(readBase(directory, "qwen3"));
  gguf = setKey(gguf, "tokenizer.ggml.pre", value.string(pre));
  gguf = setKey(gguf, "tokenizer.ggml.bos_token_id", value.u32(257));
  for (const key of ["add_bos_token", "add_eos_token"]) gguf = setKey(gguf, `tokenizer.ggml.${key}`, value.bool(1));
  const path = join(directory, `${pre}.gguf`);
  writeFileSync(path, serialise(gguf));
  return await Llama.load(path, { contexts: 1 });
}

test("tokenize() of 60,000 letters, digits, signs or spaces in a row lives on", async () => {
  for (const pre of ["deepseek-llm", "bloom"]) {
    await using llama = await loadWith(pre);
    const [bos, eos] = await llama.tokenize("");
    for (const text of ["x", "7", "!", "日"].map((one) => one.repeat(60_000))) {
      const ids = await llama.tokenize(text);
      assertEquals([ids[0], ids.at(-1)], [bos, eos], pre);
      // Each byte is a token of this vocabulary; specials are there once.
      assertEquals(ids.length, new TextEncoder().encode(text).length + 2, pre);
    }
    const spaces = await llama.tokenize(" ".repeat(60_000));
    assert(spaces.length > 2);
    assertEquals((await llama.rerank("hello", ["x".repeat(60_000), "yes"])).length, 2);
  }
});

test("tokenize() of a long run gives the tokens of its parts, and leaves ordinary texts whole", async () => {
  await using llama = await loadWith("qwen2"); // splits without std::regex, so the whole can be had
  const plain = async (text: string) => [...await llama.tokenize(text)].slice(1, -1);
  const words = "he said yes, no. ".repeat(1000);
  assertEquals((await plain(words)).length, 1000 * (await plain("he said yes, no. ")).length);
  const run = "x".repeat(LONGEST);
  assertEquals(await plain(`${run}he`), [...await plain(run), ...await plain("he")]);
  // A cut is before the last sign within reach, so that a word on both sides of the limit is not cut.
  const sign = `${"x".repeat(LONGEST - 10)}!${"he".repeat(20)}`;
  assertEquals(await plain(sign), [...await plain("x".repeat(LONGEST - 10)), ...await plain(`!${"he".repeat(20)}`)]);
});
