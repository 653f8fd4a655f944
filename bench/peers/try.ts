// One peer by hand: `deno run -A bench/peers/try.ts PEER [--workload NAME] [--texts N] [--only WORD]`
// runs its candidates once each and prints how fast, how near to sentence-transformers fp32, and how much memory.
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { accuracyLine, type Bench, rowsOf, say, startContender } from "../bench.ts";
import type { Candidate, Peer } from "../peer.ts";
import { accuracyOf } from "../results.ts";
import { withCount } from "../texts.ts";
import { type Content, TURNS } from "../workloads.ts";
import { PEERS } from "./mod.ts";

const PATIENCE = 900; // seconds

const { values, positionals: [name] } = parseArgs({
  allowPositionals: true,
  options: {
    workload: { type: "string", default: "paragraphs" },
    texts: { type: "string", default: "60" },
    only: { type: "string", default: "" },
  },
});
const peer = PEERS.find((one) => one.name === name);
const workload = TURNS.find((one) => one.name === values.workload);
if (!peer || !workload) throw new Error(`Give one of: ${PEERS.map((one) => one.name).join(" | ")}; and a workload`);

const scratch = mkdtempSync(join(tmpdir(), "llamasaur-peer-"));
const bench: Bench = {
  size: "smoke",
  cores: availableParallelism(),
  budget: PATIENCE,
  rounds: 1,
  portable: false,
  scratch,
};
try {
  const content = await withCount((count) => workload.content(Number(values.texts), count));
  const truth = await vectorsOf(PEERS[0]!, PEERS[0]!.candidates(workload.name, bench.cores)[0], content);
  await peer.prepare();
  for (const candidate of peer.candidates(workload.name, bench.cores)) {
    if (candidate.name.includes(values.only)) say(await line(peer, candidate, content, truth));
  }
} finally {
  rmSync(scratch, { recursive: true });
}

async function vectorsOf(
  peer: Peer,
  candidate: Candidate | undefined,
  content: Content,
): Promise<Float32Array | undefined> {
  if (!candidate) return undefined;
  await peer.prepare();
  const contender = await startContender(bench, peer, workload!.name, candidate, content);
  const rows = await rowsOf(bench, contender, PATIENCE);
  await contender.stop();
  return rows;
}

async function line(
  peer: Peer,
  candidate: Candidate,
  content: Content,
  truth: Float32Array | undefined,
): Promise<string> {
  try {
    const contender = await startContender(bench, peer, workload!.name, candidate, content);
    const { seconds, cpu } = await contender.measure("go", PATIENCE);
    const rows = await rowsOf(bench, contender, PATIENCE);
    const near = truth ? accuracyLine(accuracyOf(content.kind, truth, rows, content.texts.length)) : "";
    const memory = `${(contender.peakBytes() / 1e6).toFixed(0)} MB`;
    await contender.stop();
    const speed = (time: number) => (content.texts.length / time).toFixed(1);
    return `| ${peer.name} | ${candidate.name} | ${speed(seconds)} | ${speed(cpu)} | ${near} | ${memory} |`;
  } catch (error) {
    return `| ${peer.name} | ${candidate.name} | ${(error as Error).message} |`;
  }
}
