import { test } from "node:test";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { readFileSync } from "node:fs";
import { assertEnded, inPlace } from "../../support/embed_place.ts";
import { failAt, writeJsonl } from "../../support/jobs.ts";
import { noSignals } from "../../support/program.ts";
import { libraryMissing as skip } from "../../support/references.ts";

test("embed --restart that ends before it begins leaves the earlier job, and prints the command that begins anew", {
  skip: skip || noSignals,
}, async () => {
  await inPlace(async ({ embed, embedHere, path, lines }) => {
    writeJsonl(path("in.jsonl"), 60, 1);
    const words = ["in.jsonl", "-o", "out.jsonl", "--checkpoint", "20"];
    assertEnded(await embedHere(words), 0);
    const [before, journal] = ["out.jsonl", "out.jsonl.job"].map((name) => readFileSync(path(name), "utf8"));
    const stopped = await embed([...words, "--restart"], { faulty: true, env: { LLAMASAUR_TEST_LOADING: "1" } });
    assertEnded(stopped, 130);
    assertStringIncludes(stopped.stderr, "stopped; 0 texts are done. To go on:\n\n");
    assertStringIncludes(stopped.stderr, ` embed ${words.join(" ")} --restart\n`);
    const env = { LLAMASAUR_MODEL: "none.gguf" };
    assertEnded(await embedHere([...words, "--restart"], { env }), 3);
    assertEnded(await embedHere([...words, "--restart", "--input-type", "query"]), 2);
    assertEquals(readFileSync(path("out.jsonl.job"), "utf8"), journal);
    assertStringIncludes((await embedHere(words)).stderr, "out.jsonl is complete: 60 texts");
    // Behind its first checkpoint it is a job as any other.
    failAt("before output", 2);
    assertEnded(await embedHere([...words, "--restart"]), 1);
    const again = await embedHere(words);
    assertEnded(again, 0);
    assertStringIncludes(again.stderr, "going on after 20 texts");
    assertEquals(readFileSync(path("out.jsonl"), "utf8"), before);
    assertEquals(lines("out.jsonl").length, 60);
    // Between the two jobs there is none, and the output is the earlier one's.
    failAt("before header", 1);
    assertEnded(await embedHere([...words, "--restart"]), 1);
    assertEquals(readFileSync(path("out.jsonl"), "utf8"), before);
    const refused = await embedHere(words);
    assertEnded(refused, 1);
    assertStringIncludes(refused.stderr, "no job made it; --restart replaces it");
    assertEnded(await embedHere([...words, "--restart"]), 0);
    assertEquals(readFileSync(path("out.jsonl"), "utf8"), before);
  });
});

test("embed --restart that is stopped behind its first checkpoint prints the command that goes on", {
  skip: skip || noSignals,
}, async () => {
  await inPlace(async ({ embed, embedHere, path }) => {
    writeJsonl(path("in.jsonl"), 60, 1);
    const words = ["in.jsonl", "-o", "out.jsonl", "--checkpoint", "20"];
    assertEnded(await embedHere(words), 0);
    const env = { LLAMASAUR_TEST_POINT: "before output:2:SIGINT" };
    const stopped = await embed([...words, "--restart"], { faulty: true, env });
    assertEnded(stopped, 130);
    assertStringIncludes(stopped.stderr, ` embed ${words.join(" ")}\n`);
    assertStringIncludes((await embedHere(words)).stderr, "going on after ");
  });
});
