import { test } from "node:test";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { join } from "@std/path";
import { model } from "../../../cli/doctor/model.ts";
import { Session } from "../../../cli/session.ts";
import { fixture, inDirectory } from "../../support/checkpoint.ts";
import { libraryMissing as skip } from "../../support/references.ts";
import { parse, serialise, setKey, value } from "../../torture/gguf.ts";

const GOOD = fixture("families/bert_mean.gguf");
const session = new Session(true);

test("model() of a good model that an option keeps from running has the command without it", { skip }, async () => {
  const command = `llamasaur doctor --model ${GOOD} --json`;
  const unset = (name: string) => process.platform === "win32" ? `Remove-Item env:${name}` : `unset ${name}`;
  const cases = [
    [{ device: "gpu7" }, ["--device", "gpu7"], command, "on the device"],
    [{ device: "gpu7" }, ["--device=gpu7"], command, "on the device"],
    [{ memoryLimit: 1000 }, ["--memory-limit", "1kB"], command, "memoryLimit"],
    [{ device: "gpu7" }, [], unset("LLAMASAUR_DEVICE"), "on the device"], // then a variable said it
    [{ memoryLimit: 1000 }, [], unset("LLAMASAUR_MEMORY_LIMIT"), "memoryLimit"],
  ] as const;
  for (const [options, given, wanted, told] of cases) {
    const words = ["doctor", "--model", GOOD, ...given, "--json"];
    const { state, message, remedy } = await model({ model: GOOD, ...options }, words, session);
    assertEquals([state, remedy], ["failed", wanted], message);
    assertStringIncludes(message, told);
  }
});

for (
  const [what, file, remedy] of [
    ["an encoder that lacks a part", "silent/LaBSE.gguf", "convert DIR OUT.gguf"],
    ["a decoder without its template", "families/zerank_reranker.gguf", "pull bge-reranker-base"],
    ["a reranker that lacks nothing", "families/xlm_roberta_reranker.gguf", undefined],
  ] as const
) {
  test(`model() of ${what} ${remedy ? `has the command ${remedy}` : "has no command"}`, { skip }, async () => {
    const found = await model({ model: fixture(file) }, ["doctor"], session);
    const wanted = remedy === undefined ? ["ok", undefined] : ["warning", `llamasaur ${remedy}`];
    assertEquals([found.state, found.remedy], wanted, JSON.stringify(found));
  });
}

test("model() of an encoder that no conversion mends has the command that gets another", { skip }, async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "relu.gguf");
    const gguf = setKey(parse(readFileSync(GOOD)), "bert.hidden_activation", value.string("relu"));
    writeFileSync(path, serialise(gguf));
    const { state, remedy, more } = await model({ model: path }, ["doctor"], session);
    assertEquals([state, remedy], ["warning", "llamasaur pull all-minilm-l6-v2"], more?.join("\n"));
  });
});
