// Files of llama.cpp's converter whose numbers are not the original's, and that do not say so: each is refused, or it is not
// exact and says why. No file of any fixture is exact and outside its tolerance.
import { Buffer } from "node:buffer";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { Llama, LlamaError, type LlamaInfo, type LoadOptions } from "../../mod.ts";
import { catalogue, type CatalogueName } from "../../models.ts";
import { fixture, inDirectory } from "../support/checkpoint.ts";
import {
  compareScores,
  compareVectors,
  familyFile,
  loadFamily,
  readFamilies,
  scoresOf,
  toleranceOf,
  vectorsOf,
} from "../support/families.ts";
import { writeWithout } from "../support/gguf_copy.ts";
import { readGguf } from "../support/gguf_reader.ts";
import { farthest, libraryMissing as skip } from "../support/references.ts";
import { parse, serialise, setKey, value } from "../torture/gguf.ts";

// Of a number of a vector, in f32: what every family is held to.
const TOLERANCE = 1e-4;
// What the file is off by at least, in tolerances: else it would be no reproduction.
const FACTOR = 20;

interface Case {
  readonly name: string;
  readonly file: string;
  readonly texts: readonly { readonly text: string; readonly vector: Float32Array }[];
}

const REFUSED = ["bert-sentencepiece", "camembert"];
const FOLDER = fixture("silent");
const { cases }: { cases: Case[] } = JSON.parse(
  readFileSync(join(FOLDER, "silent.json"), "utf8"),
  (key, value) =>
    key === "vector" ? new Float32Array(Uint8Array.from(Buffer.from(value, "base64")).buffer) : value as unknown,
);
const pathOf = (name: string): string => join(FOLDER, cases.find((one) => one.name === name)!.file);

/** How far a loaded file is from the original, and what was warned of while it was loaded. */
async function loaded(name: string, options: LoadOptions = {}) {
  const { texts } = cases.find((one) => one.name === name)!;
  const warned: string[] = [];
  const onLog: LoadOptions["onLog"] = ({ level, message }) => {
    if (level === "warn" && !message.startsWith("llama_") && !message.startsWith("load")) warned.push(message);
  };
  await using llama = await Llama.load(pathOf(name), { ...options, onLog });
  const vectors = await llama.embed(texts.map(({ text }) => text));
  const off = Math.max(...texts.map(({ vector }, i) => farthest(vectors[i]!, vector)));
  return { off, warned, ...llama.info };
}

/** Loads a file that is wrong, and finds these words among what it lacks or leaves open. */
async function assertSaid(name: string, list: "lacks" | "unknown", words: string): Promise<void> {
  const { off, exact, exactness, warned } = await loaded(name);
  assert(off > FACTOR * TOLERANCE, `${name} is right: ${off}`);
  assertEquals(exact, false);
  assertStringIncludes(exactness[list].join("\n"), words);
  assertEquals(warned, [...exactness.lacks]);
}

const LACKING = [
  ["kalm", "does not say whether its tokens see the whole text"],
  ["LaBSE", "LaBSE lacks the Dense module"],
  ["harrier", "a causal Gemma 3 that was converted as EmbeddingGemma"],
] as const;
for (const [name, words] of LACKING) {
  test(`Llama.load() warns of what the file of ${name} lacks`, { skip }, () => assertSaid(name, "lacks", words));
}

const LEAVING_OPEN = [
  ["my-finetune-of-gte", "whether a token sees the whole text"],
  ["bert-dense", "whether a Dense module follows the pooling"],
  ["modernbert-dense", "whether a Dense module follows the pooling"],
  ["bert-relu", "which activation the feed-forward layers have"],
] as const;
for (const [name, words] of LEAVING_OPEN) {
  test(`info.exactness says what the file of ${name} leaves open`, { skip }, () => assertSaid(name, "unknown", words));
}

test(
  "Llama.load() says nothing of a plain bge-shaped file, and info.exactness what is unknown of it",
  { skip },
  async () => {
    await inDirectory(async (directory) => {
      const file = join(directory, "bge.gguf");
      // What llama.cpp's converter does not write (tests/src/convert/convert_test.ts compares the rest).
      await writeWithout(fixture("families/bert_cls.gguf"), file, /^$/, /^llamasaur\.|hidden_activation$/);
      const said: unknown[] = [];
      const methods = ["log", "info", "warn", "error", "debug"] as const;
      const own = methods.map((method) => console[method]);
      for (const method of methods) console[method] = (...words) => void said.push(words);
      try {
        await using llama = await Llama.load(file);
        const { exact, exactness: { known, lacks, unknown } } = llama.info;
        assertEquals([exact, lacks, unknown.length], [false, [], 2]);
        assertStringIncludes(unknown.join(), "Dense");
        assertStringIncludes(unknown.join(), "activation");
        assertEquals(known, ["the architecture bert", "the tokenizer bert", "pooling cls", "non-causal attention"]);
      } finally {
        methods.forEach((method, i) => console[method] = own[i]!);
      }
      assertEquals(said, []);
    });
  },
);

test("no file of any fixture is exact and outside its tolerance", { skip }, async () => {
  const { embedders, rerankers } = readFamilies();
  const wrong: string[] = [];
  const onLog = (): void => {}; // what they warn of is told there, and not here
  const check = (name: string, { exact }: LlamaInfo, off: number, tolerance: number): void => {
    if (exact && !(off <= tolerance)) wrong.push(`${name} is off by ${off}`);
  };
  for (const embedder of embedders) {
    await using llama = await loadFamily(embedder, undefined, { onLog });
    const { off } = compareVectors(embedder.texts, await vectorsOf(llama, embedder.texts));
    check(embedder.family.name, llama.info, off, toleranceOf(embedder, llama.info));
  }
  for (const reranker of rerankers) {
    // as the file is, without what a user must say
    for (const options of [{ onLog }, { onLog, template: undefined, answers: undefined }]) {
      await using llama = await loadFamily(reranker, undefined, options);
      const { off } = compareScores(reranker.pairs, await scoresOf(llama, reranker.pairs));
      check(reranker.family.name, llama.info, off, toleranceOf(reranker, llama.info));
    }
  }
  for (const { name } of cases.filter(({ name }) => !REFUSED.includes(name))) {
    const { off, ...info } = await loaded(name);
    check(name, info, off, TOLERANCE);
  }
  assertEquals(wrong, []);
});

test("embed() computes GELU by tanh where convert() wrote down that the original does", { skip }, async () => {
  const { off, exact, kernels } = await loaded("bert-gelu-new");
  assertEquals(exact, true);
  // By erf it is off by 1.0e-4; without our kernels llama.cpp's own table of tanh in half precision is off as much.
  if (kernels.includes("gelu")) assert(off <= 1e-4 / FACTOR, `off by ${off}`);
});

test("Llama.load() refuses SentencePiece's vocabulary under WordPiece's name, with the remedy", { skip }, async () => {
  for (const name of REFUSED) {
    const error = await assertRejects(() => Llama.load(pathOf(name)), LlamaError, "it is SentencePiece's");
    assertEquals(error.code, "model-unsupported");
    assertStringIncludes(error.message, "convert()");
  }
});

test("attention of Llama.load() makes decoders right whose files do not say it", { skip }, async () => {
  for (const name of ["kalm", "my-finetune-of-gte"]) {
    const causal = await loaded(name, { attention: "causal" });
    const right = await loaded(name, { attention: "non-causal" });
    const silent = await loaded(name);
    assert(right.off <= TOLERANCE, `${name} is off by ${right.off}`);
    assertEquals([right.warned, right.exactness.unknown.length], [[], 1]); // the Dense module
    assertEquals(causal.off, silent.off);
    assertEquals(causal.warned, []);
    assert(right.fingerprint !== causal.fingerprint, `${name} has one fingerprint for both`);
  }
});

test(
  "Llama.load() warns of a causal model that is asked with another's template, unless it is given",
  { skip },
  async () => {
    for (
      const [name, entry] of [["zerank", "zerank-2"], ["mxbai", "mxbai-rerank-base-v2"], [
        "bge_gemma",
        "bge-reranker-v2-gemma",
      ]]
    ) {
      const { family } = readFamilies().rerankers.find(({ family }) => family.name === `${name}_reranker`)!;
      const { template, answers } = catalogue[entry as CatalogueName];
      assertEquals({ template, answers }, family.options as { template: typeof template; answers: typeof answers });
      const warned: string[] = [];
      const onLog: LoadOptions["onLog"] = ({ level, message }) => {
        if (level === "warn" && message.includes("template")) warned.push(message);
      };
      await using llama = await Llama.load(familyFile(family), { answers: ["1", "0"], onLog });
      assertEquals([llama.info.reranker, llama.info.exact], ["yes-no", false]);
      assertStringIncludes(warned.join(), "has no template for pairs");
      await using given = await Llama.load(familyFile(family), { ...family.options, onLog });
      assertEquals([given.info.exact, warned.length], [true, 1]);
    }
  },
);

test("attention of Llama.load() is for LFM2's convolutions, too", { skip }, async () => {
  await inDirectory(async (directory) => {
    const embedder = readFamilies().embedders.find(({ family }) => family.name === "lfm2_embedding")!;
    const file = join(directory, "lfm2.gguf");
    await writeWithout(familyFile(embedder.family), file, /^$/, /attention\.causal$/);
    const offBy = async (options: LoadOptions): Promise<number> => {
      await using llama = await loadFamily(embedder, file, { ...options, onLog: () => {} });
      return compareVectors(embedder.texts, await vectorsOf(llama, embedder.texts)).off;
    };
    const [silent, said] = [await offBy({}), await offBy({ attention: "non-causal" })];
    assert(silent > FACTOR * TOLERANCE, `it is right: ${silent}`);
    assert(said <= TOLERANCE, `off by ${said}`);
  });
});

test("Llama.load() refuses a file whose key for attention is no boolean", { skip }, async () => {
  await inDirectory(async (directory) => {
    for (const name of ["qwen3_two_way", "bert_cls", "llama_embed"]) {
      const from = fixture(`families/${name}.gguf`);
      const file = join(directory, `${name}.gguf`);
      const architecture = readGguf(from).metadata.get("general.architecture")!.value as string;
      await writeWithout(from, file, /^$/, /attention\.causal$/, [[`${architecture}.attention.causal`, { u32: 0 }]]);
      const error = await assertRejects(
        () => Llama.load(file, { attention: "non-causal" }),
        LlamaError,
        "attention.causal",
      );
      assertEquals(error.code, "model-invalid");
    }
  });
});

test("attention of Llama.load() is refused where tokens always see the whole text", { skip }, async () => {
  for (const name of ["bert_mean", "llama_embed", "embedding_gemma"]) {
    const path = fixture(`families/${name}.gguf`);
    await assertRejects(() => Llama.load(path, { attention: "causal" }), RangeError, "always see the whole text");
    await using llama = await Llama.load(path, { attention: "non-causal" });
    await using plain = await Llama.load(path);
    assertEquals(llama.info.fingerprint, plain.info.fingerprint);
  }
});

test(
  "load() refuses a key of ModernBERT's head whose value is of another type, which nobody but us reads",
  { skip },
  async () => {
    await inDirectory(async (directory) => {
      const sound = parse(readFileSync(fixture("families/modern_bert_cls_reranker.gguf")));
      const odd = [
        value.string("mean"),
        value.bool(1),
        value.bool(2),
        value.f32(1),
        value.f32(NaN),
        value.i32(-1),
        value.u32(0),
      ];
      const lists = [value.strings(["gelu"]), value.i32s([]), value.i32s([2])];
      const path = join(directory, "odd.gguf");
      for (const key of ["modern-bert.classifier.pooling_type", "modern-bert.classifier.activation"]) {
        for (const one of [...odd, ...lists, value.string("")]) {
          writeFileSync(path, serialise(setKey(sound, key, one)));
          const error = await assertRejects(
            () => Llama.load(path),
            LlamaError,
            undefined,
            `${key} of type ${one.type}`,
          );
          assertEquals(error.code, "model-invalid");
          assertStringIncludes(error.message, key);
        }
      }
    });
  },
);
