/**
 * A head of our own in the metadata: the steps that follow the pooling, and their numbers as texts of base64.
 * docs/internals/heads.md describes the format, and says why the numbers are texts.
 */
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { LlamaError } from "../../ffi/errors.ts";
import { Config } from "./config.ts";
import type { Entry } from "./encoder.ts";
import type { GgufValue } from "./gguf.ts";
import { floats, readTensors, type Tensor } from "./safetensors.ts";
import { tensorOf } from "./tensors.ts";

/** A module of sentence-transformers that follows the pooling: a Dense layer's folder, or that vectors get length 1. */
export type HeadModule = { readonly kind: "dense"; readonly directory: string } | { readonly kind: "normalize" };

/** The steps by the classes of torch that sentence-transformers' Dense names. */
const ACTIVATIONS: ReadonlyMap<string, string | undefined> = new Map([
  ["Identity", undefined],
  ["Tanh", "tanh"],
  ["ReLU", "relu"],
  ["GELU", "gelu"],
  ["SiLU", "silu"],
]);

/** A tensor's numbers as they go into the metadata. */
export async function headNumbers(tensor: Tensor): Promise<GgufValue> {
  const parts: Uint8Array[] = [];
  for await (const values of floats(tensor)) {
    parts.push(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return { string: Buffer.concat(parts).toString("base64") };
}

/**
 * Reads the modules that follow the pooling.
 *
 * @param modules They, in order.
 * @param width Numbers of a pooled vector.
 * @returns The head's metadata; none where a vector leaves it as it came, but for its length.
 * @throws {LlamaError} With code `"model-unsupported"` or `"model-invalid"`, naming file and key.
 */
export async function headOf(modules: readonly HeadModule[], width: number): Promise<Entry[]> {
  // What embed() does by default needs no step.
  const last = modules.findLastIndex(({ kind }) => kind === "dense");
  const steps: string[] = [], numbers: Entry[] = [];
  for (const module of modules.slice(0, last + 1)) {
    if (module.kind === "normalize") {
      steps.push("l2");
      continue;
    }
    const name = `dense_${steps.length}`;
    const dense = await readDense(module.directory, width);
    steps.push(`linear ${name} ${dense.outputs}`, ...(dense.activation === undefined ? [] : [dense.activation]));
    numbers.push([`llamasaur.head.${name}.weight`, await headNumbers(dense.weight)]);
    if (dense.bias) numbers.push([`llamasaur.head.${name}.bias`, await headNumbers(dense.bias)]);
    width = dense.outputs;
  }
  return steps.length === 0 ? [] : [["llamasaur.head.steps", { strings: steps }], ...numbers];
}

interface Dense {
  readonly outputs: number;
  readonly activation: string | undefined;
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;
}

async function readDense(directory: string, width: number): Promise<Dense> {
  const config = await Config.read(directory, "config.json");
  const [inputs, outputs] = [config.count("in_features"), config.count("out_features")];
  if (inputs !== width) config.invalid(`in_features is ${inputs}, and the vectors before it have ${width} numbers`);
  if (outputs < 1) config.invalid("out_features is 0");
  for (const key of ["module_input_name", "module_output_name"]) {
    const name = config.text(key) ?? "sentence_embedding";
    if (name !== "sentence_embedding") config.unsupported(`${key} is ${name}, only sentence_embedding is supported`);
  }
  const kind = (config.text("activation_function") ?? "Tanh").split(".").at(-1)!;
  if (!ACTIVATIONS.has(kind)) {
    config.unsupported(`activation_function is ${kind}, only ${[...ACTIVATIONS.keys()].join(", ")} are supported`);
  }
  const weights = await weightsOf(directory);
  const biased = config.flag("bias") ?? true;
  return {
    outputs,
    activation: ACTIVATIONS.get(kind),
    weight: tensorOf(weights, "linear.weight", [outputs, inputs], directory),
    bias: biased ? tensorOf(weights, "linear.bias", [outputs], directory) : undefined,
  };
}

async function weightsOf(directory: string): Promise<Map<string, Tensor>> {
  const file = join(directory, "model.safetensors");
  try {
    return await readTensors(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw new LlamaError(
      "model-invalid",
      `${file}: there is no such file: of weights only safetensors are read; save the checkpoint again by ` +
        "SentenceTransformer(...).save(directory, safe_serialization=True) in Python",
    );
  }
}
