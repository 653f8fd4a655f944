import { test } from "node:test";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { convert } from "../../convert.ts";
import { fixture, inDirectory } from "../support/checkpoint.ts";
import { MODEL, noModel } from "../support/program.ts";
import { runHere } from "../support/run_here.ts";

// docs/command-line.md: 2 is wrong use, 3 a model that is not there. That the program ends with what run() gives: main_test.ts.
for (
  const [words, code, told] of [
    ["embed --model cross.gguf --text a", 2, "this model scores pairs of texts and gives no vectors"],
    ["serve --embed cross.gguf --port 0", 2, "this model scores pairs of texts and gives no vectors"],
    [`embed --model ${MODEL} --device cuda0 --text a`, 2, 'Cannot load on the device "cuda0"'],
    [`serve --embed ${MODEL} --device cuda0 --port 0`, 2, 'Cannot load on the device "cuda0"'],
    [`rerank ${".".repeat(300)} --model ${MODEL} --text a`, 2, "a query is never truncated"],
    ["convert nodir out.gguf", 2, "there is no such directory"],
    ["quantize none.gguf out.gguf q8_0", 2, "there is no such file"],
    [`quantize ${MODEL} out.gguf q4_0`, 2, "its weights are q8_0 already"],
    ["quantize cross.gguf ./cross.gguf q8_0", 2, "it is the input itself"],
    ["status none.jsonl", 2, "it has no job"],
    ["models rm none", 3, "it is not here"],
    ["embed --model none.gguf --text a", 3, "there is no such file"],
  ] as const
) {
  const name = words.replaceAll(MODEL, "MODEL").replace(/\.{9,}/, "LONG");
  test(`llamasaur ${name} is exit code ${code}, and says why`, { skip: noModel }, async () => {
    await inDirectory(async (cwd) => {
      if (words.includes("cross.gguf")) await convert(fixture("tiny_cross_encoder"), join(cwd, "cross.gguf"));
      const ended = await runHere(words.split(" "), { cwd });
      assertStringIncludes(ended.stderr, told);
      assertEquals([ended.code, ended.stdout], [code, ""]);
    });
  });
}
