// createHandler without a socket: who may ask, names, several models, loads and unloads, limits.
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { setTimeout as wait } from "node:timers/promises";
import {
  createHandler,
  type Handler,
  type HandlerOptions,
  type LogEntry,
  type ModelOptions,
} from "../../../cli/serve/mod.ts";
import { Llama, LlamaError } from "../../../mod.ts";
import { MODEL, noModel } from "../../support/program.ts";
import { type Json, KEY, RERANKER } from "../../support/server.ts";

const skip = noModel;
const EMBED: ModelOptions = { role: "embed", model: MODEL, names: ["mini", "alias"] };
const RERANK: ModelOptions = { role: "rerank", model: RERANKER, names: ["ranker"], load: { onLog: () => {} } };

interface Asked {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

/** Asks a handler as a client of 127.0.0.1 does. */
async function ask(handler: Handler, path: string, { method, headers = {}, body, signal }: Asked = {}) {
  const request = new Request(`http://127.0.0.1:8411${path}`, {
    method: method ?? (body === undefined ? "GET" : "POST"),
    headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    ...(signal && { signal }),
  });
  const response = await handler.fetch(request);
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.includes("json");
  return { status: response.status, headers: response.headers, body: (isJson ? JSON.parse(text) : text) as Json };
}

async function withHandler(
  models: readonly ModelOptions[],
  options: HandlerOptions,
  work: (handler: Handler) => Promise<void>,
): Promise<void> {
  const handler = createHandler(models, options);
  try {
    await work(handler);
  } finally {
    await handler.close();
  }
}

/** Host, Origin, key → status; a server on loopback without keys, with them, and off loopback. */
const TABLE: readonly (readonly [
  host: string,
  origin: string,
  key: string,
  open: number,
  keyed: number,
  far: number,
  farOpen: number,
])[] = [
  ["127.0.0.1:8411", "", "", 200, 401, 401, 200],
  ["127.0.0.1:8411", "", KEY, 200, 200, 200, 200],
  ["127.0.0.1:8411", "", "another", 200, 401, 401, 200],
  ["localhost:8411", "http://localhost:3000", KEY, 200, 200, 200, 200],
  ["LOCALHOST.", "", KEY, 200, 200, 200, 200],
  ["[::1]:8411", "http://[::1]:3000", KEY, 200, 200, 200, 200],
  ["127.9.8.7", "https://127.0.0.1", KEY, 200, 200, 200, 200],
  ["host.docker.internal:8411", "", KEY, 200, 200, 200, 200],
  ["host.containers.internal:8411", "", KEY, 200, 200, 200, 200],
  ["localhost", "app://obsidian.md", KEY, 200, 200, 200, 200],
  ["localhost", "vscode-webview://1a2b3c", KEY, 200, 200, 200, 200],
  ["localhost", "tauri://localhost", KEY, 200, 200, 200, 200],
  ["mine.example", "", KEY, 200, 200, 200, 200],
  ["localhost", "https://page.example", KEY, 200, 200, 200, 200],
  ["localhost", "app://obsidian.md", "another", 200, 401, 401, 200],
  ["localhost", "https://page.example", "", 200, 401, 401, 200],
  ["localhost", "https://evil.example", "another", 403, 403, 401, 403],
  ["evil.example:8411", "", KEY, 403, 403, 200, 200],
  ["evil.example:8411", "http://evil.example:8411", KEY, 403, 403, 200, 403],
  ["localhost.evil.example", "", KEY, 403, 403, 200, 200],
  ["127.0.0.1.evil.example", "", KEY, 403, 403, 200, 200],
  ["127.0.0.256", "", KEY, 403, 403, 200, 200],
  ["localhost", "https://evil.example", KEY, 403, 403, 200, 403],
  ["localhost", "http://localhost.evil.example", KEY, 403, 403, 200, 403],
  ["localhost", "http://localhost@evil.example", KEY, 403, 403, 200, 403],
  ["localhost", "null", KEY, 403, 403, 200, 403],
  ["192.168.0.7:8411", "", KEY, 403, 403, 200, 200],
];

test("createHandler() lets in by Host, Origin, key and loopback what the table says, preflights too", async () => {
  const more = { allowHosts: ["mine.example"], allowOrigins: ["https://page.example"] };
  const handlers = [{}, { keys: ["first", KEY] }, { keys: [KEY], loopback: false }, { loopback: false }]
    .map((options) => createHandler([EMBED], { ...more, ...options }));
  for (const [host, origin, key, ...statuses] of TABLE) {
    for (const [i, handler] of handlers.entries()) {
      const headers = { host, ...(origin && { origin }), ...(key && { authorization: `Bearer ${key}` }) };
      const told = `${host} ${origin} ${key} of server ${i}`;
      const { status, headers: answered } = await ask(handler, "/v1/models", { headers });
      assertEquals(status, statuses[i], told);
      // Also of a 401: without the header a page is told of a network error, and never of its key.
      const allowed = status !== 403 && origin !== "" && !/evil|null/.test(origin);
      assertEquals(answered.get("access-control-allow-origin"), allowed ? origin : null, told);
      if (status === 403) continue;
      assertEquals((await ask(handler, "/healthz", { headers: { host, ...(origin && { origin }) } })).status, 200);
    }
  }
  for (
    const [origin, status] of [["app://obsidian.md", 204], ["https://page.example", 204], [
      "https://evil.example",
      403,
    ]] as const
  ) {
    for (const handler of handlers) {
      const { status: answered, headers } = await ask(handler, "/v1/embeddings", {
        method: "OPTIONS",
        headers: {
          host: "localhost",
          origin,
          "access-control-request-method": "POST",
          "access-control-request-headers": "authorization, x-stainless-os",
          "access-control-request-private-network": "true",
        },
      });
      assertEquals(answered, status);
      if (status === 403) continue;
      assertEquals(headers.get("access-control-allow-origin"), origin);
      assertEquals(headers.get("access-control-allow-headers"), "authorization, x-stainless-os");
      assertEquals(headers.get("access-control-allow-private-network"), "true");
      assertStringIncludes(headers.get("access-control-expose-headers")!, "x-truncated");
    }
  }
  assertEquals((await ask(handlers[1]!, "/metrics")).status, 200);
  assertEquals((await ask(handlers[2]!, "/metrics")).status, 401);
  for (const [headers, why] of [[{}, "without a key"], [{ "x-api-key": "another" }, "with this key"]] as const) {
    const { body } = await ask(handlers[1]!, "/v1/models", { headers });
    assertStringIncludes(body.error.message, `Cannot answer ${why}: `);
  }
  for (
    const [authorization, key, status] of [
      ["", KEY, 200],
      ["Bearer dummy", KEY, 200],
      [`Bearer ${KEY}`, "dummy", 200],
      ["Bearer dummy", "dummy", 401],
      [`Basic ${KEY}`, "", 401],
      [`Bearer ${KEY} more`, "", 401],
    ] as const
  ) {
    const headers = { ...(authorization && { authorization }), ...(key && { "x-api-key": key }) };
    assertEquals((await ask(handlers[1]!, "/v1/models", { headers })).status, status, `${authorization} ${key}`);
  }
  for (const handler of handlers) await handler.close();
});

test("createHandler() refuses every origin without a key, and two models of one name", () => {
  for (const origin of ["*", "null"]) {
    assertThrows(() => createHandler([EMBED], { allowOrigins: [origin] }), RangeError, "without a key");
  }
  assertThrows(() => createHandler([EMBED, EMBED]), RangeError, 'two models as "mini"');
  createHandler([{ ...EMBED, names: ["mini", "mini"] }]);
});

test("createHandler() reads hosts and origins as requests have them, and refuses what is none", async () => {
  const handler = createHandler([EMBED], {
    allowHosts: ["Mine.Example:8411", "[fe80::1]"],
    allowOrigins: ["HTTPS://Page.Example:443/", "app://Other"],
  });
  for (
    const [host, origin, status] of [
      ["mine.example", "https://page.example", 200],
      ["MINE.example.:1", "app://other", 200],
      ["[fe80::1]:8411", "https://page.example:444", 403],
      ["page.example", "https://page.example", 403],
    ] as const
  ) assertEquals((await ask(handler, "/v1/models", { headers: { host, origin } })).status, status, `${host} ${origin}`);
  await handler.close();
  for (const host of ["http://mine.example", "*.example", "a b", "", "mine.example/x"]) {
    assertThrows(() => createHandler([EMBED], { allowHosts: [host] }), RangeError, "Cannot allow the host");
  }
  for (const origin of ["page.example", "https://page.example/chat", "https://*.example", "", "https://a b"]) {
    assertThrows(() => createHandler([EMBED], { allowOrigins: [origin] }), RangeError, "Cannot allow the origin");
  }
  for (const key of ["", "two words"]) {
    const { message } = assertThrows(() => createHandler([EMBED], { keys: [KEY, key] }), RangeError, "the keys");
    assertEquals(message.includes("two"), false);
  }
});

test("names are strict where there are several models or strictNames", { skip }, async () => {
  await withHandler([EMBED, { ...EMBED, names: ["other"] }, RERANK], {}, async (handler) => {
    assertEquals((await ask(handler, "/v1/embeddings", { body: { input: "a", model: "alias" } })).status, 200);
    const none = await ask(handler, "/v1/embeddings", { body: { input: "a", model: "none" } });
    assertEquals([none.status, none.body.error.code], [404, "model_not_found"]);
    assertStringIncludes(none.body.error.message, '"mini", "other"');
    assertEquals((await ask(handler, "/v1/embeddings", { body: { input: "a" } })).status, 400);
    const wrong = await ask(handler, "/v1/embeddings", { body: { input: "a", model: "ranker" } });
    assertEquals(wrong.status, 404);
    assertStringIncludes(wrong.body.error.message, "it reranks: use /v1/rerank");
    assertEquals(
      (await ask(handler, "/rerank", { body: { query: "a", documents: ["b"], model: "mini" } })).status,
      404,
    );
  });
  await withHandler([RERANK], {}, async (handler) => {
    const { status, body } = await ask(handler, "/embed", { body: { inputs: "a" } });
    assertEquals([status, body.error_type], [424, "Backend"]);
  });
  await withHandler([EMBED], { strictNames: true }, async (handler) => {
    assertEquals((await ask(handler, "/v1/embeddings", { body: { input: "a", model: "none" } })).status, 404);
  });
});

test(
  "a body's truncation_direction goes before the server's, on TEI's routes and in its rerank",
  { skip },
  async () => {
    const long = `${"alpha ".repeat(300)}${"omega ".repeat(300)}`;
    await using llama = await Llama.load(MODEL, { onLog: () => {} });
    await using ranker = await Llama.load(RERANKER, { onLog: () => {} });
    await withHandler([EMBED, RERANK], { truncate: "start" }, async (handler) => {
      for (const [truncation_direction, truncate] of [["Right", "end"], ["Left", "start"], [null, "start"]] as const) {
        const { body } = await ask(handler, "/embed", { body: { inputs: long, truncation_direction } });
        assertEquals([...Float32Array.from(body[0])], [...await llama.embed(long, { truncate })]);
        const ranked = await ask(handler, "/rerank", { body: { query: "what", texts: [long], truncation_direction } });
        const [wanted] = await ranker.rerank("what", [long], { truncate });
        assertEquals(ranked.body, [{ index: 0, score: wanted!.score }]);
      }
    });
  },
);

test("given prompts go before the texts by input_type, task, prompt_name and NAME@query", { skip }, async () => {
  await using llama = await Llama.load(MODEL);
  const model = { ...EMBED, queryPrompt: "query: ", documentPrompt: "" };
  await withHandler([model], {}, async (handler) => {
    const vectorOf = async (body: object, path = "/v1/embeddings") => {
      const answer = await ask(handler, path, { body });
      assertEquals(answer.status, 200, JSON.stringify(answer.body));
      return [...Float32Array.from(answer.body.data?.[0].embedding ?? answer.body[0])];
    };
    const query = [...await llama.embed("query: a cat")];
    const document = [...await llama.embed("a cat")];
    assertEquals(await vectorOf({ input: "a cat", input_type: "query" }), query);
    assertEquals(await vectorOf({ input: "a cat", task: "retrieval.query" }), query);
    assertEquals(await vectorOf({ input: "a cat", model: "alias@query" }), query);
    assertEquals(await vectorOf({ input: "a cat", model: "mini@query:latest" }), query);
    assertEquals(await vectorOf({ inputs: "a cat", prompt_name: "query" }, "/embed"), query);
    assertEquals(await vectorOf({ input: "a cat", task: "retrieval.passage" }), document);
    assertEquals(await vectorOf({ input: "a cat", input_type: "search_document" }), document);
    const { body } = await ask(handler, "/v1/models");
    assertEquals(body.data.map(({ id }: Json) => id), ["mini", "mini@query", "mini@document"]);
  });
});

/** The model, whose calls fail with an error. */
function failing(llama: Llama, error: Error): Llama {
  return new Proxy(llama, {
    get(_, name) {
      if (name === "embedDetailed" || name === "rerank") return () => Promise.reject(error);
      const value = Reflect.get(llama, name, llama) as unknown;
      return typeof value === "function" ? value.bind(llama) : value;
    },
  });
}

test("a fault of the server's own is a 5xx and in the log, whatever class its error has", { skip }, async () => {
  await using llama = await Llama.load(MODEL, { onLog: () => {} });
  for (
    const [error, status, tei] of [
      [new TypeError("Cannot read properties of undefined (reading 'length')"), 500, "Backend"],
      [new TypeError("undefined is not an object (evaluating 'a.length')"), 500, "Backend"],
      [new RangeError("Invalid string length"), 500, "Backend"],
      [new RangeError("Maximum call stack size exceeded"), 500, "Backend"],
      [new LlamaError("context-lost", "Cannot compute: llama.cpp hit an assertion or threw"), 500, "Backend"],
      [new LlamaError("out-of-memory", "Cannot start a native thread: the system has no more"), 503, "Unhealthy"],
      [new RangeError("Cannot embed input: it has a fault"), 400, "Validation"],
      [new LlamaError("out-of-memory", "Cannot compute a pass", { memoryLimit: 1 }), 400, "Validation"],
    ] as const
  ) {
    const model = failing(llama, error);
    const errors: LogEntry[] = [];
    const onLog = (entry: LogEntry) => void (entry.event === "error" && errors.push(entry));
    await withHandler([{ ...EMBED, model }, { ...RERANK, model }], { onLog }, async (handler) => {
      const answers = await Promise.all([
        ask(handler, "/v1/embeddings", { body: { input: "a" } }),
        ask(handler, "/api/embed", { body: { input: "a" } }),
        ask(handler, "/v1/rerank", { body: { query: "a", documents: ["b"] } }),
      ]);
      assertEquals(answers.map((one) => one.status), [status, status, status], error.message);
      const { body } = await ask(handler, "/embed", { body: { inputs: "a" } });
      assertEquals(body.error_type, tei);
      assertEquals(errors.length, status < 500 ? 0 : 4, error.message);
      for (const { message } of errors) assertStringIncludes(message!, error.message);
    });
  }
});

test("a text that a model's memoryLimit has no room for is 400, and the next one is answered", { skip }, async () => {
  await using whole = await Llama.load(MODEL, { contextSize: 512, contexts: 2, onLog: () => {} });
  const { weights } = whole.info.memory;
  const { contexts } = await whole.estimateMemory(512);
  const load = { contextSize: 512, memoryLimit: Math.floor(weights + 0.8 * contexts), onLog: () => {} };
  await withHandler([{ ...EMBED, load }], {}, async (handler) => {
    const { status, body } = await ask(handler, "/v1/embeddings", { body: { input: "word ".repeat(600) } });
    assertEquals([status, body.error.code], [400, "context_length_exceeded"], JSON.stringify(body));
    assertEquals((await ask(handler, "/v1/embeddings", { body: { input: "word" } })).status, 200);
  });
});

test("createHandler() refuses a list without models", () => {
  assertThrows(() => createHandler([]), TypeError, "models must have at least one model");
});

test("a model is not ready whose dimensions are not the model's", { skip }, async () => {
  await withHandler([{ ...EMBED, dimensions: 385 }], {}, async (handler) => {
    await assertRejects(() => handler.ready(), RangeError, "dimensions");
    assertEquals((await ask(handler, "/readyz")).status, 503);
  });
});

test("/info says whether texts are cut where a request says nothing", { skip }, async () => {
  for (const [truncate, cut] of [[undefined, true], ["start", true], ["error", false]] as const) {
    await withHandler([EMBED], { truncate }, async (handler) => {
      assertEquals((await ask(handler, "/info")).body.auto_truncate, cut);
    });
  }
});

test("rerank counts the tokens of equal documents each, as embeddings do", { skip }, async () => {
  await using ranker = await Llama.load(RERANKER, { onLog: () => {} });
  await withHandler([{ ...RERANK, model: ranker }], {}, async (handler) => {
    const tokensOf = async (documents: string[]): Promise<number> => {
      const { body } = await ask(handler, "/v1/rerank", { body: { query: "what", documents } });
      assertEquals(body.meta.tokens.input_tokens, body.usage.total_tokens);
      return body.usage.total_tokens;
    };
    const [one, two] = [await tokensOf(["one"]), await tokensOf(["two words"])];
    assertEquals(await tokensOf(["one", "two words", "one", "one"]), 3 * one + two);
  });
});

test("a reranker's queue learns how many tokens a character comes to", { skip }, async () => {
  await using ranker = await Llama.load(RERANKER, { onLog: () => {} });
  let gate = Promise.withResolvers<void>();
  const model = new Proxy(ranker, {
    get(_, name) {
      if (name === "rerank") {
        return async (...args: Parameters<Llama["rerank"]>) => {
          await gate.promise;
          return await ranker.rerank(...args);
        };
      }
      const value = Reflect.get(ranker, name, ranker) as unknown;
      return typeof value === "function" ? value.bind(ranker) : value;
    },
  });
  await withHandler([{ ...RERANK, model }], {}, async (handler) => {
    const documents = Array.from({ length: 100 }, (_, i) => `${i}猫が好きです`.repeat(4));
    /** The tokens that are reckoned while the documents wait, and those that they have. */
    const reckon = async (): Promise<[number, number]> => {
      gate = Promise.withResolvers();
      const running = ask(handler, "/v1/rerank", { body: { query: "何", documents: [...documents, documents[0]] } });
      let waiting = 0;
      while (waiting === 0) {
        const { body } = await ask(handler, "/metrics");
        waiting = Number(/^llamasaur_queue_tokens\{.*\} (\d+)$/m.exec(body)![1]);
      }
      gate.resolve();
      return [waiting, (await running).body.usage.total_tokens];
    };
    const [first, tokens] = await reckon();
    for (let i = 0; i < 16; i++) await reckon();
    const [last] = await reckon();
    assert(first < 0.8 * tokens && Math.abs(last / tokens - 1) < 0.25, `${first}, then ${last} of ${tokens} tokens`);
  });
});

test("an answer of rerank with large documents is written in slices", { skip }, async () => {
  const documents = Array.from({ length: 60 }, (_, i) => `${i} ${"some words ".repeat(3000)}`);
  await withHandler([RERANK], {}, async (handler) => {
    for (
      const asked of [
        { query: "what", documents, return_documents: true },
        { query: "what", documents, return_documents: true, truncation: true },
        { query: "what", texts: documents, return_text: true },
      ]
    ) {
      const request = new Request("http://127.0.0.1:8411/rerank", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(asked),
      });
      const response = await handler.fetch(request);
      const slices: Uint8Array[] = [];
      for await (const slice of response.body!) slices.push(slice);
      assert(slices.length > 4 && slices.every(({ length }) => length < 400_000), `${slices.map((one) => one.length)}`);
      const body: Json = JSON.parse(await new Blob(slices as BlobPart[]).text());
      const rows = body.results ?? body;
      assertEquals(rows.length, 60);
      for (const { index, document, text } of rows) assertEquals(document?.text ?? text, documents[index]);
      assertEquals(body.data, "truncation" in asked ? body.results : undefined);
    }
  });
});

test("two models of one name, one of each role, have numbers of their own in /metrics", { skip }, async () => {
  await withHandler([{ ...EMBED, names: ["m"] }, { ...RERANK, names: ["m"] }], {}, async (handler) => {
    assertEquals((await ask(handler, "/v1/embeddings", { body: { input: "a", model: "m" } })).status, 200);
    const { body } = await ask(handler, "/metrics");
    for (const [role, loaded] of [["embed", 1], ["rerank", 0]]) {
      assertMatch(body, new RegExp(`^llamasaur_model_loaded\\{model="m",role="${role}"\\} ${loaded}$`, "m"));
    }
  });
});

test(
  "an idle model is unloaded and loaded again, one load for all who wait, and ready all along",
  { skip },
  async () => {
    const entries: LogEntry[] = [];
    const events = () => entries.filter(({ event }) => event !== "request").map(({ event }) => event);
    await withHandler([EMBED], { keepAlive: 200, onLog: (entry) => void entries.push(entry) }, async (handler) => {
      await handler.ready();
      assertEquals((await ask(handler, "/readyz")).status, 200);
      await wait(200);
      assertEquals(events(), ["load", "unload"]);
      assertEquals((await ask(handler, "/readyz")).status, 200);
      assertEquals(events(), ["load", "unload"]);
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, i) => ask(handler, "/v1/embeddings", { body: { input: `text ${i}` } })),
      );
      assertEquals(answers.map(({ status }) => status), Array(8).fill(200));
      assertEquals(events(), ["load", "unload", "load"]);
      const long = await ask(handler, "/v1/embeddings", {
        body: { input: Array.from({ length: 200 }, (_, i) => `a longer text ${i}`) },
      });
      assertEquals(long.status, 200);
      const until = entries.findIndex(({ texts }) => texts === 200); // told when its work had ended
      assertEquals(entries.slice(0, until).filter(({ event }) => event === "unload").length, 1); // work keeps it
      void handler.drain();
      assertEquals((await ask(handler, "/readyz")).status, 503);
    });
  },
);

test("an onLog that throws or rejects is told of once, and costs nobody an answer", { skip }, async () => {
  const { warn } = console;
  const warned: unknown[][] = [];
  console.warn = (...words) => void warned.push(words);
  try {
    const failing: NonNullable<HandlerOptions["onLog"]>[] = [
      () => {
        throw new Error("the log is full");
      },
      () => Promise.reject(new Error("the log is full")) as unknown as void,
    ];
    for (const [i, onLog] of failing.entries()) {
      await withHandler([EMBED], { onLog }, async (handler) => {
        await handler.ready();
        assertEquals((await ask(handler, "/v1/embeddings", { body: { input: "a" } })).status, 200);
        assertEquals((await ask(handler, "/v1/embeddings", { body: { input: 1 } })).status, 400);
        assertEquals((await ask(handler, "/nothing")).status, 404);
      });
      const ours = warned.filter(([words]) => /onLog failed/.test(String(words)));
      assertEquals(ours.length, i + 1);
      assertMatch(String(ours[i]![1]), /the log is full/);
    }
  } finally {
    console.warn = warn;
  }
});
