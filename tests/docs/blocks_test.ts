// Every TypeScript block of README and docs runs on this runtime, and prints what its comments say. A stand-in of the hub and tiny
// models under the catalogue's names are there in place of the network.
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { assertEquals } from "@std/assert";
import { type Block, blocksOf, readPage, userPages } from "../../scripts/docs/pages.ts";
import { catalogue } from "../../src/models/catalogue.ts";
import { ROOT, runChild } from "../support/child.ts";
import { lend } from "../support/lend.ts";
import { HubServer } from "../support/hub_server.ts";
import { libraryMissing } from "../support/references.ts";
import type { Run } from "./blocks_worker.ts";

const MODEL = join(ROOT, "models", "all-minilm-l6-v2-q8_0.gguf");
const skip = libraryMissing || !existsSync(MODEL);

/** The catalogue's rerankers that the pages name, each with a random model of its family. */
const RERANKERS = { "bge-reranker-base": "xlm_roberta_reranker.gguf" } as const;

const blocks = userPages(ROOT).flatMap((page) => blocksOf(page, readPage(ROOT, page)))
  .filter(({ language }) => language === "ts");
const runs: Run[] = [];
let checked = "";

/** A module that exports the block as a function with a console of its own; the package is this checkout. */
function moduleOf({ code }: Block): string {
  const { exports } = JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8"));
  const local = code.replace(/"(?:jsr:)?@llamasaur\/llamasaur(\/\w+)?"/g, (_, entry = "") => {
    return JSON.stringify(pathToFileURL(join(ROOT, exports[`.${entry}`])).href);
  });
  const second = JSON.stringify(pathToFileURL(join(ROOT, "cli", "serve", "mod.ts")).href);
  const imports: string[] = [];
  const body = local.replaceAll('"llamasaur/serve"', second).replace(/^import [^;]*;$/gm, (line) => {
    imports.push(line);
    return "";
  });
  return `${
    imports.join("\n")
  }\nexport async function block(console: { log(...values: unknown[]): void }): Promise<void> {\n${body}\n}\n`;
}

/** What the comments behind console.log say that it prints, a loop's lines apart by ", then "; undefined where one has none. */
function promised(code: string): string[] | undefined {
  const prints = code.split("\n").filter((line) => /\bconsole\.log\(/.test(line));
  const comments = prints.map((line) => /; \/\/ (.*)$/.exec(line)?.[1]);
  return comments.every((comment) => comment !== undefined)
    ? comments.flatMap((comment) => comment.split(", then "))
    : undefined;
}

/** What Deno says of the blocks' types. */
async function check(paths: readonly string[]): Promise<string> {
  const args = ["check", "--quiet", `--config=${join(ROOT, "deno.json")}`, ...paths];
  const { code, stdout, stderr } = await runChild(process.execPath, args, { timeout: 300_000 });
  return code === 0 ? "" : stdout + stderr;
}

let folder = "";
let hub: HubServer;
before(async () => {
  if (skip) return;
  mkdirSync(join(ROOT, "lib"), { recursive: true }); // where git looks away, and node_modules is found
  folder = mkdtempSync(join(ROOT, "lib", "blocks-"));
  const models = join(folder, "models");
  mkdirSync(models);
  lend(join(ROOT, "tests"), join(folder, "tests"));
  lend(MODEL, join(models, "all-minilm-l6-v2-q8_0.gguf"));
  const files: Record<string, Uint8Array> = {};
  for (const [name, fixture] of Object.entries(RERANKERS)) {
    const { repository, file } = catalogue[name as keyof typeof RERANKERS];
    const path = join(ROOT, "tests", "fixtures", "families", fixture);
    copyFileSync(path, join(models, file));
    files[`${repository}/${file}`] = readFileSync(path);
  }
  hub = await HubServer.start(files);
  const paths = blocks.map((block, i) => {
    const path = join(folder, `block_${i}.ts`);
    writeFileSync(path, moduleOf(block));
    return path;
  });
  writeFileSync(join(folder, "blocks.json"), JSON.stringify(paths));
  if ("Deno" in globalThis) checked = await check(paths);
  const worker = join(ROOT, "tests", "docs", "blocks_worker.ts");
  const flags = "Deno" in globalThis ? ["run", "-A", "--quiet", `--config=${join(ROOT, "deno.json")}`] : [];
  const env = { LLAMASAUR_MODELS: models, HF_ENDPOINT: hub.endpoint, HF_HUB_CACHE: join(folder, "hub") };
  const args = [...flags, worker, join(folder, "blocks.json")];
  const { stdout, stderr } = await runChild(process.execPath, args, { cwd: folder, env, timeout: 300_000 });
  for (const line of stdout.split("\n").filter(Boolean)) runs.push(JSON.parse(line));
  if (runs.length < blocks.length) console.error(stderr);
});
after(async () => {
  await hub?.[Symbol.asyncDispose]();
  if (folder) rmSync(folder, { recursive: true });
});

for (const [i, block] of blocks.entries()) {
  test(`the code block at ${block.page}:${block.line} runs and prints what it says`, { skip }, () => {
    const run = runs[i];
    assertEquals(run?.error ?? (run ? "" : "the process ended before"), "");
    const wanted = promised(block.code);
    if (wanted) assertEquals(run!.printed, wanted);
  });
}

test("the types of all code blocks fit", { skip: skip || !("Deno" in globalThis) }, () => assertEquals(checked, ""));

test("README and docs have code blocks that promise an output", () => {
  const promises = blocks.filter(({ code }) => code.includes("console.log(") && promised(code));
  assertEquals([blocks.length > 10, promises.length > 8], [true, true], `${blocks.length}, ${promises.length}`);
});
