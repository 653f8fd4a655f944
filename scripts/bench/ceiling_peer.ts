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
    const { packs, lanes, threads, flash } = job.settings ?? {};
    const options: Record<string, unknown> = { limit: job.maxTokens, packs, lanes, threads, flash };
    if (job.pooling !== undefined) options["pooling"] = POOLINGS[job.pooling];
    if (job.template !== undefined) options["answers"] = YES_NO;
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

/** What is tried: all cores busy and no thread too many, in every type; a text alone has use for one lane only. */
function candidates(workload: string, cores: number): readonly Candidate[] {
  const causal = workload === "causal" || workload.startsWith("yes-no");
  const lanes = workload === "query" ? 1 : cores;
  const types = causal ? ["q4_k_m"] : ["bf16", "q8_0"];
  const packs = workload === "query" ? [512] : causal ? [512, 2048] : [192, 256, 512];
  const wide = packs.at(-1)!;
  return [
    ...types.flatMap((type) => packs.map((pack) => candidate(type, pack, lanes, 1, 1))),
    ...types.map((type) => candidate(type, packs[packs.length >> 1]!, lanes, 1, 0)),
    // threads that share a graph crawl on a busy machine: one try
    ...(cores > 1 ? types.map((type) => candidate(type, wide, 1, cores, 1)) : []),
    ...(causal ? [] : [candidate("f32", packs[0]!, lanes, 1, 1)]),
  ];
}

function candidate(type: string, packs: number, lanes: number, threads: number, flash: 0 | 1): Candidate {
  const name = `${type}, packs of ${packs}, ${lanes} × ${threads}, flash ${flash === 1 ? "on" : "off"}`;
  return { name, type, settings: { packs, lanes, threads, flash } };
}
