// Runs llamasaur's command line; at SIGUSR2 it collects garbage and tells the memory on stderr, for the soak.
import process from "node:process";
import { setTimeout as wait } from "node:timers/promises";
import { main } from "../../cli/main.ts";

interface Collecting {
  readonly Bun?: { gc(force: boolean): void };
  readonly gc?: () => void;
}

const COLLECTIONS = 5;
const BETWEEN = 100; // ms

// V8 gives pages back by tasks of their own after a collection, so one look shows what happens to be left: the least counts.
async function collect(): Promise<void> {
  const { Bun, gc } = globalThis as unknown as Collecting;
  let least = Infinity;
  for (let i = 0; i < COLLECTIONS; i++) {
    if (Bun) Bun.gc(true);
    else gc?.(); // deno run --v8-flags=--expose-gc
    await wait(BETWEEN);
    least = Math.min(least, process.memoryUsage().rss);
  }
  process.stderr.write(`collected rss=${least}\n`);
}

process.on("SIGUSR2", collect);
await main(process.argv.slice(2));
process.off("SIGUSR2", collect); // on Deno a signal that is heard keeps the process alive
