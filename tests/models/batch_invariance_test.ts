// A text's vector does not depend on what shares its pass, on the order of a call, or on the runtime: bit for bit where the
// packs are the same, and else to 1e-6 with our kernels, within what stock ggml's roundings make of other packs without.
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { assert, assertEquals } from "@std/assert";
import { Llama } from "../../mod.ts";
import { inDirectory } from "../support/checkpoint.ts";
import { findProgram, runChild } from "../support/child.ts";
import { apart, computes, ofType, randomTexts, specimens, TYPES } from "../support/company.ts";
import { randomIntegers } from "../support/random.ts";
import { cannotLoad, farthest, libraryMissing, modelPath, readReferences } from "../support/references.ts";

// Largest difference of a number of a vector of length 1. Stock ggml's: three times what was measured (6e-5, 1.2e-3, 9.5e-3);
// it sums one row and many in another order, and its GELU by a table of half floats makes steps of that with f32 weights, and
// activations rounded to bfloat16 or to 8 bits with the others.
const OURS = 1e-6;
const SEEDS = [1];
const STOCK = { f32: 2e-4, bf16: 4e-3, q8_0: 3e-2 } as const;

const all = readReferences("minilm.json").texts.filter(({ count }) => count <= 64);
const texts = all.filter((_, i) => i % 6 === 0).map(({ text }) => text);

/** The texts in another order, and where each of them went. */
function shuffled(seed: number): number[] {
  const draw = randomIntegers(seed);
  const order = texts.map((_, i) => i);
  for (let i = order.length - 1; i > 0; i--) {
    const j = draw(0, i);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

for (const [type, stock] of Object.entries(STOCK)) {
  const file = `all-minilm-l6-v2-${type}.gguf`;
  const options = { skip: cannotLoad(file) && `${file} or the library is not there`, timeout: 300_000 };

  test(
    `embed() gives a text the same vector alone, packed, twice and in any order, to ${OURS} with ${type} and the kernels`,
    options,
    async () => {
      await using llama = await Llama.load(modelPath(file));
      const tolerance = llama.info.kernels.length > 0 ? OURS : stock;
      const packed = await llama.embed(texts);
      const off = (name: string, vectors: readonly Float32Array[], order = texts.map((_, i) => i)): number => {
        const largest = Math.max(...vectors.map((vector, i) => farthest(vector, packed[order[i]!]!)));
        console.log(`${type}, ${name}: largest difference ${largest}`);
        return largest;
      };
      const alone: Float32Array[] = [];
      for (const text of texts) alone.push(await llama.embed(text));
      const offs = [off("alone", alone), off("reversed", (await llama.embed(texts.toReversed())).reverse())];
      const twice = await Promise.all(texts.slice(0, 8).flatMap((text) => [llama.embed(text), llama.embed(text)]));
      offs.push(off("twice", twice, twice.map((_, i) => i >> 1)));
      for (const seed of [1]) {
        const order = shuffled(seed);
        offs.push(off(`shuffled ${seed}`, await llama.embed(order.map((i) => texts[i]!)), order));
        const some = order.slice(0, 9);
        offs.push(off(`some of ${seed}`, await llama.embed(some.map((i) => texts[i]!)), some));
      }
      assert(Math.max(...offs) <= tolerance, `largest difference ${Math.max(...offs)}`);
      assertEquals(await llama.embed(texts), packed, "the same packs must give the same bits");
    },
  );
}

// One shape a type and model here, and the later types with a quarter of the models each; `deno task torture company` tries many more.
for (const [place, type] of TYPES.entries()) {
  test(`embed() and rerank() give a text alone what it gets in company, to ${OURS}, every model, ${type}`, {
    skip: libraryMissing,
    timeout: 300_000,
  }, async (t) => {
    await inDirectory(async (directory) => {
      let most = 0;
      for (const [i, specimen] of (await specimens(directory)).entries()) {
        if (place > 2 && i % 4 !== place % 4) continue;
        const file = await ofType(specimen, type, directory);
        await using llama = await Llama.load(file, { ...specimen.options, onLog: () => {} });
        if (!computes(llama.info, type)) return t.diagnostic(`no kernels for ${type} here`);
        for (const seed of SEEDS) {
          const { off, at } = await apart(llama, randomTexts(randomIntegers(seed)));
          most = Math.max(most, off);
          assert(off <= OURS, `${specimen.name} ${type}, seed ${seed}: ${at}: ${off} apart`);
        }
      }
      console.log(`${type}, every model, alone and in company: largest difference ${most}`);
    });
  });
}

const Q8_0 = "all-minilm-l6-v2-q8_0.gguf";
const here = "Deno" in globalThis ? "deno" : "bun";
const other = findProgram(here === "deno" ? "bun" : "deno");

test("embed() gives the same bits on Deno and on Bun", {
  skip: cannotLoad(Q8_0) ? `${Q8_0} or the library is not there` : !other && "the other runtime is not on PATH",
  timeout: 300_000,
}, async () => {
  const some = texts.slice(0, 20).filter((text) => !text.includes("\0"));
  await using llama = await Llama.load(modelPath(Q8_0));
  const vectors = (await llama.embed(some)).map((vector) => Buffer.from(vector.buffer).toString("base64"));
  const script = fileURLToPath(new URL("./invariance_child.ts", import.meta.url));
  const run = here === "deno" ? [script] : ["run", "-A", script];
  const { code, stdout, stderr } = await runChild(other!, [...run, modelPath(Q8_0), ...some], { timeout: 120_000 });
  assertEquals(code, 0, stderr);
  assertEquals(stdout.trim().split("\n"), vectors);
});
