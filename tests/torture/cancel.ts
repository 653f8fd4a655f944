// Calls that are aborted at any point: what waits goes at once, what runs stops, the reason is thrown, all others go on.
import { fileURLToPath } from "node:url";
import type { Case } from "./case.ts";
import { linesOf } from "./lines.ts";

const WORKER = fileURLToPath(new URL("cancel_worker.ts", import.meta.url));

function cancel(name: string, what: string, ci: number, full: number): Case {
  return {
    name: `cancel: ${what}`,
    planned: { ci, full },
    repeats: true,
    run: (context) => linesOf(context, WORKER, name),
  };
}

export const cases: readonly Case[] = [
  cancel("schedule", "any schedule of calls and aborts", 5, 300),
  cancel("reasons", "each call, before, during and after, any reason", 20, 400),
  cancel("callbacks", "each call, in any call of its own callbacks", 14, 400),
  cancel("stops", "processor time after an abort", 5, 100),
  cancel("listeners", "calls with one long-lived signal", 200, 10_000),
];
