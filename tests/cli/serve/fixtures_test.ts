// Requests as programs that are no library send them, written after their sources, and the answers read as these read them.
import { after, before, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Llama } from "../../../mod.ts";
import { MODEL, noModel } from "../../support/program.ts";
import { BOTH, type Json, KEY, keyFile, RERANKER, TestServer } from "../../support/server.ts";

const skip = noModel;
const TEXTS = ["a cat", "a kitten sleeps", "the stock market fell"];
const QUERY = "what is it";

/** A request of a program. */
interface Fixture {
  readonly program: string;
  /** Where its source has the request: repository, file, commit. */
  readonly source: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body: Record<string, unknown>;
  /** What the program takes of the answer: vectors, or a score for each text. */
  readonly read: (answer: Json) => number[][] | number[];
}

const byIndex = (rows: Json, field: string): number[] =>
  [...rows].sort((a: Json, b: Json) => a.index - b.index).map((row: Json) => row[field]);

const FIXTURES: readonly Fixture[] = [
  {
    program: "Open WebUI, engine OpenAI",
    source: "open-webui/open-webui backend/open_webui/retrieval/utils.py 60b8cfb9fa2228eac878c3c52eccdff7abc4d384",
    path: "/v1/embeddings",
    headers: { "x-openwebui-user-name": "A%20User", "x-openwebui-user-role": "admin" },
    body: { input: TEXTS, model: "text-embedding-3-small" },
    read: ({ data }) => data.map(({ embedding }: Json) => embedding),
  },
  {
    program: "Open WebUI, engine Ollama",
    source: "open-webui/open-webui backend/open_webui/retrieval/utils.py 60b8cfb9fa2228eac878c3c52eccdff7abc4d384",
    path: "/api/embed",
    body: { input: TEXTS, model: "mini:latest", truncate: true },
    read: ({ embeddings }) => embeddings,
  },
  {
    program: "Open WebUI, external reranker",
    source:
      "open-webui/open-webui backend/open_webui/retrieval/models/external.py 0668cb7f35ea6df9f9c104cfd634757798347ebe",
    path: "/v1/rerank",
    body: { model: "reranker", query: QUERY, documents: TEXTS, top_n: TEXTS.length },
    read: ({ results }) => byIndex(results, "relevance_score"),
  },
  {
    program: "LibreChat's RAG API, provider openai with RAG_CHECK_EMBEDDING_CTX_LENGTH=False",
    source: "danny-avila/rag_api app/config.py 0897f5e7185af5ba950dc313f1a4bb230f5ef8c3 (langchain_openai)",
    path: "/v1/embeddings",
    body: { input: TEXTS, model: "text-embedding-3-small", encoding_format: "float" },
    read: ({ data }) => data.map(({ embedding }: Json) => embedding),
  },
  {
    program: "LibreChat's RAG API, provider huggingfacetei",
    source:
      "danny-avila/rag_api app/config.py 0897f5e7185af5ba950dc313f1a4bb230f5ef8c3 (HuggingFaceEndpointEmbeddings)",
    path: "/",
    body: { inputs: TEXTS, truncate: null, normalize: null, prompt_name: null },
    read: (answer) => answer,
  },
  {
    program: "Continue, provider ollama",
    source: "continuedev/continue core/llm/llms/Ollama.ts 0108be5ef93e6fe3f511f49306f9bff414ef7efc",
    path: "/api/embed",
    body: { model: "mini", input: TEXTS },
    read: ({ embeddings }) => embeddings,
  },
  {
    program: "Continue, provider jina (rerank)",
    source: "continuedev/continue packages/openai-adapters/src/apis/Jina.ts 55afbf52363d8ad4f71b8fb04f8ea1401bb3421f",
    path: "/v1/rerank",
    headers: { accept: "application/json", "x-api-key": KEY },
    body: { model: "ranker", query: QUERY, documents: TEXTS },
    read: ({ results }) => byIndex(results, "relevance_score"),
  },
  {
    program: "Continue, provider huggingface-tei (rerank)",
    source: "continuedev/continue core/llm/llms/HuggingFaceTEI.ts fdeabb628ddbc209322e72a10aaf4da71e7ff325",
    path: "/rerank",
    body: {
      query: QUERY,
      return_text: false,
      raw_scores: false,
      texts: TEXTS,
      truncation_direction: "Right",
      truncate: true,
    },
    read: (answer) => byIndex(answer, "score"),
  },
];

let server: TestServer;
let wanted: { vectors: number[][]; scores: number[] };
const keys = keyFile(KEY);
before(async () => {
  if (skip) return;
  await using llama = await Llama.load(MODEL, { onLog: () => {} });
  await using ranker = await Llama.load(RERANKER, { onLog: () => {} });
  const ranked = await ranker.rerank(QUERY, TEXTS);
  wanted = {
    vectors: (await llama.embed(TEXTS)).map((vector) => [...vector]),
    scores: byIndex(ranked, "score"),
  };
  server = await TestServer.start([...BOTH, "--api-key-file", keys.path]);
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
  keys[Symbol.dispose]();
});

for (const { program, source, path, headers, body, read } of FIXTURES) {
  test(`${program}: its request to ${path} gets what it reads`, { skip }, async () => {
    const sent = { authorization: `Bearer ${KEY}`, "content-type": "application/json", ...headers };
    const { status, body: answer } = await server.ask(path, body, { headers: sent });
    assertEquals(status, 200, `${source}: ${JSON.stringify(answer)}`);
    const got = read(answer);
    if (typeof got[0] === "number") assertEquals(got, wanted.scores);
    else assertEquals((got as number[][]).map((vector) => [...Float32Array.from(vector)]), wanted.vectors);
    const without = await server.ask(path, body);
    assertEquals(without.status, 401);
  });
}

test("Continue's look at /info finds a model and a size of batches", { skip }, async () => {
  const { body } = await server.ask("/info", undefined, { headers: { authorization: `Bearer ${KEY}` } });
  assertEquals(body.model_id, "mini");
  assert(Number.isInteger(body.max_client_batch_size) && body.max_client_batch_size > 0);
});
