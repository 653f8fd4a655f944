// Processes that tests start: run to their end, and killed if they do not come to one.
import { spawn } from "node:child_process";
import { basename, delimiter, dirname, join } from "node:path";
import { existsSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** The root of the checkout. */
export const ROOT: string = fileURLToPath(new URL("../..", import.meta.url));

/** How a process ended. */
export interface Outcome {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  /** From the last output to the end. */
  readonly milliseconds: number;
}

/** Runs a command, in the root if nothing else is said; at the first output `onOutput` may do something to it. */
export function runChild(
  command: string,
  args: readonly string[],
  { env = {}, cwd = ROOT, timeout = 30_000, onOutput }: {
    env?: Record<string, string>;
    cwd?: string;
    timeout?: number;
    onOutput?: (pid: number) => void;
  } = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(...unseen(command, args), {
      cwd,
      env: { ...process.env, PATH: folders().join(delimiter), NO_COLOR: "1", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    let since = performance.now();
    child.stdout.on("data", (data) => {
      since = performance.now();
      if (stdout === "") onOutput?.(child.pid!);
      stdout += data;
    });
    child.stderr.on("data", (data) => stderr += data);
    const timer = setTimeout(() => child.kill("SIGKILL"), timeout);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stdout, stderr, milliseconds: performance.now() - since });
    });
  });
}

function unseen(command: string, args: readonly string[]): [string, string[]] {
  if (command !== process.execPath) return [command, [...args]];
  const [program, ...words] = startOf("Deno" in globalThis ? "deno" : "bun");
  return [program, [...words, ...args]];
}

/**
 * How a command begins that runs a runtime. Where the path of Deno's executable is a word of it, Deno's node:child_process
 * takes it for Node's and puts -A behind the next one; by its name alone it is not seen. Windows has no program that starts
 * another by its name; there it is not seen by its path written otherwise.
 */
export function startOf(runtime: "deno" | "bun"): [string, ...string[]] {
  if (process.platform !== "win32") return ["/usr/bin/env", runtime];
  return [findProgram(runtime)?.replace(/\\(?=[^\\]*$)/, "\\.\\") ?? runtime];
}

/** Path of a program: this runtime's own, or the one on PATH; undefined if there is none. */
export function findProgram(name: string): string | undefined {
  const own = name === "deno" ? "Deno" in globalThis : name === "bun" && "Bun" in globalThis;
  if (own) return process.execPath;
  const file = process.platform === "win32" ? `${name}.exe` : name;
  return folders().map((folder) => join(folder, file)).find((path) => existsSync(path));
}

/** Where programs are: this runtime's folder first, and not the one where Deno's own `node` is. */
function folders(): string[] {
  const path = (process.env.PATH ?? "").split(delimiter).filter((folder) => basename(folder) !== "node_compat_bin");
  return [dirname(process.execPath), ...path];
}
