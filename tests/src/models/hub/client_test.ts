import { test } from "node:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { HubUnavailableError, LlamaError } from "../../../../ffi/errors.ts";
import type { Hub } from "../../../../src/models/hub/client.ts";
import { getFile } from "../../../../src/models/hub/download.ts";
import { progressBar } from "../../../../src/models/hub/progress.ts";
import { inDirectory } from "../../../support/checkpoint.ts";
import { type Fault, ggufOf, HubServer } from "../../../support/hub_server.ts";
import { canLink } from "../../../support/lend.ts";

const MODEL = ggufOf(200_000);
const FILE = { repository: "owner/repo", path: "model.gguf", revision: "main" };
const TIMES = { answer: 1000, stalled: 1000, pause: 5, attempts: 3 };

/** What came of getting a file. */
interface Got {
  readonly hub: HubServer;
  /** The cache's folder of bytes. */
  readonly blobs: () => string[];
  readonly error: Error | undefined;
  /** How often we asked the storage. Its own log may have more: Deno 2.8 asks again by itself after a reset. */
  readonly asked: number;
}

/** Gets the stand-in's file with little patience. */
async function getWith(fault: (hub: HubServer) => void, check: (got: Got) => void): Promise<void> {
  await inDirectory(async (cache) => {
    await using server = await HubServer.start({ "owner/repo/model.gguf": MODEL });
    fault(server);
    let asked = 0;
    const counted: Hub["fetch"] = (url, init) => {
      if (String(url).startsWith(server.storage) && init?.method === "GET") asked++;
      return fetch(url, init);
    };
    const hub: Hub = { endpoint: server.endpoint, token: undefined, fetch: counted, times: TIMES };
    const error = await getFile(hub, cache, FILE).then(() => undefined, (reason: Error) => reason);
    const folder = join(cache, "models--owner--repo", "blobs");
    check({ hub: server, blobs: () => existsSync(folder) ? readdirSync(folder) : [], error, asked });
  });
}

test("getFile() gets a file that comes slowly, however long it takes in all", async () => {
  const slow: Fault = (_, response, body) => {
    response.writeHead(200, { "content-length": body.length });
    for (let i = 0; i < 10; i++) setTimeout(() => response.write(body.subarray(i * 20_000, (i + 1) * 20_000)), i * 150);
    return true;
  };
  await getWith((hub) => void (hub.onStorage = slow), ({ blobs, error, asked }) => {
    assertEquals([error, blobs().length, asked], [undefined, canLink ? 1 : 0, 1]);
  });
});

const BREAKS: [string, Fault, RegExp][] = [
  ["resets the connection at once", (_, response) => (response.socket!.resetAndDestroy(), true), /Cannot reach http/],
  ["does not answer", () => true, /no answer within 1 s/],
  [
    "stops sending",
    (request, response, body) => {
      response.writeHead(request.headers.range ? 500 : 200, { "content-length": body.length }).write(
        body.subarray(0, 9),
      );
      return true;
    },
    /answers 500|nothing came for 1 s/,
  ],
  ["sends fewer bytes than it promised", (_, response) => {
    response.writeHead(200, { "content-length": 1000 }).end(MODEL.subarray(0, 1000));
    return true;
  }, /broke off after 1000 of 200000 bytes/],
  ["sends nothing", (_, response) => (response.writeHead(200).end(), true), /broke off after 0 of 200000 bytes/],
];
for (const [what, fault, reason] of BREAKS) {
  test(`getFile() tries again and then gives up, without a file of that name, when the storage ${what}`, async () => {
    await getWith((hub) => void (hub.onStorage = fault), ({ blobs, error, asked }) => {
      assert(error instanceof HubUnavailableError, String(error));
      assertMatch(error.message, reason);
      assert(asked >= 3 && asked <= 4, `${asked} requests`);
      const came = /broke off after 1000|500/.test(error.message); // what came is kept, to go on there
      assertEquals(blobs().map((name) => name.slice(64)), came ? [".llamasaur.incomplete"] : []);
    });
  });
}

test("getFile() says that the hub does not answer, without trying for long", async () => {
  await getWith((hub) => void (hub.onHub = () => true), ({ hub, blobs, error }) => {
    assertMatch(
      error!.message,
      /^Cannot reach http:\/\/127.0.0.1:\d+: no answer within 1 s; name a mirror with HF_ENDPOINT/,
    );
    assertEquals([hub.log.length, blobs()], [1, []]);
  });
});

test("progressBar() redraws one line, not too often and not too wide, and ends it", () => {
  let text = "", now = 0;
  const out = { columns: 60, write: (more: string) => text += more };
  const draw = progressBar(out, () => now);
  for (let done = 0; done <= 1000; done += 10, now += 10) draw({ file: "a".repeat(100), done: done * 1e4, total: 1e7 });
  const lines = text.split("\r").slice(1);
  assertEquals(lines.length, 11);
  assert(lines.every((line) => line.trimEnd().length <= 59));
  assertMatch(lines[5]!, /^\[#{12}\.{12}\] 5\.0 of 10\.0 MB {2}50 % a+$/);
  assertMatch(lines[10]!, /^\[#{24}\] 10\.0 of 10\.0 MB 100 % a+\n$/);
});

test("getFile() hears its signal and its times where a caller's fetch or body hears nothing", async () => {
  await inDirectory(async (cache) => {
    await using server = await HubServer.start({ "owner/repo/model.gguf": MODEL });
    const never = (): Promise<Response> => new Promise(() => {});
    const silent: Hub["fetch"] = async (url, init) =>
      init?.method === "HEAD"
        ? await fetch(url, init)
        : new Response(new ReadableStream({ pull: () => new Promise(() => {}) }));
    for (const given of [never, silent]) {
      const hub: Hub = {
        endpoint: server.endpoint,
        token: undefined,
        fetch: given,
        times: { ...TIMES, answer: 50, stalled: 50 },
      };
      const late = await assertRejects(() => getFile(hub, cache, FILE), HubUnavailableError);
      assertMatch(late.message, /no answer within 0\.05 s|nothing came for 0\.05 s/);
      const stop = new AbortController();
      const patient: Hub = { ...hub, times: { ...TIMES, answer: 600_000, stalled: 600_000 } };
      const got = getFile(patient, cache, FILE, { signal: stop.signal }).catch((error) => error);
      stop.abort(new Error("enough"));
      assertEquals((await got).message, "enough");
    }
  });
});

test("getFile() refuses a model of fewer bytes than GGUF has letters", async () => {
  for (const length of [0, 2, 3]) {
    await inDirectory(async (cache) => {
      await using server = await HubServer.start({ "owner/repo/model.gguf": ggufOf(4).subarray(0, length) });
      const hub: Hub = { endpoint: server.endpoint, token: undefined, fetch, times: TIMES };
      await assertRejects(() => getFile(hub, cache, FILE), LlamaError, "so that it is no GGUF file");
    });
  }
});
