/** Embeds texts: files, lines or arguments. */
import { UsageError } from "../failure.ts";
import { loadModel, modelName, type ModelOptions } from "../model.ts";
import type { Session } from "../session.ts";
import { collected } from "../values.ts";
import type { Given, Verb } from "../verb.ts";

/** The options of `embed`. */
export interface EmbedOptions extends ModelOptions {
  readonly text?: readonly string[];
}

/** The verb. */
export const verb: Verb<EmbedOptions> = {
  arguments: "",
  description: "Computes a vector of each text.",
  shared: ["model"],
  options: [{ flags: "--text <text>", description: "a text, instead of a file; repeatable", read: collected }],
  examples: [
    'embed --model all-minilm-l6-v2 --text "a cat" --text "a car"',
    'embed --model all-minilm-l6-v2 --text "a cat" --quiet',
  ],
  run,
};

async function run({ options }: Given<EmbedOptions>, session: Session): Promise<void> {
  const { text: texts = [] } = options;
  const model = modelName(options);
  if (texts.length === 0) throw new UsageError("Cannot embed nothing: give --text");
  await using llama = await loadModel(model, options, session);
  const rows = await llama.embedDetailed(texts, { signal: session.signal });
  for (const [i, { embedding, tokens, truncated }] of rows.entries()) {
    const { fingerprint } = llama.info;
    await session.json({ id: i, embedding: Array.from(embedding), tokens, truncated, fingerprint });
  }
}
