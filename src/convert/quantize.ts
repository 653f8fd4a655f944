/** Making a GGUF file with weights of another type, by llama.cpp's own llama_model_quantize. */
import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { LlamaError } from "../../ffi/errors.ts";
import { Lane, open } from "../../ffi/mod.ts";
import {
  callback,
  type Check,
  checkOptions,
  checkPath,
  type Checks,
  integer,
  LONGEST_REASON,
  printable,
  signal,
  word,
} from "../check.ts";
import { checkApart, partNames, replaceFile, writing } from "../files.ts";

/**
 * A type of weights, by llama.cpp's name.
 *
 * `q8_0` and `bf16` are the ones to take for embedding models: next to no loss. The `_k` types work on blocks of 256
 * values; a model whose width is no multiple of 256, such as MiniLM's 384, gets coarser ones in their place.
 */
export type WeightType =
  | "f32"
  | "f16"
  | "bf16"
  | "q8_0"
  | "q6_k"
  | "q5_k_m"
  | "q5_k_s"
  | "q5_1"
  | "q5_0"
  | "q4_k_m"
  | "q4_k_s"
  | "q4_1"
  | "q4_0"
  | "iq4_nl"
  | "iq4_xs"
  | "q3_k_l"
  | "q3_k_m"
  | "q3_k_s"
  | "q2_k";

/** All of them, from the largest to the smallest. */
export const WEIGHT_TYPES: readonly WeightType[] = [
  "f32",
  "f16",
  "bf16",
  "q8_0",
  "q6_k",
  "q5_k_m",
  "q5_k_s",
  "q5_1",
  "q5_0",
  "q4_k_m",
  "q4_k_s",
  "q4_1",
  "q4_0",
  "iq4_nl",
  "iq4_xs",
  "q3_k_l",
  "q3_k_m",
  "q3_k_s",
  "q2_k",
];

const MOST_THREADS = 512;

/** Options of {@linkcode quantize}. */
export interface QuantizeOptions {
  /** Number of threads; default: all cores. */
  readonly threads?: number | undefined;
  /** Stops the work once the tensor in hand is done; the promise is then rejected with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Told the share done, from 0 to 1. */
  readonly onProgress?: ((done: number) => void) | undefined;
  /** Path or `file:` URL of the native library; default: where `build` puts it. */
  readonly library?: string | URL | undefined;
}

/** What each option of `quantize` must be; `library` becomes a path. */
export const QUANTIZE: Checks<QuantizeOptions> = {
  threads: integer(1, MOST_THREADS),
  signal,
  onProgress: callback,
  library: checkPath,
};

/** Checks that a value is a type of weights. */
export const weightType: Check<WeightType> = word(WEIGHT_TYPES);

/**
 * Makes a GGUF file with smaller weights; or, of one with quantised weights, the f32 file that it stands for.
 *
 * The file appears under its name only when it is whole, and is byte for byte that of llama.cpp's `llama-quantize`.
 *
 * @param input Path or `file:` URL of a GGUF file with f32, f16 or bf16 weights; for type `"f32"` of any.
 * @param out Path or `file:` URL of the file to make; one that is there is replaced.
 * @param type Type of the weights, such as `"q8_0"`.
 * @param options Threads, signal, progress, library.
 * @throws {TypeError} If an argument is of the wrong type or an option does not exist; the message names it.
 * @throws {RangeError} If the type is not one of {@linkcode WeightType}, `threads` is not a whole number from 1 to 512,
 * or a path is empty or has a NUL, or `out` is the input itself, by whatever path.
 * @throws {LlamaError} With code `"model-invalid"` if the input cannot be read or the output cannot be written,
 * `"model-unsupported"` if its weights are quantised already.
 *
 * @example
 * ```ts
 * import { quantize } from "@llamasaur/llamasaur/convert";
 *
 * await quantize("models/all-minilm-l6-v2-f32.gguf", "models/all-minilm-l6-v2-q8_0.gguf", "q8_0");
 * ```
 */
export async function quantize(
  input: string | URL,
  out: string | URL,
  type: WeightType,
  options: QuantizeOptions = {},
): Promise<void> {
  const [from, to] = [pathOf("input", input), pathOf("out", out)];
  weightType("type", type);
  const { threads = 0, signal, onProgress, library } = checkOptions(options, QUANTIZE);
  await checkApart(to, partNames(from));
  const native = await open(library);
  const lane = new Lane(native);
  try {
    await replaceFile(to, async (temporary) => {
      await writing(to, () => writeFile(temporary, "")); // llama.cpp would not say that it is the output which it cannot write
      await lane.quantize(from, temporary, type, threads, { signal, onProgress });
    }).catch((error) => {
      throw roundedTwice(from, type, error) ?? error;
    });
  } finally {
    lane.close();
  }
}

/** The error for weights that were rounded already; undefined where it is another that llama.cpp tells. */
function roundedTwice(from: string, type: string, error: unknown): LlamaError | undefined {
  const [, is] = error instanceof LlamaError && /requantizing from type (\S+) is disabled/.exec(error.message) || [];
  if (is === undefined) return undefined;
  const reason = `its weights are ${is} already, and would be rounded a second time`;
  return new LlamaError(
    "model-unsupported",
    `Cannot quantize ${
      printable(from, undefined, LONGEST_REASON)
    } to ${type}: ${reason}; take the file that it was made of, ` +
      "with f32, f16 or bf16 weights",
    { cause: error },
  );
}

/** An absolute path, so that a change of the working directory while a lane runs does not matter. */
export function pathOf(name: string, file: string | URL): string {
  return resolve(checkPath(name, file));
}
