// Models as their files describe them, without a native side.
import type { Model, ModelNumbers } from "../../ffi/mod.ts";
import type { Pooling } from "../../mod.ts";

/** What a file says of itself. */
export interface ModelFile {
  readonly meta?: Record<string, string>;
  readonly tensors?: readonly string[];
  readonly numbers?: Partial<ModelNumbers>;
  readonly pooling?: Pooling;
  readonly labels?: readonly string[];
}

const NUMBERS: Partial<ModelNumbers> = {
  contextLength: 512,
  vocabularySize: 30_522,
  dimensions: 384,
  classes: 0,
  pooling: -1,
  hasDecoder: 1,
  hasEncoder: 0,
  isCausalDecoder: 0,
  exposesHiddenStates: 0,
  classifiesLastToken: 0,
  bos: 101,
  eos: -1,
  sep: 102,
  addBos: 1,
  addEos: 1,
  addSep: 0,
  device: -1,
};

/** As the native side reads it (ffi/cpp/shim/attention.cpp), for the architectures of the tests. */
function attentionOf(meta: Record<string, string>): { causal: number; causalBy: Model["causalBy"] } {
  const architecture = meta["general.architecture"] ?? "";
  if (/bert|embed/.test(architecture)) return { causal: 0, causalBy: "architecture" };
  const said = meta[`${architecture}.attention.causal`];
  return { causal: said === "false" ? 0 : 1, causalBy: said === undefined ? "nobody" : "file" };
}

const SAID = /_token_id$|add_(bos|eos)_token$|lowercase$|freq_base$|^modern-bert.*sliding_window$|head\.count$|^:list:/;

/** A model of that file. */
export function fakeModel({ meta = {}, tensors = [], numbers = {}, pooling, labels = [] }: ModelFile): Model {
  const { causal, causalBy } = attentionOf(meta);
  return {
    // What llama.cpp does without, where it is missing, is there unless a test says otherwise.
    meta: (key: string) => meta[key] ?? (SAID.test(key) ? "1" : undefined),
    hasTensor: (name: string) =>
      tensors.includes(name) || /^(blk\.|token_types|dense_3|cls\.(norm|bias|output\.bias))/.test(name),
    numbers: { ...NUMBERS, causal, ...numbers },
    causalBy,
    pooling,
    labels,
  } as unknown as Model;
}

export const BERT: ModelFile = {
  meta: { "general.architecture": "bert", "tokenizer.ggml.model": "bert", "bert.attention.causal": "false" },
  pooling: "mean",
};
export const XLM_R: ModelFile = { meta: { ...BERT.meta, "tokenizer.ggml.model": "t5" }, pooling: "cls" };
export const QWEN3: ModelFile = {
  meta: { "general.architecture": "qwen3", "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "qwen2" },
};
