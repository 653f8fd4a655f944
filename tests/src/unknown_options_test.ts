import { after, before, test } from "node:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import * as building from "../../build/mod.ts";
import * as converting from "../../convert.ts";
import * as main from "../../mod.ts";
import * as models from "../../models.ts";
import { type Call, callsOf, optionsOf } from "../support/calls.ts";
import { fixture } from "../support/checkpoint.ts";
import { libraryMissing as skip } from "../support/references.ts";

const { Llama } = main;
let directory = "";
let embedder: main.Llama;
let calls: Call[] = [];

before(async () => {
  if (skip) return;
  directory = mkdtempSync(join(tmpdir(), "llamasaur-options-"));
  await converting.convert(fixture("tiny_bert"), join(directory, "tiny.gguf"));
  embedder = await Llama.load(join(directory, "tiny.gguf"));
  calls = callsOf(embedder, directory);
});
after(async () => {
  await embedder?.close();
  if (directory) rmSync(directory, { recursive: true });
});

/** What comes of a call whose options have more in them. */
async function errorOf(call: Call, more: object): Promise<Error | undefined> {
  const args = call.args.map((arg, i) => i === call.options!.at ? { ...arg as object, ...more } : arg);
  try {
    await call.run(...args);
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

/** That an option is refused by its name, with a guess what was meant if it is like one, before anything is done. */
async function assertRefused(call: Call, option: string, guess?: string): Promise<void> {
  const error = await errorOf(call, JSON.parse(JSON.stringify({ [option]: 1 }))); // so is "__proto__" an own property
  const what = `${call.name}({ ${option} }): ${error}`;
  assert(error instanceof TypeError, what);
  const asked = guess === undefined ? "" : `, did you mean "${guess}"? the options are `;
  assertStringIncludes(error.message, `Cannot read options: "${option}" is not known${asked}`, what);
  assertEquals(readdirSync(directory), ["tiny.gguf"]);
}

const isFunction = (value: unknown): boolean => typeof value === "function" && !/^class /.test(String(value));

test("the table of public functions has every one", { skip }, () => {
  const exports = Object.entries({ ...main, ...models, ...converting, ...building });
  const methods = Object.getOwnPropertyNames(Llama.prototype).filter((name) =>
    !["constructor", "close", "activity"].includes(name)
  );
  const names = exports.filter(([, value]) => isFunction(value)).map(([name]) => name);
  assertEquals(calls.map(({ name }) => name).sort(), ["Llama.load", ...names, ...methods].sort());
});

test("every public function refuses a misspelt option and names the one that was meant", { skip }, async () => {
  for (const call of calls) {
    for (const name of optionsOf(call)) {
      const middle = name.length >> 1;
      await assertRefused(call, name + name.at(-1), name);
      await assertRefused(call, name.slice(0, -1), name);
      await assertRefused(call, name.slice(0, middle) + "x" + name.slice(middle), name);
      if (/[A-Z]/.test(name)) await assertRefused(call, name.replace(/[A-Z]/, "_$&").toLowerCase(), name);
    }
  }
});

test("every public function refuses an option in another case and names the one that was meant", { skip }, async () => {
  for (const call of calls) {
    for (const name of optionsOf(call)) {
      for (const other of [name.toUpperCase(), name.toLowerCase(), name[0]!.toUpperCase() + name.slice(1)]) {
        if (other !== name) await assertRefused(call, other, name);
      }
    }
  }
});

test("every public function refuses a foreign option and names all that there are", { skip }, async () => {
  for (const call of calls) {
    const names = optionsOf(call);
    if (names.length === 0) continue;
    for (const foreign of ["numberOfBeams", "__proto__", "constructor", "n_gpu_layers", "top_p", "0"]) {
      await assertRefused(call, foreign);
    }
    const error = await errorOf(call, { numberOfBeams: 1 });
    const told = error!.message.split(" the options are ")[1]!.split(", ");
    assertEquals(told.toSorted(), names.toSorted(), call.name);
  }
});

test("every public function takes an unknown option that is undefined as not given", { skip }, async () => {
  for (const call of calls) {
    if (call.options === undefined) continue;
    const error = await errorOf(call, { numberOfBeams: undefined });
    if (call.name === "download") assertStringIncludes(String(error), "Cannot find hf:owner/repo/model.gguf");
    else assertEquals(error, undefined, `${call.name}: ${error}`);
    rmSync(join(directory, "out.gguf"), { force: true });
  }
});

test("rerank() of topK says that topN is meant", { skip }, async () => {
  const call = calls.find(({ name }) => name === "rerank")!;
  assertEquals(
    (await errorOf(call, { topK: 3 }))!.message,
    'Cannot read options: "topK" is not known, did you mean "topN"? the options are topN, text, truncate, instruction, ' +
      "label, signal, onProgress",
  );
});
