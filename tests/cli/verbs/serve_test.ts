// The verb itself: what is settled, what is refused with which exit code, and how it ends.
import { test } from "node:test";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "@std/path";
import { verb } from "../../../cli/verbs/serve.ts";
import { inDirectory } from "../../support/checkpoint.ts";
import { MODEL, noModel, noSignals, PROGRAM, runProgram } from "../../support/program.ts";
import { runHere } from "../../support/run_here.ts";
import { BOTH, type Json, KEY, keyFile, TestServer } from "../../support/server.ts";

const skip = noModel;

async function settled(args: readonly string[], env: Record<string, string> = {}): Promise<Json> {
  const { code, stdout, stderr } = await runHere(["serve", "--print-config", ...args], { env });
  assertEquals(code, 0, stderr);
  return JSON.parse(stdout);
}

test("serve reads models with names, flags and their variables", async () => {
  const args = ["--embed", "a=b/c.gguf=one,two", "--embed", "all-minilm-l6-v2", "--rerank", "hf:o/r/file.gguf@main"];
  const { models, port, keepAlive, drain, keys } = await settled(args, {
    LLAMASAUR_PORT: "9000",
    LLAMASAUR_KEEP_ALIVE: "5m",
  });
  assertEquals(models.map(({ role, model, names }: Json) => [role, model, names]), [
    ["embed", "a=b/c.gguf", ["one", "two"]],
    ["embed", "all-minilm-l6-v2", ["all-minilm-l6-v2"]],
    ["rerank", "hf:o/r/file.gguf@main", ["file"]],
  ]);
  assertEquals([port, keepAlive, drain, keys], [9000, 300_000, 0, 0]);
  const ofVariables = await settled(["--allow-host", "a,b", "--allow-host", "c"], {
    LLAMASAUR_EMBED: "my models/a.gguf=a,b\nall-minilm-l6-v2\n",
    LLAMASAUR_CORS: "https://one.example, https://two.example",
    LLAMASAUR_DOWNLOAD: "true",
  });
  assertEquals(ofVariables.models.map(({ model, names }: Json) => [model, names]), [
    ["my models/a.gguf", ["a", "b"]],
    ["all-minilm-l6-v2", ["all-minilm-l6-v2"]],
  ]);
  assertEquals(ofVariables.allowHost, ["a", "b", "c"]);
  assertEquals(ofVariables.cors, ["https://one.example", "https://two.example"]);
  assertEquals(ofVariables.download, true);
});

test("--print-config tells all that is settled, also what nobody said", async () => {
  assertEquals(await settled(["--embed", "a.gguf"], { LLAMASAUR_LIBRARY: "" }), {
    host: "127.0.0.1",
    port: 8411,
    auth: true,
    strictNames: false,
    truncate: "end",
    maxQueueTokens: 2_000_000,
    maxBody: 64_000_000,
    lazy: false,
    download: false,
    drain: 0,
    grace: 30_000,
    log: "text",
    models: [{ role: "embed", model: "a.gguf", names: ["a"] }],
    keys: 0,
  });
});

test("each option of serve is a flag and a variable, and says the same as both", async () => {
  using keys = keyFile(KEY, "another");
  const flags: [flag: string, value: string][] = [
    ["embed", "a.gguf=x"],
    ["rerank", "b.gguf=y"],
    ["query-prompt", "q: "],
    ["document-prompt", ""],
    ["dimensions", "8"],
    ["truncate", "start"],
    ["keep-alive", "5m"],
    ["host", "0.0.0.0"],
    ["port", "1"],
    ["api-key-file", keys.path],
    ["allow-host", "one.example"],
    ["cors", "https://one.example"],
    ["max-queue-tokens", "5"],
    ["max-batch-size", "6"],
    ["max-body", "7MB"],
    ["timeout", "8s"],
    ["drain", "9s"],
    ["grace", "10s"],
    ["log", "json"],
    ["device", "CPU"],
    ["contexts", "2"],
    ["memory-limit", "2GB"],
    ["library", "/none/libllamasaur.so"],
  ];
  const switches = ["strict-names", "lazy", "download", "no-auth"];
  const all = ["config", "print-config", ...switches, ...flags.map(([flag]) => flag)];
  assertEquals(all.sort(), verb.options.map(({ flags }) => /^--([\w-]+)/.exec(flags)![1]!).sort());
  const given = await settled([
    ...flags.map(([flag, value]) => `--${flag}=${value}`),
    ...switches.map((flag) => `--${flag}`),
  ]);
  const variable = (flag: string) => `LLAMASAUR_${flag.replaceAll("-", "_").toUpperCase()}`;
  const variables = Object.fromEntries([...flags, ...switches.map((flag) => [flag, "1"] as const)].map(
    ([flag, value]) => [variable(flag), value],
  ));
  assertEquals(await settled([], variables), given);
  assertEquals(Object.keys(given).length, flags.length + switches.length); // without embed and rerank, with models and keys
  assertEquals(given.models.map(({ documentPrompt }: Json) => documentPrompt), ["", ""]);
});

test("serve reads --config, whose models have settings of their own, and a flag goes before it", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "serve.json");
    const model = {
      model: "x.gguf",
      names: ["x", "y"],
      queryPrompt: "q: ",
      documentPrompt: "",
      dimensions: 8,
      contexts: 3,
    };
    writeFileSync(
      path,
      JSON.stringify({
        port: 1234,
        timeout: "2s",
        maxBody: "5MB",
        queryPrompt: "all: ",
        embed: [model, { model: "z.gguf" }],
      }),
    );
    const { models, port, timeout, maxBody } = await settled(["--config", path, "--port", "99"]);
    assertEquals([port, timeout, maxBody], [99, 2000, 5_000_000]);
    assertEquals(models[0], { role: "embed", ...model });
    assertEquals([models[1].names, models[1].queryPrompt], [["z"], "all: "]);
    for (
      const [wrong, told] of [
        [{ embed: [{ model: "x", prompt: "" }] }, 'embed.0: there is no "prompt"'],
        [{ prot: 1 }, 'the file: there is no "prot"'],
        [{ port: "x" }, "port: it must be a number, is a string"],
        [{ embed: "x" }, "embed: it must be an array, is a string"],
        [{ truncate: "x" }, 'truncate: it must be one of "end", "start", "error"'],
        ["{ port", "it is not JSON"],
        [{ port: -1 }, "port: it must be at least 0, is -1"],
        [{ embed: [{ names: ["a"] }] }, "embed.0.model: it is missing: it must be a string"],
        [{ memoryLimit: true }, "memoryLimit: it must be bytes, such as 500000000"],
        [{ memoryLimit: "much" }, "memoryLimit: it must be bytes, such as 500000000"],
        [{ timeout: "soon" }, "timeout: it must be a span of time"],
      ] as const
    ) {
      writeFileSync(path, typeof wrong === "string" ? wrong : JSON.stringify(wrong));
      const { code, stderr } = await runHere(["serve", "--config", path]);
      assertEquals(code, 2);
      assertStringIncludes(stderr, told);
    }
  });
});

for (
  const [args, code, told] of [
    [[], 2, "Cannot serve nothing: give --embed or --rerank"],
    [["--embed", "x=,"], 2, 'Cannot read the model "x=,"'],
    [["--embed", "x", "--host", "0.0.0.0"], 2, "give --api-key-file FILE, or --no-auth"],
    [["--embed", "x", "--keep-alive", "soon"], 2, "it must be a span of time such as 500ms, 2s, 5m or 1h"],
    [["--embed", "x", "--api-key-file", "none"], 2, "Cannot read --api-key-file none"],
    [["--embed", "none/none.gguf"], 3, "there is no such file. To get a small model for English:"],
    [["--embed", "bge-m3=m"], 3, `\n\n  ${PROGRAM} serve --embed bge-m3=m --download\n`],
    [["--embed", "x", "--timeout", "0"], 2, "give --timeout a span, or leave it out"],
    [
      ["--embed", MODEL, "--port", "0", "--dimensions", "385"],
      2,
      "dimensions: it must be an integer from 1 to 384, is 385",
    ],
    [
      ["--port", "0", "--memory-limit", "60MB", "--embed", `${MODEL}=a`, "--embed", `${MODEL}=b`],
      1,
      "; --memory-limit, 60000000 bytes, is of all 2 models, and this is one's share",
    ],
    [["--embed", MODEL, "--cors", "*"], 2, "without a key"],
    [["--embed", MODEL, "--cors", "page.example"], 2, 'Cannot allow the origin "page.example"'],
    [["--embed", MODEL, "--allow-host", "http://x"], 2, 'Cannot allow the host "http://x"'],
    [["--embed", `${MODEL}=a`, "--embed", `${MODEL}=a`], 2, 'Cannot serve two models as "a"'],
  ] as const
) {
  test(`llamasaur serve ${args.map((word) => word.slice(-20)).join(" ")} is exit code ${code}`, {
    skip: args.some((word) => word.startsWith(MODEL)) && skip,
  }, async () => {
    const env = { HF_HOME: "/none", LLAMASAUR_MODELS: "/none" };
    const ended = await runHere(["serve", ...args], { env });
    assertEquals([ended.code, ended.stdout], [code, ""], ended.stderr);
    assertStringIncludes(ended.stderr, told);
  });
}

test(
  "SIGTERM lets running requests end, is 503 at once for /readyz, and ends with 0",
  { skip: skip || noSignals },
  async () => {
    using keys = keyFile(KEY);
    const args = [...BOTH, "--drain", "400ms", "--api-key-file", keys.path, "--log", "json"];
    await using server = await TestServer.start(args);
    const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
    const texts = Array.from({ length: 400 }, (_, i) => `a text of some words that waits as number ${i}`);
    const running = server.ask("/v1/embeddings", { input: texts, encoding_format: "base64" }, { headers });
    await new Promise((resolve) => setTimeout(resolve, 100));
    const ended = server.end();
    await new Promise((resolve) => setTimeout(resolve, 100));
    assertEquals((await server.ask("/readyz")).status, 503);
    assertEquals((await running).status, 200);
    assertEquals(await ended, 0);
    const lines = server.log.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
    assert(
      lines.some(({ event, route, status }) => event === "request" && route === "/v1/embeddings" && status === 200),
    );
  },
);

test("SIGTERM while models load ends with 0", { skip: skip || noSignals }, async () => {
  let sent = false;
  const { code, signal, stderr } = await runProgram(["serve", "--port", "0", ...BOTH], {
    onStderr: (text, kill) => {
      if (sent || !/^load model=/m.test(text)) return; // the other one may still load
      sent = true;
      kill("SIGTERM");
    },
  });
  assertEquals([code, signal, sent], [0, null, true], stderr);
});

test(
  "SIGTERM while a request waits for a load lets it be answered, and ends with 0",
  { skip: skip || noSignals },
  async () => {
    await using server = await TestServer.start([`--embed=${MODEL}=mini`, "--lazy"]);
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
    let heard = "";
    socket.setEncoding("utf8").on("data", (text: string) => heard += text);
    const body = '{"input":"a","dimensions":2}';
    const head = "POST /v1/embeddings HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    await new Promise((resolve) => socket.write(`${head}content-length: ${body.length}\r\n\r\n${body}`, resolve));
    // What comes later is answered, so the first request has come, too.
    for (let i = 0; i < 3; i++) assertEquals((await server.ask("/healthz")).status, 200);
    const closed = new Promise((resolve) => socket.on("close", resolve));
    assertEquals(await server.end(), 0);
    await closed;
    assertEquals(heard.split("\r\n")[0], "HTTP/1.1 200 OK", heard);
  },
);

test("a second SIGTERM ends a server that drains", { skip: skip || noSignals }, async () => {
  await using server = await TestServer.start([...BOTH, "--drain", "10m"]);
  const ended = server.end();
  while ((await server.ask("/readyz")).status !== 503) await new Promise((resolve) => setTimeout(resolve, 10));
  assertEquals((await server.ask("/v1/embeddings", { input: "a" })).status, 200); // it drains, and still answers
  void server.end();
  assertEquals(await ended, 143);
});

test("a killed connection's work is left undone", { skip }, async () => {
  await using server = await TestServer.start([`--embed=${MODEL}=mini`, "--contexts", "1"]);
  const texts = Array.from({ length: 2000 }, (_, i) => `a text of some words that waits as number ${i}`);
  const gone = new AbortController();
  const left = server.ask("/v1/embeddings", { input: texts }, { signal: gone.signal }).catch(() => undefined);
  while (await server.metric("llamasaur_sequences_computed", "mini") < 10) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  gone.abort();
  await left;
  await new Promise((resolve) => setTimeout(resolve, 300));
  const computed = await server.metric("llamasaur_sequences_computed", "mini");
  assert(computed < texts.length / 2, `${computed} sequences were computed`);
  assertEquals(await server.metric("llamasaur_cancelled_total", "mini"), 1);
});
