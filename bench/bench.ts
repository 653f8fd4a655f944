/** What every part of a benchmark's run shares. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { Contender } from "./contender.ts";
import type { Candidate, Job, Peer } from "./peer.ts";
import type { Accuracy } from "./results.ts";
import type { Content } from "./workloads.ts";

/** How much is to be done, and where. */
export interface Bench {
  readonly size: "smoke" | "full";
  readonly cores: number;
  /** Seconds that a contender's turns in one workload may take together. */
  readonly budget: number;
  readonly rounds: number;
  /** Whether programs that are compiled here are for any processor with AVX2, not for this very one. */
  readonly portable: boolean;
  /** A folder for jobs and vectors. */
  readonly scratch: string;
}

const START = 120; // seconds

let jobs = 0;

/** Tells whoever is waiting. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Starts a contender with a candidate's settings on some texts. */
export async function startContender(
  bench: Bench,
  peer: Peer,
  workload: string,
  { type, settings }: Candidate,
  content: Content,
): Promise<Contender> {
  const job: Job = { ...content, model: await peer.model(type, workload), type, cores: bench.cores, settings };
  const path = join(bench.scratch, `${workload}-${++jobs}.json`);
  writeFileSync(path, JSON.stringify(job));
  return await Contender.start(peer.name, peer.command(path), START);
}

/** A contender's vectors or scores. */
export async function rowsOf(bench: Bench, contender: Contender, seconds: number): Promise<Float32Array> {
  const path = join(bench.scratch, `rows-${++jobs}`);
  await contender.ask(`vectors ${path}`, seconds);
  return new Float32Array(new Uint8Array(readFileSync(path)).buffer);
}

/** As many texts, evenly spread. */
export function sampleOf(texts: readonly string[], count: number): string[] {
  const most = Math.min(count, texts.length);
  return Array.from({ length: most }, (_, i) => texts[Math.floor(i * texts.length / most)]!);
}

/** An accuracy in words. */
export function accuracyLine({ maxAbs, minCosine, spearman }: Accuracy): string {
  const near = minCosine !== undefined ? `cosine ${minCosine.toFixed(6)}` : `rank ${spearman!.toFixed(4)}`;
  return `${near}, max abs ${maxAbs.toExponential(1)}`;
}
