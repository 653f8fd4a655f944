import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "@std/path";
import { inDirectory } from "../../support/checkpoint.ts";
import { ROOT } from "../../support/child.ts";
import { readGguf } from "../../support/gguf_reader.ts";
import { MODEL, noModel, runProgram } from "../../support/program.ts";
import { libraryMissing } from "../../support/references.ts";
import { runHere } from "../../support/run_here.ts";

const skip = libraryMissing || noModel;
const env = { LLAMASAUR_MODELS: join(ROOT, "models") };
const family = (name: string) => join(ROOT, "tests", "fixtures", "families", `${name}.gguf`);

test("llamasaur inspect --json describes a model by its file or its name", { skip }, async () => {
  const about = JSON.parse((await runProgram(["inspect", MODEL, "--json"])).stdout);
  const { architecture, type, dimensions, pooling, maxTokens, contextLength, reranker, exact, labels, template } =
    about;
  assertEquals(
    { architecture, type, dimensions, pooling, maxTokens, contextLength, reranker, exact, labels, template },
    {
      architecture: "bert",
      type: "Q8_0",
      dimensions: 384,
      pooling: "mean",
      maxTokens: 256,
      contextLength: 512,
      reranker: "cosine",
      exact: true,
      labels: [],
      template: null,
    },
  );
  assertEquals([about.model, about.path, about.prompts], [MODEL, MODEL, null]);
  assertEquals(about.specialTokens.bos, { id: 101, piece: "[CLS]" });
  assertEquals(about.around, { before: ["[CLS]"], after: ["[SEP]"] });
  const { code, stdout, stderr } = await runHere(["inspect", "--json"], {
    env: { ...env, LLAMASAUR_MODEL: "all-minilm-l6-v2" },
  });
  assertEquals([code, stderr], [0, ""]);
  assertEquals(JSON.parse(stdout), { ...about, model: "all-minilm-l6-v2", prompts: { query: "", document: "" } });
});

test("llamasaur inspect tells the memory of more texts, and lists tensors", { skip }, async () => {
  const args = ["inspect", MODEL, "--texts", "5000", "--tokens", "10", "--tensors"];
  const { memory, tensors } = JSON.parse((await runHere([...args, "--json"])).stdout);
  assertEquals([memory.texts, memory.tokens, memory.total], [
    5000,
    10,
    memory.weights + memory.contexts + memory.outputs,
  ]);
  assert(memory.outputs >= 5000 * 384 * 4, `${memory.outputs}`);
  assertEquals(tensors.map(({ name }: { name: string }) => name), [...readGguf(MODEL).tensors.keys()]);
  const { code, stdout, stderr } = await runHere(args);
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /\ntoken_embd\.weight +30522 x 384 +q8_0 +12\.5 MB\n/);
  assertStringIncludes(stdout, " for 5,000 texts of 10 tokens: weights ");
});

test(
  "llamasaur inspect says how a reranker ranks, its labels, and what it lacks",
  { skip: libraryMissing },
  async () => {
    const ranker = JSON.parse((await runHere(["inspect", family("xlm_roberta_reranker"), "--json"])).stdout);
    assertEquals([ranker.reranker, ranker.labels, ranker.pooling], ["cross-encoder", ["LABEL_0"], "rank"]);
    const asked = JSON.parse((await runHere(["inspect", family("bge_gemma_reranker"), "--json"])).stdout);
    assertEquals([asked.reranker, asked.exact], ["yes-no", false]);
    assertEquals(asked.around, { before: ["<bos>"], after: [] });
    assertEquals(asked.warnings, asked.exactness.lacks);
    const { stdout } = await runHere(["inspect", family("bge_gemma_reranker")]);
    assertStringIncludes(stdout, "\nlacks         Bge_Gemma_Model has no template for pairs");
  },
);

test("llamasaur inspect of no model is exit code 2, of one that is not there 3, of one that is broken 1", async () => {
  await inDirectory(async (directory) => {
    const cut = join(directory, "cut.gguf");
    writeFileSync(cut, readFileSync(family("xlm_roberta_reranker")).subarray(0, 100_000));
    const env = { HF_HUB_CACHE: directory, LLAMASAUR_MODELS: directory };
    for (
      const [words, exit, told] of [
        [[], 2, "pull all-minilm-l6-v2"],
        [["all-minilm-l6-v2"], 3, "pull all-minilm-l6-v2"],
        [["none/none.gguf"], 3, "there is no such file"],
        [[MODEL, "--texts", "many"], 2, "--texts"],
        ...libraryMissing ? [] : [[[cut], 1, "the file is cut off or damaged"] as const],
      ] as const
    ) {
      const { code, stdout, stderr } = await runHere(["inspect", ...words], { env });
      assertEquals([code, stdout], [exit, ""], stderr);
      assertStringIncludes(stderr, told);
    }
  });
});
