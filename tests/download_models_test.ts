import { test } from "node:test";
import { createHash } from "node:crypto";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { fetchFile, type Hub, HubUnreachableError } from "../scripts/models/hub.ts";
import { place } from "../scripts/models/place.ts";
import { inDirectory } from "./checkpoint.ts";

const MODEL = new TextEncoder().encode("GGUF" + "x".repeat(300_000));
const SHA256 = createHash("sha256").update(MODEL).digest("hex");
const PATH = "/CompendiumLabs/bge-small-en-v1.5-gguf/resolve/main/bge-small-en-v1.5-q4_k_m.gguf";
const FILE = {
  repository: "CompendiumLabs/bge-small-en-v1.5-gguf",
  path: "bge-small-en-v1.5-q4_k_m.gguf",
  magic: "GGUF",
};

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** Runs with a stand-in for the hub that answers in this way. */
async function withHub(answer: Answer, run: (hub: Hub) => Promise<void>): Promise<void> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const { port } = server.address() as AddressInfo;
    await run({ endpoint: `http://127.0.0.1:${port}`, token: undefined, patience: 1000 });
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** What a download of the stand-in's file leaves in its directory, and the error's message. */
async function download(answer: Answer, options: Partial<Hub> & { sha256?: string } = {}): Promise<[string[], string]> {
  let found: [string[], string] = [[], ""];
  await inDirectory(async (directory) => {
    await withHub(answer, async (hub) => {
      const { sha256, ...changes } = options;
      const file = sha256 === undefined ? FILE : { ...FILE, sha256 };
      const message = await fetchFile({ ...hub, ...changes }, file, join(directory, "bge.gguf"))
        .then(() => "", (error: Error) => error.message);
      found = [readdirSync(directory), message];
    });
  });
  return found;
}

const good: Answer = (_, response) => response.writeHead(200, { "content-length": MODEL.length }).end(MODEL);

test("fetchFile() writes what the hub sends, and tells the bytes", async () => {
  await inDirectory(async (directory) => {
    const out = join(directory, "bge.gguf");
    const told: [number, number | undefined][] = [];
    let asked = "";
    const answer: Answer = (request, response) => {
      asked = request.url!;
      good(request, response);
    };
    await withHub(answer, (hub) => fetchFile(hub, FILE, out, (done, total) => told.push([done, total])));
    assertEquals(asked, PATH);
    assertEquals(new Uint8Array(readFileSync(out)), MODEL);
    assertEquals(told.at(-1), [MODEL.length, MODEL.length]);
  });
});

test("fetchFile() follows the hub to its storage with size and digest, and sends the token to the hub alone", async () => {
  await inDirectory(async (directory) => {
    const tokens: (string | undefined)[] = [];
    const storage: Answer = (request, response) => {
      tokens.push(request.headers.authorization);
      good(request, response);
    };
    await withHub(storage, async ({ endpoint: elsewhere }) => {
      const hub: Answer = (request, response) => {
        tokens.push(request.headers.authorization);
        const headers = {
          location: `${elsewhere}/blob`,
          "x-linked-size": MODEL.length,
          "x-linked-etag": `"${SHA256}"`,
        };
        response.writeHead(302, headers).end("Found");
      };
      await withHub(hub, (hub) => fetchFile({ ...hub, token: "secret" }, FILE, join(directory, "bge.gguf")));
    });
    assertEquals(tokens, ["Bearer secret", undefined]);
    assertEquals(readdirSync(directory), ["bge.gguf"]);
  });
});

const redirect = (headers: Record<string, string | number>): Answer => (request, response) =>
  request.url === PATH ? response.writeHead(307, { location: "/blob", ...headers }).end() : good(request, response);

const FAULTS: [string, Answer, Parameters<typeof download>[1], RegExp][] = [
  [
    "sends an HTML page",
    (_, response) => {
      response.writeHead(200, { "content-type": "text/html" }).end("<!DOCTYPE html><title>Sign in</title>");
    },
    {},
    /it begins with "<!DO" instead of "GGUF"/,
  ],
  ["sends almost nothing", (_, response) => response.end("GG"), {}, /only 2 bytes came/],
  ["sends nothing", (_, response) => response.end(), {}, /only 0 bytes came/],
  [
    "sends fewer bytes than it said first",
    redirect({ "x-linked-size": MODEL.length + 1 }),
    {},
    /300004 bytes came instead of 300005/,
  ],
  ["sends more bytes than it said first", redirect({ "x-linked-size": 4 }), {}, /300004 bytes came instead of 4/],
  ["sends other bytes than it said first", redirect({ "x-linked-etag": `"${"0".repeat(64)}"` }), {}, /its sha256 is/],
  ["sends other bytes than are known", good, { sha256: "0".repeat(64) }, /its sha256 is/],
  ["says that there is no such file", (_, response) => response.writeHead(404).end(), {}, /the hub answers 404/],
  ["wants a token", (_, response) => response.writeHead(401).end(), {}, /the hub answers 401 .*set HF_TOKEN/],
  ["is broken", (_, response) => response.writeHead(500).end(), {}, /the hub answers 500/],
  [
    "redirects in a circle",
    (_, response) => response.writeHead(302, { location: PATH }).end(),
    {},
    /more than 5 times/,
  ],
  [
    "resets the connection in the middle",
    (_, response) => {
      response.writeHead(200, { "content-length": MODEL.length }).write(
        MODEL.subarray(0, 100_000),
        () => response.socket!.resetAndDestroy(),
      );
    },
    {},
    /it broke off after \d+ bytes/,
  ],
  [
    "closes the connection in the middle",
    (_, response) => {
      response.writeHead(200, { "content-length": MODEL.length }).write(
        MODEL.subarray(0, 100_000),
        () => response.socket!.destroy(),
      );
    },
    {},
    /broke off after \d+ bytes|bytes came instead of/,
  ],
  ["resets the connection at once", (request) => request.socket.resetAndDestroy(), {}, /Cannot reach the model hub/],
  ["does not answer", () => {}, { patience: 100 }, /Cannot reach the model hub at .*: no answer within 0.1 s/],
];
for (const [what, answer, options, reason] of FAULTS) {
  test(`fetchFile() rejects in one line and leaves no file when the hub ${what}`, async () => {
    const [left, message] = await download(answer, options);
    assertMatch(message, reason);
    assertEquals([left, message.includes("\n")], [[], false]);
  });
}

test("fetchFile() rejects with HubUnreachableError when nothing listens", async () => {
  let hub: Hub;
  await withHub(good, (found) => Promise.resolve(void (hub = found)));
  await inDirectory(async (directory) => {
    await assertRejects(() => fetchFile(hub, FILE, join(directory, "bge.gguf")), HubUnreachableError, hub.endpoint);
    assertEquals(readdirSync(directory), []);
  });
});

test("place() links a file where it is not there yet, and replaces an older one", async () => {
  await inDirectory(async (directory) => {
    const cached = join(directory, "a.gguf"), folder = join(directory, "models"), placed = join(folder, "a.gguf");
    writeFileSync(cached, "one");
    await place(cached, folder);
    await place(cached, folder);
    assertEquals([readFileSync(placed, "utf8"), statSync(placed).ino], ["one", statSync(cached).ino]);
    rmSync(cached);
    writeFileSync(cached, "three");
    await place(cached, folder);
    assertEquals([readFileSync(placed, "utf8"), readdirSync(folder)], ["three", ["a.gguf"]]);
  });
});

/** Runs scripts/models/mod.ts on the runtime that runs this test. */
function run(args: string[], env: Record<string, string>): Promise<{ code: number | null; out: string; err: string }> {
  const script = fileURLToPath(new URL("../scripts/models/mod.ts", import.meta.url));
  const command = "Deno" in globalThis ? ["run", "-A", "--quiet", script] : [script];
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...command, ...args], { env: { ...process.env, ...env } });
    let out = "", err = "";
    child.stdout.setEncoding("utf8").on("data", (text) => out += text);
    child.stderr.setEncoding("utf8").on("data", (text) => err += text);
    child.on("close", (code) => resolve({ code, out, err }));
  });
}

test("download_models lists the models without a name, and refuses an unknown one", async () => {
  const list = await run([], {});
  assertEquals([list.code, list.err], [0, ""]);
  assertMatch(list.out, /^usage: [^\n]*\n {2}minilm .*\n {2}bge .*\n$/);
  const unknown = await run(["bgee"], {});
  assertEquals([unknown.code, unknown.err], [2, 'error: there is no model "bgee"\n']);
});

test("download_models gets bge from HF_ENDPOINT once, and says in one line when it cannot", async () => {
  await inDirectory(async (directory) => {
    const folder = join(directory, "models");
    let asked = 0;
    const answer: Answer = (request, response) => {
      asked++;
      assertEquals(request.headers.authorization, "Bearer secret");
      good(request, response);
    };
    const env = { XDG_CACHE_HOME: join(directory, "cache"), LLAMASAUR_MODELS: folder, HF_TOKEN: "secret" };
    await withHub((_, response) => response.writeHead(404).end(), async ({ endpoint }) => {
      const { code, out, err } = await run(["bge"], { ...env, HF_ENDPOINT: endpoint });
      assertEquals([code, out, existsSync(folder)], [1, "", false]);
      assertMatch(err, /^error: bge: Cannot get http[^\n]*404[^\n]*\n$/);
    });
    await withHub(answer, async ({ endpoint }) => {
      for (let i = 0; i < 2; i++) assertEquals((await run(["bge"], { ...env, HF_ENDPOINT: `${endpoint}/` })).code, 0);
    });
    assertEquals(asked, 1);
    assertEquals(readdirSync(folder), ["bge-small-en-v1.5-q4_k_m.gguf"]);
    assert(statSync(join(folder, "bge-small-en-v1.5-q4_k_m.gguf")).size === MODEL.length);
  });
});
