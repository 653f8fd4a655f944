// `llamasaur serve --config FILE` as a process: two embedders and a reranker with names, prompts, contexts and limits of their own.
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { Llama } from "../../../mod.ts";
import { inDirectory } from "../../support/checkpoint.ts";
import { ROOT } from "../../support/child.ts";
import { MODEL, noModel } from "../../support/program.ts";
import { runHere } from "../../support/run_here.ts";
import { type Json, RERANKER, TestServer } from "../../support/server.ts";

const skip = noModel;
const OTHER = join(ROOT, "tests", "fixtures", "families", "bert_mean.gguf");

const CONFIG = {
  $schema: "./serve.schema.json",
  keepAlive: "400ms",
  lazy: true,
  embed: [
    {
      model: MODEL,
      names: ["mini", "text-embedding-3-small", "nomic-embed-text"],
      queryPrompt: "query: ",
      documentPrompt: "",
      dimensions: 64,
      contexts: 2,
    },
    { model: OTHER, names: ["other"], contexts: 1 },
  ],
  rerank: [{ model: RERANKER, names: ["ranker", "rerank-v3.5"], contexts: 1 }],
};

async function withConfig(config: object, work: (args: string[]) => Promise<void>): Promise<void> {
  await inDirectory(async (directory) => {
    const path = join(directory, "serve.json");
    writeFileSync(path, JSON.stringify(config));
    await work(["--config", path]);
  });
}

function bits({ body }: { body: Json }): number[] {
  return [...Float32Array.from(body.data[0].embedding as number[])];
}

test("--config serves two embedders and a reranker, each by its names and with its own prompts and dimensions", {
  skip,
}, async () => {
  await withConfig(CONFIG, async (args) => {
    await using server = await TestServer.start(args);
    await using mini = await Llama.load(MODEL, { onLog: () => {} });
    await using other = await Llama.load(OTHER, { onLog: () => {} });
    await using ranker = await Llama.load(RERANKER, { onLog: () => {} });
    assertStringIncludes(
      server.log,
      "  embed   mini, text-embedding-3-small, nomic-embed-text  (prompts known: mini@query,",
    );
    assertStringIncludes(server.log, "  embed   other  (prompts not known before the first request)\n");
    for (const name of ["mini", "text-embedding-3-small", "nomic-embed-text:latest"]) {
      const answer = await server.ask("/v1/embeddings", { model: name, input: "a cat" });
      assertEquals(bits(answer), [...await mini.embed("a cat", { dimensions: 64 })]);
      assertEquals(answer.body.model, name);
    }
    const query = [...await mini.embed("query: a cat", { dimensions: 64 })];
    assertEquals(bits(await server.ask("/v1/embeddings", { model: "mini@query", input: "a cat" })), query);
    const whole = await server.ask("/v1/embeddings", {
      model: "mini",
      input: "a cat",
      input_type: "query",
      dimensions: 384,
    });
    assertEquals(bits(whole), [...await mini.embed("query: a cat")]);
    assertEquals(bits(await server.ask("/v1/embeddings", { model: "other", input: "a cat" })), [
      ...await other.embed("a cat"),
    ]);
    assertEquals((await server.ask("/v1/embeddings", { model: "other@query", input: "a cat" })).status, 400);
    assertEquals((await server.ask("/v1/embeddings", { model: "none", input: "a cat" })).status, 404);
    assertEquals((await server.ask("/v1/embeddings", { input: "a cat" })).status, 400); // which of two?
    const documents = ["one", "two words", "three whole words"];
    const ranked = (await ranker.rerank("what", documents)).map(({ index, score }) => ({
      index,
      relevance_score: score,
    }));
    for (const model of ["ranker", "rerank-v3.5", "any", undefined]) { // there is one reranker
      assertEquals((await server.ask("/v1/rerank", { model, query: "what", documents })).body.results, ranked);
    }
    const { body } = await server.ask("/v1/models");
    assertEquals(body.data.map(({ id, dimensions }: Json) => [id, dimensions]), [
      ...["mini", "mini@query", "mini@document"].map((id) => [id, 64]),
      ["other", other.info.dimensions],
      ["ranker", undefined],
    ]);
    const ids = await server.ask("/v1/embeddings", { model: "mini", input: [[101, 102]] });
    assertEquals(ids.status, 400);
    for (const remedy of ["check_embedding_ctx_length=False", "RAG_CHECK_EMBEDDING_CTX_LENGTH=False"]) {
      assertStringIncludes(ids.body.error.message, remedy);
    }
    assertEquals(await server.end(), 0);
  });
});

test("--lazy and --keep-alive: ready after each model was loaded and run once, and while they are unloaded", {
  skip,
}, async () => {
  await withConfig(CONFIG, async (args) => {
    await using server = await TestServer.start(args);
    const loaded = (): Promise<number> => server.metric("llamasaur_model_loaded{");
    assertEquals([(await server.ask("/healthz")).status, await loaded()], [200, 0]);
    assertEquals((await server.ask("/api/ps")).body.models, []);
    assertEquals((await server.ask("/readyz")).status, 503); // this loads them
    while ((await server.ask("/readyz")).status !== 200) await wait(50);
    while (await loaded() > 0) await wait(50);
    assertEquals((await server.ask("/readyz")).status, 200);
    assertEquals(await server.metric("llamasaur_memory_bytes{"), 0);
    for (const name of ["mini", "other", "ranker"]) {
      assertEquals(await server.metric("llamasaur_unloads_total", `"${name}"`), 1);
    }
    // Eight calls while it is not loaded: one load, which all of them share.
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) => server.ask("/v1/embeddings", { model: "other", input: `text ${i}` })),
    );
    assertEquals(answers.map(({ status }) => status), Array(8).fill(200));
    assertEquals(await server.metric("llamasaur_loads_total", '"other"'), 2);
    assertEquals(await server.metric("llamasaur_loads_total", '"mini"'), 1);
    assertEquals(await server.end(), 0);
  });
});

test(
  "memory and contexts are each model's own where they are given, else what is there is divided",
  { skip },
  async () => {
    const whole = 150e6;
    const models = { embed: [{ model: MODEL, names: ["mini"] }], rerank: [{ model: RERANKER, names: ["ranker"] }] };
    await withConfig({ ...models, memoryLimit: whole, contexts: 1 }, async (args) => {
      await using server = await TestServer.start(args);
      const texts = Array.from({ length: 64 }, (_, i) => `a text of some words, number ${i} `.repeat(1 + i % 9));
      assertEquals((await server.ask("/v1/embeddings", { input: texts })).status, 200);
      const bytes = await Promise.all(
        ["mini", "ranker"].map((one) => server.metric("llamasaur_memory_bytes", `"${one}"`)),
      );
      const sizes = [MODEL, RERANKER].map((path) => statSync(path).size);
      const rest = (whole - sizes[0]! - sizes[1]!) / 2;
      for (const [i, taken] of bytes.entries()) {
        assert(taken > 0 && taken <= sizes[i]! + rest, `${taken} of ${sizes[i]! + rest} bytes`);
      }
    });
    // What one model has for itself is not there for the other.
    const own = { ...models, embed: [{ ...models.embed[0], memoryLimit: whole }] };
    for (const [memoryLimit, code] of [[whole + 1, 1], [2 * whole, 0]] as const) {
      await withConfig({ ...own, memoryLimit }, async (args) => {
        if (code === 0) return await (await TestServer.start(args))[Symbol.asyncDispose]();
        const { code: ended, stderr } = await runHere(["serve", "--port", "0", ...args]);
        assertEquals(ended, code);
        assertMatch(stderr, /within memoryLimit/);
      });
    }
    await withConfig({ ...models, memoryLimit: 1e6 }, async (args) => {
      const { code, stderr } = await runHere(["serve", "--port", "0", ...args]);
      assertEquals(code, 1);
      assertMatch(stderr, /memory/i);
    });
    await withConfig({ embed: [{ ...models.embed[0], contexts: 3 }], ...{ rerank: models.rerank } }, async (args) => {
      const { stdout } = await runHere(["serve", "--print-config", ...args]);
      const [mini, ranker] = JSON.parse(stdout).models;
      assertEquals(mini.contexts, 3);
      assert(ranker.contexts >= 1 && ranker.contexts <= Math.max(1, Math.floor(navigator.hardwareConcurrency / 2)));
    });
  },
);
