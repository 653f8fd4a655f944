import { test } from "node:test";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { readFileSync } from "node:fs";
import { join } from "@std/path";
import { inDirectory } from "../../support/checkpoint.ts";
import { ggufOf, HubServer } from "../../support/hub_server.ts";
import { PROGRAM, runProgram } from "../../support/program.ts";
import { runHere } from "../../support/run_here.ts";

const MODEL = ggufOf(100_000);
const NAME = "hf:owner/repo/model.gguf";

test("llamasaur pull gets a model and prints its path, and the second time asks nobody", async () => {
  await using hub = await HubServer.start({ "owner/repo/model.gguf": MODEL });
  await inDirectory(async (cache) => {
    const env = { HF_ENDPOINT: hub.endpoint, HF_HUB_CACHE: cache };
    const { code, stdout, stderr } = await runProgram(["pull", NAME], { env });
    assertEquals([code, stderr], [0, ""]);
    const path = stdout.trimEnd();
    assertEquals(path.startsWith(cache), true, path);
    assertEquals(new Uint8Array(readFileSync(path)), MODEL);
    hub.log.length = 0;
    const again = await runHere(["pull", NAME, "--json"], { env });
    assertEquals([again.code, again.stderr], [0, ""]);
    assertEquals(JSON.parse(again.stdout), { model: NAME, path, size: MODEL.length });
    assertEquals(hub.log, []);
  });
});

test("llamasaur pull tells what is wrong, with its exit code", async () => {
  await using hub = await HubServer.start({});
  await inDirectory(async (cache) => {
    const env = { HF_ENDPOINT: hub.endpoint, HF_HUB_CACHE: join(cache, "hub") };
    const cases = [
      [["pull"], 2, "missing required argument 'model'", {}],
      [["pull", "models/none.gguf"], 2, "Cannot download", {}],
      [["pull", "https://example.com/a.gguf"], 2, "Cannot read model", {}],
      [["pull", "hf:owner"], 2, "hf:owner", {}],
      [["pull", "all-minilm"], 3, "the catalogue has no such name", {}],
      [["pull", NAME], 3, "owner/repo", {}],
      [["pull", NAME], 3, `\n\n  ${PROGRAM} pull all-minilm-l6-v2\n`, {}], // not what has just failed
      [["pull", NAME], 1, "; name a mirror with HF_ENDPOINT, or load a model by the path of its file", {
        HF_ENDPOINT: "http://127.0.0.1:1",
      }],
    ] as const;
    for (const [words, exit, told, more] of cases) {
      const { code, stdout, stderr } = await runHere(words, { env: { ...env, ...more } });
      assertEquals([code, stdout], [exit, ""], `${words.join(" ")}: ${stderr}`);
      assertStringIncludes(stderr, told);
    }
  });
});
