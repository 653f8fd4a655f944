// What servers.ts runs: servers_worker.ts SEED RUNS DIRECTORY: downloads from a hub with a fault, then from a good one.
import type { IncomingMessage, ServerResponse } from "node:http";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { getFile } from "../../src/models/hub/download.ts";
import { COMMIT, type Fault, filesOf, ggufOf, HubServer, sendRange, sha256 } from "../support/hub_server.ts";
import { randomIntegers } from "../support/random.ts";
import { tell } from "./worker.ts";

const [seed = "", runs = "", directory = ""] = process.argv.slice(2);
const draw = randomIntegers(Number(seed));
const FILE = { repository: "owner/repo", path: "model.gguf", revision: "main" };
const TIMES = { answer: 300, stalled: 300, pause: 5, attempts: 3 };
const TOKEN = "hf_a-token-that-nobody-else-may-see";
const MOST = 15_000; // ms: three attempts, each out of patience twice, on a busy machine

const drip = (response: ServerResponse, piece: string, pause: number): true => {
  const timer = setInterval(() => response.write(piece), pause);
  response.on("close", () => clearInterval(timer));
  return true;
};
const answer = (status: number, headers: Record<string, string> = {}, body = ""): Fault =>
(
  _,
  response,
) => (response.writeHead(status, headers).end(body), true);
const HTML = "<!DOCTYPE html><title>Sign in</title>".repeat(1000);

/** Of the hub, which describes the file. */
const HUB: Record<string, Fault> = {
  "no answer": () => true,
  "reset": (_, response) => (response.socket!.resetAndDestroy(), true),
  "half a header": (_, response) => (response.socket!.write("HTTP/1.1 200 OK\r\nx-repo-commit: 01"), true),
  "headers without an end": (_, response) => {
    response.socket!.write("HTTP/1.1 200 OK\r\n");
    const timer = setInterval(() => response.socket?.write(`x-more-${Math.random()}: ${"y".repeat(1000)}\r\n`), 5);
    response.socket!.on("close", () => clearInterval(timer));
    return true;
  },
  "no HTTP": (_, response) => (response.socket!.end("SSH-2.0-OpenSSH_9.2\r\n"), true),
  "a page": answer(200, { "content-type": "text/html" }, HTML),
  "429 with Retry-After": answer(429, { "retry-after": "3600" }),
  "500": answer(500),
  "503 with Retry-After": answer(503, { "retry-after": "3600" }),
  "401": answer(401, { "www-authenticate": "Bearer" }),
  "418": answer(418),
  "a redirect to itself": (request, response) => (response.writeHead(307, { location: request.url! }).end(), true),
  "redirects that grow": (request, response) => (response.writeHead(302, { location: `${request.url}/x` }).end(), true),
  "a redirect to a file": answer(302, { location: "file:///etc/passwd" }),
  "a redirect to data": answer(302, { location: "data:text/plain,GGUF" }),
  "a redirect to nowhere": answer(302, { location: "http://" }),
  "a redirect without a place": answer(302),
  "no digest": answer(200, { "x-repo-commit": COMMIT, "content-length": "5" }, "GGUF!"),
  "an md5": answer(200, { "x-repo-commit": COMMIT, "x-linked-etag": `"${"a".repeat(32)}"`, "x-linked-size": "5" }),
  "a size of 10^30": answer(200, {
    "x-repo-commit": COMMIT,
    "x-linked-etag": `"${"a".repeat(64)}"`,
    "x-linked-size": "1" + "0".repeat(30),
  }),
  "a size of -1": answer(200, {
    "x-repo-commit": COMMIT,
    "x-linked-etag": `"${"a".repeat(64)}"`,
    "x-linked-size": "-1",
  }),
};

/** Of the storage, which has the bytes. */
const STORAGE: Record<string, Fault> = {
  "no answer": () => true,
  "reset": (_, response) => (response.socket!.resetAndDestroy(), true),
  "a body without an end": (_, response) => (response.writeHead(200), drip(response, "GGUF".repeat(5000), 1)),
  "a body that never comes": (_, response) => (response.writeHead(200), response.flushHeaders(), true),
  "half a body, then reset": (_, response, body) => {
    response.writeHead(200, { "content-length": body.length });
    response.write(body.subarray(0, body.length >> 1), () => response.socket?.resetAndDestroy());
    return true;
  },
  "half a body as a whole": (
    _,
    response,
    body,
  ) => (response.writeHead(200).end(body.subarray(0, body.length >> 1)), true),
  "a wrong length": (
    _,
    response,
    body,
  ) => (response.writeHead(200, { "content-length": 10 }).end(body.subarray(0, 10)), true),
  "other bytes": (_, response, body) => (response.writeHead(200).end(ggufOf(body.length, 77)), true),
  "more bytes": (_, response, body) => (response.writeHead(200).end(ggufOf(body.length * 2)), true),
  "a page": answer(200, { "content-type": "text/html" }, HTML),
  "an empty body": answer(200),
  "503": answer(503, { "retry-after": "3600" }),
  "416": answer(416),
  "206 of another range": (
    _,
    response,
    body,
  ) => (response.writeHead(206, { "content-range": `bytes 7-9/${body.length}` }).end(body.subarray(7, 10)), true),
  "a redirect in a circle": (request, response) => (response.writeHead(302, { location: request.url! }).end(), true),
  "a redirect to a file": answer(302, { location: "file:///etc/passwd" }),
  "403 with a page": answer(403, {}, HTML),
};

const FAULTS = [
  {
    what: "the storage gives a compressed body that is none",
    may: true, // Deno gives the bytes as they came
    plant: (hub: HubServer) =>
      void (hub.onStorage = (
        _,
        response,
        body,
      ) => (response.writeHead(200, { "content-encoding": "gzip" }).end(body), true)),
  },
  ...Object.entries(HUB).map(([what, fault]) => ({
    what: `the hub gives ${what}`,
    plant: (hub: HubServer) => void (hub.onHub = fault),
  })),
  ...Object.entries(STORAGE).map(([what, fault]) => ({
    what: `the storage gives ${what}`,
    plant: (hub: HubServer) => void (hub.onStorage = fault),
  })),
  {
    what: "the storage gives a bit more each time",
    may: true, // it comes to an end
    plant(hub: HubServer): void {
      hub.onStorage = ({ headers: { range } }: IncomingMessage, response, body) => {
        const from = Number(/\d+/.exec(range ?? "0")![0]);
        if (from > body.length / 2) return (sendRange(range, response, body), true);
        response.writeHead(
          from ? 206 : 200,
          from ? { "content-range": `bytes ${from}-${body.length - 1}/${body.length}` } : {},
        );
        response.write(body.subarray(from, from + 20_000), () => response.socket?.destroy());
        return true;
      };
    },
  },
];

async function one(run: number): Promise<string | undefined> {
  const { what, plant, ...fault } = FAULTS[run % FAULTS.length]!;
  const cache = join(directory, `cache ${run}`);
  const model = ggufOf(draw(60_000, 200_000), run + 1);
  await using server = await HubServer.start({ "owner/repo/model.gguf": model });
  const hub = { endpoint: server.endpoint, token: TOKEN, fetch, times: TIMES };
  plant(server);
  const start = performance.now();
  const error = await getFile(hub, cache, FILE).then(() => undefined, (reason: unknown) => reason);
  const took = performance.now() - start;
  const wrong = (words: string): string => `${what}: ${words}`;
  if (took > MOST) return wrong(`it took ${took} ms`);
  if (error === undefined && !("may" in fault)) return wrong("it did not fail");
  if (error !== undefined) {
    if (!(error instanceof Error)) return wrong(`no Error: ${error}`);
    const shown = `${error.stack} ${JSON.stringify(error)} ${(error.cause as Error | undefined)?.stack}`;
    if (shown.includes(TOKEN)) return wrong("the error has the token");
    if (!error.message.includes("http://127.0.0.1")) return wrong(`no address: ${error.message}`);
    if (error.message.length > 400 || error.message.includes("\n")) return wrong(`too long: ${error.message}`);
    const left = filesOf(cache).filter((path) => !path.endsWith(".llamasaur.incomplete"));
    if (left.length > 0) return wrong(`it left ${left}`);
  }
  if (server.tokens.storage.some((token) => token !== undefined)) return wrong("the storage got the token");
  server.onHub = server.onStorage = undefined;
  const path = await getFile(hub, cache, FILE);
  return sha256(new Uint8Array(readFileSync(path))) === sha256(model)
    ? undefined
    : wrong("afterwards other bytes came");
}

for (let run = 0; run < Number(runs); run++) {
  tell(await one(run).catch((error) => `${FAULTS[run % FAULTS.length]!.what}: ${error}`));
}
process.exit(); // connections that a fault left open
