// Runs llamasaur's command line, and ends or stops it where a test wants: LLAMASAUR_TEST_STEP is "POINT:TIMES:WHAT", of
// cli/worker/points.ts, with WHAT `kill`, `stop` (until a SIGCONT) or `wait` (for the file LLAMASAUR_TEST_GATE); it says so and
// where on stderr. A text that has LLAMASAUR_TEST_POISON in it kills the process that computes it. The texts of each call are counted in the file
// LLAMASAUR_TEST_COUNT. With LLAMASAUR_TEST_UNFENCED=1 a job is completed whoever has it. LLAMASAUR_TEST_HASTE is how many times
// faster its long waits are over.
import { appendFileSync, existsSync, writeSync } from "node:fs";
import process from "node:process";
import { PgBoss } from "pg-boss";
import { type Point, watchPoints } from "../../cli/worker/points.ts";
import { main } from "../../cli/main.ts";
import { Llama } from "../../mod.ts";
import { hasten } from "./haste.ts";

const { LLAMASAUR_TEST_STEP: step = "", LLAMASAUR_TEST_POISON: poison, LLAMASAUR_TEST_COUNT: count } = process.env;
const { LLAMASAUR_TEST_GATE: gate = "", LLAMASAUR_TEST_UNFENCED: unfenced, LLAMASAUR_TEST_HASTE: haste } = process.env;
if (haste !== undefined) hasten(Number(haste));
const [point, times = "1", what = "kill"] = step.split(":");
let left = Number(times);

/** Sends this process a signal, and lets nothing happen before it comes. */
function end(signal: "SIGKILL" | "SIGSTOP"): void {
  process.kill(process.pid, signal);
  if (signal === "SIGKILL") { for (;;); }
}

watchPoints(async (reached: Point) => {
  if (reached !== point || --left !== 0) return;
  writeSync(2, `${what} at ${point}\n`);
  if (what === "kill") end("SIGKILL");
  else if (what === "stop") end("SIGSTOP");
  else while (!existsSync(gate)) await new Promise((resolve) => setTimeout(resolve, 20));
});

if (count !== undefined || poison !== undefined) {
  const { embedDetailed } = Llama.prototype;
  Llama.prototype.embedDetailed = function (this: Llama, input: readonly string[], options) {
    if (count !== undefined) appendFileSync(count, `${input.length}\n`);
    if (poison !== undefined && input.some((text) => text.includes(poison))) end("SIGKILL");
    return embedDetailed.call(this, input as string[], options);
  } as typeof embedDetailed;
}

if (unfenced) {
  const { complete } = PgBoss.prototype;
  PgBoss.prototype.complete = async function (this: PgBoss, name, attempt, data, options) {
    const ids = typeof attempt === "object" && "id" in attempt ? attempt.id : attempt;
    return { ...await complete.call(this, name, ids, data, options), affected: 1 };
  };
}

await main(process.argv.slice(2));
