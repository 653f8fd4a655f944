import { test } from "node:test";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "@std/path";
import { fixture, inDirectory } from "../../support/checkpoint.ts";
import { runProgram } from "../../support/program.ts";
import { libraryMissing } from "../../support/references.ts";
import { runHere } from "../../support/run_here.ts";

test("llamasaur convert and quantize make the files that the functions make", { skip: libraryMissing }, async () => {
  await inDirectory(async (directory) => {
    const [f32, q8, direct] = ["f32", "q8", "direct"].map((name) => join(directory, `${name}.gguf`)) as [
      string,
      string,
      string,
    ];
    const made = await runProgram(["convert", fixture("tiny_bert"), f32]);
    assertEquals([made.code, made.stdout, made.stderr], [0, `${f32}\n`, ""]);
    const small = await runProgram(["quantize", f32, q8, "q8_0", "--json"]);
    assertEquals([small.code, JSON.parse(small.stdout)], [0, { path: q8, size: statSync(q8).size }]);
    assertEquals((await runHere(["convert", fixture("tiny_bert"), direct, "q8_0"])).code, 0);
    assert(statSync(q8).size < statSync(f32).size);
    assertEquals(readFileSync(direct).length, readFileSync(q8).length);
  });
});

test("llamasaur convert and quantize tell of a wrong type, a folder that is none and a missing argument", async () => {
  await inDirectory(async (directory) => {
    const out = join(directory, "out.gguf");
    const wrong = await runHere(["convert", fixture("tiny_bert"), out, "q9"]);
    assertEquals([wrong.code, wrong.stdout, existsSync(out)], [2, "", false]);
    assertStringIncludes(wrong.stderr, "type: it must be one of");
    assertEquals((await runHere(["convert", join(directory, "none"), out])).code, 2);
    assertEquals((await runHere(["quantize", out])).code, 2);
  });
});
