import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { ROOT } from "../../support/child.ts";
import { MODEL, noModel, runProgram } from "../../support/program.ts";
import { libraryMissing } from "../../support/references.ts";
import { runHere } from "../../support/run_here.ts";
import { assertSchema } from "../../support/schema.ts";

const skip = libraryMissing || noModel;
const RERANKER = join(ROOT, "tests", "fixtures", "families", "xlm_roberta_reranker.gguf");

test("llamasaur bench tells rates, times and memory, and prints a line to share", { skip }, async () => {
  const { code, stdout, stderr } = await runProgram(["bench", MODEL, "--seconds", "1"]);
  assertEquals([code, stderr], [0, ""]);
  assertMatch(
    stdout,
    /^texts +\d[\d,]* a second, .*\nquery +\S+ ms .*\nload +\d+ ms\nmemory +\S+ MB at the peak\n(weights +Q8_0.* fastest.*\n)?\nllamasaur .*\n$/,
  );
  const json = (await runHere(["bench", RERANKER, "--seconds", "1", "--json"])).stdout;
  assertSchema("bench", json);
  const about = JSON.parse(json);
  assertEquals([about.unit, about.architecture, about.dimensions], ["pairs", "bert", 32]);
  for (const key of ["perSecond", "tokensPerSecond", "queryMilliseconds", "loadMilliseconds", "peakMemory"]) {
    assert(about[key] > 0, `${key}: ${about[key]}`);
  }
  assertStringIncludes(about.share, " pairs/s, ");
});

test("llamasaur bench takes at most 50 seconds of measuring, and a model", async () => {
  for (const [words, told] of [[["--seconds", "60"], "from 1 to 50"], [[], "pull all-minilm-l6-v2"]] as const) {
    const { code, stderr } = await runHere(["bench", ...words]);
    assertEquals(code, 2);
    assertStringIncludes(stderr, told);
  }
});
