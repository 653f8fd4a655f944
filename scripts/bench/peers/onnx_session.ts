/** onnxruntime by itself, from Python. */
import type { Candidate, Peer } from "../peer.ts";
import { beside, exported, python } from "./install.ts";

let program = "";

/** fp32 with onnxruntime's own fusions for BERT, and dynamic int8. */
export const ONNXRUNTIME: Peer = {
  name: "onnxruntime",
  kinds: ["embed", "rerank"],
  async prepare(): Promise<void> {
    program = await python();
    await exported("titles");
  },
  candidates(workload: string, cores: number): readonly Candidate[] {
    if (workload === "causal" || workload === "yes-no") return [];
    const alone = workload === "query";
    const ways = alone || cores === 1 ? [[1, cores]] : [[cores, 1], [1, cores]];
    const files = [["fp32", "model_O2"], ["q8", "model_quantized"], ["fp32", "model"]] as const;
    return (alone ? [1] : [4, 8, 1, 16, 32]).flatMap((batch) =>
      ways.flatMap(([sessions, threads]) =>
        files.map(([type, file]): Candidate => ({
          name: `${file}${alone ? "" : `, batches of ${batch}, ${sessions} × ${threads}`}`,
          type,
          settings: { batch, sessions: sessions!, threads: threads!, file },
        }))
      )
    );
  },
  model: (_, workload) => exported(workload),
  command: (jobPath) => [program, beside("onnx_session.py"), jobPath],
};
