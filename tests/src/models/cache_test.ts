import { test } from "node:test";
import { spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { assertEquals } from "@std/assert";
import { COMMIT, filesOf, KEPT, LAYOUT, MODEL, NAME, withHub } from "../../support/hub_server.ts";

test("download() gets a file once when two calls and two processes want it at once", async () => {
  await withHub(async (hub, cache, get) => {
    hub.onStorage = (_, response, body) => {
      response.writeHead(200, { "content-length": body.length }).write(body.subarray(0, 100_000));
      setTimeout(() => response.end(body.subarray(100_000)), 1500);
      return true;
    };
    const entry = JSON.stringify(new URL("../../../models.ts", import.meta.url).href);
    const options = JSON.stringify({ endpoint: hub.endpoint, cache });
    const code = `import { download } from ${entry}; console.log(await download("${NAME}", ${options}));`;
    const script = join(dirname(cache), "get.mjs");
    writeFileSync(script, code);
    const children = [1, 2].map(() => output(script));
    const paths = await Promise.all([get(), get(), ...children]);
    assertEquals(paths, Array(4).fill(join(cache, LAYOUT[2]!)));
    assertEquals(hub.log.filter((line) => line.startsWith("GET storage")), ["GET storage"]);
    assertEquals(filesOf(cache), KEPT);
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
