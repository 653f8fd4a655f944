#!/usr/bin/env bun
/**
 * Runs llamasaur's command line: `llamasaur VERB …`; `llamasaur --help` lists the verbs.
 *
 * To add a verb: write `verbs/NAME.ts` that exports `verb` (see `verb.ts`), add its line to `VERBS`, tests in
 * `tests/cli/verbs/NAME_test.ts`, its row in docs/command-line.md. A verb's file is loaded for its `--help`, so it
 * imports only light files of this folder; the library, and what else is heavy, it loads by `import()` in `run`
 * (`loadModel` of `model.ts` does so). It writes data with `session.write` or `session.json`, all else with
 * `session.say`, and throws a `UsageError` (exit code 2), a `Failure`, or the library's own errors.
 * `scripts/imports.ts` holds it to that; a new folder of `cli/` gets a row there.
 *
 * @module
 */
import type { Verb } from "./verb.ts";
import { VERSION } from "./version.ts";

/** A verb's line in the help, and its file. The import is written out, so that a bundle has it. */
interface Entry {
  readonly summary: string;
  readonly load: () => Promise<{ readonly verb: Verb<never> }>;
}

const VERBS: Readonly<Record<string, Entry>> = {
  embed: { summary: "vectors of the texts in files, lines or arguments", load: () => import("./verbs/embed.ts") },
  rerank: { summary: "texts in the order of how well they answer a query", load: () => import("./verbs/rerank.ts") },
  tokenize: { summary: "the tokens that a model makes of a text", load: () => import("./verbs/tokenize.ts") },
  pull: { summary: "a model from the hub", load: () => import("./verbs/pull.ts") },
  models: { summary: "models that are here, and those of the catalogue", load: () => import("./verbs/models.ts") },
  inspect: { summary: "what a model is, how it is used, what it takes", load: () => import("./verbs/inspect.ts") },
  doctor: { summary: "why something does not run, and what mends it", load: () => import("./verbs/doctor.ts") },
  status: { summary: "how far the job of an output is", load: () => import("./verbs/status.ts") },
  bench: { summary: "how fast a model is on this machine", load: () => import("./verbs/bench.ts") },
  build: { summary: "the native library, compiled here", load: () => import("./verbs/build.ts") },
  convert: { summary: "a checkpoint's folder as a GGUF file", load: () => import("./verbs/convert.ts") },
  quantize: { summary: "a GGUF file with smaller weights", load: () => import("./verbs/quantize.ts") },
  serve: {
    summary: "a server that speaks OpenAI, Jina, Cohere, Ollama and TEI",
    load: () => import("./verbs/serve.ts"),
  },
  backfill: { summary: "the plan of a table's vectors, for workers", load: () => import("./verbs/backfill.ts") },
  worker: { summary: "computes what backfill planned, beside other workers", load: () => import("./verbs/worker.ts") },
  jobs: {
    summary: "how far they are, what failed; retry, pause, resume, cancel",
    load: () => import("./verbs/jobs.ts"),
  },
};

/** Exit codes from here on are those after a signal. */
const SIGNALLED = 128;

const HELP = `Usage: llamasaur VERB [arguments] [options]

Embed and rerank text with GGUF models.

Verbs:
${Object.entries(VERBS).map(([name, { summary }]) => `  ${name.padEnd(10)} ${summary}`).join("\n")}

  llamasaur VERB --help   the arguments and options of a verb, with examples
  llamasaur --version     the version

A first try:
  llamasaur pull all-minilm-l6-v2
  llamasaur embed --model all-minilm-l6-v2 --text "a cat"`;

/** Runs a command, given as what follows the name of the program. Help and version load nothing else: they start as fast as an empty script. */
export async function main([name = "--help", ...rest]: readonly string[]): Promise<void> {
  const isHelp = ["--help", "-h", "help"].includes(name);
  const of = rest.find((word) => !["--help", "-h"].includes(word));
  if (isHelp && of === undefined) return await print(HELP);
  if (["--version", "-V"].includes(name)) return await print(`llamasaur ${VERSION}`);
  const [{ run }, { default: process }] = await Promise.all([import("./run.ts"), import("node:process")]);
  const verbs = new Map(Object.entries(VERBS).map(([verb, { load }]) => [verb, load]));
  const code = isHelp ? await run([of!, "--help"], verbs) : await run([name, ...rest], verbs);
  // A read of stdin that waits would keep Deno alive, also behind an error; what goes out is written there before it is returned.
  if (code >= SIGNALLED || code !== 0 && "Deno" in globalThis) process.exit(code);
  process.exitCode = code;
}

/** Prints a text, also where it cannot be written: Deno's console would throw, and Bun's say nothing. */
async function print(text: string): Promise<void> {
  try {
    if ("Deno" in globalThis) console.log(text);
    else (await import("node:fs")).writeSync(1, `${text}\n`);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "EPIPE") return;
    console.error(`error: Cannot write to stdout: ${message}`);
    (await import("node:process")).default.exitCode = 1;
  }
}

/** What follows the program's name. On Deno, node:process takes as long to load as an empty script takes to run (17 ms). */
async function given(): Promise<readonly string[]> {
  const { Deno: deno } = globalThis as { readonly Deno?: { readonly args: readonly string[] } };
  return deno?.args ?? (await import("node:process")).default.argv.slice(2);
}

if (import.meta.main) await main(await given());
