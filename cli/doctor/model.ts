/** Loads the model that is used, or one that is here, and tells its profile and exactness. */
import { isAbsolute } from "node:path";
import type { Llama, LlamaError, LlamaInfo } from "@llamasaur/llamasaur";
import { ANY_MODEL, Failure } from "../failure.ts";
import { size } from "../layout.ts";
import { loadModel, type ModelOptions, promptsOf } from "../model.ts";
import { allowed, commandLine, replacing } from "../program.ts";
import { shown } from "../quote.ts";
import type { Session } from "../session.ts";
import { unsetting } from "./environment.ts";
import type { Finding } from "./finding.ts";

/** Architectures of which convert() makes a file that lacks nothing. */
const CONVERTED: readonly string[] = ["bert", "modern-bert"];

/** Options that can keep a good model from running, with what the library says then. */
const BLAMED = [
  { flag: "--device", variable: "LLAMASAUR_DEVICE", says: /^Cannot load on the device / },
  { flag: "--memory-limit", variable: "LLAMASAUR_MEMORY_LIMIT", says: /memoryLimit/ },
] as const;

/**
 * The model's profile, and that it embeds or ranks.
 *
 * @param words What the program was given.
 */
export async function model(options: ModelOptions, words: readonly string[], session: Session): Promise<Finding> {
  const check = "model";
  const named = options.model || await anyModel();
  if (named === undefined) {
    return {
      check,
      state: "note",
      message: "none is here, and none was named",
      remedy: commandLine(["pull", ANY_MODEL]),
    };
  }
  try {
    await using llama = await loadModel(named, { ...options, download: false }, session, { onLog: () => {} });
    return await profile(named, llama);
  } catch (error) {
    session.signal.throwIfAborted();
    const { message } = error as Error;
    return {
      check,
      state: "failed",
      message: message.split("; looked at:")[0]!.split("\n")[0]!.replace(/\. To get it again:$/, ""),
      remedy: await remedyOf(named, words, error as Error),
      details: { model: named },
    };
  }
}

/** A model that is here: of the catalogue, if there is one. */
async function anyModel(): Promise<string | undefined> {
  const { catalogue, listModels } = await import("@llamasaur/llamasaur/models");
  const here = (await listModels()).map(({ model }) => model);
  return here.find((name) => Object.hasOwn(catalogue, name)) ?? here[0];
}

/** The command that allows it, leaves out the option that is to blame, gets the model again, or gets one that runs. */
async function remedyOf(named: string, words: readonly string[], error: Error): Promise<string> {
  const { listModels, ModelNotFoundError } = await import("@llamasaur/llamasaur/models");
  if (error.name === "NotCapable") return allowed(words);
  const blamed = BLAMED.find(({ says }) => says.test(error.message));
  if (blamed) return without(blamed.flag, words) ?? unsetting(blamed.variable);
  if (error instanceof ModelNotFoundError) {
    return commandLine(["pull", error.remedy === undefined ? ANY_MODEL : named]);
  }
  const { code } = (error instanceof Failure ? error.cause : error) as Partial<LlamaError>;
  const broken = code === "model-invalid" || code === "non-finite";
  const here = (await listModels()).find(({ model, path }) =>
    model === named.toLowerCase() || model === named || path === named
  );
  const wanted = !broken || here === undefined || isAbsolute(here.model) ? undefined : here.model;
  return wanted === undefined ? commandLine(["pull", ANY_MODEL]) : replacing(wanted);
}

/** The command as it was given, without an option and its value; undefined where it was not given. */
function without(flag: string, words: readonly string[]): string | undefined {
  const at = words.findIndex((word) => word === flag || word.startsWith(`${flag}=`));
  return at < 0 ? undefined : commandLine(words.toSpliced(at, words[at] === flag ? 2 : 1));
}

/** The command that gets a model that lacks nothing: the original made anew where convert() knows its kind, else another one. */
async function completing({ architecture, reranker, exactness: { lacks } }: LlamaInfo): Promise<string> {
  const another = lacks.some((line) => line.endsWith(": take another model"));
  if (!another && CONVERTED.includes(architecture)) return commandLine(["convert", "DIR", "OUT.gguf"]);
  if (reranker === "cosine") return commandLine(["pull", ANY_MODEL]);
  const { catalogue } = await import("@llamasaur/llamasaur/models");
  const [name] = Object.entries(catalogue).find(([, { kind }]) => kind === "reranker")!;
  return commandLine(["pull", name]);
}

async function profile(model: string, llama: Llama): Promise<Finding> {
  const { info } = llama;
  const { architecture, quantization, dimensions, pooling, maxTokens, prompts, reranker, exact, exactness } = info;
  const text = "a test of what is installed";
  if (reranker === "cosine") await llama.embed(text);
  else await llama.rerank(text, [text]);
  const words = [architecture, quantization, `${dimensions} dimensions`, `pooling ${pooling}`, `${maxTokens} tokens`];
  const memory = size(info.memory.weights + info.memory.contexts);
  const more = [
    `prompts: ${promptsOf(prompts)}`,
    `reranks by ${reranker}, ${memory} of memory, on ${info.device}`,
    `exact: ${exact ? "yes" : "not known to be"}`,
    ...exactness.lacks.map((line) => `lacks: ${line}`),
    ...exactness.unknown.map((line) => `unknown: ${line}`),
  ];
  const details = {
    model,
    architecture,
    type: quantization,
    dimensions,
    pooling,
    maxTokens,
    prompts: prompts ?? null,
    reranker,
  };
  const lacking = exactness.lacks.length > 0;
  return {
    check: "model",
    state: lacking ? "warning" : "ok",
    message: `${shown(model)}: ${words.join(", ")}`,
    more,
    ...(lacking && { remedy: await completing(info) }),
    details: { ...details, exact, exactness, fingerprint: info.fingerprint },
  };
}
