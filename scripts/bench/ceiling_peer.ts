/** The native ceiling as a contender: the same GGUF files, libllama and C++ alone. */
import { copyFileSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "../../build/mod.ts";
import { modelFor } from "./models.ts";
import type { Candidate, Job, Peer } from "./peer.ts";

const POOLINGS = { mean: 1, last: 3 } as const; // llama.h's enum llama_pooling_type
const YES_NO = "4443,1904"; // the tokens for "yes" and "no" of gemma3-270m, which models.ts pins

let program = "";

/** Builds the program, once. */
export async function ceilingProgram(): Promise<string> {
  if (program === "") {
    const { path } = await build({ target: "ceiling" });
    // a copy: another worktree's build may replace the file meanwhile
    program = join(mkdtempSync(join(tmpdir(), "llamasaur-ceiling-")), "ceiling");
    copyFileSync(path, program);
  }
  return program;
}

/** libllama in C++. */
export const CEILING: Peer = {
  name: "ceiling",
  kinds: ["embed", "rerank"],
  async prepare(): Promise<void> {
    await ceilingProgram();
  },
  candidates,
  model: modelFor,
  command(jobPath): readonly string[] {
    const job: Job = JSON.parse(readFileSync(jobPath, "utf8"));
    const texts = `${jobPath}.texts`;
    writeFileSync(texts, `${job.texts.map((text) => filled(job, text)).join("\n")}\n`);
    const { packs, lanes, threads, flash, answers } = job.settings ?? {};
    const options: Record<string, unknown> = { limit: job.maxTokens, packs, lanes, threads, flash };
    if (job.pooling !== undefined) options["pooling"] = POOLINGS[job.pooling];
    if (job.template !== undefined) options["answers"] = answers;
    else if (job.query !== undefined) {
      writeFileSync(`${jobPath}.query`, `${job.query}\n`);
      options["query"] = `${jobPath}.query`;
    }
    return [
      ...[program, job.model, texts],
      ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]),
      "--serve",
    ];
  },
};

/** A prompt of a causal model, whole, in one line as the program reads them; otherwise the text itself. */
function filled({ template, instruction = "", query = "" }: Job, document: string): string {
  if (template === undefined) return document;
  const values: Record<string, string> = { instruction, query, document };
  return template.replace(/\{(instruction|query|document)\}/g, (_, name) => values[name]!).replaceAll("\n", " ");
}

function candidates(workload: string, cores: number): readonly Candidate[] {
  const causal = workload === "causal" || workload.startsWith("yes-no");
  const types = causal ? ["q4_k_m"] : ["bf16", "q8_0", "f32"];
  return types.flatMap((type) =>
    grid(workload, cores).map((settings): Candidate => {
      const { packs, lanes, threads, flash } = settings;
      const name = `${type}, packs of ${packs}, ${lanes} × ${threads}, flash ${flash === 1 ? "on" : "off"}`;
      return { name, type, settings: causal ? { ...settings, answers: YES_NO } : settings };
    })
  );
}

/** What is tried: it keeps all cores busy with no thread too many. A text alone has use for one lane only. */
function grid(workload: string, cores: number): { packs: number; lanes: number; threads: number; flash: number }[] {
  const all: { packs: number; lanes: number; threads: number; flash: number }[] = [];
  const alone = workload === "query";
  const packs = alone ? [512] : workload === "causal" || workload.startsWith("yes-no") ? [512, 2048] : [192, 256, 512];
  for (const flash of [1, 0]) {
    for (const pack of packs) all.push({ packs: pack, lanes: alone ? 1 : cores, threads: 1, flash });
  }
  // threads that share a graph crawl on a busy machine: one try
  if (cores > 1) all.push({ packs: 512, lanes: 1, threads: cores, flash: 1 });
  return all;
}
