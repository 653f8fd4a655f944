// Real clients against the real server: vectors, order, usage and error classes; prints the table of clients × routes.
import { after, before, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { STATUS_CODES } from "node:http";
import { join } from "node:path";
import { Llama } from "../../../mod.ts";
import { ROOT } from "../../support/child.ts";
import { MODEL, noModel, noSignals, RUNTIME } from "../../support/program.ts";
import { BOTH, type Json, KEY, keyFile, RERANKER, TestServer } from "../../support/server.ts";

const skip = noModel;

/** Loads a client without its types: those of all together are too deep for Deno's compiler ("recursion limit exceeded"). */
function load(name: string): Promise<Json> {
  return import(name);
}

const { createCohere } = await load("@ai-sdk/cohere");
const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");
const { HuggingfaceServerEmbeddingFunction } = await load("@chroma-core/huggingface-server");
const { InferenceClient } = await load("@huggingface/inference");
const { CohereRerank } = await load("@langchain/cohere");
const { OllamaEmbeddings } = await load("@langchain/ollama");
const { OpenAIEmbeddings } = await load("@langchain/openai");
const { embedMany, rerank } = await load("ai");
const { createOllama } = await load("ai-sdk-ollama");
const { CohereClient, CohereClientV2 } = await load("cohere-ai");
const { Ollama } = await load("ollama");
const { default: OpenAI } = await load("openai");
const { default: OpenAI6 } = await load("openai-6");
const TEXTS = ["a cat", "a kitten sleeps", "the stock market fell"];
const DOCUMENTS = ["one", "two words", "three whole words", "four words of it"];
const LONG = "word ".repeat(400);
const BATCH = 64;
const LARGE = "word ".repeat(20_000);
const MANY = Array.from({ length: BATCH }, (_, i) => `a text of several words, number ${i}`);

interface Server {
  readonly url: string;
  readonly key: string;
}

/** A client that embeds. */
interface Embedder {
  readonly name: string;
  readonly route: string;
  /** Whether the vectors come as base64, or as digits that give the float32 back. */
  readonly exact?: boolean;
  readonly embed: (
    server: Server,
    model: string,
    texts: string[],
  ) => Promise<{ vectors: ArrayLike<number>[]; tokens?: number }>;
  /** What a text that is too long is to the client: cut, or 400. */
  readonly long: "cut" | 400;
  /** Whether it sends no model's name. */
  readonly nameless?: boolean;
  /** Whether it sends a large batch in parts of its own. */
  readonly splits?: boolean;
}

/** A client that reranks. */
interface Ranker {
  readonly name: string;
  readonly route: string;
  readonly rank: (
    server: Server,
    model: string,
    query: string,
    documents: string[],
  ) => Promise<{ index: number; score: number }[]>;
}

type OpenAIClient = new (options: { baseURL: string; apiKey: string; maxRetries: number }) => {
  embeddings: {
    create(body: { model: string; input: string[]; encoding_format?: "float" }): Promise<{
      data: { embedding: number[] }[];
      usage: { total_tokens: number };
    }>;
  };
};

function openai(name: string, Client: OpenAIClient, encoding_format?: "float"): Embedder {
  return {
    name: encoding_format ? `${name}, ${encoding_format}` : name,
    route: "/v1/embeddings",
    exact: true,
    long: "cut",
    embed: async ({ url, key }, model, input) => {
      const client = new Client({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
      const { data, usage } = await client.embeddings.create({
        model,
        input,
        ...(encoding_format && { encoding_format }),
      });
      return { vectors: data.map(({ embedding }) => embedding), tokens: usage.total_tokens };
    },
  };
}

/** Ollama's client takes a key as a header. */
function bearer(key: string): Record<string, string> {
  return { authorization: `Bearer ${key}` };
}

const EMBEDDERS: readonly Embedder[] = [
  openai("openai 7", OpenAI),
  openai("openai 7", OpenAI, "float"),
  openai("openai 6", OpenAI6),
  {
    name: "@langchain/openai",
    route: "/v1/embeddings",
    long: "cut",
    embed: async ({ url, key }, model, texts) => {
      const embeddings = new OpenAIEmbeddings({
        model,
        apiKey: key,
        maxRetries: 0,
        configuration: { baseURL: `${url}/v1` },
      });
      return { vectors: await embeddings.embedDocuments(texts) };
    },
  },
  {
    name: "@ai-sdk/openai-compatible",
    route: "/v1/embeddings",
    exact: true,
    long: "cut",
    embed: async ({ url, key }, model, values) => {
      const provider = createOpenAICompatible({ name: "llamasaur", baseURL: `${url}/v1`, apiKey: key });
      const { embeddings, usage } = await embedMany({ model: provider.embeddingModel(model), values, maxRetries: 0 });
      return { vectors: embeddings, tokens: usage.tokens };
    },
  },
  {
    name: "ollama",
    route: "/api/embed",
    exact: true,
    long: "cut",
    embed: async ({ url, key }, model, input) => {
      const client = new Ollama({ host: url, headers: bearer(key) });
      const { embeddings, prompt_eval_count } = await client.embed({ model, input });
      return { vectors: embeddings, tokens: prompt_eval_count };
    },
  },
  {
    name: "@langchain/ollama",
    route: "/api/embed",
    long: 400, // it sends truncate: false always
    embed: async ({ url, key }, model, texts) => {
      const embeddings = new OllamaEmbeddings({ baseUrl: url, model, maxRetries: 0, headers: bearer(key) });
      return { vectors: await embeddings.embedDocuments(texts) };
    },
  },
  {
    name: "ai-sdk-ollama",
    splits: true,
    route: "/api/embed",
    exact: true,
    long: "cut",
    embed: async ({ url, key }, model, values) => {
      const provider = createOllama({ baseURL: url, headers: bearer(key) });
      const { embeddings } = await embedMany({ model: provider.embedding(model), values, maxRetries: 0 });
      return { vectors: embeddings };
    },
  },
  {
    name: "@huggingface/inference",
    route: "/",
    exact: true,
    long: "cut",
    nameless: true,
    embed: async ({ url, key }, _, inputs) => {
      const client = new InferenceClient(key, { endpointUrl: url });
      return { vectors: await client.featureExtraction({ inputs }) };
    },
  },
  {
    name: "@chroma-core/huggingface-server",
    route: "/embed",
    exact: true,
    long: "cut",
    nameless: true,
    embed: async ({ url, key }, _, texts) => {
      const client = new HuggingfaceServerEmbeddingFunction({ url: `${url}/embed`, apiKey: key });
      // Its error has the status in words alone.
      const vectors = await client.generate(texts).catch((error: Error) => {
        const [status] = Object.entries(STATUS_CODES).find(([, words]) => error.message.endsWith(`: ${words}`)) ?? [];
        throw Object.assign(error, { status: Number(status) });
      });
      return { vectors };
    },
  },
];

const RANKERS: readonly Ranker[] = [
  {
    name: "cohere-ai 8",
    route: "/v2/rerank",
    rank: async ({ url, key }, model, query, documents) => {
      const client = new CohereClientV2({ environment: url, token: key });
      const { results } = await client.rerank({ model, query, documents }, { maxRetries: 0 });
      return results.map(({ index, relevanceScore }: Json) => ({ index, score: relevanceScore }));
    },
  },
  {
    name: "@langchain/cohere",
    route: "/v2/rerank",
    rank: async ({ url, key }, model, query, documents) => {
      const client = new CohereClientV2({ environment: url, token: key, maxRetries: 0 });
      const compressor = new CohereRerank({ client: client, model, maxRetries: 0, topN: documents.length });
      const found = await compressor.rerank(documents, query);
      return found.map(({ index, relevanceScore }: Json) => ({ index, score: relevanceScore }));
    },
  },
  {
    name: "@ai-sdk/cohere",
    route: "/v2/rerank",
    rank: async ({ url, key }, model, query, documents) => {
      const provider = createCohere({ baseURL: `${url}/v2`, apiKey: key });
      const { ranking } = await rerank({ model: provider.reranking(model), query, documents, maxRetries: 0 });
      return ranking.map(({ originalIndex, score }: Json) => ({ index: originalIndex, score }));
    },
  },
];

/** A call of a client beside its vectors and its ranking. */
interface Call {
  readonly name: string;
  readonly route: string;
  readonly ask: (server: Server) => Promise<unknown>;
  readonly wanted: () => Promise<unknown> | unknown;
  /** Other calls, and the statuses that they come to. */
  readonly refused?: readonly (readonly [status: number, ask: (server: Server) => Promise<unknown>])[];
}

function modelsOf(name: string, Client: Json): Call[] {
  const client = ({ url, key }: Server) => new Client({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
  const list = async (server: Server) => (await client(server).models.list()).data.map(({ id }: Json) => id);
  const retrieve = async (server: Server) => (await client(server).models.retrieve("mini")).fingerprint;
  return [{
    name,
    route: "/v1/models",
    ask: async (server) => [await list(server), await retrieve(server)],
    wanted: () => [["mini", "ranker"], llama.info.fingerprint],
    refused: [[404, (server) => client(server).models.retrieve("nothing")]],
  }];
}

function ollamaCall(
  route: string,
  ask: (client: Json) => Promise<unknown>,
  wanted: Call["wanted"],
  refused: readonly (readonly [status: number, ask: (client: Json) => Promise<unknown>])[] = [],
): Call {
  const by = (ask: (client: Json) => Promise<unknown>): Call["ask"] => ({ url, key }) =>
    ask(new Ollama({ host: url, headers: bearer(key) }));
  return { name: "ollama", route, ask: by(ask), wanted, refused: refused.map(([status, ask]) => [status, by(ask)]) };
}

async function rankByV1({ url, key }: Server, query: string, documents: string[], model = "ranker"): Promise<unknown> {
  const client = new CohereClient({ environment: url, token: key });
  const { results } = await client.rerank({ model, query, documents }, { maxRetries: 0 });
  return results.map(({ index, relevanceScore }: Json) => ({ index, score: relevanceScore }));
}

const CALLS: readonly Call[] = [
  ...modelsOf("openai 7", OpenAI),
  ...modelsOf("openai 6", OpenAI6),
  ollamaCall(
    "/api/embeddings",
    async (client) => {
      const { embedding } = await client.embeddings({ model: "mini", prompt: TEXTS[0] });
      return [...Float32Array.from(embedding)];
    },
    async () => [...await llama.embed(TEXTS[0]!)],
    [
      [400, (client) => client.embeddings({ model: "mini", prompt: LONG })],
      [404, (client) => client.embeddings({ model: "nothing", prompt: "a" })],
    ],
  ),
  ollamaCall(
    "/api/show",
    async (client) => (await client.show({ model: "mini" })).capabilities,
    () => ["embedding"],
    [[404, (client) => client.show({ model: "nothing" })]],
  ),
  ollamaCall("/api/tags", async (client) => (await client.list()).models.map(({ name }: Json) => name), () => ["mini"]),
  ollamaCall("/api/ps", async (client) => (await client.ps()).models.map(({ name }: Json) => name), () => ["mini"]),
  ollamaCall("/api/version", async (client) => typeof (await client.version()).version, () => "string"),
  {
    name: "cohere-ai 8",
    route: "/v1/rerank",
    ask: (server) => rankByV1(server, "what is it", DOCUMENTS),
    wanted: async () => (await ranker.rerank("what is it", DOCUMENTS)).map(({ index, score }) => ({ index, score })),
    refused: [
      [400, (server) => rankByV1(server, LONG, DOCUMENTS)],
      [404, (server) => rankByV1(server, "a", DOCUMENTS, "nothing")],
      [413, (server) => rankByV1(server, "a", [...MANY, "one more"])],
    ],
  },
];

/** The status that a client's error tells, wherever it has it. */
function statusOf(error: unknown): number | undefined {
  for (let one = error; one instanceof Error; one = one.cause) {
    const told = one as unknown as Record<string, unknown> & { httpResponse?: { status?: number }; lastError?: Error };
    const status = told["status"] ?? told["statusCode"] ?? told["status_code"] ?? told.httpResponse?.status;
    if (typeof status === "number") return status;
    if (told.lastError) return statusOf(told.lastError);
  }
  return undefined;
}

/** What six calls at once come to: the queue has room for one alone. */
async function statusesOf(call: () => Promise<unknown>): Promise<(number | undefined)[]> {
  return await Promise.all(Array.from({ length: 6 }, () => statusFrom(call())));
}

async function statusFrom(work: Promise<unknown>): Promise<number | undefined> {
  return await work.then(() => 200, (error) =>
    statusOf(error) ?? (() => {
      throw error;
    })());
}

let server: TestServer;
let strict: TestServer;
let llama: Llama;
let ranker: Llama;
const keys = keyFile(KEY);
const told = new Map<string, string[]>();
/** What was run: clients by routes, as the page has them. */
const ran = new Map<string, Set<string>>();
function run(name: string, route: string): void {
  const client = name.replace(/, float$/, "");
  ran.set(client, (ran.get(client) ?? new Set()).add(route));
}
const open = (): Server => ({ url: server.url, key: "any" });
const closed = (key = KEY): Server => ({ url: strict.url, key });
const lost = (): Server => ({ url: `${strict.url}/nothing`, key: KEY });

before(async () => {
  if (skip) return;
  const limits = ["--strict-names", "--max-queue-tokens", "300", "--max-batch-size", String(BATCH)]
    .concat("--truncate", "error", "--max-body", "50KB");
  [server, strict, llama, ranker] = await Promise.all([
    TestServer.start(BOTH),
    TestServer.start([...BOTH, "--api-key-file", keys.path, ...limits]),
    Llama.load(MODEL, { onLog: () => {} }),
    Llama.load(RERANKER, { onLog: () => {} }),
  ]);
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
  await strict?.[Symbol.asyncDispose]();
  keys[Symbol.dispose]();
  await Promise.all([llama?.close(), ranker?.close()]);
  const rows = [...told].map(([name, cells]) => `| ${name} | ${cells.join(" | ")} |`);
  console.log(["| client | route | checked |", "| --- | --- | --- |", ...rows].join("\n"));
});

for (const { name, route, exact, long, nameless, splits, embed } of EMBEDDERS) {
  test(`${name} embeds through ${route}: vectors, order, usage, truncation, error classes`, { skip }, async () => {
    const wanted = await llama.embed(TEXTS);
    const { vectors, tokens } = await embed(open(), "mini", TEXTS);
    assertEquals(vectors.length, TEXTS.length);
    let largest = 0;
    for (const [i, vector] of vectors.entries()) {
      assertEquals(vector.length, 384);
      for (let j = 0; j < 384; j++) largest = Math.max(largest, Math.abs(Math.fround(vector[j]!) - wanted[i]![j]!));
    }
    assert(exact ? largest === 0 : largest <= 1e-6, `off by ${largest}`);
    const counted = (await llama.countTokens(TEXTS)).reduce((sum, count) => sum + count);
    if (tokens !== undefined) assertEquals(tokens, counted);
    const before = await server.metric("llamasaur_truncated_total", "mini");
    const status = await statusFrom(embed(open(), "text-embedding-3-small", [LONG]));
    assertEquals(status, long === "cut" ? 200 : 400);
    if (long === "cut") assertEquals(await server.metric("llamasaur_truncated_total", "mini"), before + 1);
    const statuses = [
      await statusFrom(embed(closed(), "mini", [LONG])),
      await statusFrom(embed(closed("wrong"), "mini", ["a"])),
      // Who sends no name may have a wrong address.
      await statusFrom(nameless ? embed(lost(), "", ["a"]) : embed(closed(), "nothing", ["a"])),
      await statusFrom(embed(closed(), "mini", [LARGE])),
    ];
    assertEquals(statuses, [nameless ? 422 : 400, 401, 404, 413]);
    const many = await statusFrom(embed(closed(), "mini", [...MANY, "one more"]));
    assertEquals(many, splits ? 200 : nameless ? 422 : 413);
    const crowd = await statusesOf(() => embed(closed(), "mini", MANY));
    // One that splits also waits for what retry-after says, whatever it was told of retries.
    assert(splits ? crowd.every((one) => one === 200) : crowd.includes(429) && crowd.includes(200), `${crowd}`);
    const usage = tokens === undefined ? "" : ", usage";
    run(name, route);
    told.set(name, [
      route,
      `${exact ? "bits" : "1e-6"}${usage}, ${long === "cut" ? "cut and counted" : "too long is 400"}, ${statuses}, 429`,
    ]);
  });
}

for (const { name, route, rank } of RANKERS) {
  test(`${name} reranks through ${route}: order, scores, error classes`, { skip }, async () => {
    const wanted = (await ranker.rerank("what is it", DOCUMENTS)).map(({ index, score }) => ({ index, score }));
    assertEquals(await rank(open(), "ranker", "what is it", DOCUMENTS), wanted);
    assertEquals(await rank(open(), "rerank-v3.5", "what is it", DOCUMENTS), wanted);
    const statuses = [
      await statusFrom(rank(open(), "ranker", LONG, DOCUMENTS)),
      await statusFrom(rank(closed("wrong"), "ranker", "a", DOCUMENTS)),
      await statusFrom(rank(closed(), "nothing", "a", DOCUMENTS)),
      await statusFrom(rank(closed(), "ranker", "a", Array.from({ length: BATCH + 1 }, (_, i) => `text ${i}`))),
    ];
    assertEquals(statuses, [400, 401, 404, 413]);
    const crowd = await statusesOf(() => rank(closed(), "ranker", "a", MANY));
    assert(crowd.includes(429) && crowd.includes(200), `${crowd}`);
    run(name, route);
    told.set(name, [route, `order and scores, ${statuses}, 429`]);
  });
}

for (const { name, route, ask, wanted, refused = [] } of CALLS) {
  test(`${name} asks ${route} and reads what it should`, { skip }, async () => {
    assertEquals(await ask(open()), await wanted());
    assertEquals(await statusFrom(ask(closed("wrong"))), 401);
    for (const [status, call] of refused) assertEquals(await statusFrom(call(closed())), status);
    run(name, route);
  });
}

test("docs/server.md says of every client and route whether it was run", { skip }, () => {
  const page = readFileSync(join(ROOT, "docs", "server.md"), "utf8");
  const [head = "", , ...rows] = /^\| client \\ route[^]*?\n\n/m.exec(page)![0].trim().split("\n");
  const cells = (line: string) => line.split("|").slice(1, -1).map((cell) => cell.trim().replaceAll("`", ""));
  const [, ...routes] = cells(head);
  const told = rows.map((row) => {
    const [name = "", ...runs] = cells(row);
    for (const one of runs) assert(["run", "its request", "not run", "–"].includes(one), `${name}: ${one}`);
    return [name, routes.filter((_, i) => runs[i] === "run").sort()] as const;
  });
  const ours = told.filter(([name]) => ran.has(name));
  assertEquals(new Map(ours), new Map([...ran].map(([name, all]) => [name, [...all].sort()])));
});

test("the servers ended with nothing of the texts in their logs", { skip }, async () => {
  assertEquals([await server.end(), await strict.end()], noSignals ? [1, 1] : [0, 0]);
  for (const text of [...TEXTS, ...DOCUMENTS.slice(1), "several words", LONG.slice(0, 20), KEY]) {
    assert(!server.log.includes(text) && !strict.log.includes(text), `${text} is in a log of ${RUNTIME}`);
  }
});
