// Warnings that nobody asked for: by console.warn, once a model and kind, and by onLog alone where that is given.
import { after, before, test } from "node:test";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assertEquals, assertMatch } from "@std/assert";
import { convert } from "../../convert.ts";
import { Llama, type LoadOptions } from "../../mod.ts";
import { fixture } from "../support/checkpoint.ts";
import { ROOT } from "../support/child.ts";
import { writeWithout } from "../support/gguf_copy.ts";
import { libraryMissing } from "../support/references.ts";
import { MODEL } from "../support/packaging.ts";
import { parse, serialise, setKey, value } from "../torture/gguf.ts";

const skip = libraryMissing;
const LONG = "word ".repeat(999);
let directory = "";
let copies = 0;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "llamasaur-warnings-"));
  if (skip) return;
  await convert(fixture("tiny_bert"), join(directory, "tiny.gguf"));
  await convert(fixture("tiny_cross_encoder"), join(directory, "pairs.gguf"));
});
after(() => rmSync(directory, { recursive: true }));

/** A copy of a model that was warned of by no test. */
function fresh(name = "tiny.gguf", as = `${copies++}-${name}`): string {
  copyFileSync(join(directory, name), join(directory, as));
  return join(directory, as);
}

/** What console.warn is told while something runs. */
async function warned(run: () => Promise<void>): Promise<string[]> {
  const lines: string[] = [];
  const { warn } = console;
  console.warn = (...words: unknown[]) => void lines.push(words.join(" "));
  try {
    await run();
  } finally {
    console.warn = warn;
  }
  return lines;
}

/** What console.warn is told while a model is loaded with options and embeds. */
function warnedOf(
  path: string,
  options: LoadOptions = {},
  embed = (llama: Llama): Promise<unknown> => llama.embed("a"),
) {
  return warned(async () => {
    await using llama = await Llama.load(path, options);
    await embed(llama);
  });
}

test("a model that lacks nothing and embeds what it was made for is not warned of", { skip }, async () => {
  assertEquals(await warnedOf(fresh()), []);
  if (existsSync(MODEL)) assertEquals(await warnedOf(MODEL, {}, (llama) => llama.rerank("a", ["b"])), []);
});

test("embed() and rerank() tell console.warn once for a model that texts were truncated", { skip }, async () => {
  const path = fresh();
  const words = await warnedOf(path, {}, async (llama) => {
    await llama.embed([LONG, "b"]);
    await llama.embed([LONG, `${LONG} c`]);
    await llama.rerank("a", [LONG]);
  });
  assertEquals(words.length, 1);
  assertMatch(words[0]!, /^llamasaur: \d+-tiny\.gguf: 1 text was truncated to \d+ tokens \(told once; .*onLog.*\)$/);
  assertEquals(await warnedOf(path, {}, (llama) => llama.embed(LONG)), [], "loaded again");
  assertEquals((await warnedOf(fresh(), {}, (llama) => llama.embed(LONG))).length, 1, "another model");
});

test("with onLog every warning goes there, and none to console.warn", { skip }, async () => {
  const lines: string[] = [];
  const onLog: LoadOptions["onLog"] = ({ level, message }) => level === "warn" && lines.push(message);
  const words = await warnedOf(fresh(), { onLog, gpuLayers: 9 }, async (llama) => {
    await llama.embed(LONG);
    await llama.embed(LONG);
  });
  assertEquals([words.length, lines.length], [0, 3], lines.join("\n"));
});

test("a part that is missing is told by console.warn", { skip }, async () => {
  const path = join(directory, "headless.gguf");
  await writeWithout(join(directory, "pairs.gguf"), path, /^cls\.weight$/);
  const words = await warnedOf(path, {}, (llama) => llama.rerank("a", ["b"]));
  assertEquals(words.length, 1, words.join("\n"));
  assertMatch(words[0]!, /^llamasaur: headless\.gguf: .*lacks the pooler/);
});

test("a model's own name stands in a warning bounded and printable", { skip }, async () => {
  const path = join(directory, "named.gguf");
  const gguf = parse(new Uint8Array(readFileSync(join(directory, "tiny.gguf"))));
  const named = setKey(gguf, "general.name", value.string(`a\u009b2J\u202e\n${"x".repeat(20_000)}`));
  writeFileSync(path, serialise(setKey(named, "bert.pooling_type", value.u32(0))));
  const words = await warnedOf(path);
  assertEquals(words.length, 1, words.join("\n"));
  assertMatch(words[0]!, /^llamasaur: named\.gguf: a\\u\{9b\}2J\\u\{202e\}\\u\{a\}xxx[^]{1,500} names no pooling/);
});

test("an option without effect is told by console.warn", { skip }, async () => {
  const options: LoadOptions = {
    gpuLayers: 9,
    kernels: true,
    threads: 2,
    template: "{query} {document}",
    answers: ["a", "b"],
  };
  const words = await warnedOf(fresh(), options);
  const told = words.map((line) => /gguf: (\w+) has no effect: /.exec(line)?.[1]);
  assertEquals(told, ["gpuLayers", "kernels", "template", "answers"], words.join("\n"));
});

test(
  "dimensions of a model that was not trained for them is told once, where the catalogue knows it",
  { skip },
  async () => {
    const cut = async (llama: Llama): Promise<void> => {
      await llama.embed("a", { dimensions: llama.info.dimensions });
      await llama.embed("a", { dimensions: 2 });
      await llama.embed("a", { dimensions: 3 });
    };
    assertEquals(await warnedOf(fresh(), {}, cut), [], "a model that nobody knows");
    assertEquals(await warnedOf(fresh("tiny.gguf", "nomic-embed-text-v1.5.f16.gguf"), {}, cut), []);
    const words = await warnedOf(fresh("tiny.gguf", "all-minilm-l6-v2-bf16.gguf"), {}, cut);
    assertEquals(words.length, 1, words.join("\n"));
    assertMatch(words[0]!, /dimensions: 2 cuts vectors of a model that was not trained for it \(Matryoshka\)/);
    const lines: string[] = [];
    await warnedOf(
      fresh("tiny.gguf", "all-minilm-l6-v2-bf16.gguf"),
      { onLog: ({ message }) => lines.push(message) },
      cut,
    );
    assertEquals(lines.filter((line) => line.startsWith("dimensions")).length, 1);
  },
);

test("llama.cpp's warnings that concern nobody are of level info", { skip: skip || !existsSync(MODEL) }, async () => {
  const lines: string[] = [];
  await using llama = await Llama.load(MODEL, { onLog: ({ level, message }) => lines.push(`${level} ${message}`) });
  await llama.embed(Array.from({ length: 200 }, (_, i) => `${i} some words that fill a pass`));
  assertEquals(lines.filter((line) => /^(warn|error)/.test(line)), []);
  assertEquals(lines.some((line) => /^info .*special_eos_id is not in special_eog_ids/.test(line)), true);
  for (const family of ["xlm_roberta_reranker", "bge_gemma_reranker"]) { // that name no pooling
    const told: string[] = [];
    const onLog: LoadOptions["onLog"] = ({ level, message }) => level === "warn" && told.push(message);
    await using ranker = await Llama.load(join(ROOT, "tests", "fixtures", "families", `${family}.gguf`), {
      template: "{query}{document}",
      answers: ["a"],
      onLog,
    });
    await ranker.rerank("a", ["b"]);
    assertEquals(told.filter((line) => /^\w+: /.test(line)), []);
  }
});
