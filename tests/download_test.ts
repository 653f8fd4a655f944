import { test } from "node:test";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { download, type DownloadOptions, LlamaError, ModelNotFoundError } from "../models.ts";
import { inDirectory } from "./checkpoint.ts";
import { COMMIT, ggufOf, HubServer, sha256 } from "./hub_server.ts";

const MODEL = ggufOf(400_000);
const NAME = "hf:owner/repo/model.gguf";

/** Runs with a hub that has one model, and a download from it into an empty cache. */
async function withHub(
  run: (
    hub: HubServer,
    cache: string,
    get: (model?: string, more?: DownloadOptions) => Promise<string>,
  ) => Promise<void>,
  files: Record<string, Uint8Array> = { "owner/repo/model.gguf": MODEL },
): Promise<void> {
  await inDirectory(async (directory) => {
    await using hub = await HubServer.start(files);
    const cache = join(directory, "hub");
    const options = { endpoint: hub.endpoint, cache, token: "secret", offline: false, onProgress: () => {} };
    await run(hub, cache, (model = NAME, more = {}) => download(model, { ...options, ...more }));
  });
}

/** The files of a cache, without directories. */
function filesOf(cache: string): string[] {
  if (!existsSync(cache)) return [];
  return readdirSync(cache, { recursive: true, encoding: "utf8" })
    .filter((path) => !lstatSync(join(cache, path)).isDirectory())
    .map((path) => path.replaceAll("\\", "/")).sort();
}

const LAYOUT = [
  `models--owner--repo/blobs/${sha256(MODEL)}`,
  "models--owner--repo/refs/main",
  `models--owner--repo/snapshots/${COMMIT}/model.gguf`,
];

test("download() puts the file where huggingface_hub has it, and the token goes to the hub alone", async () => {
  await withHub(async (hub, cache, get) => {
    const told: [string, number, number][] = [];
    const path = await get(NAME, { onProgress: ({ file, done, total }) => told.push([file, done, total]) });
    assertEquals(path, join(cache, LAYOUT[2]!));
    assertEquals(new Uint8Array(readFileSync(path)), MODEL);
    assertEquals(filesOf(cache), LAYOUT);
    assertEquals(readlinkSync(path), join("..", "..", "blobs", sha256(MODEL)));
    assertEquals(readFileSync(join(cache, LAYOUT[1]!), "utf8"), COMMIT);
    assertEquals(told.at(-1), ["model.gguf", MODEL.length, MODEL.length]);
    assertEquals(hub.tokens, { hub: ["Bearer secret", "Bearer secret"], storage: [undefined] });
  });
});

test("download() gets a file once, asks for a branch again and for a commit not even that", async () => {
  await withHub(async (hub, _, get) => {
    const path = await get();
    hub.log.length = 0;
    assertEquals(await get(), path);
    assertEquals(hub.log, ["HEAD /owner/repo/resolve/main/model.gguf"]);
    assertEquals(await get(`${NAME}@${COMMIT}`), path);
    assertEquals(hub.log.length, 1);
    assertEquals(await get(`${NAME}@v1`), path);
    assertEquals(hub.log.filter((line) => line.includes("storage")), []);
  });
});

test("download() takes folders, names of the catalogue, and all parts of a split model", async () => {
  const files = {
    "owner/repo/a b/m-00001-of-00002.gguf": ggufOf(1000),
    "owner/repo/a b/m-00002-of-00002.gguf": ggufOf(2000),
    "gpustack/bge-m3-GGUF/bge-m3-Q8_0.gguf": MODEL,
  };
  await withHub(async (_, cache, get) => {
    const path = await get("hf:owner/repo/a b/m-00002-of-00002.gguf");
    assertEquals(path, join(cache, "models--owner--repo/snapshots", COMMIT, "a b/m-00001-of-00002.gguf"));
    assertEquals(readFileSync(path).length, 1000);
    assertEquals(readFileSync(path.replace("00001-of", "00002-of")).length, 2000);
    assertMatch(await get("BGE-M3"), /bge-m3-Q8_0\.gguf$/);
  }, files);
});

test("download() goes on where a connection was cut, and checks the whole", async () => {
  await withHub(async (hub, cache, get) => {
    let times = 0;
    hub.onStorage = (request, response, body) => {
      if (times++ > 1) return false;
      const from = Number(/\d+/.exec(request.headers.range ?? "0")![0]);
      const headers = { "content-range": `bytes ${from}-${body.length - 1}/${body.length}` };
      response.writeHead(from ? 206 : 200, from ? headers : {});
      response.write(body.subarray(from, from + 100_000), () => setTimeout(() => response.socket?.destroy(), 50));
      return true;
    };
    assertEquals(new Uint8Array(readFileSync(await get())), MODEL);
    const ranges = hub.log.filter((line) => line.startsWith("GET storage")).map((line) => line.slice(12));
    assertEquals(ranges, ["", "bytes=100000-", "bytes=200000-"]);
    assertEquals(filesOf(cache), LAYOUT);
  });
});

test("download() goes on with what an earlier process left, unless the server sends all or it was wrong", async () => {
  for (
    const [left, ranges, fault] of [
      [MODEL.subarray(0, 150_000), ["bytes=150000-"], undefined],
      [MODEL.subarray(0, 150_000), ["bytes=150000-"], "no ranges"],
      [MODEL, [], undefined],
      [ggufOf(500_000), [""], undefined], // longer than the file
      [ggufOf(150_000, 7), ["bytes=150000-", ""], undefined], // other bytes
    ] as const
  ) {
    await withHub(async (hub, cache, get) => {
      const incomplete = join(cache, `${LAYOUT[0]}.llamasaur.incomplete`);
      mkdirSync(dirname(incomplete), { recursive: true });
      writeFileSync(incomplete, left);
      if (fault) hub.onStorage = (_, response, body) => (response.writeHead(200).end(body), true);
      assertEquals(new Uint8Array(readFileSync(await get())), MODEL);
      const asked = hub.log.filter((line) => line.startsWith("GET storage")).map((line) => line.slice(12));
      assertEquals(asked, [...ranges]);
      assertEquals(filesOf(cache), LAYOUT);
    });
  }
});

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

test("download() follows a repository that was renamed, and sends the token to no other host", async () => {
  await withHub(async (hub, _, get) => {
    await using other = await HubServer.start({ "owner/repo/model.gguf": MODEL });
    hub.onHub = (request, response) => {
      response.writeHead(307, { location: other.endpoint + request.url }).end();
      return true;
    };
    assertEquals(new Uint8Array(readFileSync(await get())), MODEL);
    assertEquals(other.tokens, { hub: [undefined, undefined], storage: [undefined] });
    assertEquals(hub.tokens.hub, ["Bearer secret", "Bearer secret"]);
  });
});

test("download() stops at its signal with its reason, and the next one goes on there", async () => {
  await withHub(async (hub, cache, get) => {
    const stop = new AbortController();
    hub.onStorage = (_, response, body) => {
      response.writeHead(200, { "content-length": body.length }).write(body.subarray(0, 50_000));
      return true;
    };
    const onProgress = ({ done }: { done: number }) => done === 50_000 && stop.abort(new Error("enough"));
    await assertRejects(() => get(NAME, { signal: stop.signal, onProgress }), Error, "enough");
    assertEquals(filesOf(cache), [`${LAYOUT[0]}.llamasaur.incomplete`]);
    hub.onStorage = undefined;
    assertEquals(new Uint8Array(readFileSync(await get())), MODEL);
    assertEquals(hub.log.at(-1), "GET storage bytes=50000-");
    assertEquals(filesOf(cache), LAYOUT);
  });
});

test("download() takes what is in the cache when it is offline or the hub is not there, and says if it is not", async () => {
  await withHub(async (hub, cache, get) => {
    const gone = "http://127.0.0.1:9";
    assertStringIncludes(
      (await assertRejects(() => get(NAME, { offline: true }), ModelNotFoundError)).message,
      `Cannot find ${NAME}: ${cache} does not have it, and HF_HUB_OFFLINE is set`,
    );
    await assertRejects(() => get(NAME, { endpoint: gone }), Error, `Cannot reach ${gone}`);
    assertEquals(hub.log, []);
    const path = await get();
    hub.log.length = 0;
    assertEquals(await get(NAME, { offline: true }), path);
    assertEquals(await get(NAME, { endpoint: gone }), path);
    assertEquals(hub.log, []);
  });
});

test("download() refuses paths, wrong names and wrong endpoints", async () => {
  await withHub(async (_, cache, get) => {
    await assertRejects(() => get("models/a.gguf"), TypeError, "must be a name of the catalogue");
    await assertRejects(() => get("hf:../../x.gguf"), RangeError, "must be hf:owner");
    await assertRejects(() => get(NAME, { endpoint: "ftp://x" }), RangeError, "must be an http(s): URL");
    assertEquals(filesOf(cache), []);
  });
});

test("download() gets a file once when two calls and two processes want it at once", async () => {
  await withHub(async (hub, cache, get) => {
    hub.onStorage = (_, response, body) => {
      response.writeHead(200, { "content-length": body.length }).write(body.subarray(0, 100_000));
      setTimeout(() => response.end(body.subarray(100_000)), 1500);
      return true;
    };
    const entry = JSON.stringify(new URL("../models.ts", import.meta.url).href);
    const options = JSON.stringify({ endpoint: hub.endpoint, cache });
    const code = `import { download } from ${entry}; console.log(await download("${NAME}", ${options}));`;
    const script = join(dirname(cache), "get.mjs");
    writeFileSync(script, code);
    const children = [1, 2].map(() => output(script));
    const paths = await Promise.all([get(), get(), ...children]);
    assertEquals(paths, Array(4).fill(join(cache, LAYOUT[2]!)));
    assertEquals(hub.log.filter((line) => line.startsWith("GET storage")), ["GET storage"]);
    assertEquals(filesOf(cache), LAYOUT);
  });
});

/** What a script prints that the runtime of this test runs. */
function output(script: string): Promise<string> {
  const child = spawn(process.execPath, "Deno" in globalThis ? ["run", "-A", "--quiet", script] : [script]);
  return new Promise((resolve) => {
    let text = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (more) => text += more);
    child.on("close", () => resolve(text.trim()));
  });
}

const PYTHON = [process.env["LLAMASAUR_PYTHON"], "python3", "python"]
  .find((name) => name && spawnSync(name, ["-c", "import huggingface_hub"]).status === 0);
if (!PYTHON) console.log("no Python with huggingface_hub (LLAMASAUR_PYTHON names one): its cache is not compared");

test("download() and huggingface_hub find each other's files", { skip: !PYTHON }, async () => {
  await withHub(async (hub, cache, get) => {
    const python = (code: string, env: Record<string, string>) => {
      const child = spawn(PYTHON!, ["-c", `from huggingface_hub import *\n${code}`], {
        env: {
          ...process.env,
          HF_HUB_CACHE: cache,
          HF_HUB_DISABLE_XET: "1",
          HF_HUB_DISABLE_PROGRESS_BARS: "1",
          ...env,
        },
      });
      return new Promise<string>((resolve) => {
        let text = "";
        child.stdout.setEncoding("utf8").on("data", (more) => text += more);
        child.stderr.setEncoding("utf8").on("data", (more) => text += more);
        child.on("close", () => resolve(text.trim()));
      });
    };
    const path = await get();
    const look = "print(try_to_load_from_cache('owner/repo', 'model.gguf'), len(scan_cache_dir().warnings))";
    assertEquals(await python(look, { HF_HUB_OFFLINE: "1" }), `${path} 0`);
    assertEquals(await python("print(hf_hub_download('owner/repo', 'model.gguf'))", { HF_HUB_OFFLINE: "1" }), path);

    hub.files.set("owner/other/b.gguf", MODEL);
    const env = { HF_ENDPOINT: hub.endpoint, HF_HUB_OFFLINE: "0" };
    const theirs = await python("print(hf_hub_download('owner/other', 'b.gguf'))", env);
    assertEquals(theirs, join(cache, "models--owner--other/snapshots", COMMIT, "b.gguf"));
    assertEquals(await get("hf:owner/other/b.gguf", { offline: true }), theirs);
  });
});
