/** sentence-transformers on its three backends, each a peer. */
import { type Candidate, isCausal, type Peer } from "../peer.ts";
import { beside, checkpoint, exported, python } from "./install.ts";

const BATCHES = [8, 16, 4, 32];

let program = "";

/** On torch, on ONNX and on OpenVINO. */
export const SENTENCE_TRANSFORMERS: readonly Peer[] = [
  peer("sentence-transformers", torchCandidates, checkpoint),
  peer(
    "sentence-transformers, ONNX",
    (workload, cores) => withBatches("onnx", ["fp32", "q8"], workload, cores),
    exported,
  ),
  peer("sentence-transformers, OpenVINO", openvinoCandidates, exported),
];

function peer(name: string, candidates: Peer["candidates"], model: (workload: string) => Promise<string>): Peer {
  return {
    name,
    kinds: ["embed", "rerank"],
    async prepare(): Promise<void> {
      program = await python();
      await model("titles");
    },
    // it has no causal model: gemma3-270m can be had as GGUF only
    candidates: (workload, cores) => isCausal(workload) ? [] : candidates(workload, cores),
    model: (_, workload) => model(workload),
    command: (jobPath) => [program, beside("sentences.py"), jobPath],
  };
}

function torchCandidates(workload: string, cores: number): readonly Candidate[] {
  const all = withBatches("torch", ["fp32", "bf16", "autocast"], workload, cores);
  if (workload === "query" || workload === "rerank" || cores === 1) return all;
  // its pool of processes, for bulk work
  const pools = ["bf16", "fp32"].map((type): Candidate => ({
    name: `${type}, batches of 8, ${cores} processes`,
    type,
    settings: { backend: "torch", batch: 8, threads: 1, processes: cores },
  }));
  return [...all.slice(0, 2), ...pools, ...all.slice(2)];
}

function openvinoCandidates(workload: string, cores: number): readonly Candidate[] {
  return withBatches("openvino", ["bf16", "fp32"], workload, cores);
}

/** Batches of the likeliest size with every type first: the search may run out of time. */
function withBatches(backend: string, types: readonly string[], workload: string, threads: number): Candidate[] {
  return (workload === "query" ? [1] : BATCHES).flatMap((batch) =>
    types.map((type): Candidate => ({
      name: workload === "query" ? type : `${type}, batches of ${batch}`,
      type,
      settings: { backend, batch, threads },
    }))
  );
}
