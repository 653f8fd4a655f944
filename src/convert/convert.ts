/** From a checkpoint directory to a GGUF file. */
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { writeGguf } from "./gguf.ts";
import { LlamaError } from "../../ffi/errors.ts";
import {
  checkOptions,
  type Checks,
  checkText,
  isFolder,
  LONGEST_REASON,
  printable,
  unexpanded,
  word,
} from "../check.ts";
import { readModel } from "./model.ts";
import { pathOf, QUANTIZE, quantize, type QuantizeOptions, type WeightType, weightType } from "./quantize.ts";
import { checkApart, withTemporary } from "../files.ts";
import { CHECKPOINT_POOLINGS, type CheckpointPooling } from "./sentence_transformers.ts";

/** Options of {@linkcode convert}. */
export interface ConvertOptions extends QuantizeOptions {
  /** Type of the weights; default `"f32"`. Any other needs the native library, and a temporary f32 file beside `out`. */
  readonly type?: WeightType | undefined;
  /** Pooling of the model; default: what modules.json says. Not used for cross-encoders. */
  readonly pooling?: CheckpointPooling | undefined;
  /** Name of the model in the file's metadata; default: the directory's. */
  readonly name?: string | undefined;
}

const OPTIONS: Checks<ConvertOptions> = {
  ...QUANTIZE,
  type: weightType,
  pooling: word(CHECKPOINT_POOLINGS),
  name: checkText,
};

/** Share of the work that writing the f32 file is, when it is quantised afterwards. */
const WRITING = 0.5;

/**
 * Makes a GGUF file from a BERT, DistilBERT, RoBERTa, XLM-RoBERTa or ModernBERT checkpoint of sentence-transformers or Hugging
 * Face, bi-encoder or cross-encoder.
 *
 * Equal to what llama.cpp's own converter makes, but keeps more: the token limit and the Dense modules of
 * sentence-transformers, and all of a cross-encoder's head, without which its scores are wrong. The file appears under its name only when it is whole.
 *
 * @param directory Path or `file:` URL of the directory: config.json, model.safetensors, tokenizer.json or vocab.txt, modules.json.
 * @param out Path or `file:` URL of the file to make; one that is there is replaced.
 * @param options Type of the weights, pooling, name, threads, signal, progress, library.
 * @throws {TypeError} If an argument is of the wrong type or an option does not exist; the message names it.
 * @throws {RangeError} If the type is not one of {@linkcode WeightType}, a path is empty or has a NUL, or `out` is a file of the
 * checkpoint, by whatever path.
 * @throws {LlamaError} With code `"model-unsupported"` if this kind of model cannot be converted, `"model-invalid"` if a
 * file is missing or damaged; the message names file and key.
 *
 * @example
 * ```ts
 * import { convert } from "@llamasaur/llamasaur/convert";
 *
 * await convert("tests/fixtures/tiny_bert", "models/tiny-bert-q8_0.gguf", { type: "q8_0" });
 * ```
 */
export async function convert(
  directory: string | URL,
  out: string | URL,
  options: ConvertOptions = {},
): Promise<void> {
  const [from, to] = [pathOf("directory", directory), pathOf("out", out)];
  const { type = "f32", pooling, name = basename(from), ...others } = checkOptions(options, OPTIONS);
  const { signal, onProgress } = others;
  signal?.throwIfAborted();
  if (isFolder(from) === false) {
    throw new LlamaError(
      "model-invalid",
      `Cannot make a GGUF file of ${printable(from, undefined, LONGEST_REASON)}: ${noFolder(from)}`,
    );
  }
  await checkApart(to, await filesOf(from));
  const { metadata, tensors } = await readModel(from, { name, pooling });
  if (type === "f32") return await writeGguf(to, metadata, tensors, { signal, onProgress });
  await withTemporary(to, async (whole) => {
    await writeGguf(whole, metadata, tensors, {
      signal,
      onProgress: onProgress && ((done) => onProgress(done * WRITING)),
    });
    await quantize(whole, to, type, {
      ...others,
      ...(onProgress && { onProgress: (done) => onProgress(WRITING + done * (1 - WRITING)) }),
    });
  });
}

/**
 * The files of a checkpoint; GGUF files that were made of it may lie beside them. Empty where the system does not list them.
 *
 * @throws Deno's error where the folder may not be read: it names the folder, of which each file would be asked for alone.
 */
async function filesOf(directory: string): Promise<string[]> {
  const files = await readdir(directory, { recursive: true }).catch((error: Error) => {
    if (error.name === "NotCapable") throw error;
    return [];
  });
  return files.filter((file) => !/\.gguf$/i.test(file)).map((file) => join(directory, file));
}

/** What is wrong with the path of a checkpoint that is no folder's. */
function noFolder(path: string): string {
  if (/\.gguf$/i.test(path)) {
    return "it is a GGUF file's name: load that as it is, or make its weights smaller by quantize()";
  }
  if (/\.(safetensors|bin|pt|json)$/i.test(path)) return "it is a file's name: give the folder of the checkpoint";
  return unexpanded(path) ||
    "there is no such directory: give the folder of a checkpoint, which is got from the hub first";
}
