/** Whom we are measured against, each at its best. */
import type { Peer } from "../peer.ts";
import { LLAMA_CRAB } from "./llama_crab.ts";
import { LLAMA_SERVER } from "./llama_server.ts";
import { NODE_LLAMA_CPP } from "./node_llama_cpp.ts";
import { CTRANSLATE2, ONNXRUNTIME, OPENVINO } from "./sessions.ts";
import { SENTENCE_TRANSFORMERS } from "./sentences.ts";
import { TRANSFORMERS_JS } from "./transformers_js.ts";

/** The first one's vectors in fp32 are the truth that all are compared with. */
export const PEERS: readonly Peer[] = [
  ...SENTENCE_TRANSFORMERS,
  ONNXRUNTIME,
  OPENVINO,
  CTRANSLATE2,
  TRANSFORMERS_JS,
  LLAMA_SERVER,
  NODE_LLAMA_CPP,
  LLAMA_CRAB,
];
