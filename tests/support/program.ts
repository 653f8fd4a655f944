// Runs llamasaur's command line as a user does: cli/main.ts in a process of its own, on the runtime that the test runs on.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { ROOT, startOf } from "./child.ts";

/** The small model of these tests. */
export const MODEL: string = join(ROOT, "models", "all-minilm-l6-v2-q8_0.gguf");

/** Why nothing can be embedded, if so. */
export const noModel: string | false = existsSync(MODEL) ? false : `there is no ${MODEL}`;

/** A runtime. */
export type Runtime = "deno" | "bun";

/** The runtime that the test runs on. */
export const RUNTIME: Runtime = "Deno" in globalThis ? "deno" : "bun";

/** How the program calls itself in a command that it prints, when it runs in ROOT. */
export const PROGRAM: string = `${RUNTIME === "deno" ? "deno run -A" : "bun"} ${join("cli", "main.ts")}`;

/** How the program ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What the program is given. */
export interface Given {
  /** What it reads from stdin; nothing means an empty one, `open` one that does not end. */
  readonly stdin?: string | Uint8Array;
  /** What an open one says first. */
  readonly stdinBegin?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly runtime?: Runtime;
  /** The program that ends at a point: see faulty_program.ts, and faulty_worker.ts. */
  readonly faulty?: boolean | "worker";
  /** What Deno allows; all, if nothing is said. */
  readonly allow?: readonly string[];
  /** Milliseconds until it is killed. */
  readonly timeout?: number;
  /** Closes its stdout at the first words. */
  readonly closeStdout?: boolean;
  /** Closes its stderr at the first words. */
  readonly closeStderr?: boolean;
  /** Takes none of its stdout until it has ended. */
  readonly holdStdout?: boolean;
  /** Hears that it was started. */
  readonly onStart?: (kill: (signal: NodeJS.Signals) => void) => void;
  /** Hears what it says on stderr, as it does. */
  readonly onStderr?: (text: string, kill: (signal: NodeJS.Signals) => void) => void;
}

/** Why no signal can be sent that a program hears, if so. */
export const noSignals: string | false = process.platform === "win32" &&
  "on Windows a signal from another process ends a program at once";

/** Whether SIGKILL ended a program, which a shell tells as 137, and Windows as an error that says nothing. */
export function wasKilled({ signal, code, stderr }: Ended): boolean {
  if (process.platform === "win32") return code === 1 && !/^error: /m.test(stderr);
  return signal === "SIGKILL" || code === 137;
}

/** Why no disk is full for a program's stdout, if so: it takes a shell, and a device of Linux. */
export const noFullDisk: string | false = process.platform === "win32" || !existsSync("/dev/full")
  ? "there is no /dev/full"
  : false;

// Variables that would change what the program does.
const UNSET = ["LLAMASAUR_MODEL", "LLAMASAUR_DOWNLOAD", "LLAMASAUR_DEVICE", "LLAMASAUR_CONTEXTS"];

/** The command that runs the program on a runtime. */
export function programOn(
  runtime: Runtime,
  faulty: Given["faulty"] = false,
  allow: readonly string[] = ["-A"],
): string[] {
  const file = faulty === "worker" ? "faulty_worker.ts" : "faulty_program.ts";
  const main = faulty ? join(ROOT, "tests", "support", file) : join(ROOT, "cli", "main.ts");
  return runtime === "deno" ? ["deno", "run", ...allow, main] : ["bun", main];
}

/** Runs the program to its end. */
export function runProgram(args: readonly string[], given: Given = {}): Promise<Ended> {
  const { stdin = "", env, cwd = ROOT, runtime = RUNTIME, faulty, allow, timeout = 60_000, onStderr, onStart } = given;
  const [program, ...words] = [...startOf(runtime), ...programOn(runtime, faulty, allow).slice(1), ...args];
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, {
      cwd,
      env: { ...environment(), ...env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    // child.kill() makes Deno and Bun say that the signal ended it, however it ended.
    const kill = (signal: NodeJS.Signals): void => {
      if (child.exitCode === null && child.pid !== undefined) process.kill(child.pid, signal);
    };
    let [stdout, stderr] = ["", ""];
    const take = (): void => {
      child.stdout.setEncoding("utf8").on("data", (text) => {
        stdout += text;
        if (given.closeStdout) child.stdout.destroy();
      });
    };
    if (given.holdStdout) child.on("exit", take);
    else take();
    child.stderr.setEncoding("utf8").on("data", (text) => {
      stderr += text;
      if (given.closeStderr) child.stderr.destroy();
      onStderr?.(stderr, kill);
    });
    child.stdin.on("error", () => {}); // it need not read all, or anything
    if (stdin === "") child.stdin.end();
    else if (stdin !== "open") child.stdin.end(stdin);
    else if (given.stdinBegin !== undefined) child.stdin.write(given.stdinBegin);
    onStart?.(kill);
    const timer = setTimeout(() => child.kill("SIGKILL"), timeout);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stdout, stderr });
    });
  });
}

/** The variables that the program is run with: those of this process, but for what would change what it does. */
export function environment(): Record<string, string | undefined> {
  return { ...process.env, NO_COLOR: "1", ...Object.fromEntries(UNSET.map((name) => [name, undefined])) };
}
