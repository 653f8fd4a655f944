// What is said once at the start, by what was settled.
import { test } from "node:test";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { banner } from "../../../cli/serve/banner.ts";
import { settle } from "../../../cli/serve/settings.ts";

const MODELS = { embed: ["a.gguf=a,b"], rerank: ["r.gguf"] };

test("banner() has URL, names by role, prompts and what is to be copied", () => {
  assertEquals(banner(settle(MODELS), 8411, ["a", "a@query", "r"]).split("\n"), [
    "llamasaur serves http://127.0.0.1:8411",
    "  embed   a, b  (prompts known: a@query)",
    "  rerank  r",
    "  keys    none needed",
    "Open WebUI, Admin Settings, Documents:",
    "  Embedding Model Engine  OpenAI, URL http://127.0.0.1:8411/v1, model a",
    "  Reranking Engine        External, URL http://127.0.0.1:8411/v1/rerank, model r",
  ]);
});

test("banner() says that an address for listening alone is none to copy", () => {
  for (const [host, url] of [["0.0.0.0", "http://0.0.0.0:1"], ["[::]", "http://[::]:1"]] as const) {
    const said = banner(settle({ ...MODELS, host, auth: false }), 1, ["a", "r"]);
    assertStringIncludes(said, `llamasaur serves ${url}\n  others  reach it by a name of this machine, in place of `);
  }
});

test("banner() says of a lazy model that its prompts are not known yet", () => {
  assertStringIncludes(banner(settle({ ...MODELS, lazy: true }), 1, ["a", "r"]), "(prompts not known before the first");
});
