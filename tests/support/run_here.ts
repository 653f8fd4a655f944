// Runs llamasaur's command line within this process, where a program of its own would take a fifth of a second longer. What only a
// program shows (its start, pipes, signals, permissions, the libraries that it opens) is for runProgram() of program.ts.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { run, type Verbs } from "../../cli/run.ts";
import { ROOT } from "./child.ts";
import { type Ended, environment, type Given } from "./program.ts";

/** What a run within this process may be given. */
export type GivenHere = Pick<Given, "cwd" | "env">;

const FILES = readdirSync(join(ROOT, "cli", "verbs")).sort();
const VERBS: Verbs = new Map(FILES.map((file) => [file.replace(".ts", ""), () => import(`../../cli/verbs/${file}`)]));
const STREAMS = ["stdout", "stderr"] as const;

let running: string | undefined;

/**
 * Runs the command line, given what follows the program's name, as runProgram() does: with the same variables and from the same
 * folder. One at a time: the folder, the variables and the streams are this process's own.
 */
export async function runHere(words: readonly string[], { cwd = ROOT, env = {} }: GivenHere = {}): Promise<Ended> {
  if (running !== undefined) throw new Error(`Cannot run ${words.join(" ")} here: ${running} has not ended`);
  running = words.join(" ");
  const restore: (() => void)[] = [];
  try {
    restore.push(enterFolder(cwd));
    restore.push(setVariables({ ...environment(), ...env }));
    restore.push(callItself(words));
    return { ...await runVerb(words), signal: null };
  } finally {
    for (const back of restore.reverse()) back();
    running = undefined;
  }
}

/** How a verb ended. */
export type VerbEnded = Pick<Ended, "code" | "stdout" | "stderr">;

/** Runs the command line from the folder and with the variables that are, so that two may run at once. */
export async function runVerb(words: readonly string[]): Promise<VerbEnded> {
  const said = { stdout: "", stderr: "" };
  const restore = STREAMS.map((name) => listenTo(name, (text) => said[name] += text));
  try {
    return { code: await run(words, VERBS), ...said };
  } finally {
    for (const back of restore.reverse()) back();
  }
}

function enterFolder(folder: string): () => void {
  const before = process.cwd();
  process.chdir(folder);
  return () => process.chdir(before);
}

/** Sets variables, and unsets those that are undefined; the others stay. */
function setVariables(variables: Readonly<Record<string, string | undefined>>): () => void {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  const set = (name: string, value: string | undefined): void => {
    if (value === undefined) delete process.env[name];
    else if (process.env[name] !== value) process.env[name] = value;
  };
  for (const [name, value] of Object.entries(variables)) set(name, value);
  return () => {
    for (const [name, value] of before) set(name, value);
  };
}

/** Makes a command that it prints the one of the program. */
function callItself(words: readonly string[]): () => void {
  const before = process.argv;
  process.argv = [before[0]!, join(ROOT, "cli", "main.ts"), ...words];
  return () => process.argv = before;
}

/** Takes what is written to a stream, which is no terminal meanwhile. */
function listenTo(name: "stdout" | "stderr", onText: (text: string) => void): () => void {
  const stream = process[name];
  const { write, isTTY } = stream;
  const heard = stream.listeners("error");
  const decoder = new TextDecoder();
  const take = (chunk: string | Uint8Array): void => {
    onText(typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true }));
  };
  stream.write = ((chunk: string | Uint8Array) => {
    take(chunk);
    return true;
  }) as typeof stream.write;
  if (isTTY) Object.defineProperty(stream, "isTTY", { value: false, configurable: true });
  // On Deno data goes by Deno.stdout: see cli/session.ts.
  const { Deno: deno } = globalThis as { Deno?: { stdout: { write: (bytes: Uint8Array) => Promise<number> } } };
  const writeBytes = deno?.stdout.write;
  if (deno && name === "stdout") {
    deno.stdout.write = (bytes) => {
      take(bytes);
      return Promise.resolve(bytes.length);
    };
  }
  return () => {
    if (deno && name === "stdout") deno.stdout.write = writeBytes!;
    if (isTTY) Object.defineProperty(stream, "isTTY", { value: true, configurable: true });
    stream.write = write;
    for (const listener of stream.listeners("error")) {
      if (!heard.includes(listener)) stream.off("error", listener as () => void);
    }
  };
}
