/** Loads the model that is used, or one that is here, and tells its profile and exactness. */
import { isAbsolute } from "node:path";
import type { Llama, LlamaError } from "@llamasaur/llamasaur";
import { ANY_MODEL, Failure } from "../failure.ts";
import { size } from "../layout.ts";
import { loadModel, type ModelOptions, promptsOf } from "../model.ts";
import { commandLine, replacing } from "../program.ts";
import { shown } from "../quote.ts";
import type { Session } from "../session.ts";
import type { Finding } from "./finding.ts";

/** The model's profile, and that it embeds. */
export async function model(options: ModelOptions, session: Session): Promise<Finding> {
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
    const remedy = await remedyOf(named, error);
    return {
      check,
      state: "failed",
      message: message.split("; looked at:")[0]!.split("\n")[0]!.replace(/\. To get it again:$/, ""),
      ...(remedy !== undefined && { remedy }),
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

/** The command that gets the model, again if it is here and broken; undefined where another file would help nothing. */
async function remedyOf(named: string, error: unknown): Promise<string | undefined> {
  const { listModels, ModelNotFoundError } = await import("@llamasaur/llamasaur/models");
  const { code } = (error instanceof Failure ? error.cause : error) as Partial<LlamaError>;
  if (error instanceof ModelNotFoundError) {
    return commandLine(["pull", error.remedy === undefined ? ANY_MODEL : named]);
  }
  if (code !== "model-invalid") return undefined;
  const here = (await listModels()).find(({ model, path }) =>
    model === named.toLowerCase() || model === named || path === named
  );
  const wanted = here && isAbsolute(here.model) ? undefined : here?.model;
  if (wanted === undefined) return commandLine(["pull", ANY_MODEL]);
  return replacing(wanted);
}

async function profile(model: string, llama: Llama): Promise<Finding> {
  const { info } = llama;
  const { architecture, quantization, dimensions, pooling, maxTokens, prompts, reranker, exact, exactness } = info;
  const vector = await llama.embed("a test of what is installed");
  const finite = vector.every((value) => Number.isFinite(value));
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
  const message = `${shown(model)}: ${words.join(", ")}`;
  const state = !finite ? "failed" : exactness.lacks.length > 0 ? "warning" : "ok";
  return {
    check: "model",
    state,
    message: finite ? message : `${message}: its vectors are no numbers`,
    more,
    ...(state !== "ok" && { remedy: commandLine(["inspect", model]) }),
    details: { ...details, exact, exactness, fingerprint: info.fingerprint },
  };
}
