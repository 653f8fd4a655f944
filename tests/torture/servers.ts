// Slow and broken servers: every download ends soon, says why, leaves nothing that looks whole, and works the next time.
import { join } from "node:path";
import type { Case } from "./case.ts";
import { runWorker } from "./worker.ts";

const FAULTS = 40; // of servers_worker.ts

export const cases: readonly Case[] = [{
  name: "servers: a download from a broken one, then from a good one",
  planned: { ci: FAULTS, full: 5 * FAULTS },
  repeats: true,
  run: (context) =>
    runWorker(context, "servers_worker.ts", [context.seed, context.planned, join(context.directory, "files")], {
      env: { NO_PROXY: "127.0.0.1", no_proxy: "127.0.0.1" },
    }),
}];
