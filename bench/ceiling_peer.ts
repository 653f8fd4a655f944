/** The native ceiling as a contender: the same GGUF files, libllama and C++ alone. */
import { createHash } from "node:crypto";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "../build/mod.ts";
import { LLAMA_VERSION } from "../ffi/version.ts";
import { madeOnce, modelFor, ROOT } from "./models.ts";
import { type Candidate, isCausal, type Job, type Peer } from "./peer.ts";

const SOURCES = ["bench/ceiling.cpp", "bench/ceiling_embedder.h", "build/CMakeLists.txt"];
const POOLINGS = { mean: 1, last: 3 } as const; // llama.h's enum llama_pooling_type
const YES_NO = "4443,1904"; // the tokens for "yes" and "no" of gemma3-270m, which models.ts pins

let program = "";

/**
 * The program, built when its sources have changed; kept apart from what other checkouts build meanwhile.
 *
 * @param portable For any processor with AVX2, not for this very one.
 */
export async function ceilingProgram(portable = false): Promise<string> {
  const hash = createHash("sha256").update(LLAMA_VERSION);
  for (const source of SOURCES) hash.update(readFileSync(join(ROOT, source)));
  const kind = portable ? "ceiling-portable" : "ceiling";
  const directory = await madeOnce(`${kind}-${hash.digest("hex").slice(0, 12)}`, async (directory) => {
    const { path } = await build({ target: "ceiling", portable });
    copyFileSync(path, join(directory, "ceiling"));
  });
  program = join(directory, "ceiling");
  return program;
}

/** libllama in C++. */
export const CEILING: Peer = {
  name: "ceiling",
  kinds: ["embed", "rerank"],
  async prepare(portable): Promise<void> {
    await ceilingProgram(portable);
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
    const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
    return [program, job.model, texts, ...flags];
  },
};

/** A prompt of a causal model, whole, its line breaks as the program reads them; otherwise the text itself. */
function filled({ template, instruction = "", query = "" }: Job, document: string): string {
  if (template === undefined) return document;
  const values: Record<string, string> = { instruction, query, document };
  return template.replace(/\{(instruction|query|document)\}/g, (_, name) => values[name]!).replaceAll("\n", "\x01");
}

/** What is tried: all cores busy and no thread too many, in every type; a text alone has use for one lane only. */
function candidates(workload: string, cores: number): readonly Candidate[] {
  const causal = isCausal(workload);
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
