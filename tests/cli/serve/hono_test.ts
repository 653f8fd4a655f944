// createHandler mounted in a Hono app on this runtime's own socket: at the root, and under a path beside other routes.
import { test } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { setTimeout as wait } from "node:timers/promises";
import { Hono } from "hono";
import { createHandler, type HandlerOptions } from "../../../cli/serve/mod.ts";
import { Llama } from "../../../mod.ts";
import { MODEL, noModel } from "../../support/program.ts";
import { type Json, KEY, RERANKER } from "../../support/server.ts";

const skip = noModel;
const TEXTS = ["a cat", "a kitten sleeps"];

interface Sockets {
  readonly Bun?: { serve(options: object): { readonly port: number; stop(all: boolean): Promise<void> } };
  readonly Deno?: {
    serve(
      options: object,
      fetch: Hono["fetch"],
    ): { readonly addr: { readonly port: number }; shutdown(): Promise<void> };
  };
}

/** Serves an app as its own users do. */
function listen(app: Hono): { url: string; stop(): Promise<void> } {
  const { Bun, Deno } = globalThis as unknown as Sockets;
  if (Bun) {
    const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: app.fetch });
    return { url: `http://127.0.0.1:${server.port}`, stop: () => server.stop(true) };
  }
  const server = Deno!.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, app.fetch);
  return { url: `http://127.0.0.1:${server.addr.port}`, stop: () => server.shutdown() };
}

interface Mounted {
  readonly app: Hono;
  readonly url: string;
  readonly llama: Llama;
}

/** An app that has the handler under a path and a route of its own. */
async function mounted(
  path: string,
  options: HandlerOptions,
  work: (mounted: Mounted) => Promise<void>,
): Promise<void> {
  await using llama = await Llama.load(MODEL, { contexts: 1, onLog: () => {} });
  await using ranker = await Llama.load(RERANKER, { onLog: () => {} });
  const handler = createHandler([
    { role: "embed", model: llama, names: ["mini"] },
    { role: "rerank", model: ranker, names: ["ranker"] },
  ], options);
  const app = new Hono();
  app.get("/hello", (c) => c.text("hello"));
  app.mount(path, handler.fetch);
  const { url, stop } = listen(app);
  try {
    await work({ app, url, llama });
  } finally {
    await stop();
    await handler.close();
  }
}

async function ask(url: string, body?: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(url, {
    ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
    headers: { "content-type": "application/json", ...headers },
  });
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.includes("json");
  return { status: response.status, headers: response.headers, body: (isJson ? JSON.parse(text) : text) as Json };
}

for (const path of ["/", "/ai"]) {
  const at = (url: string, route: string): string => url + (path === "/" ? "" : path) + route;

  test(
    `createHandler() answers in a Hono app that mounts it at ${path}: each family, errors, headers`,
    { skip },
    async () => {
      await mounted(path, { keys: [KEY] }, async ({ url, llama }) => {
        const key = { authorization: `Bearer ${KEY}` };
        const wanted = (await llama.embed(TEXTS)).map((vector) => [...vector]);
        const openai = await ask(at(url, "/v1/embeddings"), { input: TEXTS, model: "mini" }, key);
        assertEquals(openai.status, 200);
        assertEquals(openai.body.data.map(({ embedding }: Json) => [...Float32Array.from(embedding)]), wanted);
        assertMatch(openai.headers.get("x-llamasaur-fingerprint")!, /\w/);
        const tei = await ask(at(url, "/embed"), { inputs: TEXTS }, key);
        assertEquals(tei.body.map((vector: number[]) => [...Float32Array.from(vector)]), wanted);
        assertEquals((await ask(at(url, "/api/embed"), { input: TEXTS }, key)).body.embeddings.length, 2);
        const ranked = await ask(at(url, "/v1/rerank"), { query: "a", documents: ["a", "b"] }, key);
        assertEquals([ranked.status, ranked.body.results.length], [200, 2]);
        assertEquals((await ask(at(url, "/v1/models/mini"), undefined, key)).body.id, "mini");
        assertEquals((await ask(at(url, "/v1/embeddings"), { input: "a" })).body.error.code, "invalid_api_key");
        assertEquals((await ask(at(url, "/v1/embeddings"), {}, key)).status, 400);
        assertEquals((await ask(at(url, "/healthz"))).status, 200);
        assertEquals((await ask(`${url}/hello`)).body, "hello");
        const foreign = await ask(at(url, "/healthz"), undefined, { origin: "https://evil.example" });
        assertEquals(foreign.status, 403);
        if (path !== "/") assertEquals((await ask(`${url}/v1/models`, undefined, key)).status, 404);
      });
    },
  );
}

test("createHandler() in a Hono app hears of a client that goes, and answers many at once", { skip }, async () => {
  await mounted("/ai", {}, async ({ app, url, llama }) => {
    const answers = await Promise.all(
      Array.from({ length: 64 }, (_, i) => ask(`${url}/ai/v1/embeddings`, { input: `text ${i}` })),
    );
    assertEquals(answers.map(({ status }) => status), Array(64).fill(200));
    // Deno.serve aborts the signal of every answered request: none of them counts as one whose client went.
    assertMatch(String((await ask(`${url}/ai/metrics`)).body), /^te_request_success\{route="\/v1\/embeddings"\} 64$/m);
    assertMatch(String((await ask(`${url}/ai/metrics`)).body), /^# TYPE llamasaur_cancelled_total counter\n(?!ll)/m);
    const gone = new AbortController();
    const before = llama.activity.sequences;
    const input = Array.from({ length: 400 }, (_, i) => `a text of some words that waits as number ${i}`);
    const left = app.request("http://127.0.0.1/ai/v1/embeddings", {
      method: "POST",
      body: JSON.stringify({ input }),
      headers: { "content-type": "application/json" },
      signal: gone.signal,
    });
    while (llama.activity.sequences === before) await wait(1);
    gone.abort();
    assertEquals((await left).status, 499);
    assertMatch(String((await ask(`${url}/ai/metrics`)).body), /^llamasaur_cancelled_total\{.*\} 1$/m);
    assert(llama.activity.sequences - before < 400);
  });
});
