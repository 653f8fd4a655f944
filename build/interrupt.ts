/** What Ctrl-C and `kill` do to a build: the compilers stop, the lock is given back, then the process ends. */
import process from "node:process";
import { BuildError } from "./failure.ts";

const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** Runs work whose signal is aborted when the process is told to end; the process then ends after the work has. */
export async function interruptible<T>(
  work: (signal: AbortSignal) => Promise<T>,
  outer?: AbortSignal,
): Promise<T> {
  const controller = new AbortController();
  let exitCode: number | undefined;
  const handlers = Object.entries(SIGNALS).map(([name, code]) => {
    const handler = (): void => {
      exitCode = code;
      controller.abort(new BuildError(`stopped by ${name}`));
    };
    return [name as keyof typeof SIGNALS, handler] as const;
  });
  for (const [name, handler] of handlers) process.on(name, handler);
  try {
    return await work(outer ? AbortSignal.any([outer, controller.signal]) : controller.signal);
  } finally {
    for (const [name, handler] of handlers) process.off(name, handler);
    if (exitCode !== undefined) process.exit(exitCode);
  }
}
