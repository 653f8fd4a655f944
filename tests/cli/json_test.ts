// What `--json` prints is what docs/command-line.schema.json says, of every verb that prints JSON once and ends.
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "@std/path";
import type { Verb } from "../../cli/verb.ts";
import { ggufOf, HubServer } from "../support/hub_server.ts";
import { fixture, inDirectory } from "../support/checkpoint.ts";
import { ROOT } from "../support/child.ts";
import { MODEL, noModel } from "../support/program.ts";
import { libraryMissing } from "../support/references.ts";
import { runHere } from "../support/run_here.ts";
import { assertSchema, SCHEMAS } from "../support/schema.ts";

const skip = libraryMissing || noModel;
const RERANKER = join(ROOT, "tests", "fixtures", "families", "bge_gemma_reranker.gguf");
/** Verbs that serve, or work on a database: their own pages and tests say what they print. */
const OTHERS = ["serve", "backfill", "worker", "jobs"];

test("docs/command-line.schema.json has every verb", () => {
  const verbs = readdirSync(join(ROOT, "cli", "verbs")).map((file) => file.replace(".ts", ""));
  const described = new Set(Object.keys(SCHEMAS).map((name) => name.split(" ")[0]!));
  assertEquals(verbs.filter((verb) => !OTHERS.includes(verb)).sort(), [...described].sort());
});

test("docs/command-line.md has every option of every verb, and cli/README.md every verb", async () => {
  const page = readFileSync(join(ROOT, "docs", "command-line.md"), "utf8");
  const readme = readFileSync(join(ROOT, "cli", "README.md"), "utf8");
  for (const file of readdirSync(join(ROOT, "cli", "verbs"))) {
    const name = file.replace(".ts", "");
    const { verb }: { verb: Verb } = await import(`../../cli/verbs/${file}`);
    if (OTHERS.includes(name)) continue;
    assert(readme.includes(`\`${name}`), `cli/README.md has no ${name}`);
    for (const { flags } of verb.options) {
      assert(page.includes(`\`${flags}\``), `docs/command-line.md has no ${name} ${flags}`);
    }
  }
});

test("docs/command-line.md has every name of what --json prints", () => {
  const page = readFileSync(join(ROOT, "docs", "command-line.md"), "utf8");
  for (const [verb, of] of Object.entries(SCHEMAS)) {
    const names = Object.keys((of as { readonly properties?: object }).properties ?? {});
    assertEquals(names.filter((name) => !page.includes(`\`${name}\``)), [], verb);
  }
});

test("--json of every verb is what its schema says", { skip }, async () => {
  await using hub = await HubServer.start({ "owner/repo/model.gguf": ggufOf(1000) });
  await inDirectory(async (directory) => {
    const NAME = "hf:owner/repo/model.gguf";
    const env = {
      HF_ENDPOINT: hub.endpoint,
      HF_HUB_CACHE: join(directory, "hub"),
      LLAMASAUR_MODELS: join(directory, "none"),
      XDG_CACHE_HOME: join(directory, "cache"), // doctor counts the bytes of all that is there
    };
    const [out, f32, q8] = ["out.jsonl", "f32.gguf", "q8.gguf"].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    const texts = ["--text", "a cat", "--text", "word ".repeat(300)];
    const runs: readonly (readonly [name: string, words: readonly string[]])[] = [
      ["embed", ["embed", ...texts, "--model", MODEL]],
      ["embed", ["embed", ...texts, "--model", MODEL, "--encoding", "base64"]],
      ["embed -o", ["embed", ...texts, "--model", MODEL, "-o", out, "--json"]],
      ["status", ["status", out, "--json"]],
      ["rerank", ["rerank", "a pet", ...texts, "--model", MODEL, "--json"]],
      ["rerank", ["rerank", "a pet", "--text", "a cat", "--model", RERANKER, "--json"]],
      ["tokenize", ["tokenize", "word ".repeat(300), "--model", MODEL, "--json"]],
      ["pull", ["pull", NAME, "--json"]],
      ["models", ["models", "--json"]],
      ["models path", ["models", "path", NAME, "--json"]],
      ["models verify", ["models", "verify", "--json"]],
      ["models rm", ["models", "rm", NAME, "--yes", "--json"]],
      ["inspect", ["inspect", MODEL, "--json", "--tensors"]],
      ["inspect", ["inspect", RERANKER, "--json"]],
      ["doctor", ["doctor", "--model", MODEL, "--json"]],
      ["build", ["build", "--dry-run", "--json"]],
      ["convert", ["convert", fixture("tiny_bert"), f32, "--json"]],
      ["quantize", ["quantize", f32, q8, "q8_0", "--json"]],
    ];
    for (const [name, words] of runs) {
      const { code, stdout, stderr } = await runHere(words, { env });
      assertEquals(code, 0, `${words.join(" ")}: ${stderr}`);
      assertSchema(name, stdout);
    }
    const tried = [...runs.map(([name]) => name), "bench"]; // which takes seconds, and is tried once: verbs/bench_test.ts
    assertEquals(new Set(tried), new Set(Object.keys(SCHEMAS)));
  });
});
