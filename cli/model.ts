/** Loads the model that the shared options name. The library itself is loaded only when one is. */
import type { Llama, LlamaError, LlamaInfo, LoadOptions } from "@llamasaur/llamasaur";
import { ANY_MODEL, EXIT, Failure, UsageError } from "./failure.ts";
import { commandLine, replacing } from "./program.ts";
import { quoted } from "./quote.ts";
import type { Session } from "./session.ts";
import { bytes, integer } from "./values.ts";
import type { VerbOption } from "./verb.ts";

/** The shared options about the model, as they were given. */
export interface ModelOptions {
  readonly model?: string;
  readonly download?: boolean;
  readonly device?: string;
  readonly contexts?: number;
  readonly memoryLimit?: number;
  readonly library?: string;
}

/** The shared options about the model. */
export const MODEL_OPTIONS: readonly VerbOption[] = [
  { flags: "--model <model>", description: "a GGUF file, a name of the catalogue or hf:…", env: "LLAMASAUR_MODEL" },
  { flags: "--download", description: "get the model first if it is not here", env: "LLAMASAUR_DOWNLOAD" },
  { flags: "--device <name>", description: "the device that computes", env: "LLAMASAUR_DEVICE" },
  {
    flags: "--contexts <count>",
    description: "contexts that compute side by side",
    env: "LLAMASAUR_CONTEXTS",
    read: integer("--contexts", 1, 512),
  },
  {
    flags: "--memory-limit <bytes>",
    description: "what weights and contexts may take, such as 2GB",
    env: "LLAMASAUR_MEMORY_LIMIT",
    read: bytes("--memory-limit"),
  },
  { flags: "--library <path>", description: "the native library", env: "LLAMASAUR_LIBRARY" },
];

/** The model that was named. */
export function modelName(options: ModelOptions, fallback?: string): string {
  const model = options.model || fallback; // a variable may be set to nothing
  if (model) return model;
  throw new UsageError(
    "Cannot tell which model: give --model, or set LLAMASAUR_MODEL. To get a small one for English:\n\n" +
      `  ${commandLine(["pull", ANY_MODEL])}\n`,
  );
}

/**
 * Loads the model; with `--download` gets it first.
 *
 * @param more Options of `Llama.load` beside the shared ones.
 */
export async function loadModel(
  model: string,
  options: ModelOptions,
  session: Session,
  more: LoadOptions = {},
): Promise<Llama> {
  const { Llama, ModelNotFoundError } = await import("@llamasaur/llamasaur");
  const { device, contexts, memoryLimit, library } = options;
  const all: LoadOptions = {
    device,
    contexts,
    memoryLimit,
    library,
    signal: session.signal,
    onLog: ({ level, message }) => void (level === "warn" && session.warn(message)),
    ...more,
  };
  try {
    return await Llama.load(model, all);
  } catch (error) {
    const { code, message } = error as LlamaError;
    if (code === "model-invalid" && isOfTheHub(model)) {
      throw new Failure(`${message}. To get it again:\n\n  ${replacing(model)}`, EXIT.failed, { cause: error });
    }
    if (!(error instanceof ModelNotFoundError) || !options.download || !isOfTheHub(model)) throw error;
  }
  await getModel(model, session);
  return await Llama.load(model, all);
}

/** Downloads a model, with progress unless the session is quiet. Returns its path. */
export async function getModel(model: string, session: Session): Promise<string> {
  const { download } = await import("@llamasaur/llamasaur/models");
  return await download(model, { signal: session.signal, ...(session.quiet && { onProgress: () => {} }) });
}

/** Whether a name is one that can be downloaded: of the catalogue, or `hf:`. */
export function isOfTheHub(model: string): boolean {
  return model.startsWith("hf:") || !/[\\/]|\.gguf$|^[~$%.]/i.test(model);
}

/** What goes before a query and a document, in words. */
export function promptsOf(prompts: LlamaInfo["prompts"] | null): string {
  if (!prompts) return "not known: give --prompt where the model wants one";
  const one = (prompt: string): string => prompt === "" ? "nothing" : quoted(prompt);
  if (prompts.query === "" && prompts.document === "") return "none: the model was trained without";
  return `${one(prompts.query)} before a query, ${one(prompts.document)} before a document`;
}
