// What holds under load: order, disconnects, sizes, 429, drain. Each rule is also taken away, and then its check must fail.
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { createHandler, type Handler, type HandlerOptions, type ModelOptions } from "../../../cli/serve/mod.ts";
import { TokenQueue } from "../../../cli/serve/queue.ts";
import { type EmbedOptions, Llama } from "../../../mod.ts";
import { ROOT } from "../../support/child.ts";
import { MODEL, noModel } from "../../support/program.ts";
import { type Json, RERANKER, TestServer } from "../../support/server.ts";

const skip = noModel;
const EMBED: ModelOptions = { role: "embed", model: MODEL, names: ["mini"] };
const RERANK: ModelOptions = { role: "rerank", model: RERANKER, names: ["ranker"], load: { onLog: () => {} } };
/** A model of random weights that takes 40 tokens a text. */
const TINY = join(ROOT, "tests", "fixtures", "families", "bert_mean.gguf");

/** Texts that take some hundred passes. */
function texts(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `a text of some words that waits as number ${i}`);
}

type Fetch = Handler["fetch"];

async function ask(fetch: Fetch, path: string, body?: unknown, signal?: AbortSignal) {
  const response = await fetch(
    new Request(`http://127.0.0.1:8411${path}`, {
      method: body === undefined ? "GET" : "POST",
      ...(body !== undefined && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
      ...(signal && { signal }),
    }),
  );
  const text = await response.text();
  const json = response.headers.get("content-type")?.includes("json") ? JSON.parse(text) : text;
  return { status: response.status, headers: response.headers, body: json as Json };
}

async function withHandler<T>(
  model: Partial<ModelOptions>,
  options: HandlerOptions,
  work: (handler: Handler) => Promise<T>,
  more: readonly ModelOptions[] = [],
): Promise<T> {
  const handler = createHandler([{ ...EMBED, ...model }, ...more], options);
  try {
    return await work(handler);
  } finally {
    await handler.close();
  }
}

/** A rule: its check, with the rule and without it. */
function rule(name: string, check: (without: boolean) => Promise<void>): void {
  test(name, { skip }, () => check(false));
  test(`without the rule the check fails: ${name}`, { skip }, async () => {
    const error = await assertRejects(() => check(true));
    assertEquals((error as Error).name, "AssertionError", String(error));
  });
}

/** The model with another way to embed. */
function embedding(llama: Llama, embedDetailed: (texts: string[], options: EmbedOptions) => Promise<unknown>): Llama {
  return new Proxy(llama, {
    get(_, name) {
      if (name === "embedDetailed") return embedDetailed;
      const value = Reflect.get(llama, name, llama) as unknown;
      return typeof value === "function" ? value.bind(llama) : value;
    },
  });
}

/** The model, taking one call at a time, as a server without shared passes would. */
function oneAtATime(llama: Llama): Llama {
  let last: Promise<unknown> = Promise.resolve();
  return embedding(llama, (texts, options) => {
    const next = last.catch(() => {}).then(() => llama.embedDetailed(texts, options));
    last = next;
    return next;
  });
}

/** The model, telling of how many texts a call was that has ended. */
function heard(llama: Llama, ended: (texts: number) => void): Llama {
  return embedding(llama, async (texts, options) => {
    const rows = await llama.embedDetailed(texts, options);
    ended(texts.length);
    return rows;
  });
}

rule("a query behind 2,048 texts waits two passes at most", async (without) => {
  await using llama = await Llama.load(MODEL, { contexts: 1 });
  let passes = 0; // when the query was computed
  const ours = heard(without ? oneAtATime(llama) : llama, (texts) => {
    if (texts === 1) passes = llama.activity.passes;
  });
  await withHandler({ model: ours }, {}, async ({ fetch }) => {
    const enough = new AbortController();
    const bulk = ask(fetch, "/v1/embeddings", { input: texts(without ? 400 : 2048) }, enough.signal);
    const start = llama.activity.passes;
    while (llama.activity.passes < start + 3) await wait(1);
    const before = llama.activity.passes;
    await ask(fetch, "/v1/embeddings", { input: "a query" });
    enough.abort();
    await bulk;
    // Its text is tokenised between two passes: it waits for the one that runs, perhaps for one more, and has its own.
    assert(passes - before <= 3, `${passes - before} passes`);
  });
});

rule("a client that goes leaves its work undone and harms none who shares the passes", async (without) => {
  await using llama = await Llama.load(MODEL, { contexts: 1 });
  await withHandler({ model: llama }, {}, async (handler) => {
    // Without the rule the server does not hear that the client has gone.
    const deaf: Fetch = (request) => handler.fetch(new Request(request, { signal: new AbortController().signal }));
    const fetch = without ? deaf : handler.fetch;
    const other = ["a cat", "a kitten"];
    const wanted = (await llama.embed(other)).map((vector) => [...vector]);
    const before = llama.activity.sequences;
    const gone = new AbortController();
    const left = ask(fetch, "/v1/embeddings", { input: texts(400) }, gone.signal).catch(() => undefined);
    while (llama.activity.sequences === before) await wait(1);
    const stays = ask(fetch, "/v1/embeddings", { input: other });
    gone.abort();
    const answer = await stays;
    await left;
    assertEquals(answer.status, 200);
    for (const [i, { embedding }] of answer.body.data.entries()) {
      assert(embedding.every((x: number, j: number) => Math.abs(x - wanted[i]![j]!) < 1e-6));
    }
    await wait(100);
    const computed = llama.activity.sequences - before;
    assert(computed < 200, `${computed} sequences were computed`);
    assertMatch(
      String((await ask(fetch, "/metrics")).body),
      /^llamasaur_cancelled_total\{model="mini",role="embed"\} 1$/m,
    );
  });
});

/** Code and message of an error on a rerank route, which has them for three families. */
function onRerank({ error, message, detail }: Json): [code: string, message: string] {
  assertEquals([message, detail], [error.message, error.message]);
  return [error.code, message];
}

rule("a full queue is 429 in each family's body, with retry-after", async (without) => {
  await withHandler({}, { maxQueueTokens: without ? Infinity : 100 }, async ({ fetch }) => {
    const input = texts(50);
    for (
      const [path, body, words] of [
        ["/v1/embeddings", { input }, (body: Json) => [body.error.code, body.error.message]],
        ["/embed", { inputs: input }, (body: Json) => [body.error_type, body.error]],
        ["/api/embed", { input }, (body: Json) => ["", body.error]],
        ["/v1/rerank", { query: "a", documents: input }, onRerank],
        ["/v2/rerank", { query: "a", documents: input }, onRerank],
        ["/rerank", { query: "a", texts: input }, (body: Json) => [body.error_type, body.error]],
      ] as const
    ) {
      const answers = await Promise.all(Array.from({ length: 6 }, () => ask(fetch, path, body)));
      const full = answers.filter(({ status }) => status === 429);
      assert(full.length >= 4 && answers.some(({ status }) => status === 200), `${answers.map((one) => one.status)}`);
      assertMatch(full[0]!.headers.get("retry-after")!, /^[1-9]\d?$/);
      const [code, message] = words(full[0]!.body);
      assert(["rate_limit_exceeded", "Overloaded", ""].includes(code));
      assertStringIncludes(message, "--max-queue-tokens");
    }
    assertEquals((await ask(fetch, "/v1/embeddings", { input: "a" })).status, 200); // the queue is empty again
  }, [RERANK]);
});

rule("batches and bodies above their limits are 413 that names the limit, and 422 for TEI's batch", async (without) => {
  const limits = without ? {} : { maxBatchSize: 50, maxBody: 20_000 };
  await withHandler({ model: TINY }, limits, async ({ fetch }) => {
    const many = texts(51);
    for (
      const [path, body, status, told] of [
        ["/v1/embeddings", { input: many }, 413, "--max-batch-size"],
        ["/api/embed", { input: many }, 413, "--max-batch-size"],
        ["/embed", { inputs: many }, 422, "--max-batch-size"],
        ["/v1/embeddings", { input: "a".repeat(30_000) }, 413, "--max-body"],
        ["/embed", { inputs: "a".repeat(30_000) }, 413, "--max-body"],
        ["/api/embed", { input: "a".repeat(30_000) }, 413, "--max-body"],
      ] as const
    ) {
      const answer = await ask(fetch, path, body);
      assertEquals(answer.status, status, path);
      assertStringIncludes(JSON.stringify(answer.body), told);
    }
    assertEquals((await ask(fetch, "/v1/embeddings", { input: texts(50) })).status, 200);
  });
});

/** The queue; without the rule, one whose limit holds for an empty one, too. */
async function queueOf(without: boolean, limit: number): Promise<TokenQueue> {
  if (!without) return new TokenQueue(limit);
  const folder = join(ROOT, "cli", "serve");
  const code = readFileSync(join(folder, "queue.ts"), "utf8");
  const changed = code.replace("this.#requests > 0 && ", "").replace(
    "./problem.ts",
    `${pathToFileURL(folder)}/problem.ts`,
  );
  assert(changed.length < code.length + String(pathToFileURL(folder)).length);
  const directory = mkdtempSync(join(tmpdir(), "llamasaur-queue-"));
  try {
    const path = join(directory, "queue.ts");
    writeFileSync(path, changed);
    const changedModule: { TokenQueue: typeof TokenQueue } = await import(pathToFileURL(path).href);
    return new changedModule.TokenQueue(limit);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

rule("an empty queue takes any request, and a queue with work does not", async (without) => {
  const queue = await queueOf(without, 100);
  const enter = (): { leave(): void } | string => {
    try {
      return queue.enter(5000, 10);
    } catch (error) {
      return (error as { kind: string }).kind;
    }
  };
  const first = enter();
  assert(typeof first === "object", "the empty queue refused");
  assertEquals(enter(), "overloaded");
  first.leave();
  assertEquals([queue.tokens, queue.texts], [0, 0]);
  assert(typeof enter() === "object");
});

rule("a server that drains is not ready, and answers what runs", async (without) => {
  await withHandler({}, {}, async (handler) => {
    await handler.ready();
    const running = ask(handler.fetch, "/v1/embeddings", { input: texts(200) });
    await wait(20);
    const drained = without ? handler.close() : handler.drain();
    const { status } = await running;
    await drained;
    assertEquals(status, 200);
    assertEquals((await ask(handler.fetch, "/readyz")).status, 503);
    assertEquals((await ask(handler.fetch, "/healthz")).status, 200);
  });
});

rule("--timeout ends a request with 503 in the family's body, and its work", async (without) => {
  await using llama = await Llama.load(MODEL, { contexts: 1 });
  await withHandler({ model: llama }, without ? {} : { timeout: 1 }, async ({ fetch }) => {
    for (
      const [path, body] of [
        ["/api/embed", { input: texts(300) }],
        ["/v1/embeddings", { input: texts(300) }],
        ["/embed", { inputs: texts(300) }],
        ["/v1/rerank", { query: "a", documents: texts(300) }],
        ["/rerank", { query: "a", texts: texts(300) }],
      ] as const
    ) {
      const late = await ask(fetch, path, body);
      assertEquals(late.status, 503);
      const { error, message, detail, error_type } = late.body;
      if (path.startsWith("/v1/")) assertEquals(error.type, "server_error");
      else assertEquals([typeof error, error_type], ["string", path === "/api/embed" ? undefined : "Unhealthy"]);
      if (path === "/v1/rerank") assertEquals([message, detail], [error.message, error.message]);
    }
    assert(llama.activity.sequences < 600, `${llama.activity.sequences}`);
  }, [RERANK]);
});

test("--timeout ends a request that waits for a load with 503, and the load goes on", { skip }, async () => {
  const events: string[] = [];
  const options = { timeout: 1, onLog: ({ event }: { event: string }) => void events.push(event) };
  await withHandler({}, options, async (handler) => {
    const { status, body } = await ask(handler.fetch, "/v1/embeddings", { input: "a" });
    assertEquals([status, events], [503, ["request"]], JSON.stringify(body));
    await handler.ready();
    assertEquals(events.filter((event) => event === "load").length, 1);
  });
});

test("1,000 texts at the model's limit pass by default, and 256 connections get no 429", { skip }, async () => {
  await using server = await TestServer.start([`--embed=${TINY}=tiny`]);
  const long = Array.from({ length: 1000 }, (_, i) => `${i} ${"word ".repeat(400)}`);
  const { status, headers } = await server.ask("/v1/embeddings", { input: long, encoding_format: "base64" });
  assertEquals([status, headers.get("x-truncated")], [200, "1000"]);
  const answers = await Promise.all(
    Array.from({ length: 256 }, (_, i) => server.ask("/v1/embeddings", { input: `text ${i}` })),
  );
  assertEquals(answers.map(({ status }) => status), Array(256).fill(200));
});
