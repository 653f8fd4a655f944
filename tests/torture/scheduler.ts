// Random lives of a pool on a fake native side, many more than tests/src/pool/scheduler_test.ts has the time for.
import { join } from "node:path";
import process from "node:process";
import { live } from "../support/scheduler.ts";
import { findProgram, ROOT, runChild } from "../support/child.ts";
import { type Case, type Context, wrongEnd } from "./case.ts";

const FILE = join(ROOT, "tests", "torture", "scheduler.ts");
const LIVES = 200; // of one child

async function* lives({ platform, planned, seed }: Context): AsyncIterable<string | undefined> {
  const program = findProgram(platform);
  if (program === undefined) throw new Error(`There is no ${platform} on PATH`);
  for (let first = 0; first < planned; first += LIVES) {
    const numbers = [seed * planned + first, Math.min(LIVES, planned - first)].map(String);
    const child = await runChild(program, [...(platform === "deno" ? ["run", "-A"] : []), FILE, ...numbers], {
      timeout: 120_000,
    });
    const ended = wrongEnd(child);
    if (ended !== undefined) yield ended;
    for (const line of child.stdout.split("\n").filter(Boolean)) yield line === "ok" ? undefined : line;
  }
}

/** The suite's cases. */
export const cases: readonly Case[] = [{
  name: "scheduler: a pool's calls settle rightly, whatever fails, is aborted or closes",
  planned: { ci: 100, full: 4000 },
  repeats: true,
  run: lives,
}];

/** A line for each life: what is wrong with it, or "ok". */
async function main([first = "0", count = "0"]: readonly string[]): Promise<void> {
  for (let seed = Number(first); seed < Number(first) + Number(count); seed++) {
    const { wrong } = await live(seed);
    console.log(wrong.length > 0 ? `life ${seed}: ${wrong.join("; ")}` : "ok");
  }
}

if (import.meta.main) await main(process.argv.slice(2));
