/** Says how this program is called, so that a command that it prints can be pasted. */
import { relative } from "node:path";
import process from "node:process";
import { shellWord } from "./quote.ts";

/**
 * A command of this program.
 *
 * @param words What follows the program's name.
 * @returns The command for a POSIX shell: `llamasaur …`, and from a checkout the file with its runtime.
 */
export function commandLine(words: readonly string[]): string {
  return [...program(), ...words].map((word) => shellWord(word)).join(" ");
}

/** The line that gets a model of the hub or the catalogue again, in place of the file that is here. */
export function replacing(model: string): string {
  return `${commandLine(["models", "rm", model, "--yes"])} && ${commandLine(["pull", model])}`;
}

function program(): string[] {
  const file = process.argv[1] ?? "";
  if (!/[\\/]cli[\\/]main\.ts$/.test(file)) return ["llamasaur"]; // installed, it is a program of that name
  const path = relative(process.cwd(), file);
  return "Deno" in globalThis ? ["deno", "run", "-A", path] : ["bun", path];
}
