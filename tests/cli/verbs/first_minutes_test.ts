// The first fifteen minutes with the server, from an empty folder: what it says, and the lines of cli/README.md as they stand.
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { blocksOf, readPage } from "../../../scripts/docs/pages.ts";
import { catalogue } from "../../../src/models/catalogue.ts";
import { ROOT, runChild } from "../../support/child.ts";
import { HubServer } from "../../support/hub_server.ts";
import { MODEL, noModel, PROGRAM, runProgram } from "../../support/program.ts";
import { type Json, RERANKER, TestServer } from "../../support/server.ts";

const skip = noModel || process.platform === "win32" && "the lines are for sh";
const blocks = blocksOf("cli/README.md", readPage(ROOT, "cli/README.md"));
const BASE = "http://127.0.0.1:8411"; // as the page has it

/** An empty folder, and a hub that has the models of the page. */
async function inEmptyFolder(work: (cwd: string, env: Record<string, string>) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "llamasaur-first-"));
  const files = { "all-minilm-l6-v2": MODEL, "bge-reranker-base": RERANKER } as const;
  await using hub = await HubServer.start(Object.fromEntries(
    Object.entries(files).map(([name, path]) => {
      const { repository, file } = catalogue[name as keyof typeof files];
      return [`${repository}/${file}`, readFileSync(path)];
    }),
  ));
  const cwd = join(folder, "empty");
  mkdirSync(cwd);
  try {
    await work(cwd, {
      HF_ENDPOINT: hub.endpoint,
      HF_HUB_CACHE: join(folder, "hub"),
      LLAMASAUR_MODELS: join(folder, "none"),
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The line of the page that begins so. */
function lineOf(beginning: string): string {
  const lines = blocks.filter(({ language }) => language === "sh").flatMap(({ code }) => code.split("\n"));
  const found = lines.find((line) => line.startsWith(beginning));
  assert(found !== undefined, `the page has no line that begins with ${beginning}`);
  return found;
}

test("without --download the exit code is 3, and the line that is printed gets the model and serves", {
  skip,
}, async () => {
  await inEmptyFolder(async (cwd, env) => {
    const args = ["--port", "0", "--embed", "all-minilm-l6-v2=a name,text-embedding-3-small", "--truncate", "start"];
    const missing = await runProgram(["serve", ...args], { env, cwd });
    assertEquals([missing.code, missing.stdout], [3, ""]);
    const [, line] = /\n\n {2}(.* serve .* --download)\n/.exec(missing.stderr) ?? [];
    await using server = await TestServer.paste(line!, env, cwd);
    const { body } = await server.ask("/v1/embeddings", { input: "a cat", model: "a name" });
    assertEquals([body.model, body.data[0].embedding.length], ["a name", 384]);
  });
});

test("the banner tells URL, names by role, prompts and Open WebUI's settings; then the page's lines work as written", {
  skip,
}, async () => {
  await inEmptyFolder(async (cwd, env) => {
    const line = lineOf("llamasaur serve").replace(/^llamasaur/, PROGRAM.replace("cli/", `${join(ROOT, "cli")}/`));
    await using server = await TestServer.paste(`${line} --port 0`, env, cwd);
    for (
      const told of [
        `llamasaur serves ${server.url}\n`,
        "  embed   all-minilm-l6-v2  (prompts known: all-minilm-l6-v2@query, all-minilm-l6-v2@document)\n",
        "  rerank  bge-reranker-base\n",
        `  Embedding Model Engine  OpenAI, URL ${server.url}/v1, model all-minilm-l6-v2\n`,
        `  Reranking Engine        External, URL ${server.url}/v1/rerank, model bge-reranker-base\n`,
      ]
    ) assertStringIncludes(server.log, told);
    assertEquals(server.log.match(/^llamasaur serves /gm)?.length, 1);
    const curl = await runChild("/bin/sh", ["-c", lineOf("curl").replace(BASE, server.url)], { cwd });
    assertEquals(JSON.parse(curl.stdout).data[0].embedding.length, 384, curl.stderr);
    const [program] = blocks.filter(({ language }) => language === "ts");
    for (const printed of await printedBy(program!.code.replaceAll(BASE, server.url))) {
      assertMatch(printed.said, printed.promised);
    }
  });
});

/** Runs a program of the page; what it printed, and what its comments say that it prints. */
async function printedBy(code: string): Promise<{ said: string; promised: RegExp }[]> {
  const modules: Record<string, Json> = {};
  const body = code.replace(/^import (\{ (\w+) \}|(\w+)) from "([\w-]+)";$/gm, (_, __, named, whole, from) => {
    modules[named ?? whole] = import(from).then((module: Json) => module[named ?? "default"]);
    return "";
  });
  const said: string[] = [];
  const console = { log: (...values: unknown[]) => said.push(values.join(" ")) };
  const names = Object.keys(modules);
  const { constructor: AsyncFunction } = (async () => {}) as unknown as { constructor: Json };
  await new AsyncFunction("console", ...names, body)(console, ...await Promise.all(names.map((name) => modules[name])));
  const promised = [...code.matchAll(/^console\.log\(.*\); \/\/ (.*)$/gm)].map(([, comment]) => comment!);
  assertEquals(said.length, promised.length);
  return said.map((one, i) => ({ said: one, promised: new RegExp(`^${promised[i]!.replaceAll("…", ".*")}$`) }));
}
