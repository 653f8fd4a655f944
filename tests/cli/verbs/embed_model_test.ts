import { test } from "node:test";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { readFileSync } from "node:fs";
import { Llama } from "../../../mod.ts";
import { assertEnded, inPlace, parsed } from "../../support/embed_place.ts";
import { HubServer, NAME } from "../../support/hub_server.ts";
import { promptedModel } from "../../support/jobs.ts";
import { PROGRAM } from "../../support/program.ts";
import { libraryMissing as skip } from "../../support/references.ts";
import { runHere } from "../../support/run_here.ts";

const UNUSED = "this model has prompts: --input-type query or document puts them before each text; now there is none\n";

test("embed of a model with prompts says so where none is asked for, and puts the one that is before each text", {
  skip,
}, async () => {
  await inPlace(async ({ embedHere, path }) => {
    const prompts = { query: "the cat: ", document: "passage: " };
    const model = await promptedModel(path("."), prompts);
    const vectorOf = async (words: readonly string[], told: string): Promise<number[]> => {
      const ended = await embedHere(["--text", "a river", ...words], { env: { LLAMASAUR_MODEL: model } });
      assertEnded(ended, 0);
      assertEquals(ended.stderr, told, words.join(" "));
      return parsed(ended.stdout)[0]!.embedding;
    };
    await using llama = await Llama.load(model);
    assertEquals(llama.info.prompts, prompts);
    const expected = async (text: string): Promise<number[]> => [...await llama.embed(text)];
    const plain = await expected("a river");
    assertEquals(new Float32Array(await vectorOf([], UNUSED)), new Float32Array(plain));
    for (
      const [words, prompt] of [
        [["--input-type", "query"], prompts.query],
        [["--input-type", "document"], prompts.document],
        [["--prompt", prompts.query], prompts.query],
      ] as const
    ) {
      const prompted = await expected(`${prompt}a river`);
      assert(prompted.some((x, i) => x !== plain[i]), "the prompt changes the vector");
      assertEquals(new Float32Array(await vectorOf(words, "")), new Float32Array(prompted));
    }
  });
});

test("--download, or LLAMASAUR_DOWNLOAD, gets a model that is not here before it is used; without it nobody is asked", {
  skip,
}, async () => {
  await inPlace(async ({ path, embed, embedHere }) => {
    await using hub = await HubServer.start({ [NAME.slice("hf:".length)]: readFileSync(path("tiny.gguf")) });
    const env = (cache: string) => ({
      HF_ENDPOINT: hub.endpoint,
      HF_HUB_CACHE: path(cache),
      LLAMASAUR_MODELS: path("none"),
      LLAMASAUR_MODEL: NAME,
    });
    const words = ["--text", "a cat"];
    const ended = await embed(words, { env: env("embed") });
    assertEnded(ended, 3);
    assertStringIncludes(ended.stderr, ` pull ${NAME}\n`);
    assertEquals(hub.log, []);
    const local = await embedHere(words);
    const got = await embedHere([...words, "--download"], { env: env("embed") });
    assertEnded(got, 0);
    assertEquals([got.stdout, got.stderr], [local.stdout, ""]);
    const asked = hub.log.splice(0).length;
    assert(asked > 0);
    for (const verb of [["rerank", "a dog", ...words], ["tokenize", "a cat"]]) {
      const cache = env(verb[0]!);
      const { code, stderr } = await runHere(verb, { env: { ...cache, LLAMASAUR_DOWNLOAD: "1" } });
      assertEquals([code, hub.log.splice(0).length], [0, asked], `${PROGRAM} ${verb.join(" ")}: ${stderr}`);
    }
  });
});
