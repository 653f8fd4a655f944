/** Process start to first vector: a bare C++ program, us, and the runtimes with an empty script. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Bench, say } from "./bench.ts";
import { ceilingProgram } from "./ceiling_peer.ts";
import { modelFor } from "./models.ts";
import { RUNTIMES, script } from "./ours_peer.ts";
import type { Measured, Turn, WorkloadResult } from "./results.ts";

const TEXT = "How do I run a quantised model on the CPU?";
const ROUNDS = { smoke: 5, full: 15 } as const;
const TYPE = "bf16";
const WITHOUT = ", less its empty script";

/** Measures all starts in turns; what remains without the runtime's own start is a row of its own. */
export async function measureStart(bench: Bench, names: ReadonlySet<string>): Promise<WorkloadResult> {
  const model = await modelFor(TYPE, "start");
  const texts = join(bench.scratch, "first.texts");
  writeFileSync(texts, `${TEXT}\n`);
  const commands = new Map<string, readonly string[]>();
  // with as many threads as we give to one context: its pass is short
  commands.set("ceiling", [await ceilingProgram(bench.portable), model, texts, "--packs", "256", "--first"]);
  for (const { name, command } of RUNTIMES) {
    if (!names.has(name)) continue;
    commands.set(`${name}, empty script`, [...command, script("ours_first.ts")]);
    commands.set(name, [...command, script("ours_first.ts"), model, TEXT]);
  }
  const turns = new Map([...commands.keys()].map((name) => [name, [] as Turn[]]));
  for (let round = -1; round < ROUNDS[bench.size]; round++) {
    for (const [name, command] of commands) {
      const seconds = await secondsToFirstLine(command);
      if (round >= 0) turns.get(name)!.push({ seconds }); // the first one fills caches
    }
  }
  for (const { name } of RUNTIMES) {
    const [whole, empty] = [turns.get(name), turns.get(`${name}, empty script`)];
    if (!whole || !empty) continue;
    turns.set(name + WITHOUT, whole.map(({ seconds }, i) => ({ seconds: seconds - empty[i]!.seconds })));
  }
  const contenders = [...turns].map(([name, turns]): Measured => ({ name, texts: 1, search: [], turns }));
  for (const { name, turns } of contenders) {
    say(`  ${name}: ${turns.map((turn) => (turn!.seconds * 1000).toFixed(0)).join(" ")} ms`);
  }
  const title = `Process start to first vector, MiniLM ${TYPE}`;
  return { name: "start", title, reference: "ceiling", latency: true, contenders };
}

async function secondsToFirstLine(command: readonly string[]): Promise<number> {
  const start = performance.now();
  const child = spawn(command[0]!, command.slice(1), { stdio: ["ignore", "pipe", "pipe"] });
  let words = "";
  child.stderr.setEncoding("utf8").on("data", (text) => words += text);
  const exit = once(child, "exit");
  const first = await Promise.race([once(child.stdout, "data"), exit.then(() => undefined)]);
  const seconds = (performance.now() - start) / 1000;
  const [code] = await exit;
  if (first === undefined || code !== 0) throw new Error(`${command.join(" ")} failed: ${words}`);
  return seconds;
}
