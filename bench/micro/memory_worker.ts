// One embed call in a process of its own: memory_worker.ts MODEL OPTIONS TEXTS, where OPTIONS is JSON and TEXTS a file with
// one text a line. Prints how far resident memory grew at its peak, and what estimateMemory says; in bytes, as JSON.
import { readFileSync } from "node:fs";
import process from "node:process";
import { type Embedding, Llama, type LoadOptions } from "../../mod.ts";

/** What the worker prints. */
export interface MemoryReport {
  /** From before the load to the peak of the call. */
  readonly measured: number;
  /** From before the load to after it. */
  readonly loaded: number;
  readonly weights: number;
  readonly contexts: number;
  readonly outputs: number;
  readonly total: number;
}

/** A figure of /proc/self/status in bytes: VmRSS now, VmHWM at the peak so far. */
function resident(name: "VmRSS" | "VmHWM"): number {
  const [, kilobytes] = new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync("/proc/self/status", "utf8"))!;
  return Number(kilobytes) * 1024;
}

async function main(model: string, options: LoadOptions, file: string): Promise<MemoryReport> {
  const texts = readFileSync(file, "utf8").split("\n").filter((line) => line !== "");
  const before = resident("VmRSS");
  await using llama = await Llama.load(model, options);
  const loaded = resident("VmRSS") - before;
  const reports: Embedding[] = await llama.embedDetailed(texts);
  const measured = resident("VmHWM") - before;
  return { measured, loaded, ...await llama.estimateMemory(reports.map(({ tokens }) => tokens)) };
}

if (import.meta.main) {
  const [model = "", options = "", file = ""] = process.argv.slice(2);
  console.log(JSON.stringify(await main(model, JSON.parse(options), file)));
}
