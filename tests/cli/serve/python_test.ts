// Python's clients and schemathesis against the real server; part of `deno task slow`, or with LLAMASAUR_PYTHON.
import { after, before, test } from "node:test";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { Llama } from "../../../mod.ts";
import { ROOT } from "../../support/child.ts";
import { MODEL, noModel } from "../../support/program.ts";
import { pythonWith } from "../../support/python.ts";
import { BOTH, type Json, KEY, keyFile, RERANKER, TestServer } from "../../support/server.ts";

const MODULES = [
  "cohere",
  "huggingface_hub",
  "langchain_openai",
  "numpy",
  "ollama",
  "openai",
  "voyageai",
  "schemathesis",
];
const found = noModel ? { lacks: noModel } : pythonWith(...MODULES);
const skip = "lacks" in found ? found.lacks : false;
const TEXTS = ["a cat", "a kitten sleeps", "the stock market fell"];
const DOCUMENTS = ["one", "two words", "three whole words", "four words of it"];
const BATCH = 64;

let server: TestServer;
let strict: TestServer;
let told: Json;
const keys = keyFile(KEY);
before(async () => {
  if ("lacks" in found) return;
  const limits = ["--strict-names", "--max-queue-tokens", "300", "--max-batch-size", String(BATCH)]
    .concat("--truncate", "error", "--max-body", "50KB");
  [server, strict] = await Promise.all([
    TestServer.start(BOTH),
    TestServer.start([...BOTH, "--api-key-file", keys.path, ...limits]),
  ]);
  const job = {
    ...{ url: server.url, closed: strict.url, key: KEY, batch: BATCH },
    ...{ texts: TEXTS, documents: DOCUMENTS, long: "word ".repeat(400), large: "word ".repeat(20_000) },
  };
  const script = join(ROOT, "tests", "support", "python_clients.py");
  const { code, said } = await run(found.python, [script], JSON.stringify(job));
  assertEquals(code, 0, said);
  told = JSON.parse(said.trim().split("\n").at(-1)!);
  for (const one of [server, strict]) one.keep([...TEXTS, ...DOCUMENTS, job.long, "a text of several words, number"]);
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
  await strict?.[Symbol.asyncDispose]();
  keys[Symbol.dispose]();
});

function run(program: string, args: readonly string[], stdin = ""): Promise<{ code: number | null; said: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: dirname(keys.path) });
    let said = "";
    child.stdout.on("data", (data) => said += data);
    child.stderr.on("data", (data) => said += data);
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, said }));
    child.stdin.end(stdin);
  });
}

/** A client that sends no name and one text at a time, through a route of TEI, which has a status of its own. */
const OF_TEI = "huggingface_hub";
/** Clients that hand on the digits or the bytes of a float32. */
const EXACT = ["openai", "openai, float", "huggingface_hub", "ollama"];

for (const name of ["openai", "openai, float", "langchain-openai", "huggingface_hub", "ollama", "voyageai"]) {
  test(`Python's ${name} embeds: vectors, order, usage, truncation, error classes`, { skip }, async () => {
    await using llama = await Llama.load(MODEL, { onLog: () => {} });
    const { vectors, tokens, long, refused, key, nothing, large, many, crowd } = told[name];
    // One client sends text by text, and beside others a text's vector may differ in its last bits.
    const wanted = name === OF_TEI
      ? await Promise.all(TEXTS.map((text) => llama.embed(text)))
      : await llama.embed(TEXTS);
    let largest = 0;
    for (const [i, vector] of vectors.entries()) {
      assertEquals(vector.length, 384);
      for (let j = 0; j < 384; j++) largest = Math.max(largest, Math.abs(Math.fround(vector[j]) - wanted[i]![j]!));
    }
    assertEquals(vectors.length, TEXTS.length);
    assert(EXACT.includes(name) && name !== OF_TEI ? largest === 0 : largest <= 1e-6, `off by ${largest}`);
    if (tokens !== undefined) {
      assertEquals(tokens, (await llama.countTokens(TEXTS)).reduce((sum, count) => sum + count));
    }
    assertEquals(
      [long, refused, key, nothing, large, many],
      name === OF_TEI ? [200, 422, 401, 404, 413, 200] : [200, 400, 401, 404, 413, 413],
      JSON.stringify(told[name]).slice(-400),
    );
    assert(crowd.includes(429) && crowd.includes(200), `${crowd}`);
  });
}

for (const name of ["cohere", "voyageai, rerank"]) {
  test(`Python's ${name} reranks: order, scores, error classes`, { skip }, async () => {
    await using llama = await Llama.load(RERANKER, { onLog: () => {} });
    const { ranked, long, key, nothing, large, many, crowd } = told[name];
    assertEquals(ranked, (await llama.rerank("what is it", DOCUMENTS)).map(({ index, score }) => ({ index, score })));
    assertEquals([long, key, nothing, large, many], [400, 401, 404, 413, 413]);
    assert(crowd.includes(429) && crowd.includes(200), `${crowd}`);
  });
}

test("LangChain for Python that sends token ids is told how to send texts", { skip }, () => {
  for (const remedy of ["check_embedding_ctx_length=False", "RAG_CHECK_EMBEDDING_CTX_LENGTH=False"]) {
    assertStringIncludes(told.ids, remedy);
  }
});

test("schemathesis finds no server error and no answer beside /openapi.json", { skip }, async () => {
  const program = join(dirname((found as { python: string }).python), "schemathesis");
  const checks = "not_a_server_error,response_schema_conformance,content_type_conformance,status_code_conformance";
  const { code, said } = await run(program, [
    ...["run", `${server.url}/openapi.json`, "--checks", checks],
    ...["--max-examples", "30", "--seed", "1", "--no-color"],
  ]);
  assertEquals(code, 0, said.slice(-3000));
  assertEquals((await server.ask("/v1/embeddings", { input: "a" })).status, 200);
});
