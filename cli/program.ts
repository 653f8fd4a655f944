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
  const path = fromHere(file);
  return "Deno" in globalThis ? ["deno", "run", "-A", path] : ["bun", path];
}

/** A path as seen from the working directory, where Deno says which that is. */
function fromHere(path: string): string {
  try {
    return relative(process.cwd(), path);
  } catch {
    return path;
  }
}

/** A command of this program that Deno allows everything. */
export function allowed(words: readonly string[]): string {
  const command = commandLine(words);
  if (command.startsWith("deno ")) return command; // of a checkout, as it was called
  const name = mainModule().startsWith("file:") ? "npm:llamasaur" : "jsr:@llamasaur/cli";
  return ["deno", "run", "-A", name, ...words].map((word) => shellWord(word)).join(" ");
}

/** Where Deno has this program from; "" where it may not say so. */
function mainModule(): string {
  try {
    return (globalThis as { Deno?: { readonly mainModule: string } }).Deno?.mainModule ?? "";
  } catch {
    return "";
  }
}
