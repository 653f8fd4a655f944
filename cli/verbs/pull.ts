/** Gets a model from the hub. */
import { stat } from "node:fs/promises";
import { UsageError } from "../failure.ts";
import { getModel, isOfTheHub } from "../model.ts";
import type { Session } from "../session.ts";
import type { Given, Verb } from "../verb.ts";

/** The options of `pull`. */
export interface PullOptions {
  readonly json?: boolean;
}

/** The verb. */
export const verb: Verb<PullOptions> = {
  arguments: "<model>",
  description: "Gets a model from the hub, unless it is here, and prints its path. One that broke off is continued.",
  shared: ["json"],
  options: [],
  examples: ["pull all-minilm-l6-v2", "pull hf:CompendiumLabs/bge-small-en-v1.5-gguf/bge-small-en-v1.5-q4_k_m.gguf"],
  run,
};

async function run({ args: [model = ""], options }: Given<PullOptions>, session: Session): Promise<void> {
  const path = await here(model) ?? await getModel(model, session).catch((error) => {
    // The model itself is of the wrong kind or form: nothing was asked of anyone.
    const wrong = error instanceof TypeError && error.message.startsWith("Cannot download ") ||
      error instanceof TypeError && error.message.startsWith("Cannot read model") || error instanceof RangeError;
    throw wrong ? new UsageError(error.message, { cause: error }) : error;
  });
  if (options.json) await session.json({ model, path, size: (await stat(path)).size });
  else await session.write(`${path}\n`);
}

/** Where a model of the hub is on this machine; undefined where it is not, or where the name is none. Asks nobody. */
async function here(model: string): Promise<string | undefined> {
  if (!isOfTheHub(model)) return undefined;
  const { resolveModel } = await import("@llamasaur/llamasaur/models");
  try {
    return resolveModel(model);
  } catch {
    return undefined; // download() says what is wrong
  }
}
