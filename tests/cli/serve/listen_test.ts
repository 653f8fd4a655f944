import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { once } from "node:events";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import { Failure } from "../../../cli/failure.ts";
import { handlerOf } from "../../../cli/serve/handler.ts";
import { listen, originOf } from "../../../cli/serve/listen.ts";

const noSix = Object.values(networkInterfaces()).flat().some((one) => one?.address === "::1") ? false : "no IPv6 here";

test("originOf() puts brackets around an IPv6 address, once", () => {
  assertEquals(
    ["127.0.0.1", "localhost", "::1", "[::1]"].map((host) => originOf(host, 9100)),
    ["http://127.0.0.1:9100", "http://localhost:9100", "http://[::1]:9100", "http://[::1]:9100"],
  );
});

test("listen() takes an IPv6 address with brackets or without", { skip: noSix }, async () => {
  for (const host of ["::1", "[::1]"]) {
    const listener = await listen(host, 0, () => Promise.resolve(new Response("here")));
    assertEquals(await (await fetch(originOf(host, listener.port))).text(), "here");
    listener.abort();
    await listener.stop();
  }
});

test("listen() refuses a port that another server has", async () => {
  const listener = await listen("127.0.0.1", 0, () => Promise.resolve(new Response("here")));
  const again = () => listen("127.0.0.1", listener.port, () => Promise.resolve(new Response("too")));
  const { message } = await assertRejects(again, Failure, `Cannot listen on 127.0.0.1:${listener.port}: `);
  assertEquals(/in use/.test(message), true, message);
  listener.abort();
  await listener.stop();
});

test("listen() answers 400 to a request without a Host", async () => {
  const listener = await listen("127.0.0.1", 0, (request) => Promise.resolve(new Response(new URL(request.url).href)));
  const socket = connect(listener.port, "127.0.0.1");
  let heard = "";
  socket.setEncoding("utf8").on("data", (text: string) => heard += text);
  socket.end("GET /metrics HTTP/1.1\r\nconnection: close\r\n\r\n");
  await once(socket, "close");
  assertEquals(heard.split("\r\n")[0], "HTTP/1.1 400 Bad Request");
  listener.abort();
  await listener.stop();
});

test("stop() ends at once though clients keep connections open, used or not, and waits for what runs", async () => {
  const running = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const listener = await listen("127.0.0.1", 0, async ({ url }) => {
    if (!url.endsWith("/slow")) return new Response("here");
    begun.resolve();
    await running.promise;
    return new Response("late");
  });
  const silent = connect(listener.port, "127.0.0.1");
  await once(silent, "connect");
  const half = connect(listener.port, "127.0.0.1"); // of a head: `stop` of Bun waits for the other half
  half.write("GET / HT");
  await once(half, "connect");
  const origin = originOf("127.0.0.1", listener.port);
  for (let i = 0; i < 3; i++) assertEquals(await (await fetch(origin)).text(), "here");
  const slow = fetch(`${origin}/slow`).then((response) => response.text());
  await begun.promise;
  let stopped = false;
  const stop = listener.stop().then(() => stopped = true);
  await wait(50);
  assertEquals(stopped, false);
  running.resolve();
  assertEquals(await slow, "late");
  await stop; // it would take as long as the silent client likes
  silent.destroy();
  half.destroy();
  listener.abort();
});

test("listen() gives an answer of one piece its length, and writes one of many pieces whole", async () => {
  const pieces = Array.from({ length: 50 }, (_, i) => new Uint8Array(100_000).fill(i));
  const listener = await listen("127.0.0.1", 0, ({ url }) => {
    const { pathname } = new URL(url);
    if (pathname === "/none") return Promise.resolve(new Response(null, { status: 204 }));
    if (pathname === "/one") return Promise.resolve(Response.json({ here: true }));
    let i = 0;
    return Promise.resolve(
      new Response(
        new ReadableStream({
          pull(controller) {
            if (i < pieces.length) controller.enqueue(pieces[i++]!);
            else controller.close();
          },
        }),
      ),
    );
  });
  const origin = originOf("127.0.0.1", listener.port);
  const one = await fetch(`${origin}/one`);
  assertEquals([one.headers.get("content-length"), await one.text()], ["13", '{"here":true}']);
  assertEquals((await fetch(`${origin}/none`)).status, 204);
  const many = new Uint8Array(await (await fetch(`${origin}/many`)).arrayBuffer());
  assertEquals(many.length, 5_000_000);
  assertEquals(
    pieces.every((piece, i) => many[i * 100_000] === piece[0] && many[i * 100_000 + 99_999] === piece[0]),
    true,
  );
  listener.abort();
  await listener.stop();
});

test("HEAD tells the length of what GET gives, and gives nothing", async () => {
  const handler = handlerOf([{ role: "embed", model: "none.gguf" }], {});
  const listener = await listen("127.0.0.1", 0, handler.answer);
  const url = originOf("127.0.0.1", listener.port);
  for (const path of ["/", "/healthz", "/v1/models"]) {
    const { length } = await (await fetch(url + path)).text();
    const socket = connect(listener.port, "127.0.0.1");
    let heard = "";
    socket.setEncoding("utf8").on("data", (text: string) => heard += text);
    socket.write(`HEAD ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`);
    await once(socket, "close");
    const [head, body] = heard.split("\r\n\r\n");
    assertEquals([/^content-length: (\d+)/im.exec(head!)?.[1], body], [String(length), ""]);
  }
  listener.abort();
  await listener.stop();
  await handler.close();
});
