import { test } from "node:test";
import { readFileSync } from "node:fs";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { hubFileOf, parseHubFile, showHubFile } from "../../../src/models/reference.ts";
import { catalogue, type CatalogueEntry, catalogueEntryOfFile, catalogueName } from "../../../src/models/catalogue.ts";

const ENTRIES = Object.entries(catalogue) as [keyof typeof catalogue, CatalogueEntry][];

test("catalogue names are lower-case, and no paths", () => {
  for (const [name] of ENTRIES) assertMatch(name, /^[a-z0-9.-]+$(?<!\.gguf)/);
});

test("catalogue entries name files that hf: can name, too", () => {
  for (const [name, { repository, file }] of ENTRIES) {
    assertEquals(showHubFile(hubFileOf(name)), `hf:${repository}/${file}`);
    assertEquals(parseHubFile(`hf:${repository}/${file}`), hubFileOf(name));
  }
});

test("catalogue entries are whole and make sense", () => {
  for (const [name, entry] of ENTRIES) {
    assertEquals(entry.kind === "reranker", entry.pooling === "rank", name);
    assert([256, 512, 2048, 8192, 32768].includes(entry.maxTokens), name);
    assertMatch(entry.licence, /^(MIT|Apache-2\.0|Gemma|CC-BY-NC-4\.0)$/);
    if (entry.kind === "reranker") assert(!entry.matryoshka, name);
    if (entry.kind === "reranker") assertEquals(entry.prompts, { query: "", document: "" }, name);
  }
});

test("catalogue says verified only of what was compared here", () => {
  assertEquals(ENTRIES.filter(([, { verified }]) => verified).map(([name]) => name), ["all-minilm-l6-v2"]);
});

test("catalogueEntryOfFile() knows whose model a file is by the beginning of its name", () => {
  const of = (path: string) => catalogueEntryOfFile(path)?.repository;
  assertEquals(of("models/all-minilm-l6-v2-bf16.gguf"), catalogue["all-minilm-l6-v2"].repository);
  assertEquals(of("C:\\models\\Qwen3-Embedding-0.6B-Q8_0.gguf"), catalogue["qwen3-embedding-0.6b"].repository);
  for (const path of ["all-minilm-l6-v20.gguf", "my-bge-m3.gguf", "bge-m3/model.gguf", ""]) {
    assertEquals(of(path), undefined);
  }
});

test("catalogue imports nothing", () => {
  assert(
    !/^\s*(import|export .* from)\b/m.test(
      readFileSync(new URL("../../../src/models/catalogue.ts", import.meta.url), "utf8"),
    ),
  );
});

test("catalogueName() takes any case, and no names of Object's own", () => {
  assertEquals(catalogueName("all-MiniLM-L6-v2"), "all-minilm-l6-v2");
  assertEquals(catalogueName("Qwen3-Embedding-0.6B"), "qwen3-embedding-0.6b");
  assertEquals(["constructor", "__proto__", "toString", "bge"].map(catalogueName), Array(4).fill(undefined));
});
