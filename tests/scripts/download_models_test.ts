import { test } from "node:test";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { assertEquals, assertMatch } from "@std/assert";
import { place } from "../../scripts/models/place.ts";
import { inDirectory } from "../support/checkpoint.ts";
import { COMMIT, ggufOf, HubServer } from "../support/hub_server.ts";
import { canLink } from "../support/lend.ts";

const MODEL = ggufOf(300_000);
const FILE = "CompendiumLabs/bge-small-en-v1.5-gguf/bge-small-en-v1.5-q4_k_m.gguf";

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

test("place() puts the bytes themselves where the cache has a link", {
  skip: canLink ? false : "this system makes no links",
}, async () => {
  await inDirectory(async (directory) => {
    const blob = join(directory, "blob"), file = join(directory, "a.gguf"), folder = join(directory, "models");
    writeFileSync(blob, "one");
    symlinkSync(blob, file);
    await place(file, folder);
    rmSync(blob);
    assertEquals(readFileSync(join(folder, "a.gguf"), "utf8"), "one");
  });
});

/** Runs scripts/models/mod.ts on the runtime that runs this test. */
function run(args: string[], env: Record<string, string>): Promise<{ code: number | null; out: string; err: string }> {
  const script = fileURLToPath(new URL("../../scripts/models/mod.ts", import.meta.url));
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
  assertMatch(list.out, /^usage: [^\n]*\n {2}bge +bge-small-en-v1\.5 +embedding, MIT, CompendiumLabs/);
  const unknown = await run(["bgee"], {});
  assertEquals(unknown.code, 1);
  assertMatch(unknown.err, /^error: bgee: Cannot find model "bgee": the catalogue has no such name; a path [^\n]*\n$/);
});

test("download_models gets bge from HF_ENDPOINT once, and says in one line when it cannot", async () => {
  await inDirectory(async (directory) => {
    await using hub = await HubServer.start({ [FILE]: MODEL });
    const folder = join(directory, "models");
    const env = {
      HF_HUB_CACHE: join(directory, "cache"),
      HF_ENDPOINT: `${hub.endpoint}/`,
      LLAMASAUR_MODELS: folder,
      HF_TOKEN: "secret",
    };
    hub.onHub = (_, response) => (response.writeHead(404).end(), true);
    const { code, out, err } = await run(["bge"], env);
    assertEquals([code, out, existsSync(folder)], [1, "", false]);
    assertMatch(err, /^error: bge: Cannot find hf:Comp[^\n]*404[^\n]*\n$/);
    hub.onHub = undefined;
    for (let i = 0; i < 2; i++) assertEquals(await run(["bge"], env), { code: 0, out: "", err: "" });
    assertEquals(hub.log.filter((line) => line.startsWith("GET storage")).length, 1);
    assertEquals(new Set(hub.tokens.hub), new Set(["Bearer secret"]));
    assertEquals(readdirSync(folder), ["bge-small-en-v1.5-q4_k_m.gguf"]);
    assertEquals(statSync(join(folder, "bge-small-en-v1.5-q4_k_m.gguf")).size, MODEL.length);
    const named = await run([`hf:${FILE}@v1`], env);
    assertMatch(named.out, new RegExp(`${COMMIT}.bge-small-en-v1.5-q4_k_m.gguf\n$`));
  });
});
