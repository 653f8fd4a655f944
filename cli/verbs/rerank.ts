/** Ranks texts by how well they answer a query. */
import type { RerankOptions as RankingOptions } from "@llamasaur/llamasaur";
import type { Document } from "../data/documents.ts";
import { UsageError } from "../failure.ts";
import { loadModel, modelName, type ModelOptions } from "../model.ts";
import { counted } from "../progress.ts";
import { quoted } from "../quote.ts";
import type { Session } from "../session.ts";
import { collected, integer } from "../values.ts";
import type { Given, Verb } from "../verb.ts";

/** The options of `rerank`. */
export interface RerankOptions extends ModelOptions {
  readonly text?: readonly string[];
  readonly top?: number;
  readonly field: string;
  readonly truncate: "end" | "start" | "error" | "windows";
  readonly instruction?: string;
  readonly label?: string;
  readonly json?: boolean;
}

/** The verb. */
export const verb: Verb<RerankOptions> = {
  arguments: "<query> [inputs...]",
  description: "Ranks texts by how well they answer a query, best first: those of files, of - for stdin, or of --text.",
  shared: ["model", "json"],
  options: [
    { flags: "--text <text>", description: "a text, beside those of files; repeatable", read: collected },
    { flags: "--top <count>", description: "how many of the best", read: integer("--top", 1) },
    { flags: "--field <name>", description: "the field of the text", default: "text" },
    {
      flags: "--truncate <end>",
      description: "what of a long text is cut off; windows: none, its best window counts",
      choices: ["end", "start", "error", "windows"],
      default: "end",
    },
    { flags: "--instruction <text>", description: "what to look for, for models whose template has a line for it" },
    { flags: "--label <name>", description: "the label that counts, of a model with several" },
  ],
  examples: [
    'rerank "yellow fruit" --model all-minilm-l6-v2 --text "Paris is a city." --text "Bananas are yellow."',
    'rerank "a river" texts.jsonl --model all-minilm-l6-v2 --top 3 --json',
  ],
  run,
};

async function run({ args, options }: Given<RerankOptions>, session: Session): Promise<void> {
  const [query = "", ...inputs] = args;
  const { text: texts = [], field, json = false } = options;
  if (inputs.length === 0 && texts.length === 0) {
    throw new UsageError("Cannot rank nothing: give files, -, or --text behind the query");
  }
  const model = modelName(options);
  const { readDocuments } = await import("../data/documents.ts");
  const documents = await readDocuments({ inputs, texts, field }, session.signal);
  await using llama = await loadModel(model, options, session);
  const { top, truncate, instruction, label } = options;
  const { signal } = session;
  const ranking: RankingOptions<Document> & { readonly text: (document: Document) => string } = {
    truncate,
    instruction,
    label,
    signal,
    text: ({ text }) => text,
    onProgress: ({ done, total, tokens }) => session.progress("texts", { done, total, tokens }),
  };
  const ranked = await llama.rerank(query, documents, ranking);
  session.clear(true);
  const { reranker, fingerprint } = llama.info;
  const truncated = ranked.filter((one) => one.truncated).length; // of all, also of those that are not shown
  const results = ranked.slice(0, top).map(({ document: { id, text }, ...rest }) => ({ id, ...rest, text }));
  if (json) {
    await session.json({ model, reranker, fingerprint, query, documents: documents.length, truncated, results });
  } else {
    for (const { score, text } of results) await session.write(`${score.toFixed(4)}  ${quoted(text)}\n`);
  }
  if (truncated > 0) {
    session.say(
      `${truncated} of ${counted(ranked.length, "text")} ${
        truncated === 1 ? "was" : "were"
      } cut at ${llama.info.maxTokens} tokens; --truncate windows reads them whole`,
    );
  }
}
