// Every route by plain requests: answers, headers, errors in each family's body.
import { after, before, test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import { Llama } from "../../../mod.ts";
import { MODEL, noModel, noSignals } from "../../support/program.ts";
import { BOTH, type Json, RERANKER, TestServer } from "../../support/server.ts";

const skip = noModel;
const TEXTS = ["a cat", "a kitten sleeps", "the stock market fell"];
const LONG = "word ".repeat(400);

let server: TestServer;
let llama: Llama;
let ranker: Llama;
before(async () => {
  if (skip) return;
  [server, llama, ranker] = await Promise.all([
    TestServer.start(BOTH),
    Llama.load(MODEL),
    Llama.load(RERANKER, { onLog: () => {} }),
  ]);
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
  await Promise.all([llama?.close(), ranker?.close()]);
});

/** The bits of a vector, however it was sent. */
function bits(embedding: number[] | string): number[] {
  if (typeof embedding !== "string") return [...Float32Array.from(embedding)];
  const bytes = Uint8Array.from(Buffer.from(embedding, "base64"));
  return [...new Float32Array(bytes.buffer)];
}

test(
  "POST /v1/embeddings gives llama.embed's bits as numbers and as base64, with usage and fingerprint",
  { skip },
  async () => {
    const wanted = (await llama.embed(TEXTS)).map((vector) => [...vector]);
    const tokens = (await llama.countTokens(TEXTS)).reduce((sum, count) => sum + count);
    for (const encoding_format of [undefined, "float", "base64"]) {
      const { status, body, headers } = await server.ask("/v1/embeddings", {
        input: TEXTS,
        model: "mini",
        encoding_format,
      });
      assertEquals([status, body.object, body.model], [200, "list", "mini"]);
      assertEquals(body.data.map(({ index, object }: Json) => [index, object]), TEXTS.map((_, i) => [i, "embedding"]));
      assertEquals(body.data.map(({ embedding }: Json) => bits(embedding)), wanted);
      assertEquals(body.usage, { prompt_tokens: tokens, total_tokens: tokens });
      assertEquals(headers.get("x-llamasaur-fingerprint"), llama.fingerprint());
      assertEquals(headers.get("x-truncated"), null);
    }
  },
);

test(
  "POST /v1/embeddings takes one text, any name, null fields, dimensions, and Voyage's and Jina's fields",
  { skip },
  async () => {
    const wanted = [...await llama.embed("a cat")];
    for (
      const body of [{}, { model: null, dimensions: null, user: "me" }, { model: "whatever:latest", extra: { a: 1 } }]
    ) {
      const answer = await server.ask("/v1/embeddings", { input: "a cat", ...body });
      assertEquals([answer.status, bits(answer.body.data[0].embedding)], [200, wanted]);
    }
    const few = await server.ask("/v1/embeddings", { input: "a cat", dimensions: 5 });
    assertEquals(bits(few.body.data[0].embedding), [...await llama.embed("a cat", { dimensions: 5 })]);
    assertEquals(few.headers.get("x-llamasaur-fingerprint"), llama.fingerprint({ dimensions: 5 }));
    const raw = await server.ask("/v1/embeddings", { input: "a cat", normalized: false, embedding_type: "base64" });
    assertEquals(bits(raw.body.data[0].embedding), [...await llama.embed("a cat", { normalize: false })]);
  },
);

test(
  "a long text is cut and told, or refused with the limit and the count where the body says so",
  { skip },
  async () => {
    const cut = await server.ask("/v1/embeddings", { input: ["a", LONG] });
    assertEquals([cut.status, cut.headers.get("x-truncated")], [200, "1"]);
    for (
      const [path, body, status, words] of [
        ["/v1/embeddings", { input: LONG, truncate: false }, 400, /402 tokens, the limit is 256/],
        [
          "/api/embed",
          { input: LONG, truncate: false },
          400,
          /^the input length exceeds the context length: .*402 tokens/,
        ],
        ["/embed", { inputs: LONG, truncate: false }, 422, /402 tokens, the limit is 256/],
      ] as const
    ) {
      const answer = await server.ask(path, body);
      assertEquals(answer.status, status);
      assertMatch(answer.body.error.message ?? answer.body.error, words);
    }
    const start = await server.ask("/embed", { inputs: LONG, truncate: true, truncation_direction: "Left" });
    assertEquals([start.status, start.headers.get("x-truncated")], [200, "1"]);
    assertEquals(await server.metric("llamasaur_truncated_total", "mini"), 2);
  },
);

test(
  "rerank gives llama.rerank's order and scores on three paths, with documents and fields where asked",
  { skip },
  async () => {
    const documents = ["one", "two words", "three whole words", "one"];
    const wanted = (await ranker.rerank("what", documents)).map(({ index, score }) => ({
      index,
      relevance_score: score,
    }));
    for (const path of ["/v1/rerank", "/v2/rerank", "/rerank"]) {
      const { status, body } = await server.ask(path, { model: "ranker", query: "what", documents });
      assertEquals([status, body.results], [200, wanted]);
      assert(body.usage.total_tokens > 0 && body.meta.billed_units.search_units === 1 && body.id);
      const top = await server.ask(path, { query: "what", documents, top_n: 2, return_documents: true });
      const told = path === "/v2/rerank"
        ? wanted
        : wanted.map((one) => ({ ...one, document: { text: documents[one.index] } }));
      assertEquals(top.body.results, told.slice(0, 2));
    }
    const objects = documents.map((text) => ({ text, title: "x" }));
    assertEquals((await server.ask("/v1/rerank", { query: "what", documents: objects })).body.results, wanted);
    const voyage = await server.ask("/v1/rerank", { query: "what", documents, truncation: true });
    assertEquals([voyage.body.data, voyage.body.results], [wanted, wanted]);
    const fields = await server.ask("/v1/rerank", {
      query: "what",
      documents: objects,
      rank_fields: ["title", "text"],
    });
    const asked = await ranker.rerank("what", documents.map((text) => `title: x\ntext: ${text}`));
    assertEquals(fields.body.results.map(({ index }: Json) => index), asked.map(({ index }) => index));
  },
);

test("texts in the body mean TEI's shape on every rerank path", { skip }, async () => {
  const texts = ["one", "two words", "three whole words"];
  const ranked = await ranker.rerank("what", texts);
  for (const path of ["/rerank", "/v1/rerank", "/v2/rerank"]) {
    const plain = await server.ask(path, { query: "what", texts });
    assertEquals(plain.body, ranked.map(({ index, score }) => ({ index, score })));
    const raw = await server.ask(path, { query: "what", texts, raw_scores: true, return_text: true });
    assertEquals(raw.body, ranked.map(({ index, logit, document }) => ({ index, score: logit, text: document })));
    const bad = await server.ask(path, { texts });
    assertEquals([bad.status, bad.body.error_type], [422, "Validation"]);
  }
});

test("TEI's and Ollama's routes give vectors and tell of the models", { skip }, async () => {
  const wanted = (await llama.embed(TEXTS)).map((vector) => [...vector]);
  const one = [...await llama.embed("a cat")];
  for (const path of ["/embed", "/"]) {
    const { body, headers } = await server.ask(path, { inputs: TEXTS });
    assertEquals(body.map(bits), wanted);
    assertMatch(headers.get("x-compute-tokens")!, /^\d+$/);
    assertEquals((await server.ask(path, { inputs: "a cat" })).body.map(bits), [one]);
  }
  const embed = await server.ask("/api/embed", { model: "mini:latest", input: TEXTS, keep_alive: "5m", options: {} });
  assertEquals([embed.body.model, embed.body.embeddings.map(bits)], ["mini:latest", wanted]);
  assertEquals(embed.body.prompt_eval_count, (await llama.countTokens(TEXTS)).reduce((sum, count) => sum + count));
  assert(embed.body.total_duration > 0 && Number.isInteger(embed.body.load_duration));
  assertEquals(bits((await server.ask("/api/embeddings", { model: "mini", prompt: "a cat" })).body.embedding), one);
  // curl -d sends a form's type, and Ollama takes it.
  const init = { headers: { "content-type": "application/x-www-form-urlencoded" } };
  assertEquals((await server.ask("/api/embed", { input: "a cat" }, init)).status, 200);
  assertEquals((await server.ask("/api/tags")).body.models.map(({ name }: Json) => name), ["mini"]);
  assertEquals((await server.ask("/api/ps")).body.models[0].context_length, 256);
  assertEquals((await server.ask("/api/show", { model: "mini" })).body.capabilities, ["embedding"]);
  assertMatch((await server.ask("/api/version")).body.version, /^\d+\.\d+\.\d+$/);
  assertEquals((await server.ask("/info")).body.max_input_length, 256);
  assertEquals([(await server.ask("/")).status, (await server.ask("/", undefined, { method: "HEAD" })).status], [
    200,
    200,
  ]);
  await server.logged(/keep_alive and options/);
  assertEquals(server.log.match(/keep_alive and options of a request have no effect/g)?.length, 1);
});

test("GET /v1/models lists both roles, and one by its name or alias", { skip }, async () => {
  const { body } = await server.ask("/v1/models");
  assertEquals(body.data.map(({ id, role }: Json) => [id, role]), [["mini", "embed"], ["ranker", "rerank"]]);
  const { fingerprint, dimensions, max_tokens } = body.data[0];
  assertEquals([fingerprint, dimensions, max_tokens], [llama.info.fingerprint, 384, 256]);
  assertEquals((await server.ask("/v1/models/text-embedding-3-small")).body.fingerprint, fingerprint);
  assertEquals((await server.ask("/v1/models/none")).status, 404);
});

for (
  const [what, path, body, status] of [
    ["an empty list", "/v1/embeddings", { input: [] }, 400],
    ["no input", "/v1/embeddings", {}, 400],
    ["a number among texts", "/v1/embeddings", { input: ["a", 1.5, "b"] }, 400],
    ["token ids", "/v1/embeddings", { input: [1, 2, 3] }, 400],
    ["lists of token ids", "/v1/embeddings", { input: [[1, 2], [3]] }, 400],
    ["a lone surrogate", "/v1/embeddings", '{"input":"\\ud800"}', 400],
    ["too many dimensions", "/v1/embeddings", { input: "a", dimensions: 385 }, 400],
    ["another encoding", "/v1/embeddings", { input: "a", embedding_type: "binary" }, 400],
    ["an input type without known prompts", "/v1/embeddings", { input: "a", input_type: "query" }, 400],
    ["a word that objects have for an input_type", "/v1/embeddings", { input: "a", input_type: "constructor" }, 400],
    ["a word that objects have for a field", "/v2/rerank", {
      query: "a",
      documents: [{ title: "a" }],
      rank_fields: ["constructor", "toString", "__proto__"],
    }, 400],
    ["a word that objects have for a prompt", "/embed", { inputs: "a", prompt_name: "constructor" }, 422],
    ["a prompt's name that the model has not", "/v1/embeddings", { input: "a", model: "mini@query" }, 400],
    ["the reranker's name", "/v1/embeddings", { input: "a", model: "ranker" }, 404],
    ["bad JSON", "/v1/embeddings", "{", 400],
    ["a list for a body", "/v1/embeddings", "[]", 400],
    ["deep JSON", "/v1/embeddings", "[".repeat(100_000), 400],
    ["an unknown route", "/v1/nothing", {}, 404],
    ["no documents", "/v1/rerank", { query: "a", documents: [] }, 400],
    ["no query", "/v1/rerank", { documents: ["a"] }, 400],
    ["a document without text", "/v2/rerank", { query: "a", documents: [{ title: "a" }] }, 400],
    ["a query that leaves no room", "/rerank", { query: LONG, documents: ["a"] }, 400],
    ["no inputs", "/embed", {}, 422],
    ["a prompt's name", "/embed", { inputs: "a", prompt_name: "query" }, 422],
    ["similarity", "/", { inputs: { source_sentence: "a", sentences: ["b"] } }, 422],
    ["chat", "/api/chat", { model: "mini", messages: [] }, 400],
    ["generate", "/api/generate", { model: "mini", prompt: "a" }, 400],
    ["an empty list", "/api/embed", { input: [] }, 400],
  ] as const
) {
  test(`${what} on ${path} is ${status} in the family's body`, { skip }, async () => {
    const answer = await server.ask(path, body);
    assertEquals(answer.status, status, JSON.stringify(answer.body));
    const { error, message, detail, error_type } = answer.body;
    if (path.startsWith("/api/")) assertEquals(typeof error, "string");
    else if (path.endsWith("/rerank")) assertEquals([error.message, detail], [message, message]);
    else if (path === "/embed" || path === "/") assertEquals([typeof error, error_type], ["string", "Validation"]);
    else assertEquals(typeof error.message, "string");
    if (what.includes("token ids")) assertStringIncludes(error.message, "RAG_CHECK_EMBEDDING_CTX_LENGTH=False");
    if (what.includes("token ids")) assertStringIncludes(error.message, "check_embedding_ctx_length=False");
    if (what === "chat") assertEquals(error, '"mini" does not support chat');
    if (what.includes("input type")) assertStringIncludes(error.message, "--query-prompt");
  });
}

for (
  const [path, body, status, param, told] of [
    ["/v1/embeddings", { input: ["a", "a", LONG], truncate: false }, 400, "input", "input[2]: it has 402 tokens"],
    ["/v1/embeddings", { input: LONG, truncate: false }, 400, "input", "or let it be cut (truncate: true)"],
    ["/v1/embeddings", { input: ["a", "a", "\ud800"] }, 400, "input", "input[2]: it has a lone surrogate"],
    ["/v1/embeddings", { input: ["a", 3] }, 400, "input", "an array of strings, item 1 is 3"],
    ["/v1/embeddings", { input: "a", model: 5 }, 400, "model", "it must be a string, is 5"],
    ["/v1/embeddings", { input: "a", dimensions: 0 }, 400, "dimensions", "it must be at least 1, is 0"],
    ["/v1/embeddings", { input: "a", dimensions: 385 }, 400, "dimensions", "from 1 to 384, is 385"],
    ["/v1/embeddings", { input: "a", dimensions: "8" }, 400, "dimensions", "it must be a number, is a string"],
    ["/v1/embeddings", { input: "a", truncate: "END" }, 400, "truncate", "it must be true or false, is a string"],
    ["/v1/embeddings", { input: "a", embedding_type: 1 }, 400, "embedding_type", 'it must be "float" or "base64"'],
    ["/v1/rerank", { documents: ["a"] }, 400, "query", "it is missing: it must be a string"],
    ["/v1/rerank", { query: "a", documents: "b" }, 400, "documents", "it must be an array, is a string"],
    ["/v1/rerank", { query: "a", documents: ["b", LONG], truncate: false }, 400, "documents", "documents[1]: it has "],
    ["/v1/rerank", { query: LONG, documents: ["b"] }, 400, "query", "a query is never truncated; shorten it"],
    ["/v1/rerank", { query: "a", documents: ["b"], instruction: "c" }, 400, "instruction", "for it; leave it out"],
    ["/rerank", { query: "a", texts: ["b", LONG], truncate: false }, 422, undefined, "texts[1]: it has "],
    ["/embed", { inputs: ["b", LONG], truncate: false }, 422, undefined, "inputs[1]: it has 402 tokens"],
    ["/embed", { inputs: "a", truncation_direction: 1 }, 422, undefined, 'it must be one of "Left", "Right"'],
    [
      "/api/embed",
      { input: ["b", LONG], truncate: false },
      400,
      undefined,
      "context length: Cannot embed input[1]: it",
    ],
    ["/api/embeddings", { prompt: "\ud800" }, 400, undefined, "Cannot read prompt: it has a lone surrogate"],
  ] as const
) {
  test(`${path} says of ${JSON.stringify(body).slice(0, 80)} what is wrong with which field, in a client's words`, {
    skip,
  }, async () => {
    const answer = await server.ask(path, body);
    assertEquals(answer.status, status, JSON.stringify(answer.body));
    const { error } = answer.body;
    assertStringIncludes(error.message ?? error, told);
    assertEquals(error.param, param);
    if (typeof error === "object" && / tokens /.test(told)) assertEquals(error.code, "context_length_exceeded");
    assert(!/pass |toWellFormed|Invalid input|expected/.test(JSON.stringify(answer.body)), JSON.stringify(answer.body));
  });
}

test("a route that is nearly one is told, and never what was asked for", { skip }, async () => {
  for (
    const [path, meant] of [
      ["/embeddings", "/v1/embeddings"],
      ["/v1/v1/embeddings", "/v1/embeddings"],
      ["/v1//embeddings", "/v1/embeddings"],
      ["/v1/embeddings/", "/v1/embeddings"],
      ["/models", "/v1/models"],
      ["/v1/api/embed", "/api/embed"],
      ["/v1/embed", "/embed"],
      ["/v1/completions", undefined],
      ["/models/unmistakable", undefined],
    ] as const
  ) {
    const { status, body } = await server.ask(path, {});
    const hint = meant === undefined ? "" : `do you mean ${meant}? `;
    assertEquals(status, 404, path);
    assertEquals(body.error.message ?? body.error, `Cannot find this route: ${hint}/openapi.json lists what there is`);
  }
});

test("a wrong method is 405, a wrong content type 415", { skip }, async () => {
  const { status, headers } = await server.ask("/v1/embeddings");
  assertEquals([status, headers.get("allow")], [405, "POST"]);
  const post = await server.ask("/v1/models", {});
  assertEquals([post.status, post.headers.get("allow")], [405, "GET, HEAD"]);
  const init = { headers: { "content-type": "text/plain" } };
  assertEquals((await server.ask("/v1/embeddings", { input: "a" }, init)).status, 415);
  for (const [coding, status] of [["gzip", 415], ["identity", 200]] as const) {
    const headers = { "content-encoding": coding, "content-type": "application/json" };
    assertEquals((await server.ask("/v1/embeddings", { input: "a" }, { headers })).status, status);
  }
});

test("an answer of several slices is whole, and 200 requests at once are answered", { skip }, async () => {
  const many = Array.from({ length: 1200 }, (_, i) => `text number ${i % 40}`);
  const { body } = await server.ask("/v1/embeddings", { input: many });
  assertEquals(body.data.length, 1200);
  const again = await server.ask("/v1/embeddings", { input: many.slice(0, 40) });
  const first = again.body.data.map(({ embedding }: Json) => bits(embedding));
  for (const [i, { embedding }] of body.data.entries()) {
    assert(bits(embedding).every((x, j) => Math.abs(x - first[i % 40][j]) < 1e-6));
  }
  const texts = Array.from({ length: 200 }, (_, i) => `text number ${i % 40}`);
  const answers = await Promise.all(texts.map((input) => server.ask("/v1/embeddings", { input })));
  for (const [i, { status, body }] of answers.entries()) {
    assertEquals(status, 200);
    assert(bits(body.data[0].embedding).every((x, j) => Math.abs(x - first[i % 40][j]) < 1e-6));
  }
  // None of them counts as one whose client went (hono_test.ts asks so of Deno.serve, which aborts every request's signal).
  assertEquals(await server.metric("llamasaur_cancelled_total"), 0);
});

test("the request's own id comes back, the log has ids and numbers, and no text", { skip }, async () => {
  const headers = { "x-request-id": "mine-1", traceparent: "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01" };
  const answer = await server.ask("/v1/embeddings", { input: "unmistakable" }, {
    headers: { ...headers, "content-type": "application/json" },
  });
  assertEquals(answer.headers.get("x-request-id"), "mine-1");
  await server.logged(
    /id=mine-1 trace=0123456789abcdef0123456789abcdef route=\/v1\/embeddings status=200 model=mini texts=1/,
  );
  for (const text of ["unmistakable", "kitten", "stock market", "three whole words", "word word"]) {
    assert(!server.log.includes(text), text);
  }
  assert(!String((await server.ask("/metrics")).body).includes("unmistakable"));
});

test("SIGTERM ends the server with 0", { skip: skip || noSignals }, async () => assertEquals(await server.end(), 0));
