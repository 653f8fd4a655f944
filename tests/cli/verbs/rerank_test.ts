import { test } from "node:test";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { writeFileSync } from "node:fs";
import { join } from "@std/path";
import { convert } from "../../../convert.ts";
import { Llama } from "../../../mod.ts";
import { fixture, inDirectory } from "../../support/checkpoint.ts";
import { promptedModel, randomTexts } from "../../support/jobs.ts";
import { MODEL, noModel, runProgram } from "../../support/program.ts";
import { libraryMissing } from "../../support/references.ts";
import { runHere } from "../../support/run_here.ts";

const skip = libraryMissing || noModel;
const env = { LLAMASAUR_MODEL: MODEL };
const TEXTS = ["Paris is a city.", "Bananas are yellow.", "A car drives."];
/** Every key of the object, with the type of its value. */
const KEYS = {
  model: "string",
  reranker: "string",
  fingerprint: "string",
  query: "string",
  documents: "number",
  truncated: "number",
  results: "object",
};
const RESULT = {
  id: "string",
  index: "number",
  score: "number",
  logit: "number",
  tokens: "number",
  truncated: "boolean",
  text: "string",
};

function typesOf(value: object): Record<string, string> {
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, typeof one]));
}

test("llamasaur rerank --json gives what rerank() gives, of lines, JSONL and --text", { skip }, async () => {
  await using llama = await Llama.load(MODEL);
  const expected = await llama.rerank("yellow fruit", TEXTS, { topN: 2 });
  await inDirectory(async (cwd) => {
    writeFileSync(join(cwd, "a.txt"), TEXTS.join("\n"));
    writeFileSync(join(cwd, "b.jsonl"), TEXTS.map((body) => JSON.stringify({ body })).join("\n"));
    const given = [["a.txt"], ["b.jsonl", "--field", "body"], TEXTS.flatMap((text) => ["--text", text]), ["-"]];
    for (const words of given) {
      const all = ["rerank", "yellow fruit", ...words, "--top", "2", "--json"];
      const { code, stdout, stderr } = words[0] === "-"
        ? await runProgram(all, { cwd, env, stdin: TEXTS.join("\n") })
        : await runHere(all, { cwd, env });
      assertEquals([code, stderr], [0, ""]);
      const { results, ...rest } = JSON.parse(stdout);
      assertEquals(typesOf({ ...rest, results }), KEYS);
      assertEquals([rest.reranker, rest.documents, rest.fingerprint], ["cosine", 3, llama.info.fingerprint]);
      for (const [i, { index, document, score, logit, tokens, truncated }] of expected.entries()) {
        const { id, ...found } = results[i];
        assertEquals(typesOf(results[i]), RESULT);
        assertEquals(found, { index, score, logit, tokens, truncated, text: document });
        assertStringIncludes(id, `:${index + 1}`);
      }
      assertEquals(results.length, 2);
    }
  });
});

test("llamasaur rerank prints scores and texts, best first, and tells what was cut", { skip }, async () => {
  const long = "word ".repeat(400);
  const stdin = [...TEXTS, long].join("\n");
  const { code, stdout, stderr } = await runProgram(["rerank", "yellow fruit", "-"], { env, stdin });
  assertEquals(code, 0);
  assertEquals(stdout.split("\n")[0]!.replace(/^0\.\d{4} {2}/, ""), '"Bananas are yellow."');
  assertEquals(stdout.split("\n").length, 5);
  const told = "1 of 4 texts was cut at 256 tokens; --truncate windows reads them whole";
  assertStringIncludes(stderr, told);
  const texts = [...TEXTS, long].flatMap((text) => ["--text", text]);
  const best = await runHere(["rerank", "yellow fruit", ...texts, "--top", "1"], { env }); // which was not cut
  assertEquals(best.stdout.split("\n").length, 2);
  assertStringIncludes(best.stderr, told);
});

test("llamasaur rerank ranks by --truncate, --instruction and --label as rerank() does", { skip }, async () => {
  await inDirectory(async (cwd) => {
    const prompted = await promptedModel(cwd, { query: "Instruct: find\nQuery:", document: "" });
    const classifier = join(cwd, "classifier.gguf");
    await convert(fixture("tiny_classifier"), classifier);
    const long = randomTexts(60, 3).join(" "); // more than either takes at once
    const cases = [
      [prompted, { truncate: "windows" }],
      [prompted, { truncate: "start" }],
      [prompted, { instruction: "name a river" }],
      [classifier, { label: "neutral" }],
    ] as const;
    for (const [model, options] of cases) {
      const documents = [...TEXTS, long];
      await using llama = await Llama.load(model, { onLog: () => {} });
      const [plain, expected] = [
        await llama.rerank("a river", documents),
        await llama.rerank("a river", documents, options),
      ];
      const scores = (ranked: typeof plain) =>
        ranked.map(({ index, score, truncated }) => ({ index, score, truncated }));
      const [name, value] = Object.entries(options)[0]!;
      assert(JSON.stringify(scores(plain)) !== JSON.stringify(scores(expected)), `${name} says something`);
      const words = ["a river", ...documents.flatMap((text) => ["--text", text]), `--${name}`, value, "--json"];
      const { code, stdout, stderr } = await runHere(["rerank", ...words, "--model", model], { cwd });
      assertEquals(code, 0, stderr);
      assertEquals(scores(JSON.parse(stdout).results), scores(expected), name);
    }
  });
});

test("llamasaur rerank names what is wrong, with its exit code", { skip }, async () => {
  await inDirectory(async (cwd) => {
    writeFileSync(join(cwd, "bad.jsonl"), '{"text":"a"}\n{"n":1}\n');
    const cases = [
      [[], 2, "missing required argument 'query'"],
      [["q"], 2, "Cannot rank nothing"],
      [["q", "none.txt"], 2, "there is no such file"],
      [["q", "--text", "a", "--top", "0"], 2, "Cannot read --top"],
      [["q", "bad.jsonl"], 1, 'bad.jsonl:2: it has no field "text"'],
      [["q", "--text", "word ".repeat(400), "--truncate", "error"], 2, "documents[0]"],
      [["q", "--text", "a", "--label", "x"], 2, "no labels"],
    ] as const;
    for (const [words, exit, told] of cases) {
      const { code, stdout, stderr } = await runHere(["rerank", ...words], { cwd, env });
      assertEquals([code, stdout], [exit, ""], stderr);
      assert(stderr.includes(told), stderr);
    }
  });
});
