/** transformers.js on onnxruntime-node. */
import { join } from "node:path";
import { type Candidate, isCausal, type Peer } from "../peer.ts";
import { exported, nodeFolder } from "./install.ts";

let folder = "";

/** On Node, where its binaries are made for: on Deno and Bun the same binaries compute. */
export const TRANSFORMERS_JS: Peer = {
  name: "transformers.js",
  kinds: ["embed", "rerank"],
  async prepare(): Promise<void> {
    folder = await nodeFolder();
    await exported("titles");
  },
  candidates(workload: string, cores: number): readonly Candidate[] {
    if (isCausal(workload)) return [];
    const alone = workload === "query";
    const files = [["fp32", "model_O2"], ["q8", "model"], ["fp32", "model"]] as const;
    return (alone ? [1] : [8, 16, 4, 32, 64, 1]).flatMap((batch) =>
      files.map(([type, file]): Candidate => ({
        name: `${type}, ${file}${alone ? "" : `, batches of ${batch}`}`,
        type,
        settings: { batch, threads: cores, file },
      }))
    );
  },
  model: (_, workload) => exported(workload),
  command: (jobPath) => ["node", join(folder, "transformers_js.mjs"), jobPath],
};
