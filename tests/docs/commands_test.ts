// Every command of llamasaur in README and docs, and in the help of its verbs, runs in a folder that has what they name.
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { copyFileSync, existsSync, readdirSync } from "node:fs";
import { join } from "@std/path";
import { blocksOf, readPage, userPages } from "../../scripts/docs/pages.ts";
import type { Verb } from "../../cli/verb.ts";
import { inDirectory } from "../support/checkpoint.ts";
import { ROOT } from "../support/child.ts";
import { writeJsonl } from "../support/jobs.ts";
import { MODEL, noModel, runProgram } from "../support/program.ts";
import { libraryMissing } from "../support/references.ts";

const skip = libraryMissing || noModel;
/** What may end otherwise where there is no network, or no terminal: their own tests run them. */
const ELSEWHERE = /^(pull|models|doctor|serve|backfill|worker|jobs|bench|build|convert|quantize|status vectors)\b/;

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
  const run = commands.filter((command) =>
    !ELSEWHERE.test(command) && !command.startsWith("-") && !/\b[A-Z]{4,}\b/.test(command.split(" ")[0]!)
  );
  if (run.length === 0) continue;
  test(`the commands of ${place} run: ${run[0]}`, { skip }, async () => {
    await inDirectory(async (directory) => {
      copyFileSync(join(ROOT, "README.md"), join(directory, "README.md"));
      writeJsonl(join(directory, "texts.jsonl"), 20, 1);
      for (const command of run) {
        const { code, stderr } = await runProgram(wordsOf(command), {
          cwd: directory,
          env: { LLAMASAUR_MODELS: join(MODEL, "..") },
        });
        assertEquals(code, 0, `${command}: ${stderr}`);
        const [, output] = / -o (\S+)/.exec(command) ?? [];
        if (output) assertEquals(existsSync(join(directory, output)), true, `${command}: makes ${output}`);
      }
    });
  });
}

/** The words of a command, without its comment. */
function wordsOf(command: string): string[] {
  const words = command.replace(/\s+#.*$/, "").match(/"[^"]*"|\S+/g) ?? [];
  return words.map((word) => word.replace(/^"(.*)"$/, "$1"));
}
