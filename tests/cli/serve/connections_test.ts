// What becomes of requests whose client stops sending, or goes: by real sockets, and by the engine's count of sequences.
import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import type { Asked } from "../../../cli/serve/asked.ts";
import { handlerOf } from "../../../cli/serve/handler.ts";
import { listen } from "../../../cli/serve/listen.ts";
import { Llama } from "../../../mod.ts";
import { MODEL, noModel } from "../../support/program.ts";

const skip = noModel;

/** A server on a socket, in this process, with its model. */
interface Served {
  readonly llama: Llama;
  readonly port: number;
  /** A number of /metrics. */
  metric(name: string): Promise<number>;
}

async function withServer(work: (served: Served) => Promise<void>, isDeaf = false): Promise<void> {
  await using llama = await Llama.load(MODEL, { contexts: 1, onLog: () => {} });
  const handler = handlerOf([{ role: "embed", model: llama, names: ["mini"] }], {});
  // Without the rule the server does not hear that a client has gone.
  const deaf = (asked: Asked) =>
    handler.answer({
      ...{ method: asked.method, url: asked.url, headers: asked.headers },
      bytes: (most, end) => asked.bytes(most, end),
      onGone: () => () => {},
    });
  const { port, stop, abort } = await listen("127.0.0.1", 0, isDeaf ? deaf : handler.answer);
  const metric = async (name: string): Promise<number> => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    return Number(new RegExp(`^${name}\\{.*\\} (\\d+)$`, "m").exec(text)?.[1] ?? 0); // none yet is not there
  };
  try {
    await work({ llama, port, metric });
  } finally {
    abort();
    await stop();
    await handler.close();
  }
}

function texts(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `a text of some words that waits as number ${i}`);
}

function request(body: unknown, version = "1.1"): string {
  const text = JSON.stringify(body);
  return `POST /v1/embeddings HTTP/${version}\r\nhost: localhost\r\ncontent-type: application/json\r\n` +
    `content-length: ${text.length}\r\n\r\n${text}`;
}

async function dial(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => {}); // it may be reset
  await once(socket, "connect");
  return socket;
}

/** Sends all, stops sending, and hears what comes until the server closes. */
async function tell(port: number, sent: string): Promise<{ said: string; interim: number; answers: string[] }> {
  const socket = await dial(port);
  let heard = "";
  socket.setEncoding("utf8").on("data", (text: string) => heard += text);
  socket.end(sent);
  await once(socket, "end");
  socket.destroy();
  const asked = "HTTP/1.1 100 Continue\r\n\r\n";
  const said = heard.replaceAll(asked, "");
  return {
    said,
    interim: (heard.length - said.length) / asked.length,
    answers: said.match(/HTTP\/1\.\d \d+/g) ?? [],
  };
}

test("a client that stops sending gets its answers, whole and in their order", { skip }, async () => {
  await withServer(async ({ llama, port, metric }) => {
    const input = texts(200);
    const { said, interim, answers } = await tell(port, request({ input, dimensions: 8 }));
    assertEquals(answers, ["HTTP/1.1 200"]);
    assert(interim > 0, "the client was not asked whether it is there");
    assertEquals(llama.activity.sequences, 200);
    const { data } = JSON.parse(said.slice(said.indexOf("\r\n\r\n")));
    const wanted = await llama.embed(input, { dimensions: 8 });
    assertEquals(data.map(({ embedding }: { embedding: number[] }) => Float32Array.from(embedding)), wanted);
    const three = await tell(port, [3, 2, 1].map((count) => request({ input: texts(count) })).join(""));
    assertEquals(three.answers, Array(3).fill("HTTP/1.1 200"));
    assertEquals(three.said.split('"total_tokens"').map((one) => one.split('"index"').length - 1), [3, 2, 1, 0]);
    assertEquals(await metric("llamasaur_cancelled_total"), 0);
  });
});

test("a client that stops sending within a body gets 400, and within a head no more than that", { skip }, async () => {
  await withServer(async ({ llama, port }) => {
    const whole = request({ input: "a" });
    assertEquals((await tell(port, whole.slice(0, -3))).answers, ["HTTP/1.1 400"]);
    const chunked = whole.replace(/content-length.*/s, 'transfer-encoding: chunked\r\n\r\n9\r\n{"inp');
    assertEquals((await tell(port, chunked)).answers, ["HTTP/1.1 400"]);
    const { said } = await tell(port, whole.slice(0, 30));
    assert(said === "" || said.startsWith("HTTP/1.1 400 "), said);
    assertEquals((await tell(port, "")).said, "");
    assertEquals(llama.activity.sequences, 0);
  });
});

test("a client of HTTP/1.0 that stops sending counts as gone, since it cannot be asked", { skip }, async () => {
  await withServer(async ({ llama, port }) => {
    const { said, interim } = await tell(port, request({ input: texts(400) }, "1.0"));
    assertEquals([/^HTTP\/1\.\d (\d+)/.exec(said)?.[1], interim], ["499", 0]);
    assert(llama.activity.sequences < 200, `${llama.activity.sequences} sequences were computed`);
    assertEquals((await tell(port, "GET /healthz HTTP/1.0\r\n\r\n")).answers.length, 1);
  });
});

/** Counts what is computed of 400 texts for a client that closes its socket after the first pass. */
async function leaves(isDeaf: boolean): Promise<void> {
  await withServer(async ({ llama, port, metric }) => {
    const socket = await dial(port);
    socket.write(request({ input: texts(200) }) + request({ input: texts(200) }));
    while (llama.activity.sequences === 0) await wait(1);
    socket.destroy();
    while (await metric("te_queue_size") > 0) await wait(10);
    const { sequences } = llama.activity;
    assert(sequences < 300, `${sequences} sequences were computed`);
    assertEquals(await metric("llamasaur_cancelled_total"), 2);
  }, isDeaf);
}

test("a client that closes its socket leaves the work of all its requests undone", { skip }, () => leaves(false));

test("without the rule the check fails: a client that closes its socket", { skip }, async () => {
  const error = await assertRejects(() => leaves(true));
  assertEquals((error as Error).name, "AssertionError", String(error));
});
