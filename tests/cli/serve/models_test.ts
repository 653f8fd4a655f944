// What the handler knows of its models: prompts by the catalogue's name, readiness by the file, and the numbers of passes.
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as wait } from "node:timers/promises";
import { createHandler, type Handler } from "../../../cli/serve/mod.ts";
import { Llama } from "../../../mod.ts";
import { catalogue } from "../../../src/models/catalogue.ts";
import { ROOT } from "../../support/child.ts";
import { MODEL, noModel } from "../../support/program.ts";
import { type Json, RERANKER } from "../../support/server.ts";

const skip = noModel;
const TINY = join(ROOT, "tests", "fixtures", "families", "bert_mean.gguf");

async function ask(
  handler: Handler,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: Json; headers: Headers }> {
  const request = new Request(`http://127.0.0.1:8411${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { "content-type": "application/json" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const response = await handler.fetch(request);
  const text = await response.text();
  const json = response.headers.get("content-type")?.includes("json") ? JSON.parse(text) : text;
  return { status: response.status, body: json, headers: response.headers };
}

/** A model of the catalogue whose prompts are known, with a tiny file in its place. */
async function withNamed(work: (name: string, path: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "llamasaur-named-"));
  const before = process.env["LLAMASAUR_MODELS"];
  const path = join(folder, catalogue["multilingual-e5-small"].file);
  mkdirSync(join(path, ".."), { recursive: true });
  copyFileSync(TINY, path);
  process.env["LLAMASAUR_MODELS"] = folder;
  try {
    await work("multilingual-e5-small", path);
  } finally {
    if (before === undefined) delete process.env["LLAMASAUR_MODELS"];
    else process.env["LLAMASAUR_MODELS"] = before;
    rmSync(folder, { recursive: true });
  }
}

test("createHandler() knows the prompts of a catalogue's name, and puts them before the texts", { skip }, async () => {
  await withNamed(async (name) => {
    const handler = createHandler([{ role: "embed", model: name }]);
    await handler.ready();
    await using llama = await Llama.load(name, { onLog: () => {} });
    const { body } = await ask(handler, "/v1/models");
    assertEquals(body.data.map(({ id }: Json) => id), [name, `${name}@query`, `${name}@document`]);
    const wanted = [...await llama.embed("a cat", { inputType: "query" })];
    assert(JSON.stringify(wanted) !== JSON.stringify([...await llama.embed("a cat")]));
    const answer = await ask(handler, "/v1/embeddings", { input: "a cat", model: `${name}@query` });
    assertEquals([...Float32Array.from(answer.body.data[0].embedding)], wanted);
    await handler.close();
  });
});

test("an unloaded model stays ready while its file does, and is loaded again for another file", { skip }, async () => {
  await withNamed(async (name, path) => {
    const events: string[] = [];
    const reasons: string[] = [];
    const handler = createHandler([{ role: "embed", model: name }], {
      keepAlive: 50,
      onLog: ({ event, message = "" }) => {
        events.push(event);
        if (event === "error") reasons.push(message);
      },
    });
    const until = async (event: string, count: number): Promise<void> => {
      for (let turn = 0; events.filter((one) => one === event).length < count; turn++) {
        assert(turn < 1000, `there was no ${event} within ten seconds, only ${events}`);
        await wait(10);
      }
    };
    assertEquals((await ask(handler, "/readyz")).status, 503); // this starts the load
    await until("unload", 1);
    for (let i = 0; i < 3; i++) assertEquals((await ask(handler, "/readyz")).status, 200);
    assertEquals(events, ["load", "unload"]);
    utimesSync(path, new Date(), new Date(0));
    assertEquals((await ask(handler, "/readyz")).status, 503);
    await until("unload", 2);
    assertEquals((await ask(handler, "/readyz")).status, 200);
    rmSync(path);
    for (let i = 0; i < 5; i++) {
      assertEquals((await ask(handler, "/readyz")).status, 503);
      await until("error", 1);
    }
    assertEquals(reasons.length, 1); // it is told why, and once
    assertStringIncludes(reasons[0]!, "ModelNotFoundError: Cannot find");
    await handler.close();
  });
});

test("a model that cannot be loaded is the server's trouble, not the request's, and is told by ready()", {
  skip,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), "llamasaur-damaged-"));
  const damaged = join(folder, "damaged.gguf");
  writeFileSync(damaged, readFileSync(TINY).subarray(0, 5000));
  const cases = [
    [{ model: MODEL, load: { memoryLimit: 1e6 } }, "LlamaError", "within memoryLimit"],
    [{ model: damaged }, "LlamaError", "damaged"],
    [{ model: join(folder, "none.gguf") }, "ModelNotFoundError", "no such file"],
    [{ model: MODEL, load: { contexts: 0 } }, "RangeError", "contexts"],
  ] as const;
  for (const [model, name, told] of cases) {
    const messages: string[] = [];
    const handler = createHandler([{ role: "embed", names: ["mini"], ...model }], {
      onLog: ({ message }) => void messages.push(message ?? ""),
    });
    for (const path of ["/v1/embeddings", "/api/embed", "/embed"]) {
      const { status, body } = await ask(handler, path, { input: "a", inputs: "a" });
      assertEquals(status, 500, JSON.stringify(body));
      assertMatch(JSON.stringify(body), /the model cannot be loaded; the log says more/);
    }
    assertStringIncludes(messages.join("\n"), told);
    const error = await handler.ready().catch((error: unknown) => error) as Error;
    assertEquals(error.name, name);
    await handler.close();
  }
  rmSync(folder, { recursive: true });
});

test("a file that is of the other role than it is served in is told as a wrong model", { skip }, async () => {
  const handler = createHandler([{ role: "embed", model: RERANKER }]);
  for (const [path, wanted] of [["/v1/embeddings", 404], ["/embed", 424]] as const) {
    const { status, body } = await ask(handler, path, { input: "a", inputs: "a" });
    assertEquals(status, wanted);
    assertMatch(JSON.stringify(body), /this model scores pairs of texts and gives no vectors/);
  }
  await handler.close();
});

test("/metrics has text-embeddings-inference's numbers as it has them: passes are a histogram", { skip }, async () => {
  await using llama = await Llama.load(MODEL, { onLog: () => {} });
  await llama.embed("counted before the server");
  const before = llama.activity;
  const handler = createHandler([{ role: "embed", model: llama, names: ["mini"] }]);
  const texts = Array.from({ length: 100 }, (_, i) => `a text of some words that waits as number ${i}`);
  const { headers } = await ask(handler, "/embed", { inputs: texts });
  for (const name of ["tokenization", "queue", "inference", "total"]) {
    assertMatch(headers.get(`x-${name}-time`)!, /^\d+$/);
  }
  assert(Number(headers.get("x-inference-time")) > 0);
  const text = String((await ask(handler, "/metrics")).body);
  for (
    const name of [
      ...["request_duration", "request_tokenization_duration", "request_queue_duration"],
      ...["request_inference_duration", "request_input_length", "batch_next_size", "batch_next_tokens"],
    ]
  ) assertMatch(text, new RegExp(`^# TYPE te_${name} histogram$`, "m"));
  for (const name of ["count", "success", "failure"]) {
    assertMatch(text, new RegExp(`^# TYPE te_request_${name} counter$`, "m"));
  }
  assertMatch(text, /^te_queue_size\{model="mini",role="embed"\} 0$/m);
  const { passes, sequences, tokens } = llama.activity;
  const sum = {
    passes: passes - before.passes,
    sequences: sequences - before.sequences,
    tokens: tokens - before.tokens,
  };
  assertEquals(sum.sequences, 100);
  assert(sum.passes > 1);
  for (
    const [name, value] of [
      ["te_batch_next_size_count", sum.passes],
      ["te_batch_next_size_sum", sum.sequences],
      ["te_batch_next_tokens_sum", sum.tokens],
    ] as const
  ) assertMatch(text, new RegExp(`^${name}\\{model="mini",role="embed"\\} ${value}$`, "m"));
  assertMatch(text, /^te_request_tokenization_duration_count\{route="\/embed"\} 1$/m);
  await handler.close();
});
