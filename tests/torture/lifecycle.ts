// Models come and go in one process, in its workers and beside other processes: nothing grows, everything stays right.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Case, Context } from "./case.ts";
import { Scene } from "./leave.ts";
import { linesOf } from "./lines.ts";

const WORKER = fileURLToPath(new URL("life_worker.ts", import.meta.url));

function life(name: string, what: string, ci: number, full: number): Case {
  return {
    name: `life: ${what}`,
    planned: { ci, full },
    repeats: true,
    skip: process.platform === "linux" ? undefined : "sizes are read from Linux's /proc",
    run: (context) => linesOf(context, WORKER, name),
  };
}

/** Two processes do the same work in the same directory at the same time. */
async function* together(moment: "download" | "build", context: Context): AsyncGenerator<string | undefined> {
  await using scene = await Scene.make(context);
  for (let i = 0; i < context.planned; i++) {
    const directory = join(context.directory, `run ${i}`);
    mkdirSync(directory);
    yield await scene.together(moment, directory);
  }
}

export const cases: readonly Case[] = [
  life("cycles", "load, embed, close", 10, 500),
  life("concurrent", "calls at once", 1000, 10_000),
  life("closed", "close() during calls, and calls after it", 10, 100),
  life("inside", "close() from inside of a call's arguments, and calls after it", 20, 1000),
  life("dropped", "models that nobody closed", 10, 100),
  life("copies", "two copies of the library, and one of another ABI", 3, 30),
  life("workers", "workers that are terminated", 2, 40),
  life("spawned", "a process that starts another in mid-load", 2, 20),
  ...(["download", "build"] as const).map((moment): Case => ({
    name: `life: two processes, one cache, ${moment}`,
    planned: { ci: 1, full: 20 },
    repeats: true,
    run: (context) => together(moment, context),
  })),
];
