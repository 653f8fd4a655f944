// Runs llamasaur's command line; at SIGUSR2 it collects garbage and tells the memory on stderr, for the soak.
import process from "node:process";
import { main } from "../../cli/main.ts";

interface Collecting {
  readonly Bun?: { gc(force: boolean): void };
  readonly gc?: () => void;
}

function collect(): void {
  const { Bun, gc } = globalThis as unknown as Collecting;
  if (Bun) Bun.gc(true);
  else gc?.(); // deno run --v8-flags=--expose-gc
  process.stderr.write(`collected rss=${process.memoryUsage().rss}\n`);
}

process.on("SIGUSR2", collect);
await main(process.argv.slice(2));
process.off("SIGUSR2", collect); // on Deno a signal that is heard keeps the process alive
