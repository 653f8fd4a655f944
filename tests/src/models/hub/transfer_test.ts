import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { LlamaError, ModelNotFoundError } from "../../../../models.ts";
import { COMMIT, filesOf, ggufOf, type HubServer, MODEL, withHub } from "../../../support/hub_server.ts";

const HTML = new TextEncoder().encode("<!DOCTYPE html><title>Sign in to the proxy</title>".repeat(100));
const FAULTS: [string, (hub: HubServer) => void, new (...args: never[]) => Error, RegExp][] = [
  [
    "a page instead of the file",
    (hub) => {
      hub.onStorage = (_, response) => (response.writeHead(200, { "content-type": "text/html" }).end(HTML), true);
    },
    LlamaError,
    /it begins with "<!DO" instead of "GGUF"/,
  ],
  [
    "a page instead of the hub's answer",
    (hub) => {
      hub.onHub = (_, response) => (response.writeHead(200, { "content-type": "text/html" }).end(HTML), true);
    },
    Error,
    /does not come from a model hub; check HF_ENDPOINT/,
  ],
  [
    "other bytes than promised",
    (hub) => {
      hub.onStorage = (_, response) => (response.writeHead(200).end(ggufOf(MODEL.length, 9)), true);
    },
    LlamaError,
    /its sha256 is [0-9a-f]{64} instead of/,
  ],
  [
    "more bytes than promised",
    (hub) => {
      hub.onStorage = (_, response) => (response.writeHead(200).end(ggufOf(MODEL.length + 1)), true);
    },
    LlamaError,
    /more than the 400000 bytes/,
  ],
  [
    "bytes without an end",
    (hub) => {
      hub.onStorage = (_, response) => {
        response.writeHead(200);
        const more = (): void => void (response.destroyed || response.write(MODEL, more));
        more();
        return true;
      };
    },
    LlamaError,
    /more than the 400000 bytes|sha256/,
  ],
  ["401", (hub) => void (hub.token = "another"), Error, /answers 401 RepoNotFound; the token of HF_TOKEN may not/],
  [
    "403 of a gated model",
    (hub) => {
      hub.onHub = (_, response) => (response.writeHead(403, { "x-error-code": "GatedRepo" }).end(), true);
    },
    Error,
    /answers 403 GatedRepo; .*accept its terms at http/,
  ],
  ["404", (hub) => hub.files.clear(), ModelNotFoundError, /answers 404 EntryNotFound/],
  [
    "503",
    (hub) => {
      hub.onHub = (_, response) => (response.writeHead(503).end(), true);
    },
    Error,
    /answers 503 .*try again later/,
  ],
  [
    "redirects in a circle",
    (hub) => {
      hub.onHub = (request, response) => (response.writeHead(307, { location: request.url! }).end(), true);
    },
    Error,
    /redirects more than 5 times/,
  ],
  [
    "a commit that leads elsewhere",
    (hub) => {
      hub.onHub = (_, response) => {
        response.writeHead(200, { "x-repo-commit": "../../../x", "etag": '"abcdef00"', "content-length": 4 }).end();
        return true;
      };
    },
    Error,
    /does not come from a model hub/,
  ],
  [
    "a digest that leads elsewhere",
    (hub) => {
      hub.onHub = (_, response) => {
        response.writeHead(200, { "x-repo-commit": COMMIT, "etag": '"../../x"', "content-length": 4 }).end();
        return true;
      };
    },
    Error,
    /does not come from a model hub/,
  ],
];
for (const [what, plant, type, reason] of FAULTS) {
  test(`download() rejects in one line and leaves no file when the hub sends ${what}`, async () => {
    await withHub(async (hub, cache, get) => {
      plant(hub);
      const error = await assertRejects(get, type as new () => Error);
      assertMatch(error.message, reason);
      assert(!error.message.includes("\n") && !error.message.includes("secret"), error.message);
      assertEquals(filesOf(cache), []);
    });
  });
}
