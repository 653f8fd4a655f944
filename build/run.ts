/** Runs programs by argument list, never through a shell, and stops them when the build is stopped. */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";

/** How a program is run. */
export interface RunOptions {
  readonly cwd?: string | undefined;
  /** Variables that it has besides ours. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly input?: string | undefined;
  /** Called with every line that the program writes, both streams. */
  readonly onLine?: ((line: string) => void) | undefined;
  /** Stops the program and everything that it started. */
  readonly signal?: AbortSignal | undefined;
  /** Seconds after which the program is stopped. */
  readonly timeout?: number | undefined;
}

/** How a program ended. `code` is null when a signal ended it, 127 when it is not there. */
export interface Ran {
  readonly code: number | null;
  readonly output: string;
}

/** The variables by which git, when it runs a hook of another repository, would lead our git astray. */
const GIT_VARIABLES = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY"];

/** Runs a program to its end; it is no error when it fails. */
export function run(command: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { promise, resolve, reject } = Promise.withResolvers<Ran>();
  if (options.signal?.aborted) {
    reject(options.signal.reason);
    return promise;
  }
  const [program = "", ...args] = command;
  const env: NodeJS.ProcessEnv = { ...process.env, GIT_TERMINAL_PROMPT: "0", ...options.env };
  for (const name of GIT_VARIABLES) delete env[name];
  const windows = process.platform === "win32";
  const child: ChildProcess = spawn(program, args, {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env,
    stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    detached: !windows, // a group of its own, so that ninja and its compilers can be told to stop together
    windowsHide: true,
  });
  const stop = (): void => {
    try {
      if (windows || child.pid === undefined) child.kill();
      else process.kill(-child.pid, "SIGINT"); // ninja and make remove half-written files on this one
    } catch {
      // it has just ended
    }
  };
  const timer = options.timeout === undefined ? undefined : setTimeout(stop, options.timeout * 1000);
  options.signal?.addEventListener("abort", stop, { once: true });
  // Whoever leaves in the middle must not leave compilers behind; Deno.exit() tells it by "unload" alone.
  process.once("exit", stop);
  globalThis.addEventListener("unload", stop);
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on("line", (line) => {
      lines.push(line);
      options.onLine?.(line);
    });
  }
  child.stdin?.on("error", () => {}); // it may end before it has read everything
  child.stdin?.end(options.input);
  const finish = (): void => {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", stop);
    process.off("exit", stop);
    globalThis.removeEventListener("unload", stop);
  };
  child.once("error", (error: NodeJS.ErrnoException) => {
    finish();
    if (error.code === "ENOENT") resolve({ code: 127, output: error.message });
    else reject(error);
  });
  child.once("close", (code) => {
    finish();
    if (options.signal?.aborted) reject(options.signal.reason);
    else resolve({ code, output: lines.join("\n") });
  });
  return promise;
}

/** A command as one would type it into a POSIX shell; for display only. */
export function shown(command: readonly string[]): string {
  return command.map((word) => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
}
