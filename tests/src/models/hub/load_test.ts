// Llama.load with `download: true`, and that without it nothing of the network code is even evaluated.
import { test } from "node:test";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { convert } from "../../../../convert.ts";
import { fixture, inDirectory } from "../../../support/checkpoint.ts";
import { findProgram, type Outcome, ROOT, runChild } from "../../../support/child.ts";
import { HubServer } from "../../../support/hub_server.ts";
import { LIBRARY } from "../../../support/packaging.ts";
import { libraryMissing as skip } from "../../../support/references.ts";

const isDeno = "Deno" in globalThis;
const NAME = "hf:owner/repo/model.gguf";

/**
 * A copy of the package in which each module of hub/ says that it is evaluated, and a program that loads models.
 *
 * @param directory It gets the copy.
 * @returns Runs the program with the arguments of `Llama.load`, on the hub that is given.
 */
function copyPackage(directory: string, endpoint: string): (model: string, options: object) => Promise<Outcome> {
  for (const name of ["src", "ffi", "mod.ts"]) cpSync(join(ROOT, name), join(directory, name), { recursive: true });
  const folder = join(directory, "src", "models", "hub");
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    writeFileSync(path, `${readFileSync(path, "utf8")}\nconsole.log("evaluated");\n`);
  }
  const main = join(directory, "main.ts");
  writeFileSync(
    main,
    `import { Llama } from "./mod.ts";
const [model, options] = JSON.parse(${isDeno ? "Deno.args[0]" : "process.argv[2]"});
const llama = await Llama.load(model, options).catch((error) => console.log(error.name));
if (llama) console.log("loaded", (await llama.embed("a")).length);
`,
  );
  const env = {
    HF_ENDPOINT: endpoint,
    HF_HUB_CACHE: join(directory, "cache"),
    LLAMASAUR_LIBRARY: LIBRARY,
    HF_TOKEN: "",
  };
  const command = isDeno ? ["run", "-A", "--no-check", main] : [main];
  return (model, options) =>
    runChild(findProgram(isDeno ? "deno" : "bun")!, [...command, JSON.stringify([model, options])], { env });
}

test("Llama.load() downloads with download: true alone, and only what is not there", { skip }, async () => {
  await inDirectory(async (directory) => {
    const tiny = join(directory, "tiny.gguf");
    await convert(fixture("tiny_bert"), tiny);
    await using hub = await HubServer.start({ "owner/repo/model.gguf": new Uint8Array(readFileSync(tiny)) });
    const load = copyPackage(directory, hub.endpoint);

    const plain = await load(NAME, {});
    assertEquals([plain.stdout, hub.log], ["ModelNotFoundError\n", []], plain.stderr);
    assertEquals((await load(tiny, { download: true })).stdout, "loaded 64\n");

    const got = await load(NAME, { download: true });
    assertEquals(got.stdout.replaceAll("evaluated\n", ""), "loaded 64\n", got.stderr);
    assertStringIncludes(got.stdout, "evaluated\n");
    assertEquals(hub.log.length > 0, true);

    hub.log.length = 0;
    for (const options of [{ download: true }, {}]) assertEquals((await load(NAME, options)).stdout, "loaded 64\n");
    assertEquals(hub.log, []);

    const missing = await load("hf:owner/repo/other.gguf", { download: true });
    assertStringIncludes(missing.stdout, "ModelNotFoundError\n");
  });
});
