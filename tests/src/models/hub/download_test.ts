import { test } from "node:test";
import { lstatSync, mkdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { LlamaError, ModelNotFoundError } from "../../../../models.ts";
import { findProgram, runChild } from "../../../support/child.ts";
import {
  COMMIT,
  filesOf,
  ggufOf,
  HubServer,
  KEPT,
  LAYOUT,
  MODEL,
  NAME,
  sha256,
  withHub,
} from "../../../support/hub_server.ts";
import { canLink } from "../../../support/lend.ts";

test("download() puts the file where huggingface_hub has it, and the token goes to the hub alone", async () => {
  await withHub(async (hub, cache, get) => {
    const told: [string, number, number][] = [];
    const path = await get(NAME, { onProgress: ({ file, done, total }) => told.push([file, done, total]) });
    assertEquals(path, join(cache, LAYOUT[2]!));
    assertEquals(new Uint8Array(readFileSync(path)), MODEL);
    assertEquals(filesOf(cache), KEPT);
    if (canLink) assertEquals(readlinkSync(path), join("..", "..", "blobs", sha256(MODEL)));
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

const deno = findProgram("deno");

// Deno makes no symbolic link for a program that may not read and write everywhere: as Windows without developer mode.
test("download() puts the bytes themselves where no link can be made, once", {
  skip: deno && "Deno" in globalThis ? false : "the tests on Deno run it",
}, async () => {
  await withHub(async (hub, cache) => {
    const module = JSON.stringify(new URL("../../../../models.ts", import.meta.url).href);
    const options = JSON.stringify({ endpoint: hub.endpoint, cache });
    const program = join(cache, "..", "get.ts");
    writeFileSync(program, `import { download } from ${module}; console.log(await download("${NAME}", ${options}));`);
    const flags = [
      "--no-prompt",
      "--allow-net=127.0.0.1",
      "--allow-env",
      `--allow-read=${cache}`,
      `--allow-write=${cache}`,
    ];
    for (const storage of [1, 0]) {
      hub.log.length = 0;
      const { stdout, stderr } = await runChild(deno!, ["run", ...flags, program]);
      assertEquals(stdout.trim(), join(cache, LAYOUT[2]!), stderr);
      assertEquals(lstatSync(stdout.trim()).isFile(), true);
      assertEquals(new Uint8Array(readFileSync(stdout.trim())), MODEL);
      assertEquals(hub.log.filter((line) => line.startsWith("GET storage")).length, storage);
    }
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
    assertEquals(filesOf(cache), KEPT);
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
      assertEquals(filesOf(cache), KEPT);
    });
  }
});

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
    assertEquals(filesOf(cache), KEPT);
  });
});

test("download() takes what is in the cache when it is offline or the hub is not there, and says if it is not", async () => {
  await withHub(async (hub, cache, get) => {
    const gone = "http://127.0.0.1:9";
    assertStringIncludes(
      (await assertRejects(() => get(NAME, { offline: true }), ModelNotFoundError)).message,
      `Cannot find ${NAME}: ${cache} does not have it, and nobody may be asked; leave out offline: true, or unset HF_HUB_OFFLINE`,
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
    for (
      const password of [
        "user:secretpw@hub:80",
        "https://u:1/secretpw@host",
        "https://u:1#secretpw@h",
        "http://h?t=secretpw",
      ]
    ) {
      const { message } = await assertRejects(() => get(NAME, { endpoint: password }), RangeError);
      assert(!message.includes("secretpw"), message);
    }
    assertEquals(filesOf(cache), []);
  });
});

test("download() of several files at once gets each, and the branch is written down once", async () => {
  const names = ["a", "b", "c", "d"];
  const files = Object.fromEntries(names.map((name, i) => [`owner/repo/${name}.gguf`, ggufOf(1000 + i)]));
  for (let i = 0; i < 10; i++) {
    await withHub(async (_, cache, get) => {
      const paths = await Promise.all(names.map((name) => get(`hf:owner/repo/${name}.gguf`)));
      assertEquals(paths.map((path) => readFileSync(path).length), [1000, 1001, 1002, 1003]);
      assertEquals(filesOf(cache).filter((path) => path.includes("refs/")), [LAYOUT[1]]);
    }, files);
  }
});

test("download() says which folder or file is in its way", async () => {
  await withHub(async (hub, cache, get) => {
    const snapshot = join(cache, LAYOUT[2]!);
    mkdirSync(snapshot, { recursive: true });
    const folder = await assertRejects(() => get(), LlamaError, "it is a directory, a pipe or a device; move it away");
    assertStringIncludes(folder.message, snapshot);
    assertEquals(hub.log.filter((line) => line.startsWith("GET")), []); // nothing is got before
  });
  for (const name of ["", ".locks", "models--owner--repo", "models--owner--repo/refs", "models--owner--repo/blobs"]) {
    await withHub(async (_, cache, get) => {
      const path = join(cache, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, "");
      const error = await assertRejects(() => get(), LlamaError, "a file is where a folder must be; move it away");
      assertStringIncludes(error.message, `Cannot write ${path}`);
    });
  }
});

test("download() mends a snapshot's link that leads nowhere", { skip: !canLink }, async () => {
  await withHub(async (_, cache, get) => {
    const snapshot = join(cache, LAYOUT[2]!);
    mkdirSync(dirname(snapshot), { recursive: true });
    symlinkSync("../../blobs/none", snapshot);
    assertEquals(new Uint8Array(readFileSync(await get())), MODEL);
    assertEquals(filesOf(cache), KEPT);
  });
});
