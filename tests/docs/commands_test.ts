// Every command of llamasaur in README and docs, and in the help of its verbs, runs in a folder that has what they name.
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "@std/path";
import { blocksOf, readPage, userPages } from "../../scripts/docs/pages.ts";
import { catalogue } from "../../src/models/catalogue.ts";
import type { Verb } from "../../cli/verb.ts";
import { fixture, inDirectory } from "../support/checkpoint.ts";
import { ROOT } from "../support/child.ts";
import { HubServer } from "../support/hub_server.ts";
import { writeJsonl } from "../support/jobs.ts";
import { MODEL, noModel, runProgram } from "../support/program.ts";
import { libraryMissing } from "../support/references.ts";

const skip = libraryMissing || noModel;

/** Why a command does not run here; its own tests run it. */
function elsewhere(command: string): string | undefined {
  if (/^(backfill|worker|jobs)\b/.test(command)) return "needs PostgreSQL";
  if (/^serve\b/.test(command) && !command.includes("--print-config")) return "does not end";
  return /^[A-Z]{4,}\b/.test(command) ? "names no verb" : undefined;
}

/** Commands that make what others read, by its name. */
const MAKES: Readonly<Record<string, string>> = {
  "vectors.jsonl": "embed texts.jsonl --model all-minilm-l6-v2 -o vectors.jsonl",
  "minilm-f32.gguf": "convert all-MiniLM-L6-v2 minilm-f32.gguf",
};

const blocks = userPages(ROOT).flatMap((page) => blocksOf(page, readPage(ROOT, page)));
const ofPages = blocks.filter(({ language }) => language === "sh").flatMap(({ page, code }) => {
  const commands = code.split("\n").filter((line) => line.startsWith("llamasaur ")).map((line) => line.slice(10));
  return commands.length > 0 ? [[page, commands] as const] : [];
});
const ofVerbs = await Promise.all(
  readdirSync(join(ROOT, "cli", "verbs")).sort().map(async (file) => {
    const { verb }: { verb: Verb } = await import(`../../cli/verbs/${file}`);
    return [`llamasaur ${file.replace(".ts", "")} --help`, verb.examples] as const;
  }),
);

for (const [place, commands] of [...ofPages, ...ofVerbs]) {
  const run = commands.filter((command) => elsewhere(command) === undefined);
  if (run.length === 0) continue;
  test(`the commands of ${place} run: ${run[0]}`, { skip }, async () => {
    await using hub = await HubServer.start(modelsOfHub());
    await inDirectory(async (directory) => {
      const cwd = join(directory, "texts");
      prepare(cwd);
      const env = {
        HF_ENDPOINT: hub.endpoint,
        HF_HUB_CACHE: join(directory, "hub"),
        LLAMASAUR_MODELS: join(directory, "none"),
      };
      for (const command of [...before(run), ...run]) {
        const { code, stderr } = await runProgram(wordsOf(command), { cwd, env });
        assertEquals(code, 0, `${command}: ${stderr}`);
        for (const output of outputsOf(command)) {
          assertEquals(existsSync(join(cwd, output)), true, `${command}: makes ${output}`);
        }
      }
    });
  });
}

/** The files that commands pull. What they hold is the same small model. */
function modelsOfHub(): Record<string, Uint8Array> {
  const { repository, file } = catalogue["all-minilm-l6-v2"];
  const named = ofVerbs.flatMap(([, examples]) => examples).flatMap((example) => {
    return /^pull hf:([^@]+)$/.exec(example)?.[1] ?? [];
  });
  const bytes = readFileSync(MODEL);
  return Object.fromEntries([`${repository}/${file}`, ...named].map((path) => [path, bytes]));
}

/** Makes the folder that the commands run in, with a small checkpoint under a known one's name. */
function prepare(cwd: string): void {
  mkdirSync(cwd);
  cpSync(fixture("tiny_bert"), join(cwd, "all-MiniLM-L6-v2"), { recursive: true });
  copyFileSync(join(ROOT, "README.md"), join(cwd, "README.md"));
  writeJsonl(join(cwd, "texts.jsonl"), 20, 1);
}

/** The commands that make what these read: the model is not here yet. */
function before(commands: readonly string[]): string[] {
  const [made, words] = [commands.flatMap(outputsOf), commands.flatMap(wordsOf)];
  const makers = Object.entries(MAKES).filter(([name]) => words.includes(name) && !made.includes(name));
  const pull = commands[0]!.startsWith("pull ") ? [] : ["pull all-minilm-l6-v2"];
  return [...pull, ...makers.map(([, command]) => command)];
}

/** The files that a command makes. */
function outputsOf(command: string): string[] {
  const [, output] = / -o (\S+)/.exec(command) ?? /^(?:convert|quantize) \S+ (\S+)/.exec(command) ?? [];
  return output === undefined ? [] : [output];
}

/** The words of a command, without its comment. */
function wordsOf(command: string): string[] {
  const words = command.replace(/\s+#.*$/, "").match(/"[^"]*"|\S+/g) ?? [];
  return words.map((word) => word.replace(/^"(.*)"$/, "$1"));
}
