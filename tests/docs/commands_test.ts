// Every command of llamasaur in README and docs, and in the help of its verbs, runs in a folder that has what they name.
import { after, test } from "node:test";
import { assertEquals } from "@std/assert";
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "@std/path";
import { blocksOf, readPage, userPages } from "../../scripts/docs/pages.ts";
import { catalogue } from "../../src/models/catalogue.ts";
import type { Verb } from "../../cli/verb.ts";
import { fixture, inDirectory } from "../support/checkpoint.ts";
import { ROOT } from "../support/child.ts";
import { HubServer } from "../support/hub_server.ts";
import { tinyModel, writeJsonl } from "../support/jobs.ts";
import { libraryMissing as skip } from "../support/references.ts";
import { runHere } from "../support/run_here.ts";

const shared = mkdtempSync(join(tmpdir(), "llamasaur-commands-"));
after(() => rmSync(shared, { recursive: true, force: true }));

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

/** Runs a command that must end well, and make its outputs. */
async function runs(command: string, cwd: string, hub: string, cache: string): Promise<void> {
  // A libraries' cache of its own: doctor counts the bytes of all that is there.
  const env = {
    HF_ENDPOINT: hub,
    HF_HUB_CACHE: cache,
    LLAMASAUR_MODELS: join(shared, "none"),
    XDG_CACHE_HOME: join(shared, "cache"),
  };
  const { code, stderr } = await runHere(wordsOf(command), { cwd, env });
  assertEquals(code, 0, `${command}: ${stderr}`);
  for (const output of outputsOf(command)) {
    assertEquals(existsSync(join(cwd, output)), true, `${command}: makes ${output}`);
  }
}

let pulled: Promise<string> | undefined;

/** A hub's cache that has the model, pulled by the first command that needs it. */
async function pull(hub: string): Promise<string> {
  const cache = join(shared, "hub");
  await runs("pull all-minilm-l6-v2", shared, hub, cache);
  return cache;
}

const seen = new Set<string>();
for (const [place, commands] of [...ofPages, ...ofVerbs]) {
  // What stands in two places is the same command in the same folder: it runs once.
  const run = commands.filter((command) => elsewhere(command) === undefined && !seen.has(wordsOf(command).join(" ")));
  for (const command of run) seen.add(wordsOf(command).join(" "));
  if (run.length === 0) continue;
  test(`the commands of ${place} run: ${run[0]}`, { skip }, async () => {
    await using hub = await HubServer.start(await modelsOfHub());
    await inDirectory(async (directory) => {
      const [cwd, cache] = [join(directory, "texts"), join(directory, "hub")];
      prepare(cwd);
      if (!run[0]!.startsWith("pull ")) {
        cpSync(await (pulled ??= pull(hub.endpoint)), cache, { recursive: true, verbatimSymlinks: true });
      }
      for (const command of [...makersOf(run), ...run]) await runs(command, cwd, hub.endpoint, cache);
    });
  });
}

/** The files that commands pull. What they hold is the same tiny model. */
async function modelsOfHub(): Promise<Record<string, Uint8Array>> {
  const { repository, file } = catalogue["all-minilm-l6-v2"];
  const named = ofVerbs.flatMap(([, examples]) => examples).flatMap((example) => {
    return /^pull hf:([^@]+)$/.exec(example)?.[1] ?? [];
  });
  const bytes = readFileSync(await (tiny ??= tinyModel(shared)));
  return Object.fromEntries([`${repository}/${file}`, ...named].map((path) => [path, bytes]));
}

let tiny: Promise<string> | undefined;

/** Makes the folder that the commands run in, with a small checkpoint under a known one's name. */
function prepare(cwd: string): void {
  mkdirSync(cwd);
  cpSync(fixture("tiny_bert"), join(cwd, "all-MiniLM-L6-v2"), { recursive: true });
  copyFileSync(join(ROOT, "README.md"), join(cwd, "README.md"));
  writeJsonl(join(cwd, "texts.jsonl"), 20, 1);
}

/** The commands that make what these read. */
function makersOf(commands: readonly string[]): string[] {
  const [made, words] = [commands.flatMap(outputsOf), commands.flatMap(wordsOf)];
  const makers = Object.entries(MAKES).filter(([name]) => words.includes(name) && !made.includes(name));
  return makers.map(([, command]) => command);
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
