// What servers.ts runs: servers_worker.ts CASE SEED RUNS DIRECTORY: downloads from a hub with a fault, then from a good one.
import type { IncomingMessage, ServerResponse } from "node:http";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { getFile } from "../../src/models/hub/download.ts";
import { COMMIT, type Fault, filesOf, ggufOf, HubServer, sendRange, sha256 } from "../support/hub_server.ts";
import { randomIntegers } from "../support/random.ts";
import { tell } from "./worker.ts";

const [name = "", seed = "", runs = "", directory = ""] = process.argv.slice(2);
const draw = randomIntegers(Number(seed));
const FILE = { repository: "owner/repo", path: "model.gguf", revision: "main" };
const TIMES = { answer: 300, stalled: 300, pause: 5, attempts: 3 };
const TOKEN = "hf_a-token-that-nobody-else-may-see";
const MESSAGE = 700; // UTF-16 units: an address of up to 400, and what the server says, of up to 200
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

interface PlantedFault {
  readonly what: string;
  /** Whether the download may come to its end all the same. */
  readonly may?: boolean;
  plant(hub: HubServer): void;
}

const FAULTS: readonly PlantedFault[] = [
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

// What a server may say that must not come into a message as it is. `TOKEN` is sent with a request.
const SAYINGS: Record<string, (draw: (min: number, max: number) => number) => string> = {
  "the token": () => TOKEN,
  "the request's header": () => `Bearer ${TOKEN}`,
  "the token in capitals": () => TOKEN.toUpperCase(),
  "the token, encoded": () => TOKEN.replaceAll(/[_-]/g, (c) => `%${c.charCodeAt(0).toString(16)}`),
  "the token, encoded twice": () => TOKEN.replaceAll("_", "%255f"),
  "the token, all encoded": () => [...TOKEN].map((c) => `%${c.charCodeAt(0).toString(16)}`).join(""),
  "the token between letters": () => `\u0130\u0130${TOKEN}\u00c0 of \u2028${TOKEN}${TOKEN}`,
  "the token at the cut": (draw) => "x".repeat(draw(60, 420)) + TOKEN + "y".repeat(draw(0, 400)),
  "escapes": () => "\x1b[2J\x1b]0;title\x07\x08\x7f",
  "control characters": (draw) => Array.from({ length: 20 }, () => String.fromCharCode(draw(1, 31))).join(""),
  "C1 and turned text": () => "\x9b31m\u202e\u2066gpj\u200b",
  "no UTF-8": () => "\x80\xff\xe2\x82",
  "much": (draw) => "z".repeat(draw(300, 12_000)),
};

// Where it may say so.
const PLACES: Record<string, (said: string) => { readonly status?: string; readonly headers?: readonly string[] }> = {
  "x-error-code": (said) => ({ headers: [`x-error-code: ${said}`] }),
  "x-error-message": (said) => ({ headers: [`x-error-message: ${said}`] }),
  "the reason phrase": (said) => ({ status: said }),
  "www-authenticate": (said) => ({ headers: [`www-authenticate: ${said}`] }),
  "a redirect's path": (said) => ({ headers: [`location: /${said}`] }),
  "a redirect's query": (said) => ({ headers: [`location: /x?${said}#${said}`] }),
  "a redirect's host": (said) => ({ headers: [`location: http://${said}.invalid/x`] }),
  "a redirect's user": (said) => ({ headers: [`location: http://${said}:${said}@127.0.0.1:1/`] }),
  "a redirect's scheme": (said) => ({ headers: [`location: ${said}:${said}`] }),
  "a redirect to a file": (said) => ({ headers: [`location: file://${said}/${said}`] }),
  "the commit": (said) => ({
    headers: [`x-repo-commit: ${said}`, `x-linked-etag: "${said}"`, `x-linked-size: ${said}`],
  }),
  "the length": (said) => ({ headers: [`content-length: ${said}`] }),
  "a header's name": (said) => ({ headers: [`${said}: 1`] }),
  "no header": (said) => ({ headers: [said] }),
};
const STATUSES = [200, 301, 302, 307, 308, 400, 401, 403, 404, 416, 429, 500, 503];

/** An answer that says something in a place of it, as bytes: no server of Node would send it. */
function saying(run: number): PlantedFault {
  const places = Object.entries(PLACES), sayings = Object.entries(SAYINGS);
  const [place, put] = places[run % places.length]!;
  const [what, say] = sayings[Math.floor(run / places.length + run) % sayings.length]!;
  const redirects = place.startsWith("a redirect");
  const status = redirects ? 302 : STATUSES[draw(0, STATUSES.length - 1)]!;
  const { status: reason = "Odd", headers = [] } = put(say(draw));
  const text = [`HTTP/1.1 ${status} ${reason}`, ...headers, "connection: close", "", ""].join("\r\n");
  const latin = draw(0, 1) === 0 ? "latin1" : "utf8";
  const fault: Fault = (_, response) => (response.socket!.end(text, latin), true);
  return {
    what: `the ${run % 2 ? "hub" : "storage"} answers ${status} with ${what} in ${place}`,
    may: true, // what is odd may be where nobody reads it
    plant: (hub) => void (run % 2 ? hub.onHub = fault : hub.onStorage = fault),
  };
}

/** What is wrong with an error; undefined if nothing. */
function wrongError(error: unknown): string | undefined {
  if (!(error instanceof Error)) return `no Error: ${error}`;
  const causes: string[] = [];
  for (let at: unknown = error; at instanceof Error; at = at.cause) causes.push(`${at.message} ${at.stack}`);
  const shown = `${causes.join(" ")} ${JSON.stringify(error)}`.toLowerCase();
  if (shown.includes(TOKEN) || shown.replaceAll(/%(25)*5f/g, "_").includes(TOKEN)) return "the error has the token";
  if (!error.message.includes("http://")) return `no address: ${error.message}`;
  if (error.message.length > MESSAGE) return `too long: ${error.message}`;
  const odd = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.exec(error.message);
  return odd ? `it has U+${odd[0].codePointAt(0)!.toString(16)}: ${JSON.stringify(error.message)}` : undefined;
}

async function one(run: number, { what, plant, may = false }: PlantedFault): Promise<string | undefined> {
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
  if (error === undefined && !may) return wrong("it did not fail");
  if (error !== undefined) {
    const words = wrongError(error);
    if (words !== undefined) return wrong(words);
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

const first = draw(0, 10_000);
for (let run = 0; run < Number(runs); run++) {
  const fault = name === "says" ? saying(first + run) : FAULTS[run % FAULTS.length]!;
  tell(await one(run, fault).catch((error) => `${fault.what}: ${error}`));
}
process.exit(); // connections that a fault left open
