// Checks the shell lines of the pages without running them: programs, files, tasks, flags.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseCommandLine } from "../../build/cli.ts";
import type { Repository } from "./pages.ts";

type Commands = Pick<Repository, "root" | "tasks">;

/** Other people's programs, of which only the beginning of the line is known. */
const FOREIGN = [
  /^git clone /,
  /^npm (pack|install)\b/,
  /^bun (add|x llamasaur-build)\b/,
  /^sudo (apt|dnf) install /,
  /^deno (doc|install) /,
  /^bunx llamasaur\b/,
  /^curl /,
];
const PLACEHOLDER = /^[A-Z][A-Z_]*$/;

/** What is wrong with the lines of a shell block, each as one line. */
export function wrongCommands(code: string, commands: Commands): string[] {
  return code.split("\n").flatMap((line) => {
    const bare = line.replace(/\s+#.*$/, "").trim();
    if (bare === "" || bare.startsWith("#")) return [];
    return bare.split(/\s+(?:&&|\|\|)\s+/).flatMap((command) => {
      const wrong = wrongCommand(command, commands);
      return wrong === undefined ? [] : [`\`${command}\`: ${wrong}`];
    });
  });
}

function wrongCommand(command: string, commands: Commands): string | undefined {
  const words = command.replace(/^(\w+=\S* )+/, "").split(/\s+/);
  const [program = "", ...args] = words;
  if (program === "cd" || FOREIGN.some((one) => one.test(words.join(" ")))) return undefined;
  if (program === "." || program === "bash") return wrongFile(args[0] ?? "", args.slice(1), commands);
  if (program === "deno" && args[0] === "task") return wrongTask(args[1] ?? "", args.slice(2), commands);
  if (program === "deno" && args[0] === "run") return wrongProgram(args.slice(1), commands);
  if (program === "llamasaur") return wrongVerb(args[0] ?? "", commands);
  if (program === "bun") return wrongProgram(args, commands);
  if (program.includes("/")) return wrongFile(program.replace(/^\.\//, ""), args, commands);
  return "this program is unknown: teach scripts/docs/shell.ts what to check";
}

/** Whether these commands work is for tests/docs/commands_test.ts, which runs them. */
function wrongVerb(verb: string, { root }: Commands): string | undefined {
  if (verb.startsWith("-") || PLACEHOLDER.test(verb)) return undefined;
  return existsSync(join(root, "cli", "verbs", `${verb}.ts`)) ? undefined : `llamasaur has no verb ${verb}`;
}

function wrongTask(name: string, args: readonly string[], commands: Commands): string | undefined {
  const command = commands.tasks.get(name);
  if (command === undefined) return `deno.json has no task ${name}`;
  const file = command.split(" ").find((word) => word.endsWith(".ts"));
  return file === undefined ? undefined : wrongFile(file, args, commands);
}

/** The arguments of `deno run` or `bun`: the runtime's flags, a file, the file's arguments. */
function wrongProgram(args: readonly string[], commands: Commands): string | undefined {
  const at = args.findIndex((word) => !word.startsWith("-"));
  const file = args[at];
  if (file === undefined) return "it names no file";
  if (/^(jsr|npm):/.test(file) || file === "main.ts") return undefined; // the reader's own
  return wrongFile(file, args.slice(at + 1), commands);
}

function wrongFile(file: string, args: readonly string[], { root }: Commands): string | undefined {
  if (!existsSync(join(root, file))) return `there is no ${file}`;
  if (file === "build/mod.ts") return wrongBuild(args);
  if (file === "examples/run.sh") {
    const [name] = args.filter((word) => !word.startsWith("-"));
    if (name === undefined || PLACEHOLDER.test(name) || existsSync(join(root, "examples", `${name}.ts`))) {
      return undefined;
    }
    return `there is no example ${name}`;
  }
  const text = readFileSync(join(root, file), "utf8");
  const unknown = args.find((word) => word.startsWith("--") && !text.includes(word.split("=")[0]!));
  return unknown === undefined ? undefined : `${file} knows no ${unknown}`;
}

function wrongBuild(args: readonly string[]): string | undefined {
  try {
    parseCommandLine(args.filter((word) => word !== "[flags]").map((word) => word === "N" ? "2" : word));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
