/** onnxruntime, OpenVINO and CTranslate2 by themselves, from Python. */
import { type Candidate, isCausal, type Peer } from "../peer.ts";
import { beside, exported, python } from "./install.ts";

const PLAIN = "onnx/model.onnx";
const FUSED = "onnx/model_O2.onnx"; // with onnxruntime's own nodes for BERT

let program = "";

/** fp32, as it is and with onnxruntime's fusions, and dynamic int8. */
export const ONNXRUNTIME: Peer = peer("onnxruntime", "onnxruntime", [
  ["fp32", "fp32, fused", FUSED],
  ["q8", "q8", "onnx/model_quantized.onnx"],
  ["fp32", "fp32", PLAIN],
]);

/** fp32 weights, computed in either precision. */
export const OPENVINO: Peer = peer("OpenVINO", "openvino", [
  ["bf16", "bf16", "openvino/openvino_model.xml"],
  ["fp32", "fp32", "openvino/openvino_model.xml"],
]);

/** float32 weights, quantised while they load. It has bfloat16 for graphics cards alone. */
export const CTRANSLATE2: Peer = peer("CTranslate2", "ctranslate2", [
  ["float32", "float32", "ctranslate2"],
  ["int16", "int16", "ctranslate2"],
  ["int8", "int8", "ctranslate2"],
]);

function peer(
  name: string,
  engine: string,
  files: readonly (readonly [type: string, name: string, file: string])[],
): Peer {
  return {
    name,
    kinds: ["embed", "rerank"],
    async prepare(): Promise<void> {
      program = await python();
      await exported("titles");
    },
    candidates(workload: string, cores: number): readonly Candidate[] {
      if (isCausal(workload)) return [];
      const alone = workload === "query";
      const ways: [sessions: number, threads: number][] = alone || cores === 1
        ? [[1, cores]]
        : [[cores, 1], [1, cores]];
      // the likeliest first: the search may run out of time
      return (alone ? [1] : [4, 8, 1, 16, 32]).flatMap((batch) =>
        ways.flatMap(([sessions, threads]) =>
          files.map(([type, name, file]): Candidate => ({
            name: alone ? name : `${name}, batches of ${batch}, ${sessions} × ${threads}`,
            type,
            settings: { engine, batch, sessions, threads, file },
          }))
        )
      );
    },
    model: (_, workload) => exported(workload),
    command: (jobPath) => [program, beside("sessions.py"), jobPath],
  };
}
