// Bodies and sockets that mean no good: each gets a right answer or a 4xx, and the server's memory stays flat.
import { after, before, test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { MODEL, noModel, noSignals } from "../../support/program.ts";
import { BOTH, TestServer } from "../../support/server.ts";
import { slow } from "../../support/slow.ts";

const skip = noModel;
const noProc = skip || noSignals || !existsSync("/proc/self/status");

let server: TestServer;
before(async () => {
  if (!skip) server = await TestServer.start(BOTH);
});
after(async () => await server?.[Symbol.asyncDispose]());

/** The most memory that the server has had, in MB. */
function peak(): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))![1]) / 1024;
}

const deep = (count: number): string => "[".repeat(count) + "]".repeat(count);

for (
  const [what, path, body, status, told] of [
    ["deep input", "/v1/embeddings", `{"input":${deep(500_000)}}`, 400, "nested deeper than 64 levels"],
    ["a deep field that nobody reads", "/v1/embeddings", `{"input":"a","user":${deep(100_000)}}`, 400, "nested deeper"],
    ["a deep document", "/v1/rerank", `{"query":"a","documents":[{"text":"b","c":${deep(99)}}]}`, 400, "nested deeper"],
    ["a number that is too large", "/v1/embeddings", '{"input":"a","dimensions":1e999}', 400, "dimensions"],
    [
      "a number of a million digits",
      "/v1/embeddings",
      `{"input":"a","dimensions":${"9".repeat(1e6)}}`,
      400,
      "dimensions",
    ],
    ["a number between two", "/v1/rerank", '{"query":"a","documents":["b"],"top_n":0.5}', 400, "top_n"],
    ["a lone surrogate in a query", "/v1/rerank", '{"query":"\\udfff","documents":["b"]}', 400, "lone surrogate"],
    ["a lone surrogate in a name", "/v1/embeddings", '{"input":"a","model":"\\ud800"}', 200, "\\ud800"],
    ["bytes that are no UTF-8", "/v1/embeddings", Buffer.from('{"input":"\xff"}', "latin1"), 400, "no UTF-8"],
    ["a name of __proto__", "/v1/embeddings", '{"__proto__":{"input":"a"}}', 400, "input"],
    ["a name of 8,000 letters", `/v1/models/${"x".repeat(8000)}`, undefined, 404, "Cannot find this model"],
    ["a name with a line feed", "/v1/models/a%0Ab", undefined, 404, "Cannot find this model"],
    ["a name with a carriage return", "/v1/models/a%0Db", undefined, 404, "Cannot find this model"],
    ["a name with a line separator", "/v1/models/a%E2%80%A8b", undefined, 404, "Cannot find this model"],
    ["a name with a slash", "/v1/models/a%2Fb/c", undefined, 404, "Cannot find this model"],
  ] as const
) {
  test(`${what} is ${status}`, { skip }, async () => {
    if (body !== undefined) server.keep(String(body));
    const response = await fetch(server.url + path, {
      method: body === undefined ? "GET" : "POST",
      headers: { "content-type": "application/json" },
      ...(body !== undefined && { body }),
    });
    const text = await response.text();
    assertEquals(response.status, status, text.slice(0, 300));
    assertStringIncludes(text, told);
  });
}

test(
  "hundreds of thousands of empty texts are answered, and cost their answer and little more",
  { skip: noProc },
  async () => {
    const [before, count] = [peak(), slow ? 1e6 : 250_000];
    const { status, body } = await server.ask("/v1/embeddings", {
      input: Array(count).fill(""),
      dimensions: 16,
      encoding_format: "base64",
    });
    assertEquals([status, body.data.length], [200, count]);
    assertEquals(new Set(body.data.map(({ embedding }: { embedding: string }) => embedding)).size, 1);
    assert(peak() - before < count / 2000, `${(peak() - before).toFixed(0)} MB more`);
  },
);

test("one text of 20 MB is cut or refused, and costs some copies of it and no more", { skip: noProc }, async () => {
  const before = peak();
  const input = "слово and then ".repeat(1_000_000);
  const cut = await server.ask("/v1/embeddings", { input, dimensions: 2 });
  assertEquals([cut.status, cut.headers.get("x-truncated"), cut.body.usage.total_tokens], [200, "1", 256]);
  const refused = await server.ask("/api/embed", { input, truncate: false });
  assertEquals(refused.status, 400);
  assertStringIncludes(refused.body.error, "it has at least ");
  const ranked = await server.ask("/v1/rerank", { query: "what", documents: [input, "short"] });
  assertEquals([ranked.status, ranked.headers.get("x-truncated")], [200, "1"]);
  const asked = await server.ask("/v1/rerank", { query: input, documents: ["short"] });
  assertEquals(asked.status, 400);
  // Tokenised to its end it took some 40 times its size of the reranker.
  assert(peak() - before < 400, `${(peak() - before).toFixed(0)} MB more`);
});

test("a body above the limit is refused before it is read, without a length, too", { skip: noProc }, async () => {
  const before = peak();
  for (let i = 0; i < 3; i++) {
    const { said } = await talk([`${head("Transfer-Encoding: chunked")}`, ...chunks(80)], { until: /413/ });
    assertMatch(said, /^HTTP\/1\.1 413 /);
  }
  const { said } = await talk([head("Content-Length: 99000000")], { until: /413/ });
  assertMatch(said, /^HTTP\/1\.1 413 /);
  assert(peak() - before < 400, `${(peak() - before).toFixed(0)} MB more`);
});

function head(more: string): string {
  return `POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${more}\r\n\r\n`;
}

/** So many megabytes as chunks of HTTP. */
function chunks(megabytes: number): string[] {
  return Array<string>(megabytes).fill(`f4240\r\n${"x".repeat(1e6)}\r\n`);
}

/** Speaks to the server as it likes: pieces with pauses, perhaps closing its side. */
function talk(
  pieces: readonly string[],
  { pause = 0, half = false, until = /\r\n\r\n/ }: { pause?: number; half?: boolean; until?: RegExp } = {},
): Promise<{ said: string }> {
  return new Promise((resolve) => {
    let said = "";
    const socket = connect({ port: Number(new URL(server.url).port), host: "127.0.0.1", allowHalfOpen: true });
    socket.on("data", (data) => {
      said = (said + data).replace(/^(HTTP\/1\.1 100 Continue\r\n\r\n)+/, ""); // it asks whether one is there
      if (until.test(said)) socket.destroy();
    });
    socket.on("error", () => {}); // it may be closed while it sends
    socket.on("end", () => socket.end());
    socket.on("close", () => resolve({ said }));
    void (async () => {
      for (const piece of pieces) {
        if (socket.destroyed) return;
        if (!socket.write(piece)) await Promise.race([wait(200), new Promise((done) => socket.once("drain", done))]);
        if (pause > 0) await wait(pause);
      }
      if (half) socket.end();
    })();
  });
}

const BODY = '{"input":"a","dimensions":4}';
const WHOLE = head(`Content-Length: ${BODY.length}`) + BODY;

for (
  const [what, pieces, options, wanted] of [
    ["one letter at a time", WHOLE.split(""), { pause: 2 }, /^HTTP\/1\.1 200 /],
    ["a length below zero", [head("Content-Length: -5")], {}, /^HTTP\/1\.1 400 /],
    [
      "a length and chunks",
      [`${head("Content-Length: 3\r\nTransfer-Encoding: chunked")}0\r\n\r\n`],
      {},
      /^HTTP\/1\.1 400 /,
    ],
    ["a chunk of no size", [`${head("Transfer-Encoding: chunked")}zz\r\n`], {}, /^HTTP\/1\.1 400 /],
    ["no HTTP", ["HELLO\r\n\r\n"], {}, /^HTTP\/1\.1 400 /],
    ["no Host", ["GET /healthz HTTP/1.1\r\n\r\n"], {}, /^HTTP\/1\.1 400 /],
    ["HTTP/1.0 without a Host", ["GET /healthz HTTP/1.0\r\n\r\n"], {}, /^HTTP\/1\.[01] 200 /],
    ["a Host that is none", ["GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n"], {}, /^HTTP\/1\.1 40[03] /],
    [
      "a path with two slashes",
      ["GET //evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"],
      {},
      /^HTTP\/1\.1 404 /,
    ],
    ["an escape that is none", ["GET /v1/models/%E0%A4%A HTTP/1.1\r\nHost: localhost\r\n\r\n"], {}, /^HTTP\/1\.1 404 /],
    [
      "headers of 2 MB",
      [`GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${"a".repeat(2e6)}\r\n\r\n`],
      {},
      /^HTTP\/1\.1 431 /,
    ],
    [
      "a name of 200,000 letters",
      [`GET /v1/models/${"a".repeat(2e5)} HTTP/1.1\r\nHost: localhost\r\n\r\n`],
      {},
      /^HTTP\/1\.1 4(04|14|31) /,
    ],
    ["a body and a closed side", [WHOLE], { half: true }, /^HTTP\/1\.1 200 /],
    ["half a body and a closed side", [WHOLE.slice(0, -5)], { half: true }, /^HTTP\/1\.1 400 /],
    ["HTTP/1.0 and a closed side", [WHOLE.replace("1.1", "1.0")], { half: true }, /^HTTP\/1\.[01] (200|499) /],
  ] as const
) {
  test(`a socket that sends ${what} gets ${wanted.source}`, { skip }, async () => {
    const { said } = await talk(pieces, options);
    assertMatch(said, wanted);
  });
}

test(
  "300 clients that stop in the middle of a body keep nobody waiting, and SIGTERM ends them",
  { skip: noProc },
  async () => {
    const ours = await TestServer.start([`--embed=${MODEL}=mini`, "--grace", "300ms"]);
    const heard = new Set<string>();
    const sockets = Array.from({ length: 300 }, () => {
      const socket = connect(Number(new URL(ours.url).port), "127.0.0.1");
      socket.on("error", () => {});
      socket.setEncoding("utf8").once("data", (text: string) => heard.add(text.split("\r\n")[0]!));
      socket.write(`${head("Content-Length: 60000000")}{"input":`);
      return socket;
    });
    await wait(100);
    assertEquals((await ours.ask("/v1/embeddings", { input: "a" })).status, 200);
    const start = performance.now();
    assertEquals(await ours.end(), 0);
    assert(performance.now() - start < 20_000);
    await Promise.all(sockets.map((socket) => socket.closed || new Promise((done) => socket.once("close", done))));
    assertEquals([...heard], ["HTTP/1.1 503 Service Unavailable"]);
  },
);

test("a body that was refused unread keeps no later request waiting", { skip }, async () => {
  for (let i = 0; i < 3; i++) { // on Deno every connection of a refused body hung at its next request
    const answers = [];
    for (const input of ["a".repeat(65_000_000), "b"]) {
      answers.push(await server.ask("/v1/embeddings", { input }).catch(() => ({ status: 413 }))); // or it is closed
    }
    assertEquals(answers.map(({ status }) => status), [413, 200]);
  }
});

test("after all of that the server answers, and had no 5xx", { skip }, async () => {
  assertEquals((await server.ask("/v1/embeddings", { input: "a" })).status, 200);
  assert(!/ status=5\d\d |^error |Warning/m.test(server.log), server.log.slice(-2000));
  if (!noSignals) assertEquals(await server.end(), 0);
});
