// Runs llamasaur's command line, and ends it at a moment between two states of the disk: LLAMASAUR_TEST_POINT is
// "POINT:TIMES:WHAT", where WHAT is `kill` or the code of an error that the disk would give. The texts of each embed call
// are counted in the file LLAMASAUR_TEST_COUNT: what a restart computes again can be told from it. LLAMASAUR_TEST_MEMORY is
// a file that gets the most memory that the process had, in kB.
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { type Point, watchPoints } from "../../cli/jobs/disk.ts";
import { main } from "../../cli/main.ts";
import { Llama } from "../../mod.ts";

const count = process.env["LLAMASAUR_TEST_COUNT"];
const [point = "", times = "1", what = "kill"] = (process.env["LLAMASAUR_TEST_POINT"] ?? "").split(":");
let left = Number(times);

watchPoints((reached: Point) => {
  if (reached !== point || --left > 0) return;
  if (what === "kill") {
    process.kill(process.pid, "SIGKILL");
    for (;;); // the signal comes in a moment, and nothing may happen before
  }
  throw Object.assign(new Error(`${what}: made by a test`), { code: what });
});

if (count !== undefined) {
  const { embedDetailed } = Llama.prototype;
  Llama.prototype.embedDetailed = function (this: Llama, input, options) {
    appendFileSync(count, `${input.length}\n`);
    return embedDetailed.call(this, input, options);
  } as typeof embedDetailed;
}

await main(process.argv.slice(2));

const memory = process.env["LLAMASAUR_TEST_MEMORY"];
if (memory !== undefined) writeFileSync(memory, /VmHWM:\s*(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))![1]!);
