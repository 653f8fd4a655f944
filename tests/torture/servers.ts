// Slow and broken servers: every download ends soon, says why, leaves nothing that looks whole, and works the next time.
import { join } from "node:path";
import type { Case } from "./case.ts";
import { runWorker } from "./worker.ts";

const FAULTS = 40; // of servers_worker.ts

function servers(what: string, name: string, ci: number, full: number): Case {
  return {
    name: `servers: ${what}`,
    planned: { ci, full },
    repeats: true,
    run: (context) =>
      runWorker(context, "servers_worker.ts", [name, context.seed, context.planned, join(context.directory, "files")], {
        env: { NO_PROXY: "127.0.0.1", no_proxy: "127.0.0.1" },
      }),
  };
}

export const cases: readonly Case[] = [
  servers("a download from a broken one, then from a good one", "faults", FAULTS, 5 * FAULTS),
  servers("one that repeats the token or says what a message may not hold, anywhere", "says", 14, 1000),
];
