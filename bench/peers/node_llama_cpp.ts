/** node-llama-cpp with its own binaries. */
import { join } from "node:path";
import { modelFor } from "../models.ts";
import { type Candidate, isCausal, type Peer } from "../peer.ts";
import { nodeFolder } from "./install.ts";

let folder = "";

/** A pool of its contexts. */
export const NODE_LLAMA_CPP: Peer = {
  name: "node-llama-cpp",
  kinds: ["embed", "rerank"],
  async prepare(): Promise<void> {
    folder = await nodeFolder();
  },
  candidates(workload: string, cores: number): readonly Candidate[] {
    if (isCausal(workload)) return []; // it has neither last-token pooling nor yes and no
    const pools = workload === "query"
      ? [[1, cores], [1, 1]]
      : [[cores, 1], [2 * cores, 1], [4 * cores, 1], [1, cores]];
    return pools.flatMap(([contexts, threads]) =>
      ["q8_0", "bf16", "f32"].map((type): Candidate => ({
        name: `${type}, ${contexts} × ${threads}`,
        type,
        settings: { contexts: contexts!, threads: threads! },
      }))
    );
  },
  model: modelFor,
  command: (jobPath) => ["node", join(folder, "node_llama_cpp.mjs"), jobPath],
};
