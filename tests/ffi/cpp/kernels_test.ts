import { test } from "node:test";
import { execFile } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { build } from "../../../build/mod.ts";
import { convert, quantize } from "../../../convert.ts";
import { Llama } from "../../../mod.ts";
import { fixture, inDirectory } from "../../support/checkpoint.ts";
import { findProgram } from "../../support/child.ts";
import { assertExact } from "../../support/kernels_check.ts";
import { libraryMissing as skip } from "../../support/references.ts";

/** What a library has on the processors that open it: on ARM the products stay with ggml, and Microsoft's compiler makes none. */
const NAMES = process.platform === "win32"
  ? /^(gelu,attention,f32,f16,bf16,q8_0,q4_0,.*)?$/
  : ({ x64: /^gelu,attention,f32,f16,bf16,q8_0,q4_0,/, arm64: /^gelu,attention$/ } as Record<string, RegExp>)[
    process.arch
  ];
const TEXTS = ["a cat", "the river is cold in winter", "seven", "a much longer text of words, words and more words"];

// A program of C++ alone: the runtime that starts it makes no difference, so one of the two is enough.
test("the kernels agree with float64 over random shapes, strides, masks and types, better than ggml-cpu", {
  skip: skip || "Bun" in globalThis && findProgram("deno") !== undefined && "the tests on Deno run it" ||
    findProgram("cmake") === undefined && "cmake is not installed",
  timeout: 600_000,
}, async (t) => {
  const { path } = await build({ target: "kernels_check", onLine: () => {} });
  const { stdout } = await promisify(execFile)(path);
  console.log(stdout);
  const checks = assertExact(stdout);
  if (checks === 0) t.diagnostic("this processor has no kernels");
});

async function withTiny(run: (path: string) => Promise<void>): Promise<void> {
  await inDirectory(async (directory) => {
    const path = join(directory, "tiny.gguf");
    await convert(fixture("tiny_bert"), path);
    await run(path);
  });
}

test("load() uses the kernels with one thread a context, and not with kernels: false", { skip }, async () => {
  await withTiny(async (path) => {
    await using ours = await Llama.load(path);
    await using stock = await Llama.load(path, { kernels: false });
    await using threads = await Llama.load(path, { threads: 2 });
    assertEquals([stock.info.kernels, threads.info.kernels], [[], []]);
    assertMatch(ours.info.kernels.join(), NAMES ?? /^$/); // without one all works, and is less exact
    const [a, b] = [await ours.embed(TEXTS), await stock.embed(TEXTS)];
    // different sums, as far as there are kernels, of nearly the same numbers
    assertEquals(a.every((vector, i) => vector.join() === b[i]!.join()), ours.info.kernels.length === 0);
    assert(a.every((vector, i) => vector.every((x, j) => Math.abs(x - b[i]![j]!) < 2e-2)), "near each other");
  });
});

test(
  "info.memory counts the scales that panels of f16 have beside them, and they stay below a tenth",
  { skip },
  async () => {
    await withTiny(async (path) => {
      const half = `${path}.f16`;
      await quantize(path, half, "f16");
      await using ours = await Llama.load(half, { onLog: () => {} });
      await using stock = await Llama.load(half, { kernels: false, onLog: () => {} });
      const more = ours.info.memory.weights - stock.info.memory.weights;
      const counted = ours.info.kernels.includes("f16");
      assert(counted ? more > 0 && more <= ours.info.size / 10 : more === 0, `${more} bytes more`);
    });
  },
);

test("embed() of two models at once, with kernels and without, gives what each gives alone", { skip }, async () => {
  await withTiny(async (path) => {
    const kinds = [{}, { kernels: false }, { contexts: 2 }, { threads: 2 }];
    const alone: string[] = [];
    for (const options of kinds) {
      await using llama = await Llama.load(path, options);
      alone.push((await llama.embed(TEXTS)).join());
    }
    const all = await Promise.all(kinds.map((options) => Llama.load(path, options)));
    for (let i = 0; i < 5; i++) {
      const vectors = await Promise.all(all.map((llama) => llama.embed(TEXTS)));
      assertEquals(vectors.map((one) => one.join()), alone);
    }
    await Promise.all(all.map((llama) => llama.close()));
  });
});

test("load() and close() in turns, with kernels and without, give the same vectors each time", { skip }, async () => {
  await withTiny(async (path) => {
    const seen = new Set<string>();
    for (let i = 0; i < 20; i++) {
      await using llama = await Llama.load(path, { kernels: i % 2 === 0, contexts: 1 });
      seen.add(`${llama.info.kernels.length > 0} ${(await llama.embed(TEXTS)).join()}`);
    }
    assert(seen.size <= 2, `${seen.size} different results`);
  });
});
