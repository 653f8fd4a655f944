// What users get, as a process that a driver talks to, on Deno or on Bun: `ours.ts MODEL TEXTS`, one text a line.
// "go" is answered with the times of one call with all texts, "singles" with those of a call for each text, all at
// once, "vectors PATH" with a file of the vectors. Every line of output is JSON.
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { Llama } from "../../mod.ts";

async function main(model: string, file: string): Promise<void> {
  const texts = readFileSync(file, "utf8").split("\n").filter((line) => line !== "");
  await using llama = await Llama.load(model);
  await llama.embed(texts); // warm
  say({ ready: true, texts: texts.length, limit: llama.info.maxTokens, contexts: llama.info.contexts });
  for await (const line of createInterface({ input: process.stdin })) {
    const [start, cpu] = [performance.now(), process.cpuUsage()];
    const times = () => ({ seconds: (performance.now() - start) / 1000, cpu: cpuSeconds(process.cpuUsage(cpu)) });
    if (line === "go") {
      await llama.embed(texts);
      say(times());
    } else if (line === "singles") {
      await Promise.all(texts.map((text) => llama.embed(text)));
      say(times());
    } else if (line.startsWith("vectors ")) {
      const vectors = await llama.embed(texts);
      const all = new Float32Array(vectors.length * llama.info.dimensions);
      vectors.forEach((vector, i) => all.set(vector, i * llama.info.dimensions));
      writeFileSync(line.slice("vectors ".length), new Uint8Array(all.buffer));
      say({ floats: all.length });
    } else {
      throw new Error(`stdin has ${JSON.stringify(line)}: write go, singles, or vectors PATH`);
    }
  }
}

function cpuSeconds({ user, system }: { user: number; system: number }): number {
  return (user + system) / 1e6;
}

function say(answer: Record<string, number | boolean>): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

if (import.meta.main) await main(process.argv[2]!, process.argv[3]!);
