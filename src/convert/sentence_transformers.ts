/**
 * What sentence-transformers adds to a Hugging Face checkpoint: the modules after the transformer, and the token limit.
 *
 * The files: https://sbert.net/docs/sentence_transformer/usage/custom_models.html
 */
import { isAbsolute, join, normalize } from "node:path";
import { Config } from "./config.ts";
import type { HeadModule } from "./head.ts";

/** How the vectors of a text's tokens become one: their mean, that of `[CLS]`, or that of the last. */
export type CheckpointPooling = "mean" | "cls" | "last";

/** All of them. */
export const CHECKPOINT_POOLINGS: readonly CheckpointPooling[] = ["mean", "cls", "last"];

/** The parts of a checkpoint. */
export interface Modules {
  /** Directory of the transformer: config.json, weights, tokenizer. */
  readonly transformer: string;
  /** Undefined for a checkpoint without modules.json. */
  readonly pooling: CheckpointPooling | undefined;
  /** What follows the pooling, in order. */
  readonly after: readonly HeadModule[];
}

/** The modes of a Pooling module, by the two spellings it has had (the second: one key, `pooling_mode`). */
const MODES: ReadonlyMap<string, CheckpointPooling | undefined> = new Map([
  ["pooling_mode_mean_tokens", "mean"],
  ["pooling_mode_cls_token", "cls"],
  ["pooling_mode_lasttoken", "last"],
  ["pooling_mode_max_tokens", undefined],
  ["pooling_mode_mean_sqrt_len_tokens", undefined],
  ["pooling_mode_weightedmean_tokens", undefined],
  ["mean", "mean"],
  ["cls", "cls"],
  ["lasttoken", "last"],
]);

/**
 * Reads modules.json and the pooling module's configuration.
 *
 * @param directory Path of the checkpoint.
 * @returns Where the transformer is, and the pooling.
 * @throws {LlamaError} With code `"model-unsupported"` if a module or pooling mode has no counterpart in llama.cpp.
 */
export async function readModules(directory: string): Promise<Modules> {
  const list = await Config.find(directory, "modules.json");
  let transformer = directory;
  let pooling: CheckpointPooling | undefined;
  const after: HeadModule[] = [];
  for (const key of list?.keys() ?? []) {
    const module = list!.object(key)!;
    const type = module.text("type")?.split(".").at(-1) ?? "";
    const path = module.text("path") ?? "";
    // A path that leads out of the checkpoint would read a stranger's choice of files.
    if (isAbsolute(path) || normalize(path).startsWith("..")) {
      module.invalid(`path "${path}" leads out of the checkpoint`);
    }
    const inside = join(directory, path);
    if (type === "Transformer") transformer = inside;
    else if (type === "Pooling") {
      if (after.length > 0) {
        module.unsupported("module Pooling comes after Dense or Normalize, only before is supported");
      }
      pooling = poolingOf(await Config.read(inside, "config.json"));
    } else if (type === "Dense") after.push({ kind: "dense", directory: inside });
    else if (type === "Normalize") after.push({ kind: "normalize" });
    else if (type !== "Dropout") { // it does nothing outside of training
      module.unsupported(
        `module ${type} cannot be converted, only Transformer, Pooling, Dense, Dropout and Normalize`,
      );
    }
  }
  return { transformer, pooling, after };
}

/**
 * Reads how many tokens of a text sentence-transformers looks at.
 *
 * @param directory Path of the transformer.
 * @param sentence sentence_bert_config.json of that directory, if there is one.
 * @param positions The most that the model can take, in tokens.
 * @returns The limit in tokens, or undefined if it is the model's.
 */
export async function maxSequenceLength(
  directory: string,
  sentence: Config | undefined,
  positions: number,
): Promise<number | undefined> {
  if (sentence?.has("max_seq_length")) return Math.min(sentence.count("max_seq_length"), positions);
  // Without it, sentence-transformers takes the smaller of the tokenizer's limit (1e30 for none) and the model's.
  const limit = (await Config.find(directory, "tokenizer_config.json"))?.number("model_max_length", positions) ??
    positions;
  return limit < positions ? Math.floor(limit) : undefined;
}

/**
 * Reads what config_sentence_transformers.json puts before a query and before a document (or passage).
 *
 * @param directory Path of the checkpoint.
 * @returns The prompts that are there, by kind of text.
 */
export async function readPrompts(directory: string): Promise<["query" | "document", string][]> {
  const prompts = (await Config.find(directory, "config_sentence_transformers.json"))?.object("prompts");
  const query = prompts?.text("query");
  const document = prompts?.text("document") ?? prompts?.text("passage");
  return [
    ...(query === undefined ? [] : [["query", query] as ["query", string]]),
    ...(document === undefined ? [] : [["document", document] as ["document", string]]),
  ];
}

function poolingOf(config: Config): CheckpointPooling {
  const mode = config.isText("pooling_mode") ? [config.text("pooling_mode")!] : config.texts("pooling_mode");
  // The mean is taken unless it is switched off: so says sentence-transformers' own default.
  const on = (key: string): boolean => config.flag(key) ?? key === "pooling_mode_mean_tokens";
  const modes = mode.length > 0 ? mode : [...MODES.keys()].filter(on);
  const pooling = modes.length === 1 ? MODES.get(modes[0]!) : undefined;
  return pooling ?? config.unsupported(
    `pooling ${modes.join(" and ") || "without a mode"} cannot be computed, only one of mean, cls and lasttoken`,
  );
}
