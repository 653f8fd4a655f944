import { test } from "node:test";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { MODEL, noModel, runProgram } from "../../support/program.ts";
import { libraryMissing } from "../../support/references.ts";
import { runHere } from "../../support/run_here.ts";

const skip = libraryMissing || noModel;
const env = { LLAMASAUR_MODEL: MODEL };

test("llamasaur tokenize --json has ids, pieces, the count and the limit", { skip }, async () => {
  const { code, stdout, stderr } = await runProgram(["tokenize", "hello worlds", "--json"], { env });
  assertEquals([code, stderr], [0, ""]);
  assertEquals(JSON.parse(stdout), {
    model: MODEL,
    count: 4,
    limit: 256,
    cut: [],
    tokens: [
      { id: 101, piece: "[CLS]" },
      { id: 7592, piece: "▁hello" },
      { id: 8484, piece: "▁worlds" },
      { id: 102, piece: "[SEP]" },
    ],
  });
});

test("llamasaur tokenize prints a token a line, and tells what would be cut off", { skip }, async () => {
  const text = `${"word ".repeat(254)}river sea`;
  const { code, stdout, stderr } = await runHere(["tokenize", text], { env });
  assertEquals(code, 0, stderr);
  const lines = stdout.trimEnd().split("\n");
  assertEquals([lines.length, lines[0], lines.at(-1)], [258, ' 101  "[CLS]"', ' 102  "[SEP]"']);
  assertStringIncludes(stderr, "258 tokens of at most 256\n");
  assertStringIncludes(stderr, 'would be cut off: 2 tokens, from "▁river" on');
  const { stdout: json } = await runHere(["tokenize", text, "--json"], { env });
  assertEquals(JSON.parse(json).cut.map(({ piece }: { piece: string }) => piece), ["▁river", "▁sea"]);
});

test("llamasaur tokenize without a text is exit code 2", async () => {
  const { code, stdout } = await runHere(["tokenize"]);
  assertEquals([code, stdout], [2, ""]);
});
