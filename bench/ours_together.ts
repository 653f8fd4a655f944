// Work side by side in one process, on Deno or on Bun: `ours_together.ts JOB.json`, whose setting `second` is another
// model. "together" and "apart" embed all texts with both models, at once or one after the other; "idle N" and
// "bulk N" are N single calls, alone or while all texts are embedded over and over.
import { readFileSync } from "node:fs";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { Llama } from "../mod.ts";
import { answer, cpuSince, loadOptions, say } from "./ours.ts";
import type { Job } from "./peer.ts";

const PAUSE = 20; // ms between two single calls: a user's, not a load of their own

async function main(path: string): Promise<void> {
  const job: Job = JSON.parse(readFileSync(path, "utf8"));
  const { texts, query = "" } = job;
  await using first = await Llama.load(job.model, loadOptions(job));
  await using second = await Llama.load(String(job.settings!["second"]), loadOptions(job));
  await first.embed(texts);
  await second.embed(texts);
  say({ load: 0 });
  await answer(async (line) => {
    const [command, count] = line.split(" ");
    const [start, cpu] = [performance.now(), process.cpuUsage()];
    switch (command) {
      case "together":
        await Promise.all([first.embed(texts), second.embed(texts)]);
        break;
      case "apart":
        await first.embed(texts);
        await second.embed(texts);
        break;
      case "idle":
        return { seconds: await singles(first, query, Number(count)) };
      case "bulk": {
        let busy = true;
        const bulk = (async () => {
          while (busy) await first.embed(texts);
        })();
        const seconds = await singles(first, query, Number(count));
        busy = false;
        await bulk;
        return { seconds };
      }
      default:
        return { error: `stdin has ${JSON.stringify(line)}: write together, apart, idle N or bulk N` };
    }
    return { seconds: (performance.now() - start) / 1000, cpu: cpuSince(cpu) };
  });
}

async function singles(llama: Llama, query: string, count: number): Promise<number[]> {
  const seconds: number[] = [];
  for (let i = 0; i < count; i++) {
    await sleep(PAUSE);
    const start = performance.now();
    await llama.embed(query);
    seconds.push((performance.now() - start) / 1000);
  }
  return seconds;
}

if (import.meta.main) await main(process.argv[2]!);
