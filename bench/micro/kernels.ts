// What our kernels are worth, by kind of work: deno run -A bench/micro/kernels.ts [options]
//   --types LIST    types of all-MiniLM-L6-v2 in models/ (default: f32,bf16,q8_0)
//   --work LIST     of paragraphs, titles, passages, pairs, query (default: all)
//   --rounds N      of kernels, no kernels, ceiling, in turns (default: 5; 1 is a smoke run)
//   --texts N       of each kind (default: 120)
// One lane of one thread each. Processor seconds of the process, the best round; "x" is the ceiling's by ours.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "../../build/mod.ts";
import { packageRoot } from "../../ffi/host/paths.ts";
import { Llama } from "../../mod.ts";
import { Contender } from "../contender.ts";
import { paragraphs } from "../paragraphs.ts";

const SELF = fileURLToPath(import.meta.url);
const QUERY = "how to quantize a model";

/** The texts of each kind of work. */
function textsOf(work: string, all: readonly string[], count: number): string[] {
  const words = (n: number): string[] => all.map((text) => text.split(" ").slice(0, n).join(" "));
  switch (work) {
    case "titles":
      return words(8).slice(0, count);
    case "passages": { // of 512 tokens, cut there
      const long = all.join(" ").split(" ");
      return Array.from({ length: Math.ceil(count / 8) }, (_, i) => long.slice(i * 100, i * 100 + 500).join(" "));
    }
    case "pairs": // what a cross-encoder reads
      return words(60).slice(0, count).map((text) => `${QUERY} ${text}`);
    case "query":
      return Array.from({ length: count }, () => QUERY);
    default:
      return all.slice(0, count);
  }
}

async function child(model: string, file: string, kernels: boolean, alone: boolean): Promise<void> {
  const texts = readFileSync(file, "utf8").split("\n").filter((line) => line !== "");
  await using llama = await Llama.load(model, { contexts: 1, kernels, contextSize: 512 });
  const once = async (): Promise<void> => {
    if (!alone) await llama.embed(texts);
    else for (const text of texts) await llama.embed(text);
  };
  await once();
  process.stdout.write(`{"texts":${texts.length}}\n`);
  for await (const line of createInterface({ input: process.stdin })) {
    if (line !== "go") throw new Error(`stdin has ${JSON.stringify(line)}: write go`);
    const [start, cpu] = [performance.now(), process.cpuUsage()];
    await once();
    const { user, system } = process.cpuUsage(cpu);
    process.stdout.write(`{"seconds":${(performance.now() - start) / 1000},"cpu":${(user + system) / 1e6}}\n`);
  }
}

async function row(ceiling: string, type: string, work: string, texts: string, rounds: number): Promise<string> {
  const model = fileURLToPath(new URL(`models/all-minilm-l6-v2-${type}.gguf`, packageRoot()));
  const ours = (on: boolean): string[] => [
    ...("Deno" in globalThis ? ["deno", "run", "-A"] : ["bun"]),
    ...[SELF, "--child", model, texts, String(on), String(work === "query")],
  ];
  // a pack of one token is a pack of one text
  const pack = work === "query" ? "1" : work === "passages" ? "512" : "256";
  const flags = ["--packs", pack, "--lanes", "1", "--threads", "1", "--flash", "1", "--limit", "512"];
  const contenders = [
    await Contender.start("kernels", ours(true)),
    await Contender.start("no kernels", ours(false)),
    await Contender.start("ceiling", [ceiling, model, texts, ...flags]),
  ];
  const best = contenders.map(() => Infinity);
  for (let i = 0; i < rounds; i++) {
    for (const [j, contender] of contenders.entries()) best[j] = Math.min(best[j]!, (await contender.measure()).cpu);
  }
  for (const contender of contenders) await contender.stop();
  const [on, off, stock] = best as [number, number, number];
  const cells = [type, work, ...best.map((s) => s.toFixed(3)), (stock / on).toFixed(2), (off / on).toFixed(2)];
  return `| ${cells.join(" | ")} |`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      types: { type: "string", default: "f32,bf16,q8_0" },
      work: { type: "string", default: "paragraphs,titles,passages,pairs,query" },
      rounds: { type: "string", default: "5" },
      texts: { type: "string", default: "120" },
    },
  });
  const { path } = await build({ target: "ceiling", onLine: () => {} });
  const all = await paragraphs(Math.max(120, Number(values.texts)));
  const scratch = mkdtempSync(join(tmpdir(), "llamasaur-kernels-"));
  try {
    console.log("| type | work | kernels, s | no kernels, s | ceiling, s | x ceiling | x no kernels |");
    console.log("| --- | --- | ---: | ---: | ---: | ---: | ---: |");
    for (const work of values.work.split(",")) {
      const texts = join(scratch, work);
      writeFileSync(texts, textsOf(work, all, Number(values.texts)).join("\n"));
      for (const type of values.types.split(",")) {
        console.log(await row(path, type, work, texts, Number(values.rounds)));
      }
    }
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

if (import.meta.main) {
  const [flag, model, file, kernels, alone] = process.argv.slice(2);
  if (flag === "--child") await child(model!, file!, kernels === "true", alone === "true");
  else await main();
}
